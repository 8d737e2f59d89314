//! What protects the port: TLS, passwords, a rate limit and headers, as the file of `--web.config.file` says.
//!
//! [`Checked`] is a web configuration that was read once, before anything is bound. [`Web`] stands before each handshake
//! and each request, and reads the files again each time.

mod certificate;
mod client_verifier;
mod file;
mod password;
mod policy;
mod rate;
mod safeguard;
mod section;
mod source;
mod summary;
mod tls;
mod turns;

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use rustls::pki_types::CertificateDer;

use crate::clock::{Clock, Timestamp};
use crate::config::{self, LOAD_WAIT};
use crate::http::session::Session;
use crate::http::tls::{Configured, Unconfigured};
use crate::http::{self, Abort, Body, Caller, Security, Warning};
use crate::metrics::telemetry::{Rejection, Telemetry};
use certificate::Certificate;
use file::WebFile;
use password::{Login, Passwords, Verdict};
pub(crate) use policy::Protection;
use rate::{Admission, Bucket};
use source::{Source, View};
pub(crate) use summary::Summary;
use tls::Materials;
use turns::NoTurn;

/// A web configuration that can be used.
#[derive(Debug)]
pub struct Checked {
    path: PathBuf,
    view: View,
    file: Arc<WebFile>,
}

impl Checked {
    /// Reads the web configuration at `path` and the files that it names.
    ///
    /// # Errors
    /// The first thing that cannot be used, or the files cannot be read in time. The message has the line, and no secret.
    pub fn load(path: &Path) -> Result<Self, config::Error> {
        Self::load_within(path, LOAD_WAIT, View::load)
    }

    fn load_within(
        path: &Path,
        wait: Duration,
        read: impl FnOnce(&Path) -> View + Send + 'static,
    ) -> Result<Self, config::Error> {
        let view = read_within(path, wait, read)?;
        let file = Arc::clone(view.file.as_ref().map_err(Clone::clone)?);
        match view.problem() {
            Some(problem) => Err(unusable(path, &problem)),
            None => Ok(Self { path: path.to_owned(), view, file }),
        }
    }

    /// Describes the web configuration at `path` on the date `now`, without a look at keys and the CAs of clients, and with its
    /// certificate if that is on this machine; `None` if the web configuration is not.
    ///
    /// # Errors
    /// As [`Checked::load`].
    pub(crate) fn without_secrets(path: &Path, now: Timestamp) -> Result<Option<Summary>, config::Error> {
        read_within(path, LOAD_WAIT, move |path| {
            if !path.exists() {
                return Ok(None);
            }
            let bytes = config::yaml::read_regular_bytes(path);
            let file = WebFile::parse(path, &WebFile::text(path, bytes)?)?;
            let certificate = file.tls.as_ref().map(Materials::certificate).transpose();
            let certificate = certificate.map_err(|problem| unusable(path, &problem.to_string()))?.flatten();
            Ok(Some(Summary::new(path, &file, certificate.as_ref(), now)))
        })?
    }

    /// What is on, without a secret, and what is weak on the date `now`.
    pub(crate) fn summary(&self, now: Timestamp) -> Summary {
        let tls = self.view.tls.as_ref().and_then(|tls| tls.as_ref().ok());
        Summary::new(&self.path, &self.file, tls.map(|tls| &tls.certificate), now)
    }

    /// The certificate that the server presents, if TLS is on.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.view.tls.as_ref()?.as_ref().ok().map(|tls| &tls.leaf)
    }

    /// Whether TLS or a password protects the port.
    pub(crate) fn protection(&self) -> Protection {
        match self.file.tls.is_some() || !self.file.users.is_empty() {
            true => Protection::On,
            false => Protection::Off,
        }
    }

    /// Whether the port speaks TLS.
    pub(crate) fn transport(&self) -> Transport {
        match self.file.tls {
            Some(_) => Transport::Tls,
            None => Transport::Plain,
        }
    }
}

fn unusable(path: &Path, problem: &str) -> config::Error {
    config::Error::new(format!("web configuration {}: {problem}", path.display()))
}

/// What `read` finds at `path`. Without a limit, a file system that hangs would stop the start without a word.
fn read_within<T: Send + 'static>(
    path: &Path,
    wait: Duration,
    read: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<T, config::Error> {
    let file = path.to_owned();
    config::read_within("web-config", wait, move || read(&file)).map_err(|problem| {
        let path = path.display();
        config::Error::new(format!("web configuration {path}, or a file that it names: {problem}"))
    })
}

/// What a listener speaks below HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    Tls,
}

/// Guards listeners. Clones share everything.
#[derive(Clone)]
pub struct Web {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    /// Whether the listeners speak TLS, which does not change while they are open.
    transport: Transport,
    bucket: Option<Mutex<Bucket>>,
    passwords: Passwords,
    /// When logins were refused because too many waited.
    too_many_logins: Mutex<Warning>,
    telemetry: Telemetry,
    clock: Clock,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("transport", &self.inner.transport).finish_non_exhaustive()
    }
}

impl Web {
    /// Guards as `checked` says. HTTP/2, the rate limit, and whether TLS is on stay as they are now.
    pub fn new(checked: Checked, telemetry: Telemetry, clock: Clock) -> Self {
        let transport = checked.transport();
        let Checked { path, view, file } = checked;
        let bucket = file.rate_limit.map(|limit| Mutex::new(Bucket::new(limit, clock.now())));
        let inner = Inner {
            source: Source::new(path, view, &file, transport, clock.clone()),
            transport,
            bucket,
            passwords: Passwords::new(),
            too_many_logins: Mutex::default(),
            telemetry,
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// How the connections of a listener are protected.
    pub fn security(&self) -> Security {
        match self.inner.transport {
            Transport::Plain => Security::Plain,
            Transport::Tls => {
                let (configured, counted) = (Arc::clone(&self.inner), Arc::clone(&self.inner));
                let configuration = move || {
                    let inner = Arc::clone(&configured);
                    async move { inner.configuration().await }
                };
                let failed = move || counted.telemetry.tls_handshake_failed();
                Security::Tls(http::tls::Tls::new(configuration, failed))
            }
        }
    }

    /// The server stops: the logins that wait for a comparison of their password are refused, or they would keep the connections
    /// open for the whole drain. Those that were right before are still admitted.
    pub(crate) fn stopping(&self) {
        self.inner.passwords.close();
    }

    /// Answers a request with `answer`, if the web configuration admits it. The order is that of exporter-toolkit: the
    /// file, the rate limit, the headers, the password. The rate limit comes before the password, or guessing passwords
    /// would be a way to use up the processor.
    ///
    /// # Errors
    /// The connection would not be accepted any more. The client must open another one, where the handshake decides.
    pub(crate) async fn guard(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        answer: impl Future<Output = Response<Body>>,
    ) -> Result<Response<Body>, Abort> {
        let inner = &self.inner;
        let read = inner.source.for_request().await.and_then(|view| match &view.file {
            Ok(file) => Ok((Arc::clone(file), view)),
            Err(error) => Err(error.to_string()),
        });
        let (file, view) = match read {
            Ok(read) => read,
            Err(problem) => {
                inner.source.log(Some(problem));
                return Ok(inner.refuse(Rejection::Config));
            }
        };
        inner.observe(&view);
        if view.problem().is_none() {
            inner.source.log(None);
        }
        if caller.session().is_some_and(|session| !inner.still_accepts(session, &view, &file)) {
            caller.end();
            return Err(http::try_elsewhere());
        }
        if inner.admit() == Admission::Refused {
            return Ok(inner.refuse(Rejection::RateLimit));
        }
        let mut response = match inner.authenticate(&file, headers, caller).await {
            Ok(Verdict::Right) => answer.await,
            Ok(Verdict::Wrong) => inner.refuse(Rejection::Auth),
            Err(NoTurn::Full) => {
                inner.warn_of_logins(caller);
                inner.refuse(Rejection::AuthLimit)
            }
            Err(NoTurn::Closed) => {
                http::plain_text(StatusCode::SERVICE_UNAVAILABLE, "the exporter is stopping\n")
            }
        };
        for (name, value) in &file.headers {
            response.headers_mut().insert(name, value.clone());
        }
        Ok(response)
    }
}

impl Inner {
    /// The TLS configuration for a handshake.
    async fn configuration(&self) -> Result<Configured, Unconfigured> {
        let view = match self.source.for_handshake().await {
            Ok(view) => view,
            Err(problem) => {
                self.source.log(Some(problem));
                return Err(Unconfigured);
            }
        };
        self.observe(&view);
        self.source.log(None);
        match (&view.tls, &view.policy) {
            (Some(Ok(tls)), Some(policy)) => {
                Ok(Configured { config: Arc::clone(&tls.config), policy: policy.clone() })
            }
            _ => Err(Unconfigured),
        }
    }

    /// Whether a new connection of this client would be accepted.
    fn still_accepts(&self, session: &Session, view: &View, file: &WebFile) -> bool {
        let verifies = file.tls.as_ref().is_some_and(|tls| tls.client_auth.verifies());
        let is_valid = |client: &CertificateDer<'_>| {
            Certificate::parse(client).is_ok_and(|certificate| certificate.is_valid_on(self.clock.date()))
        };
        view.policy.as_ref() == Some(&session.policy)
            && (!verifies || session.client.as_ref().is_none_or(is_valid))
    }

    fn observe(&self, view: &View) {
        if let Some(Ok(tls)) = &view.tls {
            self.telemetry.web_certificate(tls.certificate.not_after);
        }
    }

    fn admit(&self) -> Admission {
        let Some(bucket) = &self.bucket else { return Admission::Admitted };
        bucket.lock().unwrap_or_else(PoisonError::into_inner).admit(self.clock.now())
    }

    async fn authenticate(
        &self,
        file: &WebFile,
        headers: &HeaderMap,
        caller: &Caller,
    ) -> Result<Verdict, NoTurn> {
        if file.users.is_empty() {
            return Ok(Verdict::Right);
        }
        match headers.get(AUTHORIZATION).and_then(|value| Login::from_header(value.as_bytes())) {
            Some(login) => self.passwords.check(&file.users, login, caller).await,
            None => Ok(Verdict::Wrong),
        }
    }

    fn warn_of_logins(&self, caller: &Caller) {
        let mut warning = self.too_many_logins.lock().unwrap_or_else(PoisonError::into_inner);
        if warning.is_due(self.clock.now()) {
            tracing::warn!(
                peer = %caller.peer(),
                "too many passwords of one address wait to be compared, so further ones are refused; the next minute logs no \
                 further refusals"
            );
        }
    }

    fn refuse(&self, reason: Rejection) -> Response<Body> {
        self.telemetry.web_rejected(reason);
        let (status, text) = match reason {
            Rejection::Config => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the web configuration cannot be used; the log of the exporter says why\n",
            ),
            Rejection::RateLimit => (StatusCode::TOO_MANY_REQUESTS, "too many requests\n"),
            Rejection::Auth => (StatusCode::UNAUTHORIZED, "a user name and a password are required\n"),
            Rejection::AuthLimit => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many other passwords from this address wait to be compared\n",
            ),
        };
        let mut response = http::plain_text(status, text);
        if reason == Rejection::Auth {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_read_in_time_are_an_error_that_names_the_web_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yaml");
        std::fs::write(&path, "").unwrap();
        let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
        let hangs = move |path: &Path| {
            let _ = held.recv();
            View::load(path)
        };
        let error = Checked::load_within(&path, Duration::ZERO, hangs).unwrap_err();
        let wanted = ", or a file that it names: the file cannot be read within 0 s";
        assert_eq!(error.to_string(), format!("web configuration {}{wanted}", path.display()));
        drop(release);
        assert!(Checked::load(&path).is_ok());
    }
}
