//! Stops a command between two changes: the current change is finished and logged first.

use std::pin::Pin;

use crate::app::signals::stop_signal;
use crate::commands::Failure;

/// Listens for SIGINT and SIGTERM from its creation on. Before, a signal ends the process at once, as it should while
/// the user is being asked.
pub(crate) struct Interrupt {
    signal: Pin<Box<dyn Future<Output = ()>>>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Listening,
    Received,
}

impl Interrupt {
    /// # Errors
    /// The signal handlers cannot be installed.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let signal =
            stop_signal().map_err(|error| Failure::Runtime(format!("cannot listen for signals: {error}")))?;
        Ok(Self { signal: Box::pin(signal), state: State::Listening })
    }

    /// Runs `change` to its end, even if a signal comes. A second signal ends the process.
    pub(crate) async fn after<T>(&mut self, change: impl Future<Output = T>) -> T {
        let mut change = std::pin::pin!(change);
        if self.state == State::Listening {
            tokio::select! {
                // The signal is polled first, so that one that came before the answer is not missed.
                biased;
                () = &mut self.signal => self.state = State::Received,
                done = &mut change => return done,
            }
        }
        change.await
    }

    /// Whether a signal came.
    pub(crate) fn is_received(&self) -> bool {
        self.state == State::Received
    }
}
