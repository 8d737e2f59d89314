//! The elements of the lists that are decoded as they arrive: a user of the summary, an event of a user.

use std::collections::HashSet;
use std::hash::Hash;

use super::json::{Cursor, Stop, Text};
use super::{fast_path, rfc3339};
use crate::clock::Timestamp;
use crate::model::{DetailedEvent, Event, Identities, Level, Row, RowFingerprint, UserId};

/// An element that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cloudflare) enum Read<E> {
    /// It says all it must.
    Good(E),
    /// It does not; whose it is, if it says at least that.
    Rejected(Option<UserId>),
}

/// What can stand in a list.
pub(in crate::cloudflare) trait Element: Sized {
    /// By what an element is known again on another page.
    type Key: Eq + Hash;

    /// The name of the list in `result`.
    const LIST: &'static str;

    /// By what this one is known again.
    fn key(&self) -> Self::Key;

    /// Reads one; names and e-mail addresses go to `identities`, and nowhere without.
    fn read(cursor: &mut Cursor<'_>, identities: Option<&mut Identities>) -> Result<Read<Self>, Stop>;

    /// Keeps each once, and of the unreadable (sorted, each once) those that nothing readable stands for.
    fn settle(elements: &mut Vec<Self>, unreadable: &mut Vec<UserId>);
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
            return Ok(reconcile(fields.user, fields.last_event, fields.count, fields.level));
        }
        let (mut user, mut last_event, mut count, mut level) = (None, None, None, Level::Unknown);
        let (mut name, mut email) = (None, None);
        cursor.object(|key, cursor| {
            match key.bytes().as_ref() {
                b"user_id" => user = cursor.string_or_skip()?.and_then(uuid),
                b"last_event" => last_event = cursor.string_or_skip()?.and_then(date),
                b"event_count" => count = cursor.count_or_skip()?,
                b"max_risk_level" => level = cursor.string_or_skip()?.map_or(Level::Unknown, word),
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
        Ok(reconcile(user, last_event, count, level))
    }

    /// Sorts by user; of several rows of a user the one that came last stays.
    fn settle(rows: &mut Vec<Self>, unreadable: &mut Vec<UserId>) {
        if !rows.is_sorted_by_key(|row| row.user) {
            // As a number, an id is compared in two steps and not in sixteen; the order is the same.
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

    /// Keeps the order; of several events with one id and time the first stays.
    fn settle(events: &mut Vec<Self>, _: &mut Vec<UserId>) {
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

    /// As for events without details.
    fn settle(events: &mut Vec<Self>, _: &mut Vec<UserId>) {
        let mut known = HashSet::new();
        events.retain(|event| known.insert(event.key()));
    }
}

/// Reads an event; `other` moves past the values of all other keys.
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
            b"risk_level" => level = cursor.string_or_skip()?.map_or(Level::Unknown, word),
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

/// A row must say whose it is, how many events there are and when the last one was.
fn reconcile(
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

/// A UUID with its hyphens, in either case.
fn uuid(text: Text<'_>) -> Option<UserId> {
    let bytes = text.bytes();
    // Without its hyphens, in braces or as a URN the library would take it too.
    (bytes.len() == 36).then(|| UserId::try_parse_ascii(&bytes).ok())?
}

fn date(text: Text<'_>) -> Option<Timestamp> {
    rfc3339::parse(&text.bytes())
}

fn word(text: Text<'_>) -> Level {
    text.read().map_or(Level::Unknown, |word| Level::from_word(&word))
}
