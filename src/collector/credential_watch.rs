//! Checks the file with an account's credentials for a change, without waiting for a file system that hangs.

use std::time::Duration;

use crate::cloudflare::Credentials;
use crate::config::{BackgroundRead, CredentialSource, readable_by_all};

/// How long a check waits for the file. A check that takes longer fails, and the next check waits for the same read.
const READ_WAIT: Duration = Duration::from_secs(1);

/// How often the file is checked.
const INTERVAL: Duration = Duration::from_secs(10);

/// How soon a failed check is repeated, until the failure is reported.
const REPEAT: Duration = Duration::from_secs(1);

/// After so many failed checks in a row the failure is reported. A file that is replaced may be missing or empty for a
/// moment.
const REPORTED_FAILURES: u32 = 3;

/// The result of a read, with a warning about the file; an error in words.
type Read = Result<(Credentials, Option<String>), String>;

/// What a check means for the operator.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing to report.
    None,
    /// The file has been unusable for several checks, or is unusable for another reason than the reported one.
    Failing,
    /// It was reported as failing, and still fails for the same reason.
    StillFailing,
    /// It was reported as failing, and is usable again.
    Recovered,
}

/// The state of the checks.
#[derive(Debug)]
pub(crate) struct CredentialWatch {
    reads: BackgroundRead<Read>,
    failures: u32,
    /// The reason that was reported last, until the file is usable again.
    reported: Option<String>,
    /// The warning about the file that was read last.
    warning: Option<String>,
}

impl Default for CredentialWatch {
    fn default() -> Self {
        let reads = BackgroundRead::new("credentials", READ_WAIT);
        Self { reads, failures: 0, reported: None, warning: None }
    }
}

impl CredentialWatch {
    /// Reads the credentials.
    ///
    /// # Errors
    /// The file cannot be read in time, or has no usable credentials.
    pub(crate) async fn read(&mut self, source: &CredentialSource) -> Result<Credentials, String> {
        let source = source.clone();
        let read = move || {
            let credentials = source.read().map_err(|error| error.to_string())?;
            Ok((credentials, source.file().and_then(readable_by_all)))
        };
        let (credentials, warning) = self.reads.read(read).await??;
        self.warning = warning;
        Ok(credentials)
    }

    /// A warning if every user of this machine may read the file that was read last.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// How long to wait before the next check.
    pub(crate) fn interval(&self) -> Duration {
        if (1..REPORTED_FAILURES).contains(&self.failures) { REPEAT } else { INTERVAL }
    }

    /// Records whether a check gave usable credentials, or why it did not.
    pub(crate) fn record(&mut self, check: &Result<(), String>) -> Change {
        let Err(reason) = check else {
            self.failures = 0;
            return if self.reported.take().is_some() { Change::Recovered } else { Change::None };
        };
        self.failures = self.failures.saturating_add(1);
        if self.failures < REPORTED_FAILURES {
            Change::None
        } else if self.reported.as_ref() == Some(reason) {
            Change::StillFailing
        } else {
            self.reported = Some(reason.clone());
            Change::Failing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failure_in_a_row_is_reported_soon_and_so_are_another_reason_and_the_end() {
        use Change::{Failing, None, Recovered, StillFailing};
        let mut watch = CredentialWatch::default();
        assert_eq!(watch.interval(), INTERVAL);
        let checks = [
            (Err("missing"), None, REPEAT),
            (Err("empty"), None, REPEAT),
            (Ok(()), None, INTERVAL),
            (Err("missing"), None, REPEAT),
            (Err("missing"), None, REPEAT),
            (Err("missing"), Failing, INTERVAL),
            (Err("missing"), StillFailing, INTERVAL),
            (Err("empty"), Failing, INTERVAL),
            (Err("empty"), StillFailing, INTERVAL),
            (Ok(()), Recovered, INTERVAL),
            (Ok(()), None, INTERVAL),
            (Err("empty"), None, REPEAT),
            (Err("empty"), None, REPEAT),
            (Err("empty"), Failing, INTERVAL),
        ];
        for (number, (check, wanted, interval)) in checks.into_iter().enumerate() {
            let check = check.map_err(str::to_owned);
            assert_eq!((watch.record(&check), watch.interval()), (wanted, interval), "check {number}");
        }
    }
}
