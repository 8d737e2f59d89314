//! The rows of the summary as serialized bytes.
//!
//! The summary of a million users has 200 MB, but only a few users change between two requests. So the rows
//! are kept in chunks, and only chunks with a changed user are serialized again. A page is a few slices.

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use super::sample_data::Person;
use super::scenario::Level;
use crate::clock::Timestamp;

/// Users in a chunk. It has about 200 kB, which are serialized in less than a millisecond.
const CHUNK: usize = 1_024;

/// One user in the summary.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    #[serde(serialize_with = "as_text")]
    pub(super) user_id: Uuid,
    #[serde(flatten)]
    pub(super) person: &'a Person,
    pub(super) max_risk_level: Level,
    pub(super) event_count: u32,
    #[serde(serialize_with = "rfc3339")]
    pub(super) last_event: Timestamp,
}

/// All rows, in the order of the users' slots.
#[derive(Debug, Default)]
pub(super) struct SummaryCache {
    chunks: Vec<Chunk>,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    /// The rows of the chunk's users that are on the list, separated by commas.
    rows: Bytes,
    /// Where each row ends.
    ends: Vec<u32>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Stale,
    Fresh,
    FreshUntil(Timestamp),
}

impl SummaryCache {
    /// Marks the row of the user at `slot` as changed.
    pub(super) fn changed(&mut self, slot: usize) {
        if let Some(chunk) = self.chunks.get_mut(slot / CHUNK) {
            chunk.state = State::Stale;
        }
    }

    /// Serializes stale chunks. `row` returns a user's row, and when it will change without a call of [`Self::changed`].
    pub(super) fn refresh<'a, U>(
        &mut self,
        users: &'a [U],
        now: Timestamp,
        row: impl Fn(&'a U) -> Option<(Row<'a>, Option<Timestamp>)>,
    ) {
        let parts = users.chunks(CHUNK);
        let before = self.chunks.len();
        self.chunks.resize_with(parts.len(), Chunk::default);
        // The last chunk may have grown without any of its users changing.
        if before < self.chunks.len()
            && let Some(last) = before.checked_sub(1).and_then(|last| self.chunks.get_mut(last))
        {
            last.state = State::Stale;
        }
        for (chunk, part) in self.chunks.iter_mut().zip(parts) {
            match chunk.state {
                State::Fresh => {}
                State::FreshUntil(date) if now < date => {}
                _ => *chunk = Chunk::write(part, &row),
            }
        }
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.ends.len()).sum()
    }

    /// `take` rows after the first `skip`, as chunks of JSON with commas between the rows.
    pub(super) fn chunks(&self, skip: usize, take: usize) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        let (mut skip, mut take) = (skip, take);
        for chunk in &self.chunks {
            if take == 0 {
                break;
            }
            let rows = chunk.ends.len();
            if skip >= rows {
                skip -= rows;
                continue;
            }
            let count = take.min(rows - skip);
            if !chunks.is_empty() {
                chunks.push(Bytes::from_static(b","));
            }
            chunks.push(chunk.slice(skip, count));
            skip = 0;
            take -= count;
        }
        chunks
    }
}

impl Chunk {
    fn write<'a, U>(users: &'a [U], row: impl Fn(&'a U) -> Option<(Row<'a>, Option<Timestamp>)>) -> Self {
        let mut rows = Vec::with_capacity(users.len() * 224);
        let mut ends = Vec::with_capacity(users.len());
        let mut until: Option<Timestamp> = None;
        for (row, changes) in users.iter().filter_map(row) {
            if !rows.is_empty() {
                rows.push(b',');
            }
            serde_json::to_writer(&mut rows, &row).expect("all keys of a row are strings");
            ends.push(u32::try_from(rows.len()).expect("a chunk is far smaller than 4 GiB"));
            until = match (until, changes) {
                (Some(until), Some(changes)) => Some(until.min(changes)),
                (until, changes) => until.or(changes),
            };
        }
        Self { rows: Bytes::from(rows), ends, state: until.map_or(State::Fresh, State::FreshUntil) }
    }

    /// `count` rows (at least 1) after the first `skip`. Both are within the chunk.
    fn slice(&self, skip: usize, count: usize) -> Bytes {
        let end = |rows: usize| self.ends.get(rows - 1).map_or(self.rows.len(), |end| *end as usize);
        let start = if skip == 0 { 0 } else { end(skip) + 1 };
        self.rows.slice(start..end(skip + count))
    }
}

/// Serializes a value as a JSON string.
pub(super) fn as_text<T: std::fmt::Display, S: serde::Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Serializes a date as a JSON string, with as many fractional digits as it needs.
pub(super) fn rfc3339<S: serde::Serializer>(date: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: &u32) -> Option<(Row<'_>, Option<Timestamp>)> {
        // Every tenth user is not on the list.
        static PERSON: Person = Person::generated(0);
        (number % 10 != 9).then(|| {
            let row = Row {
                user_id: Uuid::from_u128(u128::from(*number)),
                person: &PERSON,
                max_risk_level: Level::Low,
                event_count: *number,
                last_event: Timestamp::default(),
            };
            (row, None)
        })
    }

    fn counts(chunks: &[Bytes]) -> Vec<u64> {
        let text = format!("[{}]", String::from_utf8(chunks.concat()).unwrap());
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        rows.iter().map(|row| row["event_count"].as_u64().unwrap()).collect()
    }

    #[test]
    fn a_page_is_a_slice_of_the_chunks() {
        let mut listing = SummaryCache::default();
        let users: Vec<u32> = (0..3_000).collect();
        listing.refresh(&users, Timestamp::default(), row);
        let all: Vec<u64> = (0..3_000).filter(|number| number % 10 != 9).collect();
        assert_eq!(listing.len(), all.len());
        for (skip, take) in [(0, 5_000), (0, 1), (921, 3), (900, 1_800), (2_699, 9), (2_700, 1), (5, 0)] {
            let wanted: Vec<u64> = all.iter().skip(skip).take(take).copied().collect();
            assert_eq!(counts(&listing.chunks(skip, take)), wanted, "{skip} {take}");
        }
    }

    #[test]
    fn only_changed_chunks_are_serialized_again_and_new_users_appear() {
        let mut listing = SummaryCache::default();
        let mut users: Vec<u32> = (0..2_000).collect();
        listing.refresh(&users, Timestamp::default(), row);
        users[0] = 7_000;
        users[1_500] = 8_000;
        users.push(9_000);
        listing.changed(1_500);
        listing.changed(2_000);
        listing.refresh(&users, Timestamp::default(), row);
        let seen = counts(&listing.chunks(0, 5_000));
        assert_eq!(seen[0], 0, "the first chunk was not marked");
        assert!(seen.contains(&8_000) && seen.contains(&9_000));
    }
}
