//! What is known of a user in the queue.

use crate::clock::{Instant, Timestamp};
use crate::collector::roster::LevelSince;
use crate::model::RowFingerprint;

/// Why a user's events must be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The summary says that something changed.
    Changed,
    /// The user left the list.
    Gone,
}

/// A user whose events must be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The latest row in the summary. Its count is what a reading must explain.
    pub latest: RowFingerprint,
    /// The level before the first change that was not read yet, if the user had one.
    pub level_before: Option<LevelSince>,
    /// Why the events are to be read.
    pub reason: Reason,
    /// Since when the user has been waiting.
    pub since: Timestamp,
    /// The highest count since the last reading, if the latest is lower; otherwise 0.
    pub peak: u32,
    /// What readings with missing events have found so far.
    pub attempts: Attempts,
    /// How many requests failed in a row.
    pub failures: u8,
    /// The next retry, if events were missing. It is not saved: after a restart the delays start again.
    pub retry: Option<Retry>,
}

/// A retry of a reading with missing events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The count in the summary when the first of the delays started. Events that it does not include may be listed late, so
    /// they get delays of their own.
    pub target: u32,
    /// The end of the delay.
    pub due: Instant,
}

/// What a reading with missing events does to the delays of the retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRetry {
    /// Nothing: the user was read early, because of another change. The delay continues.
    AsPlanned,
    /// The next delay starts; see [`Retry::target`].
    Later {
        /// The count that the next retry must explain.
        target: u32,
    },
}

/// What readings with missing events have found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many such readings there were.
    pub count: u8,
    /// Events that they counted.
    pub found: u32,
    /// A reset that one of them was the first to show.
    pub reset: Option<Timestamp>,
    /// Events that had not been read when that reset came.
    pub owed: u32,
}

impl Pending {
    /// A user whose events were not requested yet.
    pub fn new(
        latest: RowFingerprint,
        level_before: Option<LevelSince>,
        reason: Reason,
        since: Timestamp,
    ) -> Self {
        Self {
            latest,
            level_before,
            reason,
            since,
            peak: 0,
            attempts: Attempts::default(),
            failures: 0,
            retry: None,
        }
    }
}
