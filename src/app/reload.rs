//! Reloads the configuration: on SIGHUP, on a request to `/-/reload`, and when a file has changed.
//!
//! One reload at a time. Requests that arrive meanwhile wait, and get the result of a reload that began after them. A
//! configuration that cannot be used changes nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::config_changes::Change;
use super::logging;
use super::ports::Exposure;
use super::supervisor::{Apply, Refusal};
use super::{exposes_users, warn_of_exposure};
use crate::app::signals::Hangup;
use crate::clock::Clock;
use crate::config::{self, BackgroundRead, Config, ConfigSource};
use crate::metrics::telemetry::Telemetry;
use crate::server::lifecycle::{ReloadRequest, ReloadResult};

/// How long a reload waits for the files. A request waits 30 s for its answer, and perhaps for an earlier read.
const READ_WAIT: Duration = Duration::from_secs(10);

/// What a reload needs.
pub(super) struct Reloader {
    source: ConfigSource,
    reads: BackgroundRead<Result<Config, config::Error>>,
    /// Detects that a file differs from what was read.
    comparisons: BackgroundRead<bool>,
    /// The configuration that is in use.
    config: Arc<Config>,
    /// Why the latest reload failed; `None` if it did not.
    failure: Option<Arc<str>>,
    applies: mpsc::Sender<Apply>,
    exposure: Exposure,
    telemetry: Telemetry,
    clock: Clock,
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Its files cannot be read in time.
    #[error("{files}: {problem}")]
    Slow { files: String, problem: String },
    /// It is invalid.
    #[error(transparent)]
    Invalid(#[from] config::Error),
    /// It is valid, but cannot be used now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The exporter stops.
    #[error("the exporter is stopping")]
    Stopping,
}

/// Who asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    Signal,
    Request,
    File,
}

impl Trigger {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Request => "/-/reload",
            Self::File => "a changed file",
        }
    }
}

impl Reloader {
    pub(super) fn new(
        source: ConfigSource,
        config: Arc<Config>,
        applies: mpsc::Sender<Apply>,
        exposure: Exposure,
        telemetry: Telemetry,
        clock: Clock,
    ) -> Self {
        let reads = BackgroundRead::new("configuration", READ_WAIT);
        let comparisons = BackgroundRead::new("comparison", READ_WAIT);
        Self { source, reads, comparisons, config, failure: None, applies, exposure, telemetry, clock }
    }

    /// Reloads at each request.
    pub(super) async fn run(
        mut self,
        mut hangup: Hangup,
        mut requests: mpsc::Receiver<ReloadRequest>,
    ) -> Infallible {
        loop {
            tokio::select! {
                () = hangup.recv() => drop(self.reload(Trigger::Signal).await),
                Some(request) = requests.recv() => {
                    // A client that gave up while it waited needs no reload.
                    if request.is_closed() {
                        continue;
                    }
                    let result = self.reload(Trigger::Request).await;
                    // The client may have given up meanwhile.
                    let _ = request.send(result);
                }
                () = self.a_file_changes() => drop(self.reload(Trigger::File).await),
            }
        }
    }

    /// Compares the files until one has changed. After a failed reload it retries at each interval: a file with a
    /// credential may have been missing, or a file may be again what it was.
    async fn a_file_changes(&mut self) {
        let Some(interval) = self.config.auto_reload else { return std::future::pending().await };
        loop {
            self.clock.sleep(interval).await;
            if self.failure.is_some() {
                return;
            }
            let config = Arc::clone(&self.config);
            if self.comparisons.read(move || config.files.have_changed()).await == Ok(true) {
                return;
            }
        }
    }

    async fn reload(&mut self, trigger: Trigger) -> ReloadResult {
        let by = trigger.as_str();
        match self.try_reload().await {
            Ok(changes) => {
                let changes = match changes.as_slice() {
                    [] => "nothing changed".to_owned(),
                    changes => changes.iter().map(Change::to_string).collect::<Vec<_>>().join("; "),
                };
                tracing::info!(by, changes, "the configuration was reloaded");
                self.failure = None;
                self.telemetry.config_loaded(self.clock.date());
                Ok(changes.into())
            }
            Err(failure) => {
                let reason: Arc<str> = failure.to_string().into();
                let message = "cannot reload the configuration; the previous one stays in use";
                // A file is tried again and again.
                if trigger == Trigger::File && self.failure.as_ref() == Some(&reason) {
                    tracing::debug!(by, reason = &*reason, "{message}");
                } else {
                    tracing::warn!(by, reason = &*reason, "{message}");
                }
                self.failure = Some(Arc::clone(&reason));
                self.telemetry.config_refused();
                Err(reason)
            }
        }
    }

    async fn try_reload(&mut self) -> Result<Vec<Change>, Failure> {
        let source = self.source.clone();
        let slow = |problem: String| Failure::Slow { files: self.source.files(), problem };
        self.reads.discard_earlier().await.map_err(slow)?;
        let config = Arc::new(self.reads.read(move || source.load()).await.map_err(slow)??);
        let (answer, answered) = oneshot::channel();
        let apply = Apply { config: Arc::clone(&config), answer };
        self.applies.send(apply).await.map_err(|_| Failure::Stopping)?;
        let changes = answered.await.map_err(|_| Failure::Stopping)??;
        logging::warn_of(&config);
        if exposes_users(&config, self.exposure) && !exposes_users(&self.config, self.exposure) {
            warn_of_exposure();
        }
        self.config = config;
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::config::Flags;

    #[tokio::test]
    async fn a_reload_whose_files_hang_fails_with_the_name_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zt.yaml");
        let account = "accounts: [{ id: 0123456789abcdef0123456789abcdef, token: one }]";
        std::fs::write(&path, account).unwrap();
        let flags = Flags { config_file: Some(path.clone()), ..Flags::default() };
        let source = ConfigSource::new(flags, []);
        let config = Arc::new(source.load().unwrap());
        let (applies, _applied) = mpsc::channel(1);
        let clock = Clock::system();
        let telemetry = Telemetry::new(clock.clone());
        let mut reloader = Reloader::new(source, config, applies, Exposure::Open, telemetry, clock);
        reloader.reads = BackgroundRead::new("test", Duration::ZERO);
        let (release, held) = sync_channel::<()>(0);
        let hangs = move || {
            held.recv().expect("the test lets go");
            Err(config::Error::new("late"))
        };
        assert!(reloader.reads.read(hangs).await.is_err());
        for _ in 0..2 {
            let told = reloader.reload(Trigger::Request).await.unwrap_err();
            let path = path.display();
            let wanted = "or a file that it names: the file cannot be read within 0 s";
            assert_eq!(&*told, format!("configuration {path}, {wanted}"));
        }
        release.send(()).unwrap();
    }
}
