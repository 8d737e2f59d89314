//! The elements of lists that are decoded while they arrive: the users of the summary, and the events of a user.

use std::collections::HashSet;
use std::hash::Hash;

use super::json::{Cursor, Stop, Text};
use super::{fast_path, rfc3339};
use crate::clock::Timestamp;
use crate::model::{DetailedEvent, Event, Identities, Level, Row, RowFingerprint, UserId};

/// An element that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cloudflare) enum Read<E> {
    /// The element has all required fields.
    Good(E),
    /// A required field is missing or invalid. The user id, if at least that is valid.
    Rejected(Option<UserId>),
}

/// An element of a list.
pub(in crate::cloudflare) trait Element: Sized {
    /// What identifies an element, so that duplicates on other pages are found.
    type Key: Eq + Hash;

    /// The name of the list in `result`.
    const LIST: &'static str;

    fn key(&self) -> Self::Key;

    /// Reads one element. Names and e-mail addresses go to `identities`, or are skipped if there is none.
    fn read(cursor: &mut Cursor<'_>, identities: Option<&mut Identities>) -> Result<Read<Self>, Stop>;

    /// Removes duplicate elements, and sorts `unreadable` and removes the users who have a readable element too.
    fn deduplicate(elements: &mut Vec<Self>, unreadable: &mut Vec<UserId>);
}

impl Element for Row {
    type Key = UserId;

    const LIST: &'static str = "users";

    fn key(&self) -> UserId {
        self.user
    }

    fn read(cursor: &mut Cursor<'_>, identities: Option<&mut Identities>) -> Result<Read<Self>, Stop> {
        if cursor.peek()? != b'{' {
            cursor.skip()?;
            return Ok(Read::Rejected(None));
        }
        if let Some((fields, length)) = fast_path::row(cursor.rest()) {
            cursor.advance(length);
            if let (Some(identities), Some(user)) = (identities, fields.user) {
                let [email, name] = [fields.email, fields.name].map(String::from_utf8_lossy);
                identities.push(user, &email, &name);
            }
            return Ok(checked_row(fields.user, fields.last_event, fields.count, fields.level));
        }
        let (mut user, mut last_event, mut count, mut level) = (None, None, None, Level::Unknown);
        let (mut name, mut email) = (None, None);
        cursor.object(|key, cursor| {
            match key.bytes().as_ref() {
                b"user_id" => user = cursor.string_or_skip()?.and_then(uuid),
                b"last_event" => last_event = cursor.string_or_skip()?.and_then(date),
                b"event_count" => count = cursor.count_or_skip()?,
                b"max_risk_level" => level = cursor.string_or_skip()?.map_or(Level::Unknown, level_word),
                b"name" if identities.is_some() => name = cursor.string_or_skip()?,
                b"email" if identities.is_some() => email = cursor.string_or_skip()?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        if let (Some(identities), Some(user)) = (identities, user) {
            let [email, name] = [email, name].map(|text| text.map(Text::bytes).unwrap_or_default());
            let [email, name] = [&email, &name].map(|text| String::from_utf8_lossy(text));
            identities.push(user, &email, &name);
        }
        Ok(checked_row(user, last_event, count, level))
    }

    /// Sorts by user. If a user has several rows, the last one stays.
    fn deduplicate(rows: &mut Vec<Self>, unreadable: &mut Vec<UserId>) {
        if !rows.is_sorted_by_key(|row| row.user) {
            // Comparing ids as numbers takes two steps instead of sixteen, and gives the same order.
            rows.sort_by_key(|row| row.user.as_u128());
        }
        rows.dedup_by(|later, kept| {
            let same = later.user == kept.user;
            if same {
                *kept = *later;
            }
            same
        });
        unreadable.sort_unstable();
        unreadable.dedup();
        unreadable.retain(|user| rows.binary_search_by_key(user, |row| row.user).is_err());
    }
}

impl Element for Event {
    type Key = (String, Timestamp);

    const LIST: &'static str = "events";

    fn key(&self) -> Self::Key {
        (self.id.clone(), self.timestamp)
    }

    fn read(cursor: &mut Cursor<'_>, _: Option<&mut Identities>) -> Result<Read<Self>, Stop> {
        event(cursor, |_, cursor| cursor.skip())
    }

    /// Keeps the order. If several events have the same id and time, the first one stays.
    fn deduplicate(events: &mut Vec<Self>, _: &mut Vec<UserId>) {
        let mut known = HashSet::new();
        events.retain(|event| known.insert(event.key()));
    }
}

impl Element for DetailedEvent {
    type Key = (String, Timestamp);

    const LIST: &'static str = Event::LIST;

    fn key(&self) -> Self::Key {
        self.event.key()
    }

    fn read(cursor: &mut Cursor<'_>, _: Option<&mut Identities>) -> Result<Read<Self>, Stop> {
        let mut details = None;
        let read = event(cursor, |key, cursor| {
            if key != b"event_details" || cursor.peek()? == b'n' {
                return cursor.skip();
            }
            let (rest, start) = (cursor.rest(), cursor.position());
            cursor.skip()?;
            let value = rest.get(..cursor.position() - start).unwrap_or_default();
            details = Some(String::from_utf8_lossy(value).into_owned());
            Ok(())
        })?;
        Ok(match read {
            Read::Good(event) => Read::Good(Self { event, details }),
            Read::Rejected(user) => Read::Rejected(user),
        })
    }

    fn deduplicate(events: &mut Vec<Self>, _: &mut Vec<UserId>) {
        let mut known = HashSet::new();
        events.retain(|event| known.insert(event.key()));
    }
}

/// Reads an event; `other` must skip or read the value of any other key.
fn event<'a>(
    cursor: &mut Cursor<'a>,
    mut other: impl FnMut(&[u8], &mut Cursor<'a>) -> Result<(), Stop>,
) -> Result<Read<Event>, Stop> {
    if cursor.peek()? != b'{' {
        cursor.skip()?;
        return Ok(Read::Rejected(None));
    }
    let (mut id, mut name, mut timestamp, mut level) = (None, None, None, Level::Unknown);
    cursor.object(|key, cursor| {
        match key.bytes().as_ref() {
            b"id" => id = cursor.string_or_skip()?.and_then(Text::read),
            b"name" => name = cursor.string_or_skip()?.and_then(Text::read),
            b"timestamp" => timestamp = cursor.string_or_skip()?.and_then(date),
            b"risk_level" => level = cursor.string_or_skip()?.map_or(Level::Unknown, level_word),
            key => other(key, cursor)?,
        }
        Ok(())
    })?;
    Ok(match (id, name, timestamp) {
        (Some(id), Some(name), Some(timestamp)) => {
            Read::Good(Event { id: id.into_owned(), name: name.into_owned(), level, timestamp })
        }
        _ => Read::Rejected(None),
    })
}

/// A row needs a user id, an event count and the time of the last event.
fn checked_row(
    user: Option<UserId>,
    last_event: Option<Timestamp>,
    count: Option<u32>,
    level: Level,
) -> Read<Row> {
    match (user, last_event, count) {
        (Some(user), Some(last_event), Some(count)) => {
            Read::Good(Row { user, tuple: RowFingerprint { last_event, count, level } })
        }
        _ => Read::Rejected(user),
    }
}

/// A UUID with hyphens, in upper or lower case.
fn uuid(text: Text<'_>) -> Option<UserId> {
    let bytes = text.bytes();
    // The library would accept other forms too: without hyphens, in braces, or as a URN.
    (bytes.len() == 36).then(|| UserId::try_parse_ascii(&bytes).ok())?
}

fn date(text: Text<'_>) -> Option<Timestamp> {
    rfc3339::parse(&text.bytes())
}

fn level_word(text: Text<'_>) -> Level {
    text.read().map_or(Level::Unknown, |word| Level::from_word(&word))
}
