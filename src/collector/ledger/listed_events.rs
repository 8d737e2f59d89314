//! Which of a user's listed events were counted before.
//!
//! An event is recognized by its id and its time. Cloudflare may leave out the id, or write the time with and without its
//! fraction of a second, so an event is compared with all counted and listed events that may be the same one.

use std::collections::{HashMap, HashSet};

use super::Ledger;
use super::user_record::Record;
use crate::clock::Timestamp;
use crate::model::{Event, UserId};

/// A user's listed events, compared with the counted ones.
pub(super) struct ListedEvents<'a> {
    /// The events to count, each once, with their keys.
    pub(super) new: Vec<(u64, &'a Event)>,
    /// The keys of all listed events.
    pub(super) listed: HashSet<u64>,
    /// How many events are dated in the future, beyond the limit of such events.
    pub(super) too_far_ahead: u32,
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
        id: UserId,
        record: &Record,
        events: &'a [Event],
        present: Timestamp,
    ) -> ListedEvents<'a> {
        let floor = self.floor_of(id).max(record.floor.unwrap_or(Timestamp::from_millis(i64::MIN)));
        let mut room = record.room_in_future(present);
        let ListedKeys { of_events, all } = self.keys_of_listed(id, events, record);
        let mut found = ListedEvents { new: Vec::new(), listed: all, too_far_ahead: 0 };
        let distinct = events.iter().zip(of_events).filter_map(|(event, key)| Some((key?, event)));
        for (key, event) in distinct.filter(|(key, event)| event.timestamp > floor && !record.has(*key)) {
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

    fn keys_of_listed(&self, user: UserId, events: &[Event], record: &Record) -> ListedKeys {
        let mut known = KnownEvents { record, listed: HashSet::new(), times: None, by_time: None };
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
    fn key_with_id(&self, user: UserId, event: &Event, known: &mut KnownEvents<'_>) -> u64 {
        let key = self.key(user, &event.id, event.timestamp);
        if known.has(key) {
            return key;
        }
        let near = known.near(event.timestamp);
        known.list(event.timestamp);
        let with_id = near.iter().map(|at| self.key(user, &event.id, *at)).find(|key| known.has(*key));
        let times = std::iter::once(&event.timestamp).chain(&near);
        let without_id = times.map(|at| self.key(user, &event.name, *at)).find(|key| known.is_unlisted(*key));
        with_id.or(without_id).unwrap_or(key)
    }

    /// If an event of this time, in whatever precision, was counted that is not listed with its id, it is the key of that
    /// event.
    fn key_without_id(&self, user: UserId, event: &Event, known: &mut KnownEvents<'_>) -> u64 {
        let key = self.key(user, event.identifier(), event.timestamp);
        if known.has(key) {
            return key;
        }
        let near = known.near(event.timestamp);
        let mut times = std::iter::once(event.timestamp).chain(near);
        times.find_map(|at| known.counted_at(at)).unwrap_or(key)
    }
}

/// The counted events of a user, and those that were found in a list so far.
struct KnownEvents<'a> {
    record: &'a Record,
    listed: HashSet<u64>,
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

    /// Whether the event was counted and not found in the list.
    fn is_unlisted(&self, key: u64) -> bool {
        self.record.has(key) && !self.listed.contains(&key)
    }

    /// The times that may be this one in another precision.
    fn near(&mut self, at: Timestamp) -> Vec<Timestamp> {
        let times = self.times();
        let seconds = [-1, 0, 1].map(|step| second(at) + step);
        let near = seconds.iter().filter_map(|second| times.get(second)).flatten();
        near.filter(|other| is_rounded(**other, at)).copied().collect()
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

/// Whether two different times may be the same one, once with and once without its fraction of a second, which was cut off or
/// rounded.
pub(super) fn is_rounded(one: Timestamp, other: Timestamp) -> bool {
    let is_whole = |at: Timestamp| at.millis().rem_euclid(1_000) == 0;
    let (whole, precise) = match (is_whole(one), is_whole(other)) {
        (true, false) => (one, other),
        (false, true) => (other, one),
        (true, true) | (false, false) => return false,
    };
    let rounded = (precise.millis() + 500).div_euclid(1_000);
    [second(precise), rounded].contains(&second(whole))
}

fn second(at: Timestamp) -> i64 {
    at.millis().div_euclid(1_000)
}
