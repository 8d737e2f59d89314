//! What is kept of one user's events, and for how long.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::collector::behavior_labels::LabelId;

/// An event that has not been listed for so long is forgotten, and none that is older is counted any more.
const ABSENT: Duration = Duration::from_secs(7 * 86_400);

/// Keys of a user that are dated later than the answer that lists them. Such a key cannot be forgotten
/// before its time, so there must not be too many.
const FUTURE: usize = 1_000;

/// What is kept of a user whose events or reset were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The counted events, sorted by key.
    pub keys: Vec<Counted>,
    /// The latest reset that was read.
    pub last_reset: Option<Timestamp>,
    /// The behaviors that had an event since then.
    pub since_reset: Vec<LabelId>,
    /// Events at or before it are not counted, because their keys may be forgotten.
    pub floor: Option<Timestamp>,
    /// Events dated in the future that were too many to be counted.
    pub beyond: u32,
}

/// A counted event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The hash of user, id and time.
    pub key: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Since when whole listings have been without it; `None` while it is listed.
    pub absent_since: Option<Timestamp>,
}

impl Record {
    /// Whether the event was counted.
    pub fn has(&self, key: u64) -> bool {
        self.position(key).is_ok()
    }

    /// Counts an event that was not counted yet.
    pub(super) fn count(&mut self, key: u64, at: Timestamp) {
        if let Err(place) = self.position(key) {
            self.keys.insert(place, Counted { key, at, absent_since: None });
        }
    }

    /// How many more events may be counted that are dated later than `date`.
    pub(super) fn room_in_future(&self, date: Timestamp) -> usize {
        FUTURE.saturating_sub(self.keys.iter().filter(|counted| counted.at > date).count())
    }

    /// These keys were listed at `date`. Only a whole list tells which were not.
    pub(super) fn listed(&mut self, listed: impl Fn(u64) -> bool, whole: Option<Timestamp>) {
        for counted in &mut self.keys {
            if listed(counted.key) {
                counted.absent_since = None;
            } else if let Some(date) = whole {
                counted.absent_since.get_or_insert(date);
            }
        }
    }

    /// Forgets the events that have been absent long enough, counted from their own time if that is later;
    /// the floor rises to each of them, so that they cannot be counted again. One dated in the future stays
    /// until then: a floor up there would hide all that comes before. For a user who is off the list since
    /// `gone`, everything is absent since then.
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
