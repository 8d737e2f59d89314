//! Builds a new exposition and a new status document when an account changed, or when it is no longer up because its poller
//! has published nothing for too long: at most once a second, and not on the threads that answer requests. A form of the
//! exposition that is asked for and missing is added at once, made of the snapshots of the other forms.

use std::future::{Future as _, pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;

use super::demand::Demand;
use crate::clock::{Clock, Instant};
use crate::metrics::exposition::{Encoder, Exposition};
use crate::metrics::telemetry::Telemetry;
use crate::model::{AccountName, Snapshot};
use crate::server::status::{Recorder, Status};

/// The pause after each build. No scraper scrapes more often, and a burst of changes costs one build.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the results go.
#[derive(Debug)]
pub struct Outputs {
    /// Where the cached part of `/metrics` goes.
    pub exposition: watch::Sender<Arc<Exposition>>,
    /// Which forms of it are asked for.
    pub demand: Demand,
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

/// What the publisher builds with.
struct Builder {
    encoder: Encoder,
    outputs: Outputs,
    telemetry: Telemetry,
    clock: Clock,
    /// What the exposition is made of.
    snapshots: Vec<Arc<Snapshot>>,
}

/// Publishes the current snapshots of all `sources`, and again each time one of them changes, or the list itself. Ends when
/// the sender of the list is dropped.
pub async fn run(
    mut sources: watch::Receiver<Vec<Source>>,
    outputs: Outputs,
    telemetry: Telemetry,
    clock: Clock,
) {
    let mut listed = sources.borrow_and_update().clone();
    let demand = outputs.demand.clone();
    let expositions = outputs.exposition.subscribe();
    let mut builder =
        Builder { encoder: Encoder::new(), outputs, telemetry, clock: clock.clone(), snapshots: Vec::new() };
    loop {
        let latest = listed.iter_mut().map(Source::latest).collect();
        let Some(built) = builder.run(|builder| builder.build(latest)).await else { return };
        builder = built;
        let down_at = builder.snapshots.iter().filter_map(|snapshot| snapshot.down_at()).min();
        let mut next = pin!(next_change(&mut sources, &mut listed, down_at, &clock));
        let is_over = loop {
            let present = expositions.borrow().forms();
            tokio::select! {
                biased;
                is_over = &mut next => break is_over,
                () = demand.exceeds(&present) => {}
            }
            let Some(built) = builder.run(Builder::add_forms).await else { return };
            builder = built;
        };
        if is_over == Sources::Ended {
            return;
        }
    }
}

/// Whether there are accounts to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sources {
    Changed,
    Ended,
}

/// Waits for the pause, and then until a snapshot or the list has changed, or until `down_at`.
async fn next_change(
    sources: &mut watch::Receiver<Vec<Source>>,
    listed: &mut Vec<Source>,
    down_at: Option<Instant>,
    clock: &Clock,
) -> Sources {
    clock.sleep(PAUSE).await;
    tokio::select! {
        biased;
        changed = sources.changed() => match changed {
            Ok(()) => listed.clone_from(&sources.borrow_and_update()),
            Err(_) => return Sources::Ended,
        },
        () = any_changed(listed) => {}
        () = until(down_at, clock) => {}
    }
    Sources::Changed
}

impl Builder {
    /// Does `work` on a thread where it delays no answer. `None` if the runtime is shutting down.
    async fn run(mut self, work: impl FnOnce(&mut Self) + Send + 'static) -> Option<Self> {
        let working = tokio::task::spawn_blocking(move || {
            work(&mut self);
            self
        });
        match working.await.map_err(JoinError::try_into_panic) {
            Ok(builder) => Some(builder),
            Err(Ok(panic)) => resume_unwind(panic),
            Err(Err(_)) => None,
        }
    }

    /// Publishes `snapshots`, in the forms that are kept up.
    fn build(&mut self, snapshots: Vec<Arc<Snapshot>>) {
        let now = self.clock.now();
        self.snapshots = snapshots.into_iter().map(|snapshot| as_of(now, snapshot)).collect();
        self.encode(&Exposition::default());
        if let Some((recorder, status)) = &mut self.outputs.status {
            let (now, date) = (self.clock.now(), self.clock.date());
            status.send_replace(Arc::new(recorder.prepare(&self.snapshots, &self.telemetry, now, date)));
        }
    }

    /// Publishes the same snapshots again, also in the forms that are missing.
    fn add_forms(&mut self) {
        let present = Arc::clone(&self.outputs.exposition.borrow());
        self.encode(&present);
    }

    fn encode(&mut self, present: &Exposition) {
        let started = self.clock.now();
        let forms = self.outputs.demand.forms();
        let exposition = self.encoder.add(present, &self.snapshots, &forms);
        if !exposition.forms().is_empty() {
            self.telemetry.exposition_built(exposition.size(), self.clock.now().since(started));
        }
        self.outputs.exposition.send_replace(Arc::new(exposition));
    }
}

async fn until(moment: Option<Instant>, clock: &Clock) {
    match moment {
        Some(moment) => clock.sleep_until(moment).await,
        None => pending().await,
    }
}

/// The snapshot as of `now`: an account whose poller has published nothing for too long is not up.
fn as_of(now: Instant, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
    if snapshot.down_at().is_some_and(|at| at <= now) {
        return Arc::new(Snapshot { up: Some(false), ..Snapshot::clone(&snapshot) });
    }
    snapshot
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
