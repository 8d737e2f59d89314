//! What Prometheus, an orchestrator and a person are answered: `/metrics`, health, readiness, the page at `/` and
//! the status that it shows.
//!
//! A scrape hands out the prepared page and the few samples about this process; it waits for nobody.

mod assets;
mod negotiation;
pub(crate) mod publisher;
pub(crate) mod status;

use std::future::{Future, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::http::{self, Body, Limits};
use crate::metrics::exposition::{Compressor, Exposition};
use crate::metrics::telemetry::Telemetry;
use crate::server::status::Status;
use negotiation::{Coding, Wanted};

/// A handful of Prometheus servers, a probe and a person need ten connections; each costs some 20 KiB. Who
/// opens one has something to ask, so that idle ones soon make room. One that Prometheus keeps open between
/// scrapes lasts for intervals up to half a minute. The drain and what surrounds it fit in five seconds.
const LIMITS: Limits = Limits {
    connections: 256,
    connections_of_one_peer: 32,
    first_header_wait: Duration::from_secs(5),
    header_wait: Duration::from_secs(30),
    header_bytes: 16 * 1024,
    answer_wait: Duration::from_secs(30),
    drain: Duration::from_secs(4),
};

/// Whether this process should be sent work, as `/-/ready` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The state is not restored yet, or an account was not tried yet.
    Starting,
    /// The page says what there is to say.
    Ready,
    /// The process is about to end.
    Draining,
}

/// What answers are made from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The prepared part of `/metrics`.
    pub page: watch::Receiver<Arc<Exposition>>,
    /// The rest of it.
    pub telemetry: Telemetry,
    /// What `/-/ready` says.
    pub readiness: watch::Receiver<Readiness>,
    /// The prepared part of what the page at `/` shows; where there is none, there is no page either.
    pub status: Option<watch::Receiver<Arc<Status>>>,
    /// Tells as of when it is.
    pub clock: Clock,
}

struct Server {
    parts: Parts,
    /// Shared, because a compressor is some 300 KiB; it is held for a few microseconds.
    compressor: Mutex<Compressor>,
}

/// Answers requests on `listener` until `stop` is ready and those under way have ended, at most 4 s later; in
/// between it still answers new ones.
pub async fn run(listener: TcpListener, parts: Parts, stop: impl Future<Output = ()>) {
    let server = Arc::new(Server { parts, compressor: Mutex::default() });
    let handle = move |request| ready(Ok(server.answer(&request)));
    http::serve(listener, LIMITS, stop, handle).await;
}

/// What a path leads to.
enum Place<'a> {
    Metrics,
    Healthy,
    Ready,
    Page(&'static assets::File),
    Status(&'a watch::Receiver<Arc<Status>>),
}

impl Server {
    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let Some(place) = self.place(request.uri().path()) else {
            return http::sentence(StatusCode::NOT_FOUND, "there is nothing here; try /metrics\n");
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused =
                http::sentence(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are possible here\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let mut response = match place {
            Place::Metrics => self.metrics(request),
            Place::Healthy => http::sentence(StatusCode::OK, "healthy\n"),
            Place::Ready => self.ready(),
            Place::Page(file) => file.response(),
            Place::Status(status) => self.status(status),
        };
        // hyper leaves out the body of an answer to HEAD, and its length too unless told.
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response
    }

    fn place(&self, path: &str) -> Option<Place<'_>> {
        match path {
            "/metrics" => Some(Place::Metrics),
            "/-/healthy" => Some(Place::Healthy),
            "/-/ready" => Some(Place::Ready),
            _ => {
                let status = self.parts.status.as_ref()?;
                match path {
                    "/api/v1/status" => Some(Place::Status(status)),
                    _ => assets::at(path).map(Place::Page),
                }
            }
        }
    }

    fn metrics(&self, request: &Request<Incoming>) -> Response<Body> {
        let wanted = Wanted::from_headers(request.headers());
        if request.method() == Method::GET {
            self.parts.telemetry.scraped(wanted.format);
        }
        let page = Arc::clone(&self.parts.page.borrow());
        let part = page.part(wanted.format);
        let own = self.parts.telemetry.render(wanted.format);
        let body = match wanted.coding {
            Coding::Identity => http::chained(part.plain.clone(), own.into()),
            Coding::Gzip => {
                // Each use starts afresh, so a panic within one has not spoilt it.
                let mut compressor = self.compressor.lock().unwrap_or_else(PoisonError::into_inner);
                let own = compressor.finish(&part.deflated, own.as_bytes());
                http::chained(part.deflated.bytes.clone(), own.into())
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        let content_type = Bytes::from(wanted.content_type());
        let content_type = HeaderValue::from_maybe_shared(content_type).expect("made of known words");
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if wanted.coding == Coding::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn ready(&self) -> Response<Body> {
        let (status, text) = match *self.parts.readiness.borrow() {
            Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            Readiness::Ready => (StatusCode::OK, "ready\n"),
            Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        };
        http::sentence(status, text)
    }

    fn status(&self, status: &watch::Receiver<Arc<Status>>) -> Response<Body> {
        let prepared = Arc::clone(&status.borrow());
        assets::status(prepared.document(&self.parts.telemetry, self.parts.clock.date()))
    }
}
