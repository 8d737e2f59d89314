//! A wish to stop while something is changed: the change under way comes to its end, and is logged, first.

use std::pin::Pin;

use crate::app::signals::stop_signal;
use crate::commands::Failure;

/// Hears signals from its making on. Until then one ends the process at once, as it should at a question.
pub(crate) struct Interrupt {
    signal: Pin<Box<dyn Future<Output = ()>>>,
    wish: Wish,
}

/// What a person wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    Stop,
}

impl Interrupt {
    /// # Errors
    /// Signals cannot be heard.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let signal =
            stop_signal().map_err(|error| Failure::Runtime(format!("cannot wait for signals: {error}")))?;
        Ok(Self { signal: Box::pin(signal), wish: Wish::GoOn })
    }

    /// Does `change` to its end, whatever comes in between; a second signal ends the process all the same.
    pub(crate) async fn after<T>(&mut self, change: impl Future<Output = T>) -> T {
        let mut change = std::pin::pin!(change);
        if self.wish == Wish::GoOn {
            tokio::select! {
                // The signal first, so that one that came before the answer is not overlooked.
                biased;
                () = &mut self.signal => self.wish = Wish::Stop,
                done = &mut change => return done,
            }
        }
        change.await
    }

    pub(crate) fn wish(&self) -> Wish {
        self.wish
    }
}
