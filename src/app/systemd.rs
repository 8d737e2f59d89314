//! Tells systemd, or who else started this process and listens at `NOTIFY_SOCKET`, how it is doing.
//!
//! Without that variable nothing is said to anybody.

use std::convert::Infallible;
use std::future::pending;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::liveness::Liveness;

/// It serves, and knows what can be known at first.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// It was asked to stop, and does.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Feeds the watchdog for as long as all parts have a pulse, twice in the time that it allows; if there is
/// one.
pub(crate) async fn feed_watchdog(pulse: Liveness) -> Infallible {
    let Some(allowed) = sd_notify::watchdog_enabled().filter(|allowed| !allowed.is_zero()) else {
        return pending().await;
    };
    let mut turn = interval(allowed / 2);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        pulse.beat().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be told how the exporter is doing");
    }
}
