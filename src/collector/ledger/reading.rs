//! A request for a user's events, and the changes that its answer makes.

use super::loss::Loss;
use super::user_record::Record;
use crate::clock::{Instant, Timestamp};
use crate::collector::behavior_labels::{LabelId, Labels};
use crate::collector::queue::{Attempts, NextRetry, Pending, Reason};
use crate::collector::roster::{LevelSince, User};
use crate::model::{Level, RowFingerprint};

/// A request for a user's events, with what was known about the user when it was sent. A change that happens during the
/// request differs from it, and is read next time.
#[derive(Clone, Copy, Debug)]
pub struct DetailRequest {
    /// The user as known.
    pub user: User,
    /// The latest row in the summary.
    pub fingerprint: RowFingerprint,
    /// Why the events are read.
    pub reason: FetchReason,
    /// The level before the first change that was not read yet.
    pub level_before: LevelSince,
    /// The highest count since the last reading, if the latest is lower; otherwise 0.
    pub(super) peak: u32,
    /// What earlier readings that were short left behind.
    pub(super) attempts: Attempts,
    /// Whether the request is a retry.
    pub(super) timing: Timing,
    /// What follows if our own limits cut the answer.
    pub(crate) if_unfinished: IfUnfinished,
}

/// What follows if our own limits cut a list of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfUnfinished {
    /// The user is read again, however often that happens.
    ReadAgain,
    /// The user left the list long ago, and no reading came to the end: the events that were not found are lost.
    GiveUp,
}

/// When an answer was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerDate {
    /// On the clock that is taken for right: Cloudflare's, unless the listed events show otherwise.
    pub date: Timestamp,
    /// On the clock that is ahead, Cloudflare's or ours. What is dated later is in the future, whichever is right.
    pub latest: Timestamp,
}

/// When a user is read, in relation to the retries of readings with missing events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// No reading of this change had missing events.
    First,
    /// Another change came before the retry was due.
    Early,
    /// The retry is due.
    Retry {
        /// The count that it must explain.
        target: u32,
    },
}

/// Why a user's events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchReason {
    /// The summary shows a change.
    Changed,
    /// The user left the list.
    Gone,
    /// The summary shows no change; a coincidence may have hidden one.
    Audit,
}

impl DetailRequest {
    /// A request for a user who waits in the queue.
    pub fn pending(user: User, pending: &Pending, now: Instant) -> Self {
        let reason = match pending.reason {
            Reason::Changed => FetchReason::Changed,
            Reason::Gone => FetchReason::Gone,
        };
        let level_before = pending.level_before.unwrap_or(user.level_since());
        Self {
            user,
            fingerprint: pending.latest,
            reason,
            level_before,
            peak: pending.peak,
            attempts: pending.attempts,
            timing: match pending.retry {
                None => Timing::First,
                Some(retry) if now < retry.due => Timing::Early,
                Some(retry) => Timing::Retry { target: retry.target },
            },
            if_unfinished: IfUnfinished::ReadAgain,
        }
    }

    /// A request for a user without a known change.
    pub fn audit(user: User) -> Self {
        Self {
            user,
            fingerprint: user.covered,
            reason: FetchReason::Audit,
            level_before: user.level_since(),
            peak: 0,
            attempts: Attempts::default(),
            timing: Timing::First,
            if_unfinished: IfUnfinished::ReadAgain,
        }
    }
}

/// Whether a reading explains the count in the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It does, or no more retries are left.
    Done,
    /// Fewer events were found than the summary counts: they are looked for again later.
    Short(Attempts, NextRetry),
    /// Our own limits ended the reading, so nothing is known of the events that were not found.
    Unfinished(Attempts),
}

/// An event that is counted for the first time.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    pub(crate) label: LabelId,
    pub(crate) level: Level,
    pub(crate) at: Timestamp,
    /// Cloudflare's id; empty if it has none.
    pub(crate) id: String,
    /// What identifies it together with its time: its id, or the name of its behavior.
    pub(crate) identifier: String,
}

/// A reset that is counted for the first time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewReset {
    pub(crate) at: Timestamp,
    /// The level that it ended, if it is known.
    pub(crate) previous: Option<Level>,
}

/// What a reading counts, one by one.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) events: Vec<NewEvent>,
    pub(crate) reset: Option<NewReset>,
    pub(crate) losses: Vec<(Loss, u64)>,
}

/// All changes that one reading of a user's events makes.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Whether the user must be read again.
    pub verdict: Verdict,
    /// The user from now on.
    pub user: User,
    /// The record from now on, if it changes.
    pub(super) record: Option<Record>,
    pub(super) events: Vec<NewEvent>,
    pub(super) delays: Vec<f64>,
    pub(super) first_of_behavior: Vec<LabelId>,
    pub(super) reset: Option<NewReset>,
    pub(super) time_to_reset: Option<(Level, f64)>,
    pub(super) losses: Vec<(Loss, u64)>,
    /// The labels, if there are new ones.
    pub(super) labels: Option<Labels>,
}

impl Reading {
    /// Whether it changes what is kept about the user's events.
    pub(crate) fn changes_record(&self) -> bool {
        self.record.is_some()
    }

    /// What it counts, one by one.
    pub(crate) fn facts(&self) -> Facts {
        Facts { events: self.events.clone(), reset: self.reset, losses: self.losses.clone() }
    }

    /// Whether it changes anything that is counted.
    pub(crate) fn counts(&self) -> bool {
        let Self { events, delays, first_of_behavior, reset, time_to_reset, losses, labels, .. } = self;
        let is_empty = events.is_empty() && delays.is_empty() && first_of_behavior.is_empty();
        let is_lossless = losses.iter().all(|(_, count)| *count == 0);
        !(is_empty && is_lossless && reset.is_none() && time_to_reset.is_none() && labels.is_none())
    }
}
