//! Builds a new exposition and a new status document when an account changed: at most once a second, and not on the
//! threads that answer requests.

use std::future::{Future as _, poll_fn};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;

use crate::clock::Clock;
use crate::metrics::encode::Format;
use crate::metrics::exposition::{Compressor, Exposition};
use crate::metrics::telemetry::Telemetry;
use crate::model::{AccountName, Snapshot};
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

/// An account whose snapshots are published.
#[derive(Clone, Debug)]
pub struct Source {
    /// What the account is called now. Its latest snapshot may be from before it was renamed.
    pub name: AccountName,
    /// Its snapshots.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Source {
    /// The latest snapshot, under the current name.
    pub fn latest(&mut self) -> Arc<Snapshot> {
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        if snapshot.account == self.name {
            return snapshot;
        }
        Arc::new(Snapshot { account: self.name.clone(), ..Snapshot::clone(&snapshot) })
    }
}

/// Publishes the current snapshots of all `sources`, and again each time one of them changes, or the list itself. Ends when
/// the sender of the list is dropped.
pub async fn run(
    mut sources: watch::Receiver<Vec<Source>>,
    mut outputs: Outputs,
    telemetry: Telemetry,
    clock: Clock,
) {
    let mut listed = sources.borrow_and_update().clone();
    loop {
        let current: Vec<_> = listed.iter_mut().map(Source::latest).collect();
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
        tokio::select! {
            biased;
            changed = sources.changed() => match changed {
                Ok(()) => listed.clone_from(&sources.borrow_and_update()),
                Err(_) => return,
            },
            () = any_changed(&mut listed) => {}
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

/// Waits until one of the snapshots has changed. A source whose sender is gone does not change any more.
async fn any_changed(sources: &mut [Source]) {
    let mut changes: Vec<_> = sources.iter_mut().map(|source| Box::pin(source.snapshots.changed())).collect();
    poll_fn(|context| {
        let mut has_changed = false;
        changes.retain_mut(|change| match change.as_mut().poll(context) {
            Poll::Ready(Ok(())) => {
                has_changed = true;
                false
            }
            Poll::Ready(Err(_)) => false,
            Poll::Pending => true,
        });
        if has_changed { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
