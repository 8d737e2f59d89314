//! Which of a user's listed events were counted before.
//!
//! An event is recognized by its id and its time. Cloudflare may leave out the id, or write the time in another precision,
//! so an event is compared with all counted and listed events that may be the same one. Events without an id that have the
//! same name and time are numbered within the list.

use std::collections::{HashMap, HashSet};

use super::user_record::Record;
use super::{DetailRequest, Ledger};
use crate::clock::Timestamp;
use crate::model::{Event, RowFingerprint, UserId};

/// A user's listed events, compared with the counted ones.
pub(super) struct ListedEvents<'a> {
    /// The events to count, each once, with their keys.
    pub(super) new: Vec<(u64, &'a Event)>,
    /// The keys of all listed events.
    pub(super) listed: HashSet<u64>,
    /// How many events are dated in the future, beyond the limit of such events.
    pub(super) too_far_ahead: u32,
    /// How many events happened before counting started, and were in no row until then. A list of users that was made a
    /// while before its date is without the latest events.
    pub(super) before_start: u32,
}

/// The keys of listed events.
struct ListedKeys {
    /// The key of each event, in the order of the list; `None` if it is the key of another one too.
    of_events: Vec<Option<u64>>,
    all: HashSet<u64>,
}

impl Ledger {
    /// Finds the listed events that were not counted yet. Those dated later than `present` are in the future.
    pub(super) fn find_new<'a>(
        &self,
        request: &DetailRequest,
        record: &Record,
        events: &'a [Event],
        present: Timestamp,
    ) -> ListedEvents<'a> {
        let id = request.user.id;
        let floor = self.floor_of(id).max(record.floor.unwrap_or(Timestamp::from_millis(i64::MIN)));
        let mut room = record.room_in_future(present);
        let ListedKeys { of_events, all } = self.keys_of_listed(id, events, record);
        let mut found = ListedEvents { new: Vec::new(), listed: all, too_far_ahead: 0, before_start: 0 };
        let distinct = events.iter().zip(of_events).filter_map(|(event, key)| Some((key?, event)));
        for (key, event) in distinct {
            found.before_start += u32::from(self.is_before_start(event, request));
            if event.timestamp <= floor || record.has(key) {
                continue;
            }
            if event.timestamp > present {
                if room == 0 {
                    found.too_far_ahead = found.too_far_ahead.saturating_add(1);
                    continue;
                }
                room -= 1;
            }
            found.new.push((key, event));
        }
        found
    }

    /// Whether the event happened before counting started, and the requested row counts it, but the covered one does not.
    fn is_before_start(&self, event: &Event, request: &DetailRequest) -> bool {
        let at = event.timestamp;
        let is_counted_in = |row: &RowFingerprint| {
            row.last_event != Timestamp::UNKNOWN && (at <= row.last_event || is_rounded(at, row.last_event))
        };
        self.epoch.is_some_and(|epoch| at <= epoch)
            && request.user.covered.last_event != Timestamp::UNKNOWN
            && !is_counted_in(&request.user.covered)
            && is_counted_in(&request.fingerprint)
    }

    fn keys_of_listed(&self, user: UserId, events: &[Event], record: &Record) -> ListedKeys {
        let mut known = KnownEvents {
            record,
            listed: HashSet::new(),
            numbers: HashMap::new(),
            times: None,
            by_time: None,
        };
        let mut of_events = vec![None; events.len()];
        for (event, slot) in events.iter().zip(&mut of_events).filter(|(event, _)| !event.id.is_empty()) {
            let key = self.key_with_id(user, event, &mut known);
            *slot = known.listed.insert(key).then_some(key);
        }
        // An event without an id can be any counted event of its time, except for those that are listed with their id.
        for (event, slot) in events.iter().zip(&mut of_events).filter(|(event, _)| event.id.is_empty()) {
            let key = self.key_without_id(user, event, &mut known);
            *slot = known.listed.insert(key).then_some(key);
        }
        ListedKeys { of_events, all: known.listed }
    }

    /// If the same id was counted or listed before with the time in another precision, or the event was counted without its
    /// id, it is the key of that event.
    fn key_with_id<'a>(&self, user: UserId, event: &'a Event, known: &mut KnownEvents<'a>) -> u64 {
        let key = self.key(user, &event.id, event.timestamp);
        if known.has(key) {
            return key;
        }
        let near = known.near(event.timestamp);
        known.list(event.timestamp);
        let with_id = near.iter().map(|at| self.key(user, &event.id, *at)).find(|key| known.has(*key));
        let without_id = || {
            let mut times = std::iter::once(event.timestamp).chain(near.iter().copied());
            times.find_map(|at| {
                let key = self.next_without_id(user, &event.name, at, known);
                known.record.has(key).then_some(key)
            })
        };
        with_id.or_else(without_id).unwrap_or(key)
    }

    /// If an event of this time, in whatever precision, was counted that is not listed with its id, it is the key of that
    /// event.
    fn key_without_id<'a>(&self, user: UserId, event: &'a Event, known: &mut KnownEvents<'a>) -> u64 {
        let key = self.next_without_id(user, &event.name, event.timestamp, known);
        if known.record.has(key) {
            return key;
        }
        let near = known.near(event.timestamp);
        let mut times = std::iter::once(event.timestamp).chain(near);
        times.find_map(|at| known.counted_at(at)).unwrap_or(key)
    }

    /// The key of an event without an id: the first of this name and time that was not found in the list yet.
    fn next_without_id<'a>(
        &self,
        user: UserId,
        name: &'a str,
        at: Timestamp,
        known: &mut KnownEvents<'a>,
    ) -> u64 {
        let number = known.numbers.entry((name, at)).or_default();
        loop {
            let key = match *number {
                0 => self.key(user, name, at),
                // No name contains a control character.
                number => self.key(user, &format!("{name}\0{number}"), at),
            };
            if !known.listed.contains(&key) {
                return key;
            }
            *number += 1;
        }
    }
}

/// The counted events of a user, and those that were found in a list so far.
struct KnownEvents<'a> {
    record: &'a Record,
    listed: HashSet<u64>,
    /// How many events without an id were found in the list so far, by name and time.
    numbers: HashMap<(&'a str, Timestamp), u32>,
    /// The times of all these events by second, each once: thousands of events may have the same time. Collected once an
    /// unknown event is listed.
    times: Option<HashMap<i64, Vec<Timestamp>>>,
    /// The keys of the counted events by time. Collected once an event without an id is listed.
    by_time: Option<HashMap<Timestamp, Vec<u64>>>,
}

impl KnownEvents<'_> {
    fn has(&self, key: u64) -> bool {
        self.record.has(key) || self.listed.contains(&key)
    }

    /// The times that may be this one in another precision, the earliest first.
    fn near(&mut self, at: Timestamp) -> Vec<Timestamp> {
        let times = self.times();
        let seconds = [-1, 0, 1].map(|step| second(at) + step);
        let near = seconds.iter().filter_map(|second| times.get(second)).flatten();
        let mut near: Vec<_> = near.filter(|other| is_rounded(**other, at)).copied().collect();
        near.sort_unstable();
        near
    }

    /// Adds the time of a listed event.
    fn list(&mut self, at: Timestamp) {
        let of_second = self.times().entry(second(at)).or_default();
        if !of_second.contains(&at) {
            of_second.push(at);
        }
    }

    fn times(&mut self) -> &mut HashMap<i64, Vec<Timestamp>> {
        self.times.get_or_insert_with(|| {
            let mut times: HashMap<i64, Vec<Timestamp>> = HashMap::new();
            for counted in &self.record.keys {
                let of_second = times.entry(second(counted.at)).or_default();
                if !of_second.contains(&counted.at) {
                    of_second.push(counted.at);
                }
            }
            times
        })
    }

    /// A counted event of this time that was not found in the list.
    fn counted_at(&mut self, at: Timestamp) -> Option<u64> {
        let by_time = self.by_time.get_or_insert_with(|| {
            let mut by_time: HashMap<Timestamp, Vec<u64>> = HashMap::new();
            for counted in &self.record.keys {
                by_time.entry(counted.at).or_default().push(counted.key);
            }
            by_time
        });
        let keys = by_time.get_mut(&at)?;
        while let Some(key) = keys.pop() {
            if !self.listed.contains(&key) {
                return Some(key);
            }
        }
        None
    }
}

/// Whether two different times may be the same one in two precisions: they differ by a millisecond, or one is the other cut
/// off or rounded to hundredths, tenths or whole seconds.
pub(super) fn is_rounded(one: Timestamp, other: Timestamp) -> bool {
    let is_of = |rounded: i64, precise: i64| {
        [10, 100, 1_000].into_iter().any(|unit| {
            let cut = precise - precise.rem_euclid(unit);
            rounded == cut || (rounded == cut + unit && 2 * (precise - cut) >= unit)
        })
    };
    let (one, other) = (one.millis(), other.millis());
    one != other && (one.abs_diff(other) == 1 || is_of(one, other) || is_of(other, one))
}

fn second(at: Timestamp) -> i64 {
    at.millis().div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_in_another_precision() {
        let table = [
            // Milliseconds, of which one is cut and one is rounded.
            (117, 118, true),
            (999, 1_000, true),
            (117, 119, false),
            // Hundredths, tenths, seconds.
            (117, 110, true),
            (117, 120, true),
            (114, 120, false),
            (117, 100, true),
            (583, 600, true),
            (583, 500, true),
            (583, 400, false),
            (250, 300, true),
            (249, 300, false),
            (117, 0, true),
            (117, 1_000, false),
            (583, 1_000, true),
            (583, 0, true),
            // Each already cut in another way.
            (110, 100, true),
            (960, 1_000, true),
            // Two events.
            (0, 1_000, false),
            (100, 200, false),
            (110, 120, false),
            (117, 127, false),
            (5, 5, false),
        ];
        for (one, other, wanted) in table {
            for second in [-3_000, 0, 1_700_000_000_000] {
                let [one, other] = [one, other].map(|millis: i64| Timestamp::from_millis(second + millis));
                assert_eq!(is_rounded(one, other), wanted, "{one} {other}");
                assert_eq!(is_rounded(other, one), wanted, "{other} {one}");
            }
        }
    }
}
