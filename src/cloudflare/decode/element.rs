//! The elements of lists that are decoded while they arrive: the users of the summary, and the events of a user.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;

use super::bounds::{Bounds, MAX_EMAIL, MAX_ID, MAX_NAME};
use super::json::{Cursor, Stop, Text};
use super::{fast_path, rfc3339};
use crate::clock::Timestamp;
use crate::model::{
    DetailedEvent, Event, EventCount, Found, Identities, Level, LevelWord, OddFields, Row, RowFingerprint,
    UserId,
};

/// A list of users is complete if at most one in this many rows is unreadable.
const ONE_UNREADABLE_IN: usize = 100;

/// So many unreadable rows are allowed in any list of users, if others are readable.
const UNREADABLE_ALWAYS_ALLOWED: usize = 3;

/// An element that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cloudflare) enum Read<E> {
    /// The element has all required fields.
    Good(E),
    /// A required field is missing or invalid. The user id, if at least that is valid.
    Rejected(Option<UserId>),
}

/// The unexpected fields of one element.
#[derive(Default)]
pub(in crate::cloudflare) struct Odd {
    pub(in crate::cloudflare) fields: Vec<(&'static str, Found)>,
    pub(in crate::cloudflare) level: Option<LevelWord>,
}

impl Odd {
    fn push(&mut self, field: &'static str, found: Found) {
        self.fields.push((field, found));
    }
}

/// An element of a list.
pub(in crate::cloudflare) trait Element: Sized {
    /// The name of the list in `result`.
    const LIST: &'static str;

    /// How many elements are kept.
    fn limit(bounds: &Bounds) -> usize;

    /// How many unreadable elements a complete list may have.
    fn allowed_unreadable(readable: usize, total: usize) -> usize;

    /// What identifies an element, so that duplicates are found.
    fn key(&self) -> impl Eq + Hash;

    /// What an element still has in common with itself if the server makes its id for each answer.
    fn likeness(&self) -> impl Eq + Hash;

    /// The bytes that the element has on the heap.
    fn heap_bytes(&self) -> usize;

    /// Reads one element and adds its unexpected fields to `odd`. Names and e-mail addresses go to `identities`, or are
    /// skipped if there is none.
    fn read(
        cursor: &mut Cursor<'_>,
        identities: Option<&mut Identities>,
        odd: &mut Odd,
    ) -> Result<Read<Self>, Stop>;

    /// Removes duplicate elements of a list of so many pages. Sorts `unreadable`, and removes the users who have a readable
    /// element too. Adds to `odd` what duplicates contradict each other in.
    fn deduplicate(elements: &mut Vec<Self>, pages: Pages, unreadable: &mut Vec<UserId>, odd: &mut OddFields);
}

/// How many pages a list has. The elements at their borders may occur on both, because the list changes while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    One,
    Several,
}

impl Element for Row {
    const LIST: &'static str = "users";

    fn allowed_unreadable(readable: usize, total: usize) -> usize {
        if readable == 0 { 0 } else { (total / ONE_UNREADABLE_IN).max(UNREADABLE_ALWAYS_ALLOWED) }
    }

    fn limit(bounds: &Bounds) -> usize {
        bounds.elements
    }

    fn key(&self) -> impl Eq + Hash {
        self.user
    }

    fn likeness(&self) -> impl Eq + Hash {
        self.user
    }

    fn heap_bytes(&self) -> usize {
        0
    }

    fn read(
        cursor: &mut Cursor<'_>,
        identities: Option<&mut Identities>,
        odd: &mut Odd,
    ) -> Result<Read<Self>, Stop> {
        if cursor.peek()? != b'{' {
            odd.push("user", cursor.kind()?);
            cursor.skip()?;
            return Ok(Read::Rejected(None));
        }
        if let Some((fields, length)) = fast_path::row(cursor.rest()) {
            cursor.advance(length);
            if let Some(identities) = identities {
                let [email, name] = [fields.email, fields.name].map(String::from_utf8_lossy);
                if identities.push(fields.row.user, &email, &name).is_err() {
                    odd.push("name", Found::TooLong);
                }
            }
            return Ok(Read::Good(fields.row));
        }
        let (mut user, mut last_event) = (Field::ABSENT, Field::ABSENT);
        let (mut count, mut level) = (Field::ABSENT, Field::ABSENT);
        let (mut name, mut email) = (None, None);
        cursor.object(|key, cursor| {
            match key.bytes().as_ref() {
                b"user_id" => user = string(cursor, uuid)?,
                b"last_event" => last_event = string(cursor, date)?,
                b"event_count" => count = event_count(cursor)?,
                b"max_risk_level" => level = string(cursor, level_word)?,
                b"name" if identities.is_some() => name = cursor.string_or_skip()?,
                b"email" if identities.is_some() => email = cursor.string_or_skip()?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        if let (Some(identities), Field::Good(user)) = (identities, &user) {
            let mut text = |field, text: Option<Text<'_>>, limit| {
                let bytes = text.map(Text::bytes).unwrap_or_default();
                let (text, is_cut) = cut(String::from_utf8_lossy(&bytes), limit);
                if is_cut == Cut::Yes {
                    odd.push(field, Found::TooLong);
                }
                text.into_owned()
            };
            let (email, name) = (text("email", email, MAX_EMAIL), text("name", name, MAX_NAME));
            if identities.push(*user, &email, &name).is_err() {
                odd.push("name", Found::TooLong);
            }
        }
        let user = user.or_odd("user_id", odd);
        let last_event = last_event.or_odd("last_event", odd).unwrap_or(Timestamp::UNKNOWN);
        let count = count.or_odd("event_count", odd).unwrap_or(EventCount::UNKNOWN);
        let level = level.level("max_risk_level", odd);
        Ok(match (user, level) {
            (Some(user), Some(level)) => {
                let last_event = if rfc3339::is_never(last_event) { Timestamp::UNKNOWN } else { last_event };
                Read::Good(Self { user, tuple: RowFingerprint { last_event, count, level } })
            }
            (user, _) => Read::Rejected(user),
        })
    }

    /// Sorts by user. If a user has several rows, the one with the highest level stays, and then the latest: no order of
    /// rows may hide a dangerous user.
    fn deduplicate(rows: &mut Vec<Self>, _: Pages, unreadable: &mut Vec<UserId>, odd: &mut OddFields) {
        if !rows.is_sorted_by_key(|row| row.user) {
            // Comparing ids as numbers takes two steps instead of sixteen, and gives the same order.
            rows.sort_by_key(|row| row.user.as_u128());
        }
        rows.dedup_by(|later, kept| {
            let same = later.user == kept.user;
            if same && later.tuple.level != kept.tuple.level {
                odd.add("max_risk_level", Found::Contradiction, None);
            }
            let rank = |row: &Self| (row.tuple.level, row.tuple.last_event, row.tuple.count.known());
            if same && rank(later) > rank(kept) {
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
    const LIST: &'static str = "events";

    /// Any number: [`crate::model::UserRisk::rejected`] says how many.
    fn allowed_unreadable(_: usize, total: usize) -> usize {
        total
    }

    fn limit(bounds: &Bounds) -> usize {
        bounds.events
    }

    fn key(&self) -> impl Eq + Hash {
        (self.identifier(), self.timestamp)
    }

    fn likeness(&self) -> impl Eq + Hash {
        (&self.name, self.timestamp)
    }

    fn heap_bytes(&self) -> usize {
        self.id.len() + self.name.len()
    }

    fn read(cursor: &mut Cursor<'_>, _: Option<&mut Identities>, odd: &mut Odd) -> Result<Read<Self>, Stop> {
        event(cursor, odd, |_, cursor| cursor.skip())
    }

    fn deduplicate(events: &mut Vec<Self>, pages: Pages, _: &mut Vec<UserId>, _: &mut OddFields) {
        keep_first(events, |event| event.may_repeat(pages));
    }
}

impl Element for DetailedEvent {
    const LIST: &'static str = Event::LIST;

    fn allowed_unreadable(readable: usize, total: usize) -> usize {
        Event::allowed_unreadable(readable, total)
    }

    fn limit(bounds: &Bounds) -> usize {
        bounds.events
    }

    fn key(&self) -> impl Eq + Hash {
        self.event.key()
    }

    fn likeness(&self) -> impl Eq + Hash {
        self.event.likeness()
    }

    fn heap_bytes(&self) -> usize {
        self.event.heap_bytes() + self.details.as_ref().map_or(0, String::len)
    }

    fn read(cursor: &mut Cursor<'_>, _: Option<&mut Identities>, odd: &mut Odd) -> Result<Read<Self>, Stop> {
        let mut details = None;
        let read = event(cursor, odd, |key, cursor| {
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

    fn deduplicate(events: &mut Vec<Self>, pages: Pages, _: &mut Vec<UserId>, _: &mut OddFields) {
        keep_first(events, |event| event.event.may_repeat(pages));
    }
}

/// Keeps the order. If several elements that may repeat have the same key, the first one stays.
fn keep_first<E: Element>(elements: &mut Vec<E>, may_repeat: impl Fn(&E) -> bool) {
    // The keys are borrowed: copies of them may take as much memory as the list.
    let mut known = HashSet::new();
    let is_first: Vec<bool> =
        elements.iter().map(|element| known.insert(element.key()) || !may_repeat(element)).collect();
    drop(known);
    let mut is_first = is_first.into_iter();
    elements.retain(|_| is_first.next().unwrap_or(true));
}

impl Event {
    /// Whether the event may be another one in the list again. Two events without an id may have the same name and time, so
    /// only the border of pages makes one of them a repetition.
    fn may_repeat(&self, pages: Pages) -> bool {
        pages == Pages::Several || !self.id.is_empty()
    }
}

/// Reads an event; `other` must skip or read the value of any other key.
///
/// An event without an id is identified by its behavior and its time; its id is empty.
fn event<'a>(
    cursor: &mut Cursor<'a>,
    odd: &mut Odd,
    mut other: impl FnMut(&[u8], &mut Cursor<'a>) -> Result<(), Stop>,
) -> Result<Read<Event>, Stop> {
    if cursor.peek()? != b'{' {
        odd.push("event", cursor.kind()?);
        cursor.skip()?;
        return Ok(Read::Rejected(None));
    }
    let (mut id, mut name) = (Field::ABSENT, Field::ABSENT);
    let (mut timestamp, mut level) = (Field::ABSENT, Field::ABSENT);
    cursor.object(|key, cursor| {
        match key.bytes().as_ref() {
            b"id" => id = scalar(cursor)?,
            b"name" => name = scalar(cursor)?,
            b"timestamp" => {
                timestamp = string(cursor, |text| date(text).filter(|date| !rfc3339::is_never(*date)))?;
            }
            b"risk_level" => level = string(cursor, level_word)?,
            key => other(key, cursor)?,
        }
        Ok(())
    })?;
    let id = match id {
        Field::Good(id) if id.len() > MAX_ID => Field::Odd(Found::TooLong),
        Field::Odd(found @ (Found::Absent | Found::Null)) if matches!(name, Field::Good(_)) => {
            odd.push("id", found);
            Field::Good(Cow::Borrowed(""))
        }
        id => id,
    };
    // Not a reason to reject an event, so it counts as the most dangerous level.
    let level = level.level("risk_level", odd).unwrap_or(Level::Unrecognized);
    let (id, name) = (id.or_odd("id", odd), name.or_odd("name", odd));
    let timestamp = timestamp.or_odd("timestamp", odd);
    Ok(match (id, timestamp) {
        (Some(id), Some(timestamp)) => {
            // An event happened, whether its behavior is known or not.
            let (name, is_cut) = cut(name.unwrap_or_default(), MAX_NAME);
            if is_cut == Cut::Yes {
                odd.push("name", Found::TooLong);
            }
            let (id, _) = cut(id, MAX_ID);
            Read::Good(Event { id: id.into_owned(), name: name.into_owned(), level, timestamp })
        }
        _ => Read::Rejected(None),
    })
}

/// A field of an element.
enum Field<T> {
    Good(T),
    /// The field does not have its documented form.
    Odd(Found),
}

impl<T> Field<T> {
    const ABSENT: Self = Self::Odd(Found::Absent);

    /// The value. Without one, the field is added to `odd`.
    fn or_odd(self, field: &'static str, odd: &mut Odd) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Odd(found) => {
                odd.push(field, found);
                None
            }
        }
    }
}

impl Field<Word> {
    /// The level; `None` if the value is neither a word nor null.
    fn level(self, field: &'static str, odd: &mut Odd) -> Option<Level> {
        match self {
            Self::Good(Word { level: Level::Unrecognized, unknown }) => {
                odd.push(field, Found::UnknownLevel);
                odd.level = unknown;
                Some(Level::Unrecognized)
            }
            Self::Good(Word { level, .. }) => Some(level),
            Self::Odd(found) => {
                odd.push(field, found);
                matches!(found, Found::Absent | Found::Null).then_some(Level::Unknown)
            }
        }
    }
}

/// A string where a level is expected.
struct Word {
    level: Level,
    /// The word, if Cloudflare does not document it.
    unknown: Option<LevelWord>,
}

/// Reads a string that `parse` accepts; skips any other value.
fn string<'a, T>(
    cursor: &mut Cursor<'a>,
    parse: impl FnOnce(Text<'a>) -> Option<T>,
) -> Result<Field<T>, Stop> {
    let found = cursor.kind()?;
    Ok(match cursor.string_or_skip()?.and_then(parse) {
        Some(value) => Field::Good(value),
        None => Field::Odd(found),
    })
}

/// Reads a string, a number or a boolean as text; skips any other value.
fn scalar<'a>(cursor: &mut Cursor<'a>) -> Result<Field<Cow<'a, str>>, Stop> {
    let found = cursor.kind()?;
    if !matches!(found, Found::Number | Found::Boolean) {
        return string(cursor, Text::read);
    }
    let (rest, start) = (cursor.rest(), cursor.position());
    cursor.skip()?;
    let value = rest.get(..cursor.position() - start).unwrap_or_default();
    Ok(match std::str::from_utf8(value) {
        Ok(text) => Field::Good(Cow::Borrowed(text)),
        Err(_) => Field::Odd(found),
    })
}

/// Reads a count, which may be written as a string.
fn event_count(cursor: &mut Cursor<'_>) -> Result<Field<EventCount>, Stop> {
    let found = cursor.kind()?;
    let count = if found == Found::String {
        cursor.string_or_skip()?.and_then(|text| text.read()?.trim().parse().ok())
    } else {
        cursor.count_or_skip()?
    };
    let count = count.map(EventCount::from).filter(|count| count.known().is_some());
    Ok(count.map_or(Field::Odd(found), Field::Good))
}

/// Whether a text was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    No,
    Yes,
}

/// Cuts `text` to at most `limit` bytes, at the end of a character.
fn cut(text: Cow<'_, str>, limit: usize) -> (Cow<'_, str>, Cut) {
    if text.len() <= limit {
        return (text, Cut::No);
    }
    let end = text.floor_char_boundary(limit);
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(end);
            text.shrink_to_fit();
            Cow::Owned(text)
        }
    };
    (text, Cut::Yes)
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

fn level_word(text: Text<'_>) -> Option<Word> {
    // A word that is not valid UTF-8 is not a documented one.
    let word = text.read();
    let level = word.as_deref().map_or(Level::Unrecognized, Level::from_word);
    let unknown = word.filter(|_| level == Level::Unrecognized).and_then(|word| LevelWord::new(&word));
    Some(Word { level, unknown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_rows_for_a_user_the_most_dangerous_one_stays() {
        let row = |user: u128, level, last_event, count| {
            let last_event = Timestamp::from_seconds(last_event);
            let tuple = RowFingerprint { last_event, count: EventCount::from(count), level };
            Row { user: UserId::from_u128(user), tuple }
        };
        let (high, low) = (row(1, Level::High, 10, 5), row(1, Level::Low, 20, 1));
        let other = row(2, Level::Low, 0, 0);
        for (rows, wanted, contradictions) in [
            (vec![high, low, other], high, 1),
            (vec![low, other, high], high, 1),
            (vec![high, row(1, Level::Unrecognized, 0, 0), other], row(1, Level::Unrecognized, 0, 0), 1),
            (vec![high, other, high], high, 0),
            // Without a contradiction about the level, the newer row is right.
            (vec![row(1, Level::High, 11, 4), other, high], row(1, Level::High, 11, 4), 0),
            (vec![high, row(1, Level::High, 10, 6), other], row(1, Level::High, 10, 6), 0),
        ] {
            let (mut read, mut odd) = (rows.clone(), OddFields::default());
            Row::deduplicate(&mut read, Pages::One, &mut Vec::new(), &mut odd);
            assert_eq!(read, [wanted, other], "{rows:?}");
            assert_eq!(odd.iter().map(|odd| odd.count).sum::<u32>(), contradictions, "{odd}");
        }
    }

    #[test]
    fn events_without_an_id_are_each_kept_unless_the_list_has_several_pages() {
        let event = |id: &str| Event {
            id: id.to_owned(),
            name: "imp_travel".to_owned(),
            level: Level::Low,
            timestamp: Timestamp::from_seconds(10),
        };
        let ids = ["a", "", "a", "", "b"];
        for (pages, wanted) in
            [(Pages::One, ["a", "", "", "b"].as_slice()), (Pages::Several, ["a", "", "b"].as_slice())]
        {
            let mut events = ids.map(event).to_vec();
            Event::deduplicate(&mut events, pages, &mut Vec::new(), &mut OddFields::default());
            let kept: Vec<_> = events.iter().map(|event| event.id.as_str()).collect();
            assert_eq!(kept, wanted, "{pages:?}");
        }
    }
}
