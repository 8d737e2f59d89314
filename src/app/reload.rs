//! Reloads the configuration: on SIGHUP, on a request to `/-/reload`, and when a file has changed.
//!
//! One reload at a time. Requests that arrive meanwhile wait, and get the result of a reload that began after them. A
//! configuration that cannot be used changes nothing. A file that has changed is not used while somebody may still write it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::config_changes::Change;
use super::logging;
use super::ports::Exposure;
use super::supervisor::{Apply, Refusal};
use super::{baselines, exposes_users, warn_of_exposure};
use crate::app::signals::Hangup;
use crate::clock::Clock;
use crate::config::{self, BackgroundRead, Config, ConfigSource, Files, usable_baselines};
use crate::metrics::telemetry::Telemetry;
use crate::server::lifecycle::{ReloadRequest, ReloadResult};

/// How long a reload waits for the files. A request waits 30 s for its answer, and perhaps for an earlier read.
const READ_WAIT: Duration = Duration::from_secs(10);

/// How long the content of changed files must stay the same. The beginning of a file is often a valid configuration: with fewer
/// accounts, or without the setting that hides users.
const SETTLED: Duration = Duration::from_secs(1);

/// What a reload needs.
pub(super) struct Reloader {
    source: ConfigSource,
    reads: BackgroundRead<Read>,
    /// Detects that a file differs from what was read.
    comparisons: BackgroundRead<Files>,
    /// The configuration that is in use.
    config: Arc<Config>,
    /// Why the latest reload failed; `None` if it did not.
    failure: Option<Arc<str>>,
    applies: mpsc::Sender<Apply>,
    exposure: Exposure,
    telemetry: Telemetry,
    clock: Clock,
}

/// What a read of the configuration found.
#[derive(Debug)]
struct Read {
    config: Result<Arc<Config>, config::Error>,
    /// Its files as they were after the read.
    files: Files,
}

impl Read {
    /// Reads the configuration from `source`. If it is invalid, its files are those `known`. This may block.
    fn now(source: &ConfigSource, known: &Files) -> Self {
        let config = source.load().map(Arc::new);
        let files = config.as_ref().map_or(known, |config| &config.files).again();
        Self { config, files }
    }
}

/// Whether somebody may still write the files.
#[derive(Debug)]
enum Settling {
    /// They are what they were a second before. The configuration was read from them.
    Settled(Result<Arc<Config>, config::Error>),
    /// They differ, and are these now.
    Moving(Files),
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
                read = self.a_file_changes() => drop(self.finish(Trigger::File, read).await),
            }
        }
    }

    /// Compares the files until one has changed, and returns what they say once that stays the same. After a failed reload it
    /// reads them at each interval: a file with a credential may have been missing, or a file may be again what it was.
    async fn a_file_changes(&mut self) -> Result<Arc<Config>, Failure> {
        let Some(interval) = self.config.auto_reload else { return std::future::pending().await };
        loop {
            self.clock.sleep(interval).await;
            let known = self.config.files.clone();
            let Ok(mut seen) = self.comparisons.read(move || known.again()).await else { continue };
            while self.failure.is_some() || seen != self.config.files {
                match self.settle(seen).await? {
                    Settling::Settled(config) => return Ok(config?),
                    Settling::Moving(files) => seen = files,
                }
            }
        }
    }

    /// Reads the files a second after they were `seen`.
    async fn settle(&mut self, seen: Files) -> Result<Settling, Failure> {
        self.clock.sleep(SETTLED).await;
        let Read { config, files } = self.read(seen.clone()).await?;
        Ok(if files == seen { Settling::Settled(config) } else { Settling::Moving(files) })
    }

    async fn reload(&mut self, trigger: Trigger) -> ReloadResult {
        let read = self.read(self.config.files.clone()).await;
        self.finish(trigger, read.and_then(|read| read.config.map_err(Failure::from))).await
    }

    /// Reads the configuration, whose files were those `known`.
    async fn read(&mut self, known: Files) -> Result<Read, Failure> {
        let source = self.source.clone();
        let slow = |problem: String| Failure::Slow { files: self.source.files(), problem };
        self.reads.discard_earlier().await.map_err(slow)?;
        self.reads.read(move || Read::now(&source, &known)).await.map_err(slow)
    }

    /// Uses what was read, if it can be used.
    async fn finish(&mut self, trigger: Trigger, read: Result<Arc<Config>, Failure>) -> ReloadResult {
        let by = trigger.as_str();
        let used = match read {
            Ok(config) => {
                let used = self.apply(Arc::clone(&config)).await;
                // An account that was added can be reported from now on.
                baselines::report(&config, &self.telemetry, self.clock.date());
                used
            }
            Err(failure) => Err(failure),
        };
        match used {
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

    async fn apply(&mut self, config: Arc<Config>) -> Result<Vec<Change>, Failure> {
        usable_baselines(&config.accounts)?;
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
    use std::path::Path;
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::clock::Timestamp;
    use crate::config::Flags;

    const FIRST: &str = "accounts:\n- { id: 0123456789abcdef0123456789abcdef, token: one }\n";
    const SECOND: &str = "- { id: ffffffffffffffffffffffffffffffff, token: two }\n";
    const SETTINGS: &str = "config: { auto_reload: true, auto_reload_interval: 1s }\n";

    /// A reloader of the configuration at `path`, on a clock that is fifty times as fast.
    fn reloader(path: &Path) -> Reloader {
        let flags = Flags { config_file: Some(path.to_owned()), ..Flags::default() };
        let source = ConfigSource::new(flags, []);
        let config = Arc::new(source.load().unwrap());
        let (applies, _applied) = mpsc::channel(1);
        let clock = Clock::scaled(Timestamp::from_seconds(1_800_000_000), 50.0);
        let telemetry = Telemetry::new(clock.clone());
        Reloader::new(source, config, applies, Exposure::Open, telemetry, clock)
    }

    fn moving(settling: Settling) -> Files {
        match settling {
            Settling::Moving(files) => files,
            Settling::Settled(config) => panic!("it was written meanwhile, and yet gave {config:?}"),
        }
    }

    fn settled(settling: Settling) -> Result<Arc<Config>, config::Error> {
        match settling {
            Settling::Settled(config) => config,
            Settling::Moving(files) => panic!("nobody wrote {files:?}"),
        }
    }

    #[tokio::test]
    async fn a_file_that_is_still_written_is_not_used_and_not_judged() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("zt.yaml"), folder.path().join("key"));
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let all = format!("{SETTINGS}{FIRST}{SECOND}");
        write(&all);
        let mut reloader = reloader(&path);
        let count = |config: &Arc<Config>| config.accounts.len();
        // What was seen first, and what is written before the next reading.
        for (before, after, wanted) in [
            (format!("{SETTINGS}{FIRST}"), all.clone(), Some(2)),
            (format!("{SETTINGS}{FIRST}- {{ id:"), all.clone(), Some(2)),
            (String::new(), format!("{SETTINGS}{FIRST}"), Some(1)),
            (format!("{SETTINGS}{FIRST}"), format!("{SETTINGS}{FIRST}- {{ id:"), None),
        ] {
            write(&before);
            let seen = reloader.config.files.again();
            write(&after);
            let seen = moving(reloader.settle(seen).await.unwrap());
            let settled = settled(reloader.settle(seen).await.unwrap());
            assert_eq!(settled.as_ref().ok().map(count), wanted, "{before:?}, then {after:?}");
            // Nothing changes if the file is again the one in use.
            if after != all {
                let used = reloader.a_file_changes().await;
                assert_eq!(used.as_ref().ok().map(count), wanted, "{before:?}, then {after:?}");
            }
        }
        // A file that is named for the first time is seen twice too.
        std::fs::write(&key, [7; 32]).unwrap();
        let seen = reloader.config.files.again();
        write(&format!("users: {{ identity: hash, hash_key_file: key }}\n{all}"));
        let seen = moving(reloader.settle(seen).await.unwrap());
        std::fs::write(&key, [8; 32]).unwrap();
        let seen = moving(reloader.settle(seen).await.unwrap());
        assert!(settled(reloader.settle(seen).await.unwrap()).is_ok());
    }

    #[tokio::test]
    async fn a_reload_whose_files_hang_fails_with_the_name_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zt.yaml");
        std::fs::write(&path, FIRST).unwrap();
        let mut reloader = reloader(&path);
        reloader.reads = BackgroundRead::new("test", Duration::ZERO);
        let (release, held) = sync_channel::<()>(0);
        let hangs = move || {
            held.recv().expect("the test lets go");
            Read { config: Err(config::Error::new("late")), files: Files::default() }
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
