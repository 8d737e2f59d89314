//! Why a user's events are read, and what one reading of them changes.

use super::loss::Loss;
use super::user_record::Record;
use crate::collector::behavior_labels::{LabelId, Labels};
use crate::collector::queue::{Pending, Reason, Tries};
use crate::collector::roster::{Standing, User};
use crate::model::{Level, RowFingerprint};

/// What was known of a user before its events were asked for. What happens while the request is under way
/// differs from it, and so is read next time.
#[derive(Clone, Copy, Debug)]
pub struct DetailRequest {
    /// The user's row.
    pub user: User,
    /// What the summary last said.
    pub tuple: RowFingerprint,
    /// Why the events are read.
    pub why: FetchReason,
    /// The standing before the first change that was unread.
    pub before: Standing,
    /// The highest count from which the summary's has fallen while nothing was read.
    pub(super) peak: u32,
    /// What earlier readings that were short left behind.
    pub(super) tries: Tries,
}

/// Why a user's events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchReason {
    /// The summary says that something changed.
    Changed,
    /// The user is gone from the summary.
    Gone,
    /// Nothing says that anything changed; what a coincidence hid is looked for.
    Audit,
}

impl DetailRequest {
    /// For a user who waits in the queue.
    pub fn pending(user: User, pending: &Pending) -> Self {
        let why = match pending.reason {
            Reason::Changed => FetchReason::Changed,
            Reason::Gone => FetchReason::Gone,
        };
        let before = pending.before.unwrap_or(user.standing());
        Self { user, tuple: pending.latest, why, before, peak: pending.peak, tries: pending.tries }
    }

    /// For a user of whom nothing new is known.
    pub fn audit(user: User) -> Self {
        Self {
            user,
            tuple: user.covered,
            why: FetchReason::Audit,
            before: user.standing(),
            peak: 0,
            tries: Tries::default(),
        }
    }
}

/// Whether a reading explains what the summary said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It does, or nothing more is to be had.
    Done,
    /// Fewer events were listed than counted: read again later, with this in mind.
    Short(Tries),
}

/// All that one reading of a user's events changes.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Whether the user is to be read again.
    pub verdict: Verdict,
    /// The user's new row.
    pub user: User,
    /// What is kept of the user from now on, if that changes.
    pub(super) record: Option<Record>,
    pub(super) events: Vec<(LabelId, Level)>,
    pub(super) delays: Vec<f64>,
    pub(super) first_of_behavior: Vec<LabelId>,
    pub(super) resets: u64,
    pub(super) time_to_reset: Option<(Level, f64)>,
    pub(super) losses: Vec<(Loss, u64)>,
    /// The table of labels, if it grew.
    pub(super) labels: Option<Labels>,
}
