//! Spawns the parts of the daemon, joins them, and stops them.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::reload::Reloader;
use super::shared::Shared;
use super::{Error, Exporter, Ports};
use crate::app::liveness::Liveness;
use crate::app::systemd;
use crate::clock::Clock;
use crate::config;
use crate::metrics::exposition::Exposition;
use crate::server::demand::Demand;
use crate::server::lifecycle::Lifecycle;
use crate::server::publisher::{self, Outputs, Source};
use crate::server::status::Recorder;
use crate::server::{self, Readiness};
use crate::web::Web;

/// The exporter becomes ready after this time even if an account was not tried yet: trouble with Cloudflare is shown on
/// `/metrics` and does not take the pod out of service.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How many requests for a reload may wait; more wait until there is room, each for as long as its answer may take.
const WAITING_RELOADS: usize = 16;

impl Exporter {
    /// Runs until `stop` is ready and the connections are drained, or until a part ends.
    ///
    /// # Errors
    /// A part ended. The exporter stops then, because `/metrics` would keep serving values that no longer change.
    pub async fn run(self, ports: impl Into<Ports>, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { mut supervisor, shared, sinks, config, trend_step, reloading } = self;
        let ports = ports.into();
        let exposure = ports.exposure();
        let Ports { sockets, web, metrics_path } = ports;
        let Shared { telemetry, failures, clock, state, feed, .. } = shared;
        if let (Some(feed), Some(sinks), Some(state)) = (&feed, sinks, &state) {
            sinks.start(feed, state, &clock)?;
        }
        let (readiness, readiness_changes) = watch::channel(Readiness::Starting);
        let (published, undiscovered) = (supervisor.published(), supervisor.undiscovered());
        let restored: Vec<_> = published.borrow().iter().map(|source| source.clone().latest()).collect();
        // The first scrape waits until the publisher has encoded what was restored, so no scrape lacks the counts from
        // before a restart.
        let (exposition, expositions) = watch::channel(Arc::new(Exposition::default()));
        let demand = Demand::new(Clock::system());
        let status = trend_step.map(|step| {
            let mut recorder = Recorder::new(step, &restored).linking(config.web.grafana_url.clone());
            let first = recorder.prepare(&restored, &telemetry, clock.now(), clock.date());
            (recorder, watch::channel(Arc::new(first)).0)
        });
        let (reload_sender, reload_requests) = mpsc::channel(WAITING_RELOADS);
        let parts = server::Parts {
            exposition: expositions,
            demand: demand.clone(),
            telemetry: telemetry.clone(),
            readiness: readiness_changes.clone(),
            status: status.as_ref().map(|(_, status)| status.subscribe()),
            lifecycle: match config.web.lifecycle {
                config::Lifecycle::Enabled if reloading.is_some() => Lifecycle::Enabled(reload_sender),
                config::Lifecycle::Enabled | config::Lifecycle::Disabled => Lifecycle::Disabled,
            },
            clock: clock.clone(),
            web: web.map(|web| Web::new(web, telemetry.clone(), clock.clone())),
            metrics_path,
            allowed_hosts: config.web.allowed_hosts.clone(),
        };
        let liveness = Liveness::default();
        let (applies, mut applied) = mpsc::channel(1);
        let reloading = reloading.map(|(source, hangup)| {
            let reloader = Reloader::new(source, config, applies, exposure, telemetry.clone(), clock.clone());
            liveness.watch(reloader.run(hangup, reload_requests))
        });
        let reloading = async move {
            match reloading {
                Some(reloading) => match reloading.await {},
                None => pending::<Infallible>().await,
            }
        };
        let mut reloader = tokio::spawn(reloading);
        let committing = state.clone().map(|state| liveness.watch(state.commit_batches()));
        let committing = async move {
            match committing {
                Some(committing) => match committing.await {},
                None => pending::<Infallible>().await,
            }
        };
        let mut committer = tokio::spawn(committing);
        let mut failure_log = tokio::spawn(liveness.watch(failures.clone().log(clock.clone())));
        let outputs = Outputs { exposition, demand, status };
        let publishing = publisher::run(published.clone(), outputs, telemetry, clock);
        let mut publisher = tokio::spawn(liveness.watch(publishing));
        let mut draining = readiness_changes;
        let drain = async move {
            // An error means that the sender was dropped, which happens only after the server ended.
            let _ = draining.wait_for(|readiness| *readiness == Readiness::Draining).await;
        };
        let mut server = tokio::spawn(liveness.watch(server::run(sockets, parts, drain)));
        let ready = first_attempts(published, undiscovered);
        let watchdog = systemd::feed_watchdog(liveness.clone());
        let ended = {
            let polling = supervisor.run(&mut applied, &liveness);
            tokio::pin!(stop, ready, watchdog, polling);
            loop {
                tokio::select! {
                    () = &mut stop => break None,
                    () = &mut ready, if *readiness.borrow() == Readiness::Starting => {
                        readiness.send_replace(Readiness::Ready);
                        systemd::ready();
                    }
                    never = &mut watchdog => match never {},
                    error = &mut polling => break Some(error),
                    _ = &mut reloader => break Some(Error::PartEnded("the reloader")),
                    _ = &mut committer => break Some(Error::PartEnded("the commits of the state file")),
                    _ = &mut failure_log => break Some(Error::PartEnded("the log of shared failures")),
                    _ = &mut publisher => break Some(Error::PartEnded("the publisher")),
                    _ = &mut server => break Some(Error::PartEnded("the server")),
                }
            }
        };
        if let Some(error) = ended {
            return Err(error);
        }
        systemd::stopping();
        readiness.send_replace(Readiness::Draining);
        // Requests that wait for a reload are answered at once.
        reloader.abort();
        // The server limits the time of its own drain.
        let drained = server.await.map_err(|_| Error::PartEnded("the server"));
        supervisor.shutdown().await;
        failure_log.abort();
        failures.log_all();
        committer.abort();
        if let Some(feed) = feed {
            feed.stop();
        }
        if let Some(state) = state {
            state.close();
        }
        drained
    }
}

/// Waits until each list of accounts and the summary of each account was requested once, successfully or not, or until
/// [`READY_WITHIN`] has passed. An account that is removed meanwhile is not waited for.
async fn first_attempts(
    mut published: watch::Receiver<Vec<Source>>,
    mut undiscovered: watch::Receiver<BTreeSet<String>>,
) {
    let attempted = async {
        // An error means that the supervisor ended.
        let _ = undiscovered.wait_for(BTreeSet::is_empty).await;
        loop {
            let sources = published.borrow_and_update().clone();
            let all = async {
                for mut source in sources {
                    // An error means that the poller ended, which the supervisor notices itself.
                    let _ = source.snapshots.wait_for(|snapshot| snapshot.up.is_some()).await;
                }
            };
            tokio::select! {
                () = all => return,
                Ok(()) = published.changed() => {}
            }
        }
    };
    let _ = tokio::time::timeout(READY_WITHIN, attempted).await;
}
