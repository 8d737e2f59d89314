//! Makes a new page, and a new status, when an account changed; at most once a second, beside the threads that
//! answer.

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

/// Nobody scrapes more often, and a burst of changes costs one page.
const REST: Duration = Duration::from_secs(1);

/// What pages are made with, and where they go.
#[derive(Debug)]
pub struct Outputs {
    /// Compresses pages.
    pub compressor: Compressor,
    /// Where pages for Prometheus go.
    pub page: watch::Sender<Arc<Exposition>>,
    /// What the status is made with, and where it goes, if anybody may see it.
    pub status: Option<(Recorder, watch::Sender<Arc<Status>>)>,
}

/// Publishes a page for what `snapshots` say now and each time one of them changes; ends when one of them
/// will not change any more.
pub async fn run(
    mut snapshots: Vec<watch::Receiver<Arc<Snapshot>>>,
    mut outputs: Outputs,
    telemetry: Telemetry,
    clock: Clock,
) {
    loop {
        let current: Vec<_> =
            snapshots.iter_mut().map(|snapshot| Arc::clone(&snapshot.borrow_and_update())).collect();
        let (clock_there, telemetry_there) = (clock.clone(), telemetry.clone());
        let making = tokio::task::spawn_blocking(move || {
            outputs.make(&current, &telemetry_there, &clock_there);
            outputs
        });
        outputs = match making.await.map_err(JoinError::try_into_panic) {
            Ok(made) => made,
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime is going down.
            Err(Err(_)) => return,
        };
        clock.sleep(REST).await;
        if any_changed(&mut snapshots).await.is_err() {
            return;
        }
    }
}

impl Outputs {
    fn make(&mut self, snapshots: &[Arc<Snapshot>], telemetry: &Telemetry, clock: &Clock) {
        let started = clock.now();
        let made = Exposition::build(snapshots, &mut self.compressor);
        telemetry.page_built(made.part(Format::Text).plain.len(), clock.now().since(started));
        self.page.send_replace(Arc::new(made));
        if let Some((recorder, status)) = &mut self.status {
            status.send_replace(Arc::new(recorder.prepare(snapshots, telemetry, clock.now(), clock.date())));
        }
    }
}

/// Waits until one of the snapshots has changed; an error if one will not any more.
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
