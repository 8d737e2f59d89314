//! Reads files on a thread of its own, because reading from a file system that hangs does not end.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// At most one read at a time, so that a file system that hangs keeps one thread and not one for each attempt.
#[derive(Debug)]
pub(crate) struct BackgroundRead<T> {
    /// How long an attempt waits for its read.
    wait: Duration,
    /// The name of the thread.
    name: &'static str,
    /// The read that the latest attempt did not wait for to the end.
    pending: Option<oneshot::Receiver<T>>,
}

impl<T: Send + 'static> BackgroundRead<T> {
    /// Reads on a thread of this name, and waits so long for it.
    pub(crate) const fn new(name: &'static str, wait: Duration) -> Self {
        Self { wait, name, pending: None }
    }

    /// The result of `read`, or of an earlier read that had not ended yet. If this future is dropped, the read goes on, and counts
    /// as such an earlier one.
    ///
    /// # Errors
    /// There is no result in time, or no thread.
    pub(crate) async fn read(&mut self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        // A thread, because a blocking task of the runtime would delay its shutdown, and hung tasks would use up its
        // threads.
        let answer = match self.pending.take() {
            Some(pending) => pending,
            None => self.spawn(read)?,
        };
        let answer = self.pending.insert(answer);
        match tokio::time::timeout(self.wait, answer).await {
            Ok(read) => {
                self.pending = None;
                read.map_err(|_| "the read ended unexpectedly".to_owned())
            }
            Err(_) => Err(format!("the file cannot be read within {} s", self.wait.as_secs())),
        }
    }

    /// Waits for an earlier read that had not ended yet, and discards its result. The next read is a new one.
    ///
    /// # Errors
    /// It does not end in time.
    pub(crate) async fn discard_earlier(&mut self) -> Result<(), String> {
        if self.pending.is_none() {
            return Ok(());
        }
        self.read(|| unreachable!("the earlier read is awaited")).await.map(drop)
    }

    fn spawn(&self, read: impl FnOnce() -> T + Send + 'static) -> Result<oneshot::Receiver<T>, String> {
        let (sender, receiver) = oneshot::channel();
        let run = move || {
            // The reader may be gone.
            let _ = sender.send(read());
        };
        let thread = thread::Builder::new().name(self.name.to_owned()).spawn(run);
        thread.map(|_| receiver).map_err(|error| format!("no thread can be started: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[tokio::test]
    async fn a_read_that_hangs_fails_without_blocking_and_is_not_started_again() {
        let mut reads = BackgroundRead::new("test", Duration::ZERO);
        let (release, held) = sync_channel::<()>(0);
        let hanging = move || {
            held.recv().expect("the test lets go");
            "late"
        };
        assert!(reads.read(hanging).await.is_err());
        for _ in 0..3 {
            let read = reads.read(|| panic!("the first read still hangs")).await;
            assert_eq!(read.unwrap_err(), "the file cannot be read within 0 s");
            assert!(reads.discard_earlier().await.is_err());
        }
        reads.wait = Duration::from_secs(60);
        release.send(()).expect("it hangs");
        assert_eq!(reads.read(|| "next").await, Ok("late"));
        assert_eq!(reads.read(|| "next").await, Ok("next"));
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_any_more_is_not_started_again() {
        let mut reads = BackgroundRead::new("test", Duration::from_secs(60));
        let (release, held) = sync_channel::<()>(0);
        let hanging = move || {
            held.recv().expect("the test lets go");
            "late"
        };
        tokio::select! {
            biased;
            _ = reads.read(hanging) => panic!("it hangs"),
            () = std::future::ready(()) => {}
        }
        let let_go = std::thread::spawn(move || release.send(()).expect("it hangs"));
        assert_eq!(reads.read(|| panic!("the first read still hangs")).await, Ok("late"));
        let_go.join().unwrap();
        assert_eq!(reads.read(|| "next").await, Ok("next"));
    }

    #[tokio::test]
    async fn the_result_of_an_earlier_read_can_be_discarded() {
        let mut reads = BackgroundRead::new("test", Duration::ZERO);
        assert_eq!(reads.discard_earlier().await, Ok(()));
        let (release, held) = sync_channel::<()>(0);
        let hanging = move || {
            held.recv().expect("the test lets go");
            "late"
        };
        assert!(reads.read(hanging).await.is_err());
        reads.wait = Duration::from_secs(60);
        release.send(()).expect("it hangs");
        assert_eq!(reads.discard_earlier().await, Ok(()));
        assert_eq!(reads.read(|| "next").await, Ok("next"));
    }
}
