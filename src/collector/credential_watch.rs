//! Checks the file with an account's credentials for a change, without waiting for a file system that hangs.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::cloudflare::Credentials;
use crate::config::CredentialSource;

/// How long a check waits for the file. A check that takes longer fails, and the next check waits for the same read.
const READ_WAIT: Duration = Duration::from_secs(1);

/// After so many failed checks in a row the failure is reported. A file that is replaced may be missing or empty for a
/// moment.
const REPORTED_FAILURES: u32 = 3;

/// The result of a read; an error in words.
type Read = Result<Credentials, String>;

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
#[derive(Debug, Default)]
pub(crate) struct CredentialWatch {
    /// The read that the latest check did not wait for to the end. There is never more than one, so that a file system
    /// that hangs keeps one thread and not one for each check.
    pending: Option<oneshot::Receiver<Read>>,
    failures: u32,
}

impl CredentialWatch {
    /// Reads the credentials on a thread of its own.
    ///
    /// # Errors
    /// The file cannot be read in time, or has no usable credentials.
    pub(crate) async fn read(&mut self, source: &CredentialSource) -> Read {
        let source = source.clone();
        self.read_with(move || source.read().map_err(|error| error.to_string())).await
    }

    async fn read_with(&mut self, read: impl FnOnce() -> Read + Send + 'static) -> Read {
        let mut answer = match self.pending.take() {
            Some(pending) => pending,
            None => spawn(read)?,
        };
        match tokio::time::timeout(READ_WAIT, &mut answer).await {
            Ok(read) => read.unwrap_or_else(|_| Err("the read ended unexpectedly".to_owned())),
            Err(_) => {
                self.pending = Some(answer);
                Err(format!("the file cannot be read within {} s", READ_WAIT.as_secs()))
            }
        }
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

/// A thread, because a blocking task of the runtime would delay its shutdown, and hung tasks would use up its threads.
fn spawn(read: impl FnOnce() -> Read + Send + 'static) -> Result<oneshot::Receiver<Read>, String> {
    let (sender, receiver) = oneshot::channel();
    let run = move || {
        // The watch may be gone.
        let _ = sender.send(read());
    };
    let thread = thread::Builder::new().name("credentials".to_owned()).spawn(run);
    thread.map(|_| receiver).map_err(|error| format!("no thread can be started: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn token(text: &str) -> Credentials {
        Credentials::Token(text.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_fails_without_blocking_and_is_not_started_again() {
        let mut watch = CredentialWatch::default();
        let (release, held) = sync_channel::<()>(0);
        let hanging = move || {
            held.recv().expect("the test lets go");
            Ok(token("late"))
        };
        assert!(watch.read_with(hanging).await.is_err());
        for _ in 0..3 {
            let read = watch.read_with(|| panic!("the first read still hangs")).await;
            assert_eq!(read.unwrap_err(), "the file cannot be read within 1 s");
        }
        tokio::time::resume();
        release.send(()).expect("it hangs");
        assert_eq!(watch.read_with(|| Ok(token("next"))).await, Ok(token("late")));
        assert_eq!(watch.read_with(|| Ok(token("next"))).await, Ok(token("next")));
    }

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
