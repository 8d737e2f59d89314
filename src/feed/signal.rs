//! Wakes threads that wait for something new.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Says that there is something new, or that it is time to end.
#[derive(Debug, Default)]
pub struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// How often there was something new.
    news: u64,
    is_stopped: bool,
    /// The threads that have not ended.
    running: usize,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// There is something new since the number of news that was given, or the time is over. This is the number now.
    News(u64),
    Stopped,
}

impl Signal {
    /// There is something new.
    pub(super) fn notify(&self) {
        self.state().news += 1;
        self.changed.notify_all();
    }

    /// A thread begins.
    pub(super) fn begin(&self) {
        self.state().running += 1;
    }

    /// A thread has ended.
    pub(super) fn end(&self) {
        self.state().running -= 1;
        self.changed.notify_all();
    }

    /// All waits end, now and from now on. Waits until the threads have ended, at most for `longest`.
    pub(super) fn stop(&self, longest: Duration) {
        let mut state = self.state();
        state.is_stopped = true;
        self.changed.notify_all();
        let _ = self.changed.wait_timeout_while(state, longest, |state| state.running > 0);
    }

    /// Waits until there is something newer than `seen`, at most for `longest` if it is given.
    pub(super) fn wait(&self, seen: u64, longest: Option<Duration>) -> Woken {
        let is_quiet = |state: &mut State| state.news == seen && !state.is_stopped;
        let state = self.state();
        let state = match longest {
            None => self.changed.wait_while(state, is_quiet).unwrap_or_else(PoisonError::into_inner),
            Some(longest) => {
                let waited = self.changed.wait_timeout_while(state, longest, is_quiet);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if state.is_stopped { Woken::Stopped } else { Woken::News(state.news) }
    }

    /// Waits until the stop, at most for `longest`. Returns whether it came.
    pub(super) fn pause(&self, longest: Duration) -> Woken {
        let waited = self.changed.wait_timeout_while(self.state(), longest, |state| !state.is_stopped);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.is_stopped { Woken::Stopped } else { Woken::News(state.news) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment, so a panic elsewhere did not damage it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
