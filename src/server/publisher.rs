//! Builds a new exposition and a new status document when an account changed: at most once a second, and not on the
//! threads that answer requests.

use std::future::{Future as _, poll_fn};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::sync::watch::error::RecvError;
use tokio::task::JoinError;

use crate::clock::Clock;
use crate::metrics::encode::Format;
use crate::metrics::exposition::{Compressor, Exposition};
use crate::metrics::telemetry::Telemetry;
use crate::model::Snapshot;
use crate::server::status::{Recorder, Status};

/// The pause after each build. No scraper scrapes more often, and a burst of changes costs one build.
const PAUSE: Duration = Duration::from_secs(1);

/// What the publisher builds with, and where the results go.
#[derive(Debug)]
pub struct Outputs {
    /// The compressor of the exposition.
    pub compressor: Compressor,
    /// Where the cached part of `/metrics` goes.
    pub exposition: watch::Sender<Arc<Exposition>>,
    /// What builds the status document and where it goes; `None` if the live page is off.
    pub status: Option<(Recorder, watch::Sender<Arc<Status>>)>,
}

/// Publishes the current `snapshots`, and again each time one of them changes. Ends when the sender of one of them is
/// dropped.
pub async fn run(
    mut snapshots: Vec<watch::Receiver<Arc<Snapshot>>>,
    mut outputs: Outputs,
    telemetry: Telemetry,
    clock: Clock,
) {
    loop {
        let current: Vec<_> =
            snapshots.iter_mut().map(|snapshot| Arc::clone(&snapshot.borrow_and_update())).collect();
        let (build_clock, build_telemetry) = (clock.clone(), telemetry.clone());
        let building = tokio::task::spawn_blocking(move || {
            outputs.build(&current, &build_telemetry, &build_clock);
            outputs
        });
        outputs = match building.await.map_err(JoinError::try_into_panic) {
            Ok(outputs) => outputs,
            Err(Ok(panic)) => resume_unwind(panic),
            // The task was cancelled: the runtime is shutting down.
            Err(Err(_)) => return,
        };
        clock.sleep(PAUSE).await;
        if any_changed(&mut snapshots).await.is_err() {
            return;
        }
    }
}

impl Outputs {
    fn build(&mut self, snapshots: &[Arc<Snapshot>], telemetry: &Telemetry, clock: &Clock) {
        let started = clock.now();
        let exposition = Exposition::build(snapshots, &mut self.compressor);
        telemetry.exposition_built(exposition.part(Format::Text).plain.len(), clock.now().since(started));
        self.exposition.send_replace(Arc::new(exposition));
        if let Some((recorder, status)) = &mut self.status {
            status.send_replace(Arc::new(recorder.prepare(snapshots, telemetry, clock.now(), clock.date())));
        }
    }
}

/// Waits until one of the snapshots has changed; an error if the sender of one is gone.
async fn any_changed(snapshots: &mut [watch::Receiver<Arc<Snapshot>>]) -> Result<(), RecvError> {
    let mut changes: Vec<_> = snapshots.iter_mut().map(|snapshot| Box::pin(snapshot.changed())).collect();
    poll_fn(|context| {
        let ready = changes.iter_mut().find_map(|change| match change.as_mut().poll(context) {
            Poll::Ready(changed) => Some(changed),
            Poll::Pending => None,
        });
        ready.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
