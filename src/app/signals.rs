//! SIGTERM and SIGINT: the first asks the process to stop, the second ends it at once.

use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Installs the handlers and returns a future that is ready at the first signal. A second signal ends the process at
/// once.
///
/// # Errors
/// The handlers cannot be installed.
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut next = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping; a second signal stops at once");
        tokio::spawn(async move {
            next().await;
            std::process::exit(1);
        });
    })
}
