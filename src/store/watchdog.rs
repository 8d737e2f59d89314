//! Notices that the disk does not answer.
//!
//! An operation that hangs blocks its thread, so another thread must report it.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::stats::StoreStats;

/// An operation that takes longer than this is reported. A large commit on a slow disk takes a second.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// Watches the operations on the state file, of which one runs at a time.
#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
    stats: Arc<StoreStats>,
}

#[derive(Debug, Default)]
struct Progress {
    started: u64,
    ended: u64,
    /// Nothing is watched any more.
    is_closed: bool,
}

/// An operation that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    shared: &'a Shared,
}

impl Watchdog {
    /// Starts a thread that reports operations on the file at `path` that take longer than `limit`.
    pub(super) fn start(path: &Path, stats: Arc<StoreStats>, limit: Duration) -> Self {
        let shared = Arc::new(Shared { progress: Mutex::default(), changed: Condvar::new(), stats });
        let (watched, path) = (Arc::clone(&shared), path.display().to_string());
        let thread = thread::Builder::new().name("state-watchdog".to_owned());
        if let Err(error) = thread.spawn(move || watched.watch(&path, limit)) {
            tracing::warn!(%error, "a state file that does not answer will not be noticed");
        }
        Self { shared }
    }

    /// An operation starts.
    pub(super) fn begin(&self) -> Operation<'_> {
        self.shared.progress().started += 1;
        self.shared.changed.notify_all();
        Operation { shared: &self.shared }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.progress().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        let mut progress = self.shared.progress();
        progress.ended = progress.started;
        self.shared.stats.answers();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn watch(&self, path: &str, limit: Duration) {
        let mut progress = self.progress();
        loop {
            let wait = |progress| self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
            while progress.started == progress.ended && !progress.is_closed {
                progress = wait(progress);
            }
            let current = progress.started;
            let runs = |progress: &mut Progress| progress.ended < current && !progress.is_closed;
            let waited = self.changed.wait_timeout_while(progress, limit, runs);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
            if runs(&mut progress) {
                self.stats.hangs();
                drop(progress);
                let seconds = limit.as_secs();
                tracing::warn!(
                    path,
                    seconds,
                    "the state file does not answer; the counters stand still until it does"
                );
                progress = self.progress();
                while runs(&mut progress) {
                    progress = wait(progress);
                }
                if !progress.is_closed {
                    drop(progress);
                    tracing::info!(path, "the state file answers again");
                    progress = self.progress();
                }
            }
            if progress.is_closed {
                return;
            }
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Each change is one assignment, so a panic elsewhere did not damage it.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::stats::Recovery;

    /// Waits until the file counts as durable or not.
    fn becomes(stats: &StoreStats, is_durable: bool) {
        while stats.is_durable() != is_durable {
            thread::yield_now();
        }
    }

    #[test]
    fn a_file_that_hangs_is_not_durable_until_it_answers() {
        let stats = Arc::new(StoreStats::default());
        stats.recovered(Recovery::Fresh, 1);
        let watchdog =
            Watchdog::start(Path::new("state.redb"), Arc::clone(&stats), Duration::from_millis(20));
        for _ in 0..3 {
            let operation = watchdog.begin();
            becomes(&stats, false);
            drop(operation);
            assert!(stats.is_durable());
        }
        drop(watchdog.begin());
        assert!(stats.is_durable(), "a short operation changes nothing");
    }

    #[test]
    fn the_thread_ends_with_the_watchdog() {
        let watchdog = Watchdog::start(Path::new("state.redb"), Arc::default(), LIMIT);
        let shared = Arc::clone(&watchdog.shared);
        let operation = watchdog.begin();
        drop(operation);
        drop(watchdog);
        while Arc::strong_count(&shared) > 1 {
            thread::yield_now();
        }
    }
}
