//! Which failures of a resource are worth a line in the log.
//!
//! The first failure for each cause is logged, and the end of the failures. A resource that fails every other time would fill
//! the log like this. So if failures come back soon, they are logged once more, and their end only after a calm time.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Instant;
use crate::metrics::telemetry::IncidentCause;

/// The window of Cloudflare's rate limit: a resource that waits for the budget now and then does so once in this time.
pub(super) const CALM: Duration = crate::cloudflare::limit::WINDOW;

/// What the log gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A failure that is news.
    Failure,
    /// The end of the failures.
    End,
    /// Nothing new.
    Nothing,
}

/// The failures of one resource.
#[derive(Debug, Default)]
pub(super) struct IncidentLog {
    /// The causes that were logged since the last logged end.
    causes: BTreeSet<IncidentCause>,
    /// Since when requests succeed, if they failed before.
    succeeds_since: Option<Instant>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The next success is the end.
    #[default]
    Failing,
    /// The end was logged.
    Ended,
    /// Failures came back soon after their end, so a single success is none.
    Unsteady,
}

impl IncidentLog {
    /// A request failed. If it succeeded for a time of `calm` before, that is another incident.
    pub(super) fn failed(&mut self, cause: IncidentCause, now: Instant, calm: Duration) -> Line {
        if let Some(since) = self.succeeds_since.take() {
            if now.since(since) >= calm {
                *self = Self::default();
            } else if self.stage == Stage::Ended {
                self.causes.clear();
                self.stage = Stage::Unsteady;
            }
        }
        if self.causes.insert(cause) { Line::Failure } else { Line::Nothing }
    }

    /// A request succeeded.
    pub(super) fn succeeded(&mut self, now: Instant, calm: Duration) -> Line {
        if self.causes.is_empty() {
            return Line::Nothing;
        }
        let is_calm = now.since(*self.succeeds_since.get_or_insert(now)) >= calm;
        match self.stage {
            Stage::Failing => {
                self.stage = Stage::Ended;
                Line::End
            }
            Stage::Ended | Stage::Unsteady if !is_calm => Line::Nothing,
            Stage::Ended => {
                *self = Self::default();
                Line::Nothing
            }
            Stage::Unsteady => {
                *self = Self::default();
                Line::End
            }
        }
    }

    /// Whether the latest request failed.
    pub(super) fn is_ongoing(&self) -> bool {
        !self.causes.is_empty() && self.succeeds_since.is_none()
    }

    /// Whether a failure with this cause was logged, and no request has succeeded since.
    pub(super) fn is_ongoing_with(&self, cause: IncidentCause) -> bool {
        self.is_ongoing() && self.causes.contains(&cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{at, seconds};
    use crate::cloudflare::Outcome;

    const LATE: Option<IncidentCause> = Some(IncidentCause::Request(Outcome::Timeout));
    const CUT: Option<IncidentCause> = Some(IncidentCause::Partial);
    const WELL: Option<IncidentCause> = None;

    /// The seconds at which a line is logged, of requests that fail with a cause or succeed.
    fn logged(requests: &[(u64, Option<IncidentCause>)]) -> Vec<(u64, Line)> {
        let mut log = IncidentLog::default();
        let line = |&(second, failure): &(u64, Option<IncidentCause>)| {
            let line = match failure {
                Some(cause) => log.failed(cause, at(second), seconds(300)),
                None => log.succeeded(at(second), seconds(300)),
            };
            assert_eq!(log.is_ongoing(), failure.is_some(), "second {second}");
            (second, line)
        };
        requests.iter().map(line).filter(|(_, line)| *line != Line::Nothing).collect()
    }

    #[test]
    fn failures_are_logged_by_cause_and_so_is_their_end() {
        use Line::{End, Failure};
        let table: [(&[_], &[_]); 4] = [
            (&[(0, WELL), (1, WELL)], &[]),
            (&[(0, LATE), (1, LATE), (2, WELL), (3, WELL)], &[(0, Failure), (2, End)]),
            (&[(0, LATE), (1, CUT), (2, LATE), (3, CUT), (4, WELL)], &[(0, Failure), (1, Failure), (4, End)]),
            // After a calm time they are logged as before.
            (
                &[(0, LATE), (1, WELL), (301, LATE), (302, WELL), (602, WELL), (603, LATE)],
                &[(0, Failure), (1, End), (301, Failure), (302, End), (603, Failure)],
            ),
        ];
        for (requests, wanted) in table {
            assert_eq!(logged(requests), wanted, "{requests:?}");
        }
    }

    #[test]
    fn failures_that_come_and_go_are_logged_twice_until_a_calm_time_is_over() {
        let every_other: Vec<_> =
            (0..100).map(|at| (30 * at, if at % 2 == 0 { LATE } else { WELL })).collect();
        let begins = [(0, Line::Failure), (30, Line::End), (60, Line::Failure)];
        assert_eq!(logged(&every_other), begins);
        // The last one is at 2,940.
        let calm = [(2_970, WELL), (3_000, WELL), (3_269, WELL), (3_270, WELL), (3_300, LATE)];
        let calm = every_other.into_iter().take(99).chain(calm).collect::<Vec<_>>();
        let ends = [(3_270, Line::End), (3_300, Line::Failure)];
        assert_eq!(logged(&calm), [begins.as_slice(), &ends].concat());
        // Another cause is news.
        let other = [(0, LATE), (30, WELL), (60, LATE), (90, WELL), (120, CUT), (150, WELL), (180, LATE)];
        assert_eq!(logged(&other), [begins.as_slice(), &[(120, Line::Failure)]].concat());
    }

    #[test]
    fn a_cause_is_ongoing_until_a_request_succeeds() {
        let (late, cut) = (LATE.unwrap(), CUT.unwrap());
        let mut log = IncidentLog::default();
        log.failed(late, at(0), CALM);
        assert_eq!((log.is_ongoing_with(late), log.is_ongoing_with(cut)), (true, false));
        log.succeeded(at(1), CALM);
        assert!(!log.is_ongoing_with(late));
    }
}
