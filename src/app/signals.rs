//! SIGTERM and SIGINT: the first asks the process to stop, the second ends it at once. SIGHUP asks for a reload.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a process that did not wait for its drain.
const STOPPED_AT_ONCE: i32 = 1;

/// Installs the handlers and returns a future that is ready at the first signal. A second signal ends the process at
/// once. The handler itself does that, so it works even if every thread is blocked.
///
/// # Errors
/// The handlers cannot be installed.
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let stopping = Arc::new(AtomicBool::new(false));
    for number in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag unset, and sets it.
        flag::register_conditional_shutdown(number, STOPPED_AT_ONCE, Arc::clone(&stopping))?;
        flag::register(number, Arc::clone(&stopping))?;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping; a second signal stops at once");
    })
}

/// Receives SIGHUP, which would end the process otherwise.
pub(crate) struct Hangup(Signal);

impl Hangup {
    /// Installs the handler.
    ///
    /// # Errors
    /// It cannot be installed.
    pub(crate) fn new() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the signal. Signals that come before the next call count as one.
    pub(crate) async fn recv(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
