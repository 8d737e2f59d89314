//! What is kept about one user's events, and for how long.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::collector::behavior_labels::LabelId;

/// The key of an event that has been absent this long is forgotten. Older events are no longer counted.
const ABSENT: Duration = Duration::from_secs(7 * 86_400);

/// The most keys of a user that are dated later than the answer that lists them. They cannot be forgotten before their
/// date, so their number must be bounded.
const MAX_FUTURE_KEYS: usize = 1_000;

/// What is kept about a user with a counted event or a known reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The counted events, sorted by key.
    pub keys: Vec<Counted>,
    /// The latest known reset.
    pub last_reset: Option<Timestamp>,
    /// The behaviors with an event since that reset.
    pub since_reset: Vec<LabelId>,
    /// Events at or before this time are not counted, because their keys may be forgotten.
    pub floor: Option<Timestamp>,
    /// How many events dated in the future were not counted, because there were too many of them.
    pub future_skipped: u32,
}

/// A counted event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The hash of user, id and time.
    pub key: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Since when complete lists have not contained it; `None` while it is listed.
    pub absent_since: Option<Timestamp>,
}

impl Record {
    /// Whether the event was counted.
    pub fn has(&self, key: u64) -> bool {
        self.position(key).is_ok()
    }

    /// Adds the keys and times of events that are not there yet.
    pub(super) fn count(&mut self, new: impl Iterator<Item = (u64, Timestamp)>) {
        self.keys.extend(new.map(|(key, at)| Counted { key, at, absent_since: None }));
        self.keys.sort_unstable_by_key(|counted| counted.key);
    }

    /// How many more events dated later than `date` may be counted.
    pub(super) fn room_in_future(&self, date: Timestamp) -> usize {
        MAX_FUTURE_KEYS.saturating_sub(self.keys.iter().filter(|counted| counted.at > date).count())
    }

    /// Marks the keys that a list shows. A complete list, whose date is `whole`, also shows which keys are absent.
    pub(super) fn listed(&mut self, listed: impl Fn(u64) -> bool, whole: Option<Timestamp>) {
        for counted in &mut self.keys {
            if listed(counted.key) {
                counted.absent_since = None;
            } else if let Some(date) = whole {
                counted.absent_since.get_or_insert(date);
            }
        }
    }

    /// Forgets the keys that have been absent long enough, measured from the event's own time if that is later. The floor
    /// rises to each of these events, so that they cannot be counted again. A key dated in the future stays until then,
    /// because so high a floor would hide all earlier events. If the user left the list at `gone`, all keys are absent
    /// since then.
    pub(super) fn forget_absent(&mut self, date: Timestamp, gone: Option<Timestamp>) {
        let floor = &mut self.floor;
        self.keys.retain(|counted| {
            let absent_since = [counted.absent_since, gone].into_iter().flatten().min();
            let is_forgotten = absent_since.is_some_and(|since| since.max(counted.at) + ABSENT <= date);
            if is_forgotten {
                *floor = (*floor).max(Some(counted.at));
            }
            !is_forgotten
        });
    }

    fn position(&self, key: u64) -> Result<usize, usize> {
        self.keys.binary_search_by_key(&key, |counted| counted.key)
    }
}
