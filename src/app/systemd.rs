//! Notifies systemd, or another service manager that set `NOTIFY_SOCKET`, of readiness, liveness and the stop.
//!
//! Does nothing if that variable is not set.

use std::convert::Infallible;
use std::future::pending;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::liveness::Liveness;

/// Reports that the exporter is ready.
pub(crate) fn ready() {
    notify(NotifyState::Ready);
}

/// Reports that the exporter is stopping.
pub(crate) fn stopping() {
    notify(NotifyState::Stopping);
}

/// Feeds the watchdog, if there is one, as long as all parts answer; twice within its timeout.
pub(crate) async fn feed_watchdog(liveness: Liveness) -> Infallible {
    let Some(timeout) = sd_notify::watchdog_enabled().filter(|timeout| !timeout.is_zero()) else {
        return pending().await;
    };
    let mut ticks = interval(timeout / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        liveness.beat().await;
        notify(NotifyState::Watchdog);
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
