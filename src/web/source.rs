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
use super::tls::{self, Materials, Tls};
use crate::config::{self, BackgroundRead, yaml};
use crate::http::tls::ClientPolicy;

/// How long the files are waited for. A local disk takes milliseconds; with the wait for an earlier read, an answer comes before
/// Prometheus gives up after its usual 10 s.
const READ_WAIT: Duration = Duration::from_secs(3);

/// How long a handshake or a request waits before it reads the files again while they do not make up a configuration. With
/// [`ATTEMPTS`] this is a second, in which a tool that writes a certificate and then its key is done.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// How often the files are read before a problem counts.
const ATTEMPTS: u32 = 10;

/// What the files said when they were read.
#[derive(Debug)]
pub(super) struct View {
    text_digest: Vec<u8>,
    materials_digest: Vec<u8>,
    /// What the web configuration says, or why it cannot be used.
    pub(super) file: Result<Arc<WebFile>, config::Error>,
    /// `None` if TLS is off, or if the web configuration cannot be used.
    pub(super) tls: Option<Result<Arc<Tls>, tls::Error>>,
    /// How clients are judged; `None` also if the CAs of clients cannot be read. Known even while the certificate of the server
    /// cannot be used.
    pub(super) policy: Option<ClientPolicy>,
}

impl View {
    /// Reads the files for the first time. This may block.
    pub(super) fn load(path: &Path) -> Self {
        Self::read(path, None)
    }

    /// Reads the files. What did not change is taken from the view before. This may block.
    fn read(path: &Path, before: Option<(&Self, &Limits)>) -> Self {
        let text = match yaml::read_regular_text(path) {
            Ok(text) => text,
            Err(error) => return Self::without_tls(Vec::new(), Err(error)),
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
        let Ok(file) = &view.file else { return view };
        let Some(settings) = &file.tls else { return view };
        let client_ca = Materials::client_ca(settings);
        view.policy = client_ca.as_ref().ok().map(|client_ca| settings.client_policy(client_ca.as_ref()));
        view.tls = Some(match client_ca.and_then(|client_ca| Materials::read(settings, client_ca)) {
            Err(error) => Err(error),
            Ok(materials) => {
                view.materials_digest = materials.digest();
                match known.filter(|known| known.materials_digest == view.materials_digest) {
                    Some(View { tls: Some(tls), .. }) => tls.clone(),
                    _ => {
                        let http2 = before.map_or(file.http2, |(_, limits)| limits.http2);
                        materials.build(settings, http2).map(Arc::new)
                    }
                }
            }
        });
        view
    }

    fn without_tls(text_digest: Vec<u8>, file: Result<Arc<WebFile>, config::Error>) -> Self {
        Self { text_digest, materials_digest: Vec::new(), file, tls: None, policy: None }
    }

    /// Nothing could be read.
    fn unreadable(reason: String) -> Self {
        Self::without_tls(Vec::new(), Err(config::Error::new(reason)))
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

    fn file_problem(&self) -> Option<String> {
        self.file.as_ref().err().map(ToString::to_string)
    }

    fn tls_problem(&self) -> Option<String> {
        self.tls.as_ref()?.as_ref().err().map(ToString::to_string)
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
            return Err(config::Error::new("it turns TLS on, which takes a restart"));
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
    /// How many reads have begun.
    begun: AtomicU64,
    reader: tokio::sync::Mutex<Reader>,
    /// The problem that was logged last.
    logged: Mutex<Option<String>>,
}

struct Reader {
    limits: Limits,
    reads: BackgroundRead<View>,
    /// What the latest read gave.
    view: Arc<View>,
    /// Its number.
    number: u64,
}

impl Source {
    /// `view` is what [`View::load`] gave for `path`, and `file` what it says.
    pub(super) fn new(path: PathBuf, view: View, file: &WebFile, transport: Transport) -> Self {
        let limits = Limits { http2: file.http2, transport, safeguards: Safeguard::of(file) };
        let reads = BackgroundRead::new("web-config", READ_WAIT);
        let reader = Reader { limits, reads, view: Arc::new(view), number: 0 };
        Self { path, begun: AtomicU64::new(0), reader: reader.into(), logged: Mutex::default() }
    }

    /// What the files say now: the result of a read that begins after this call. Calls that wait at the same time share one.
    pub(super) async fn read(&self) -> Arc<View> {
        let begun_before = self.begun.load(Ordering::SeqCst);
        let mut reader = self.reader.lock().await;
        if reader.number <= begun_before {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let view = reader.read(&self.path).await;
            reader.view = Arc::new(view);
            reader.number = number;
        }
        Arc::clone(&reader.view)
    }

    /// The same, as soon as `problem` finds nothing; or what it finds, if that stays so for a second, or is in the log already.
    pub(super) async fn settled(&self, problem: fn(&View) -> Option<String>) -> (Arc<View>, Option<String>) {
        let mut attempts = 1;
        loop {
            let view = self.read().await;
            let found = problem(&view);
            if found.is_none() || attempts == ATTEMPTS || *self.logged() == found {
                return (view, found);
            }
            attempts += 1;
            tokio::time::sleep(RETRY_WAIT).await;
        }
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
    async fn read(&mut self, path: &Path) -> View {
        // A read that began earlier may have seen files that have changed since.
        if let Err(reason) = self.reads.discard_earlier().await {
            return View::unreadable(reason);
        }
        let (path, known, limits) = (path.to_owned(), Arc::clone(&self.view), self.limits.clone());
        let read = self.reads.read(move || View::read(&path, Some((&known, &limits)))).await;
        let view = read.unwrap_or_else(View::unreadable);
        if let (None, Ok(file)) = (view.problem(), &view.file) {
            self.limits.safeguards = Safeguard::of(file);
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::policy::ClientAuth;

    const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
    const CLIENTS: &str = "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans:\n    - a.example\n    - b.example\n  min_version: TLS13\n";
    const USERS: &str = "basic_auth_users:\n  anna: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n  ben: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n";
    const OTHERS: &str = "http_server_config:\n  headers:\n    X-Frame-Options: deny\nrate_limit:\n  interval: 1s\n  burst: 5\n";

    #[test]
    fn no_beginning_of_a_file_is_accepted_with_less_protection() {
        let parse = |text: &str| WebFile::parse(Path::new("web.yaml"), text);
        for text in [
            USERS.to_owned(),
            format!("# protected\n{OTHERS}{USERS}"),
            format!("{TLS}{USERS}"),
            format!("{USERS}{TLS}"),
            format!("{TLS}{CLIENTS}"),
            format!("{TLS}{CLIENTS}{OTHERS}{USERS}"),
            format!("{OTHERS}{USERS}{TLS}{CLIENTS}"),
        ] {
            let whole = parse(&text).unwrap();
            let (asks, wants_tls) = (!whole.users.is_empty(), whole.tls.is_some());
            let wants_client = whole.tls.as_ref().is_some_and(|tls| tls.client_auth != ClientAuth::None);
            let transport = if wants_tls { Transport::Tls } else { Transport::Plain };
            let limits = Limits { http2: whole.http2, transport, safeguards: Safeguard::of(&whole) };
            let mut accepted = 0;
            for end in 0..=text.len() {
                let Some(file) = parse(&text[..end]).ok().and_then(|file| limits.accept(file).ok()) else {
                    continue;
                };
                accepted += 1;
                assert_eq!(!file.users.is_empty(), asks, "{:?}", &text[..end]);
                assert_eq!(file.tls.is_some(), wants_tls, "{:?}", &text[..end]);
                if let (true, Some(tls)) = (wants_client, &file.tls) {
                    assert_eq!(tls.client_auth, ClientAuth::RequireAndVerify, "{:?}", &text[..end]);
                    assert!(tls.allowed_sans.is_some() && tls.client_ca.is_some(), "{:?}", &text[..end]);
                }
            }
            assert!(accepted > 0, "the whole file is accepted");
        }
    }

    #[tokio::test]
    async fn requests_at_once_share_a_read_and_see_what_was_there_when_they_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yaml");
        std::fs::write(&path, "").unwrap();
        let view = View::load(&path);
        let file = Arc::clone(view.file.as_ref().unwrap());
        let source = Source::new(path.clone(), view, &file, Transport::Plain);
        for round in 1..=5 {
            let held = source.reader.lock().await;
            let mut reads: Vec<_> = (0..50).map(|_| Box::pin(source.read())).collect();
            for read in &mut reads {
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(read.as_mut().poll(&mut context).is_pending(), "they wait for the one before");
            }
            std::fs::write(&path, USERS.replace("anna", &format!("anna{round}"))).unwrap();
            drop(held);
            for read in reads {
                let view = read.await;
                assert!(view.file.as_ref().unwrap().users.contains_key(&format!("anna{round}")));
            }
            assert_eq!(source.begun.load(Ordering::SeqCst), round);
        }
    }
}
