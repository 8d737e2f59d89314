//! SIGTERM and SIGINT: the first asks the process to stop, the second ends it at once. SIGHUP asks for a reload.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
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

/// A write beyond the limit on the size of files fails from now on, as on a full disk, and does not end the process.
///
/// # Errors
/// The handler cannot be installed.
pub(crate) fn survive_size_limits() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// Keeps SIGHUP from ending the process, from before the configuration is read.
pub(crate) struct EarlyHangup(Arc<AtomicBool>);

impl EarlyHangup {
    /// Installs the handler.
    ///
    /// # Errors
    /// It cannot be installed.
    pub(crate) fn catch() -> io::Result<Self> {
        let received = Arc::new(AtomicBool::new(false));
        flag::register(SIGHUP, Arc::clone(&received))?;
        Ok(Self(received))
    }

    /// Receives the signal from now on, and first the one that came until now. Needs a runtime.
    ///
    /// # Errors
    /// The handler cannot be installed.
    pub(crate) fn receive(self) -> io::Result<Hangup> {
        Ok(Hangup { signal: signal(SignalKind::hangup())?, received: self.0 })
    }
}

/// Receives SIGHUP.
pub(crate) struct Hangup {
    signal: Signal,
    /// Set by each signal, also by those that came before `signal` was there.
    received: Arc<AtomicBool>,
}

impl Hangup {
    /// Waits for the signal. Signals that come before the next call count as one.
    pub(crate) async fn recv(&mut self) {
        // Each signal sets the flag before it wakes up the stream, so only the flag counts.
        while !self.received.swap(false, Ordering::Relaxed) {
            if self.signal.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hangup_that_comes_before_it_is_received_is_neither_lost_nor_counted_twice() {
        let early = EarlyHangup::catch().unwrap();
        signal_hook::low_level::raise(SIGHUP).unwrap();
        let mut hangup = early.receive().unwrap();
        let mut delivered = signal(SignalKind::hangup()).unwrap();
        hangup.recv().await;
        for _ in 0..2 {
            for _ in 0..40 {
                signal_hook::low_level::raise(SIGHUP).unwrap();
            }
            delivered.recv().await;
            hangup.recv().await;
            tokio::select! {
                biased;
                () = hangup.recv() => panic!("signals that came together count twice"),
                () = std::future::ready(()) => {}
            }
        }
    }
}
