//! Reads the web configuration again for each handshake and each request; only what changed is built again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::digest;

use super::Transport;
use super::file::WebFile;
use super::policy::Http2;
use super::safeguard::Safeguard;
use super::tls::{self, Digests, Materials, Tls};
use crate::clock::{Clock, Instant};
use crate::config::{self, BackgroundRead, yaml};
use crate::http::is_out_of_files;
use crate::http::session::ClientPolicy;

/// How long the files are waited for. A local disk takes milliseconds; with the wait for an earlier read, an answer comes before
/// Prometheus gives up after its usual 10 s.
const READ_WAIT: Duration = Duration::from_secs(3);

/// How long the certificate and the key from before are used while those in the files do not belong together. In this time a
/// tool that writes first one of them and then the other is done.
const RENEWAL: Duration = Duration::from_secs(1);

/// How long a handshake or a request waits before it reads the files again while they do not make up a configuration. With
/// [`ATTEMPTS`] this is a second.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// How often the files are read before a problem counts.
const ATTEMPTS: u32 = 10;

/// No read begins later than this after a request came, however long the reads took.
const LAST_ATTEMPT: Duration = Duration::from_secs(3);

/// What the files said when they were read.
#[derive(Debug)]
pub(super) struct View {
    text_digest: Vec<u8>,
    /// `None` if TLS is off, or if a file cannot be read.
    digests: Option<Digests>,
    /// What the web configuration says, or why it cannot be used.
    pub(super) file: Result<Arc<WebFile>, config::Error>,
    /// `None` if TLS is off, or if the web configuration cannot be used.
    pub(super) tls: Option<Result<Arc<Tls>, tls::Error>>,
    /// Whether the read ended.
    reading: Reading,
    /// How clients are judged; `None` if the CAs of clients cannot be read too. Known even while the certificate of the server
    /// cannot be used.
    pub(super) policy: Option<ClientPolicy>,
}

/// How a read of the files went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Ended,
    /// It took too long, or could not be run, and so it would be with the next one.
    GivenUp,
}

impl View {
    /// Reads the files for the first time. This may block.
    pub(super) fn load(path: &Path) -> Self {
        Self::read(path, None).unwrap_or_else(|OutOfFiles| {
            Self::unreadable(format!("cannot read {}: too many files are open", path.display()))
        })
    }

    /// Reads the files. What did not change is taken from the view before. This may block.
    ///
    /// # Errors
    /// Too many files are open, so that nothing is known about these.
    fn read(path: &Path, before: Option<(&Self, &Limits)>) -> Result<Self, OutOfFiles> {
        let bytes = yaml::read_regular_bytes(path);
        if bytes.as_ref().is_err_and(is_out_of_files) {
            return Err(OutOfFiles);
        }
        let text = match WebFile::text(path, bytes) {
            Ok(text) => text,
            Err(error) => return Ok(Self::without_tls(Vec::new(), Err(error))),
        };
        let text_digest = digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec();
        let known = before.map(|(known, _)| known).filter(|known| known.text_digest == text_digest);
        let file = match (known, before) {
            (Some(known), _) => known.file.clone(),
            (None, None) => WebFile::parse(path, &text).map(Arc::new),
            (None, Some((_, limits))) => {
                WebFile::parse(path, &text).and_then(|file| limits.accept(file)).map(Arc::new)
            }
        };
        let mut view = Self::without_tls(text_digest, file);
        let Ok(file) = &view.file else { return Ok(view) };
        let Some(settings) = &file.tls else { return Ok(view) };
        let client_ca = Materials::client_ca(settings);
        view.policy = client_ca.as_ref().ok().map(|client_ca| settings.client_policy(client_ca.as_ref()));
        view.tls = Some(match client_ca.and_then(|client_ca| Materials::read(settings, client_ca)) {
            Err(tls::Error::OutOfFiles(_)) => return Err(OutOfFiles),
            Err(error) => Err(error),
            Ok(materials) => {
                let digests = materials.digests();
                let same = known.filter(|known| known.digests.as_ref() == Some(&digests));
                view.digests = Some(digests);
                match same {
                    Some(View { tls: Some(tls), .. }) => tls.clone(),
                    _ => {
                        let http2 = before.map_or(file.http2, |(_, limits)| limits.http2);
                        materials.build(settings, http2).map(Arc::new)
                    }
                }
            }
        });
        Ok(view)
    }

    fn without_tls(text_digest: Vec<u8>, file: Result<Arc<WebFile>, config::Error>) -> Self {
        Self { text_digest, digests: None, file, tls: None, reading: Reading::Ended, policy: None }
    }

    /// Nothing could be read.
    fn unreadable(reason: String) -> Self {
        Self::without_tls(Vec::new(), Err(config::Error::new(reason)))
    }

    /// The read did not end in time.
    fn given_up(path: &Path, reason: &str) -> Self {
        let path = path.display();
        let reason = format!("web configuration {path}, or a file that it names: {reason}");
        Self { reading: Reading::GivenUp, ..Self::unreadable(reason) }
    }

    /// Why something cannot be used, if so.
    pub(super) fn problem(&self) -> Option<String> {
        self.file_problem().or_else(|| self.tls_problem())
    }

    /// Why requests on an open connection cannot be judged, if so. They do not need the certificate of the server.
    pub(super) fn request_problem(&self) -> Option<String> {
        let file_problem = self.file_problem();
        file_problem.or_else(|| self.tls_problem().filter(|_| self.policy.is_none()))
    }

    /// Whether this may be `before` in the middle of a renewal: only the certificate and its key differ, and nothing that
    /// decides who is admitted.
    fn may_be_renewal_of(&self, before: &Self) -> bool {
        let client_ca = |view: &Self| view.digests.as_ref().map(|digests| digests.client_ca.clone());
        self.text_digest == before.text_digest
            && self.digests.is_some()
            && client_ca(self) == client_ca(before)
    }

    fn file_problem(&self) -> Option<String> {
        self.file.as_ref().err().map(ToString::to_string)
    }

    fn tls_problem(&self) -> Option<String> {
        self.tls.as_ref()?.as_ref().err().map(ToString::to_string)
    }
}

/// Too many files are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OutOfFiles;

/// What was read, and what can be used.
struct Views {
    latest: Arc<View>,
    /// The latest one that can be used.
    usable: Arc<View>,
    /// When the latest view was found not to be usable; `None` if it is.
    unusable_since: Option<Instant>,
}

impl Views {
    fn read(&mut self, view: View, now: Instant) {
        self.latest = Arc::new(view);
        if self.latest.problem().is_none() {
            self.usable = Arc::clone(&self.latest);
            self.unusable_since = None;
        } else {
            self.unusable_since.get_or_insert(now);
        }
    }

    /// What a handshake uses now; `None` if nothing can be used.
    fn for_handshake(&self, now: Instant) -> Option<Arc<View>> {
        match self.unusable_since {
            None => Some(Arc::clone(&self.latest)),
            Some(since) if now.since(since) < RENEWAL && self.latest.may_be_renewal_of(&self.usable) => {
                Some(Arc::clone(&self.usable))
            }
            Some(_) => None,
        }
    }
}

/// What a web configuration cannot change while the exporter runs.
#[derive(Clone, Debug)]
struct Limits {
    http2: Http2,
    transport: Transport,
    /// What the last web configuration that could be used protects the port with.
    safeguards: BTreeSet<Safeguard>,
}

impl Limits {
    fn accept(&self, file: WebFile) -> Result<WebFile, config::Error> {
        // A client policy must not be without effect because the port was opened without TLS.
        if self.transport == Transport::Plain && file.tls.is_some() {
            return Err(config::Error::new("it turns TLS on, which needs a restart"));
        }
        match Safeguard::lost(&self.safeguards, &file) {
            Some(problem) => Err(config::Error::new(problem)),
            None => Ok(file),
        }
    }
}

/// The web configuration at a path.
pub(super) struct Source {
    path: PathBuf,
    clock: Clock,
    /// How many reads have begun.
    begun: AtomicU64,
    reader: tokio::sync::Mutex<Reader>,
    /// The problem that was logged last.
    logged: Mutex<Option<String>>,
}

struct Reader {
    limits: Limits,
    reads: BackgroundRead<Result<View, OutOfFiles>>,
    views: Views,
    /// The number of the latest read.
    number: u64,
}

impl Source {
    /// `view` is what [`View::load`] gave for `path`, without a problem, and `file` what it says.
    pub(super) fn new(path: PathBuf, view: View, file: &WebFile, transport: Transport, clock: Clock) -> Self {
        let limits = Limits { http2: file.http2, transport, safeguards: Safeguard::of(file) };
        let reads = BackgroundRead::new("web-config", READ_WAIT);
        let latest = Arc::new(view);
        let views = Views { usable: Arc::clone(&latest), latest, unusable_since: None };
        let reader = Reader { limits, reads, views, number: 0 };
        Self { path, clock, begun: AtomicU64::new(0), reader: reader.into(), logged: Mutex::default() }
    }

    /// What a request is judged by: what the files say now, or why they cannot be used.
    ///
    /// # Errors
    /// The problem stays for a second, or is in the log already.
    pub(super) async fn for_request(&self) -> Result<Arc<View>, String> {
        let judge = |views: &Views| match views.latest.request_problem() {
            None => Ok(Arc::clone(&views.latest)),
            Some(problem) => Err(problem),
        };
        self.settled(judge).await
    }

    /// What a handshake uses: what the files say now, or the certificate and the key from before while they are renewed.
    ///
    /// # Errors
    /// As for a request.
    pub(super) async fn for_handshake(&self) -> Result<Arc<View>, String> {
        let judge = |views: &Views| {
            let view = views.for_handshake(self.clock.now());
            view.ok_or_else(|| views.latest.problem().unwrap_or_default())
        };
        self.settled(judge).await
    }

    /// Reads the files again for up to a second, until `judge` finds a view in them. What a read that took too long was to find
    /// is not waited for: all requests would wait.
    async fn settled(
        &self,
        judge: impl Fn(&Views) -> Result<Arc<View>, String>,
    ) -> Result<Arc<View>, String> {
        let last = self.clock.now() + LAST_ATTEMPT;
        let mut attempts = 1;
        loop {
            let (found, reading) = {
                let reader = self.read().await;
                (judge(&reader.views), reader.views.latest.reading)
            };
            let may_retry = attempts < ATTEMPTS && reading == Reading::Ended && self.clock.now() < last;
            match &found {
                Err(problem) if may_retry && self.logged().as_ref() != Some(problem) => {}
                _ => return found,
            }
            attempts += 1;
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }

    /// Reads what the files say now, or waits for a read that begins after this call: calls that wait at the same time share one.
    /// While too many files are open, what they said before stays.
    async fn read(&self) -> tokio::sync::MutexGuard<'_, Reader> {
        let begun_before = self.begun.load(Ordering::SeqCst);
        let mut reader = self.reader.lock().await;
        if reader.number <= begun_before {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            reader.read(&self.path, &self.clock).await;
            reader.number = number;
        }
        reader
    }

    /// Logs a problem once, and that it is over.
    pub(super) fn log(&self, problem: Option<String>) {
        let mut logged = self.logged();
        if *logged == problem {
            return;
        }
        match &problem {
            Some(problem) => {
                tracing::warn!(
                    problem,
                    "the web configuration cannot be used; requests are refused until it can"
                );
            }
            None => tracing::info!("the web configuration can be used again"),
        }
        *logged = problem;
    }

    fn logged(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.logged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    async fn read(&mut self, path: &Path, clock: &Clock) {
        // A read that began earlier may have seen files that have changed since.
        let view = match self.reads.discard_earlier().await {
            Err(reason) => View::given_up(path, &reason),
            Ok(()) => {
                let (file, known, limits) =
                    (path.to_owned(), Arc::clone(&self.views.latest), self.limits.clone());
                match self.reads.read(move || View::read(&file, Some((&known, &limits)))).await {
                    Ok(Ok(view)) => view,
                    Ok(Err(OutOfFiles)) => return,
                    Err(reason) => View::given_up(path, &reason),
                }
            }
        };
        if let (None, Ok(file)) = (view.problem(), &view.file) {
            self.limits.safeguards = Safeguard::of(file);
        }
        self.views.read(view, clock.now());
    }
}

#[cfg(test)]
mod tests;
