//! The elements of the lists that are decoded as they arrive: a user of the summary, an event of a user.

use std::collections::HashSet;
use std::hash::Hash;

use super::cursor::{Cursor, Stop, Text};
use super::time;
use crate::clock::Timestamp;
use crate::model::{Event, Identities, Level, Row, Tuple, UserId};

/// An element that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<E> {
    /// It says all it must.
    Good(E),
    /// It does not; whose it is, if it says at least that.
    Rejected(Option<UserId>),
}

/// What can stand in a list.
pub(super) trait Element: Sized {
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
        let (mut user, mut last_event, mut count, mut level) = (None, None, None, Level::Unknown);
        let (mut name, mut email) = (None, None);
        cursor.object(|key, cursor| {
            match key.read().as_deref() {
                Some("user_id") => user = cursor.string_or_skip()?.and_then(uuid),
                Some("last_event") => last_event = cursor.string_or_skip()?.and_then(date),
                Some("event_count") => count = cursor.count_or_skip()?,
                Some("max_risk_level") => level = cursor.string_or_skip()?.map_or(Level::Unknown, word),
                Some("name") if identities.is_some() => name = cursor.string_or_skip()?,
                Some("email") if identities.is_some() => email = cursor.string_or_skip()?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        if let (Some(identities), Some(user)) = (identities, user) {
            let [email, name] = [email, name].map(|text| text.and_then(Text::read).unwrap_or_default());
            identities.push(user, &email, &name);
        }
        Ok(match (user, last_event, count) {
            (Some(user), Some(last_event), Some(count)) => Read::Good(Self {
                user,
                tuple: Tuple {
                    last_event,
                    count,
                    level,
                },
            }),
            _ => Read::Rejected(user),
        })
    }

    /// Sorts by user; of several rows of a user the one that came last stays.
    fn settle(rows: &mut Vec<Self>, unreadable: &mut Vec<UserId>) {
        if !rows.is_sorted_by_key(|row| row.user) {
            rows.sort_by_key(|row| row.user);
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
        if cursor.peek()? != b'{' {
            cursor.skip()?;
            return Ok(Read::Rejected(None));
        }
        let (mut id, mut name, mut timestamp, mut level) = (None, None, None, Level::Unknown);
        cursor.object(|key, cursor| {
            match key.read().as_deref() {
                Some("id") => id = cursor.string_or_skip()?.and_then(Text::read),
                Some("name") => name = cursor.string_or_skip()?.and_then(Text::read),
                Some("timestamp") => timestamp = cursor.string_or_skip()?.and_then(date),
                Some("risk_level") => level = cursor.string_or_skip()?.map_or(Level::Unknown, word),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(match (id, name, timestamp) {
            (Some(id), Some(name), Some(timestamp)) => Read::Good(Self {
                id: id.into_owned(),
                name: name.into_owned(),
                level,
                timestamp,
            }),
            _ => Read::Rejected(None),
        })
    }

    /// Keeps the order; of several events with one id and time the first stays.
    fn settle(events: &mut Vec<Self>, _: &mut Vec<UserId>) {
        let mut known = HashSet::new();
        events.retain(|event| known.insert(event.key()));
    }
}

/// A UUID with its hyphens, in either case.
fn uuid(text: Text<'_>) -> Option<UserId> {
    match text.plain() {
        Some(plain) if plain.len() == 36 => UserId::try_parse_ascii(plain).ok(),
        Some(_) => None,
        None => text
            .read()
            .filter(|text| text.len() == 36)
            .and_then(|text| UserId::try_parse(&text).ok()),
    }
}

fn date(text: Text<'_>) -> Option<Timestamp> {
    time::parse(&text.read()?)
}

fn word(text: Text<'_>) -> Level {
    text.read().map_or(Level::Unknown, |word| Level::from_word(&word))
}
