//! When missing events are looked for again, and when they count as lost.
//!
//! The details may lag behind the summary, or hide events for a while. So a reading with missing events is repeated after
//! each of [`SHORT_RETRIES`], and only a reading that waited for its own delay counts as a retry: a busy user is read
//! more often, and would otherwise use up all retries while the details lag. After the last retry, only events that the
//! summary counted before the first delay are lost. Later ones get delays of their own. A list that our own time limits cut
//! is no reading with missing events: the user is read again after a delay, as after a failure, and nothing is lost, unless the
//! user left the list long ago.

use super::reading::{DetailRequest, FetchReason, IfUnfinished, Timing, Verdict};
use crate::collector::queue::{Attempts, NextRetry, SHORT_RETRIES};
use crate::model::Completeness;

/// Whether a reset let the count start again from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountHistory {
    /// The count continues.
    Continued,
    /// It started again, so a target from before has no meaning.
    Restarted,
}

/// Decides what follows from a reading with `missing` events. Returns how many of them are lost.
pub(super) fn decide(
    request: &DetailRequest,
    completeness: &Completeness,
    missing: u32,
    history: CountHistory,
    attempts: &mut Attempts,
) -> (Verdict, u32) {
    let is_complete = *completeness == Completeness::Complete;
    if request.reason == FetchReason::Audit || (missing == 0 && is_complete) {
        return (Verdict::Done, 0);
    }
    if matches!(completeness, Completeness::Unfinished(_)) {
        return match request.if_unfinished {
            IfUnfinished::ReadAgain => (Verdict::Unfinished(*attempts), 0),
            IfUnfinished::GiveUp => (Verdict::Done, missing),
        };
    }
    let count = request.fingerprint.count.or_zero();
    let target = match request.timing {
        Timing::Early => return (Verdict::Short(*attempts, NextRetry::AsPlanned), 0),
        Timing::Retry { target } if history == CountHistory::Continued => target.min(count),
        Timing::First | Timing::Retry { .. } => return (first_delay(attempts, count), 0),
    };
    let overdue = missing.saturating_sub(count - target);
    if is_complete && overdue == 0 {
        return (first_delay(attempts, count), 0);
    }
    if usize::from(attempts.count) < SHORT_RETRIES.len() {
        attempts.count += 1;
        return (Verdict::Short(*attempts, NextRetry::Later { target }), 0);
    }
    if missing == overdue {
        return (Verdict::Done, overdue);
    }
    attempts.found = attempts.found.saturating_add(overdue);
    (first_delay(attempts, count), overdue)
}

/// Starts the delays for all events that are missing now.
fn first_delay(attempts: &mut Attempts, target: u32) -> Verdict {
    attempts.count = 1;
    Verdict::Short(*attempts, NextRetry::Later { target })
}
