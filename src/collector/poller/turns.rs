//! Whose turn it is to block a thread.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;

/// How many pollers may block a thread at a time: as many as there are threads for tasks. A long list and a short one are read
/// beside each other, and more would share the processors.
const TURNS: usize = 2;

/// The turns of all pollers to block a thread, to take up an answer or to hand over what it changed. All wait while the disk
/// does not answer, and hundreds of accounts that wait take no thread each, with its stack.
///
/// A poller that has a turn waits for nothing else that another poller has. The future of a request takes no turn, because it is
/// not polled while its poller waits for one.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TURNS)))
    }
}

/// The turn of one poller, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    /// Waits for a turn, first come, first served.
    pub(super) async fn take(&self) -> Turn {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        Turn { _permit: permit.expect("the semaphore is never closed") }
    }
}

impl Turn {
    /// Ends the turn, and continues on another thread: the runtime has replaced the one that was blocked, which it would use for
    /// as long as the task has something to do.
    pub(super) async fn end(self) {
        drop(self);
        yield_now().await;
    }
}
