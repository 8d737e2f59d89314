//! Warnings of what clients do, which could otherwise fill the log.

use std::time::Duration;

use crate::clock::Instant;

/// A client that opens too many connections, or guesses passwords, does it thousands of times.
const INTERVAL: Duration = Duration::from_secs(60);

/// When a warning was logged last: once a minute at most.
#[derive(Debug, Default)]
pub(crate) struct Warning(Option<Instant>);

impl Warning {
    /// Whether the warning is due. It then counts as logged.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.0.is_none_or(|last| now.since(last) >= INTERVAL);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}
