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
mod section;
mod source;
mod summary;
mod tls;
mod turns;

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

use crate::clock::Clock;
use crate::config;
use crate::http::tls::Unconfigured;
use crate::http::{self, Body, Caller, Security};
use crate::metrics::telemetry::{Rejection, Telemetry};
use file::WebFile;
use password::{Login, Passwords, Verdict};
pub(crate) use policy::Protection;
use rate::{Admission, Bucket};
use source::{Fixed, Source, View};
pub(crate) use summary::Summary;

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
    /// The first thing that cannot be used. The message has the line, and no secret.
    pub fn load(path: &Path) -> Result<Self, config::Error> {
        let view = View::load(path);
        let file = Arc::clone(view.file.as_ref().map_err(Clone::clone)?);
        match view.problem() {
            Some(problem) => {
                Err(config::Error::new(format!("web configuration {}: {problem}", path.display())))
            }
            None => Ok(Self { path: path.to_owned(), view, file }),
        }
    }

    /// Judges the web configuration at `path` without the files that it names, and returns its warnings.
    ///
    /// # Errors
    /// As [`Checked::load`].
    pub(crate) fn without_files(path: &Path) -> Result<Vec<String>, config::Error> {
        WebFile::parse(path, &config::yaml::read_text(path)?).map(|file| file.warnings)
    }

    /// A description of what is enabled, without secrets.
    pub(crate) fn summary(&self) -> Summary<'_> {
        let tls = self.view.tls.as_ref().and_then(|tls| tls.as_ref().ok());
        Summary { path: &self.path, file: &self.file, certificate: tls.map(|tls| &tls.certificate) }
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
        let (transport, protection) = (checked.transport(), checked.protection());
        let Checked { path, view, file } = checked;
        let bucket = file.rate_limit.map(|limit| Mutex::new(Bucket::new(limit, clock.now())));
        let inner = Inner {
            source: Source::new(path, view, Fixed { http2: file.http2, protection }, clock.clone()),
            transport,
            bucket,
            passwords: Passwords::new(),
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

    /// Answers a request with `answer`, if the web configuration admits it. The order is that of exporter-toolkit: the
    /// file, the rate limit, the headers, the password. The rate limit comes before the password, or guessing passwords
    /// would be a way to use up the processor.
    pub(crate) async fn guard(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        answer: impl Future<Output = Response<Body>>,
    ) -> Response<Body> {
        let inner = &self.inner;
        let view = inner.source.read().await;
        inner.observe(&view);
        let file = match inner.usable(&view) {
            Ok(file) => file,
            Err(problem) => {
                inner.source.log(Some(problem));
                return inner.refuse(Rejection::Config);
            }
        };
        if inner.admit() == Admission::Refused {
            return inner.refuse(Rejection::RateLimit);
        }
        let mut response = match inner.authenticate(&file, headers, caller).await {
            Verdict::Right => answer.await,
            Verdict::Wrong => inner.refuse(Rejection::Auth),
        };
        for (name, value) in &file.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
}

impl Inner {
    /// The TLS configuration for a handshake.
    async fn configuration(&self) -> Result<Arc<ServerConfig>, Unconfigured> {
        let view = self.source.settled().await;
        self.observe(&view);
        let problem = match (&view.file, &view.tls) {
            (Ok(_), Some(Ok(tls))) => {
                self.source.log(None);
                return Ok(Arc::clone(&tls.config));
            }
            (Ok(_), None) => "it turns TLS off, which needs a restart".to_owned(),
            _ => view.problem().unwrap_or_default(),
        };
        self.source.log(Some(problem));
        Err(Unconfigured)
    }

    /// The file, if requests may be answered as it says.
    fn usable(&self, view: &View) -> Result<Arc<WebFile>, String> {
        let file = view.file.as_ref().map_err(ToString::to_string)?;
        match (self.transport, &file.tls) {
            // A client policy must not be without effect because the port was opened without TLS.
            (Transport::Plain, Some(_)) => Err("it turns TLS on, which needs a restart".to_owned()),
            _ => {
                if view.problem().is_none() {
                    self.source.log(None);
                }
                Ok(Arc::clone(file))
            }
        }
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

    async fn authenticate(&self, file: &WebFile, headers: &HeaderMap, caller: &Caller) -> Verdict {
        if file.users.is_empty() {
            return Verdict::Right;
        }
        match headers.get(AUTHORIZATION).and_then(|value| Login::from_header(value.as_bytes())) {
            Some(login) => self.passwords.check(&file.users, login, caller).await,
            None => Verdict::Wrong,
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
        };
        let mut response = http::plain_text(status, text);
        if reason == Rejection::Auth {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        }
        response
    }
}
