//! Checks the file with an account's credentials for a change, without waiting for a file system that hangs.

use std::time::Duration;

use crate::cloudflare::Credentials;
use crate::config::{BackgroundRead, CredentialSource, readable_by_all};

/// How long a check waits for the file. A check that takes longer fails, and the next check waits for the same read.
const READ_WAIT: Duration = Duration::from_secs(1);

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
    /// The file has been unusable for several checks.
    Failing,
    /// It was reported as failing, and still fails.
    StillFailing,
    /// It was reported as failing, and is usable again.
    Recovered,
}

/// The state of the checks.
#[derive(Debug)]
pub(crate) struct CredentialWatch {
    reads: BackgroundRead<Read>,
    failures: u32,
    /// The warning about the file that was read last.
    warning: Option<String>,
}

impl Default for CredentialWatch {
    fn default() -> Self {
        Self { reads: BackgroundRead::new("credentials", READ_WAIT), failures: 0, warning: None }
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

    /// Records whether a check gave usable credentials.
    pub(crate) fn record<E>(&mut self, check: &Result<(), E>) -> Change {
        let failures = std::mem::replace(&mut self.failures, 0);
        if check.is_ok() {
            return if failures >= REPORTED_FAILURES { Change::Recovered } else { Change::None };
        }
        self.failures = failures.saturating_add(1);
        match self.failures {
            REPORTED_FAILURES => Change::Failing,
            more if more > REPORTED_FAILURES => Change::StillFailing,
            _ => Change::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failure_in_a_row_is_reported_and_so_is_the_end() {
        use Change::{Failing, None, Recovered, StillFailing};
        let mut watch = CredentialWatch::default();
        let checks = [
            (Err("x"), None),
            (Err("x"), None),
            (Ok(()), None),
            (Err("x"), None),
            (Err("x"), None),
            (Err("x"), Failing),
            (Err("x"), StillFailing),
            (Ok(()), Recovered),
            (Ok(()), None),
        ];
        for (number, (check, wanted)) in checks.into_iter().enumerate() {
            assert_eq!(watch.record(&check), wanted, "check {number}");
        }
    }
}
