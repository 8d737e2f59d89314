//! Spawns the parts of the daemon, joins them, and stops them.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Error, Exporter, Ports};
use crate::app::liveness::Liveness;
use crate::app::systemd;
use crate::metrics::exposition::{Compressor, Exposition};
use crate::model::Snapshot;
use crate::server::publisher::{self, Outputs};
use crate::server::status::Recorder;
use crate::server::{self, Readiness};
use crate::web::Web;

/// The exporter becomes ready after this time even if an account was not tried yet: trouble with Cloudflare is shown on
/// `/metrics` and does not take the pod out of service.
const READY_WITHIN: Duration = Duration::from_secs(30);

impl Exporter {
    /// Runs until `stop` is ready and the connections are drained, or until a part ends.
    ///
    /// # Errors
    /// A part ended. The exporter stops then, because `/metrics` would go on with values that no longer change.
    pub async fn run(self, ports: impl Into<Ports>, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { pollers, snapshots, telemetry, clock, state, trend_step, allowed_hosts } = self;
        let Ports { sockets, web, metrics_path } = ports.into();
        let (readiness, readiness_changes) = watch::channel(Readiness::Starting);
        let mut compressor = Compressor::new();
        // The first exposition is built before the first request is answered, so that no scrape lacks the counts from
        // before a restart.
        let restored: Vec<_> = snapshots.iter().map(|snapshot| Arc::clone(&snapshot.borrow())).collect();
        let (exposition, expositions) =
            watch::channel(Arc::new(Exposition::build(&restored, &mut compressor)));
        let status = trend_step.map(|step| {
            let mut recorder = Recorder::new(step, &restored);
            let first = recorder.prepare(&restored, &telemetry, clock.now(), clock.date());
            (recorder, watch::channel(Arc::new(first)).0)
        });
        let parts = server::Parts {
            exposition: expositions,
            telemetry: telemetry.clone(),
            readiness: readiness_changes.clone(),
            status: status.as_ref().map(|(_, status)| status.subscribe()),
            clock: clock.clone(),
            web: web.map(|web| Web::new(web, telemetry.clone(), clock.clone())),
            metrics_path,
            allowed_hosts,
        };
        let mut liveness = Liveness::default();
        let mut polling: JoinSet<Infallible> =
            pollers.into_iter().map(|poller| liveness.watch(poller.run())).collect();
        let outputs = Outputs { compressor, exposition, status };
        let publishing = publisher::run(snapshots.clone(), outputs, telemetry, clock);
        let mut publisher = tokio::spawn(liveness.watch(publishing));
        let mut draining = readiness_changes;
        let drain = async move {
            // An error means that the sender was dropped, which happens only after the server ended.
            let _ = draining.wait_for(|readiness| *readiness == Readiness::Draining).await;
        };
        let mut server = tokio::spawn(liveness.watch(server::run(sockets, parts, drain)));
        let ready = first_attempts(snapshots);
        let watchdog = systemd::feed_watchdog(liveness);
        tokio::pin!(stop, ready, watchdog);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = &mut ready, if *readiness.borrow() == Readiness::Starting => {
                    readiness.send_replace(Readiness::Ready);
                    systemd::ready();
                }
                never = &mut watchdog => match never {},
                Some(_) = polling.join_next() => return Err(Error::PartEnded("a poller")),
                _ = &mut publisher => return Err(Error::PartEnded("the publisher")),
                _ = &mut server => return Err(Error::PartEnded("the server")),
            }
        }
        systemd::stopping();
        readiness.send_replace(Readiness::Draining);
        // The server limits the time of its own drain.
        let drained = server.await.map_err(|_| Error::PartEnded("the server"));
        polling.shutdown().await;
        if let Some((state, _)) = state {
            state.close();
        }
        drained
    }
}

/// Waits until the summary of each account was requested once, successfully or not, or until [`READY_WITHIN`] has
/// passed.
async fn first_attempts(snapshots: Vec<watch::Receiver<Arc<Snapshot>>>) {
    let attempted = async {
        for mut snapshots in snapshots {
            // An error means that the poller ended, which `run` notices itself.
            let _ = snapshots.wait_for(|snapshot| snapshot.up.is_some()).await;
        }
    };
    let _ = tokio::time::timeout(READY_WITHIN, attempted).await;
}
