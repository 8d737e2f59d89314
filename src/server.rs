//! The HTTP server: `/metrics`, health, readiness, the live page at `/`, and the status document that it shows.
//!
//! A scrape gets the cached exposition and a few samples about this process. It waits for nothing, unless it is the first
//! one in its format and coding for a while: then it waits until the publisher has encoded them.

mod assets;
pub(crate) mod demand;
mod entity_tag;
mod host_policy;
pub(crate) mod lifecycle;
mod listeners;
mod negotiation;
pub(crate) mod publisher;
pub(crate) mod status;

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, VARY};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};

use crate::clock::Clock;
use crate::http::{self, Abort, Body, COMMON_HEADERS, Caller, Connections, Limits, Listener, Security};
use crate::metrics::exposition::{Coding, Compressor, Exposition, Form, Part};
use crate::metrics::telemetry::Telemetry;
use crate::server::demand::Demand;
use crate::server::entity_tag::EntityTag;
use crate::server::lifecycle::Lifecycle;
use crate::server::status::{Document, Query, Status};
use crate::web::Web;
pub use listeners::Sockets;
use listeners::{Serving, run_all, stopped};
use negotiation::Negotiated;

/// Some Prometheus servers, a probe and a person need about ten connections; each takes some 20 KiB. A connection
/// without a request is closed soon. A connection that Prometheus keeps open between two scrapes stays open for scrape
/// intervals of up to a minute, unless there is no room for another one. The wait is longer than that, so that no scrape meets a
/// connection that is being closed. Unsent answers take little memory beside the rest, unless the exposition is large. The
/// drain leaves time to stop the rest within five seconds.
const LIMITS: Limits = Limits {
    connections: 256,
    connections_of_one_peer: 32,
    first_header_wait: Duration::from_secs(5),
    header_wait: Duration::from_secs(65),
    header_bytes: 16 * 1024,
    answer_wait: Duration::from_secs(30),
    unsent_bytes: 16 << 20,
    drain: Duration::from_secs(4),
};

/// Some kubelets, load balancers and container engines need one connection each.
const HEALTH_LIMITS: Limits = Limits { connections: 64, connections_of_one_peer: 16, ..LIMITS };

/// What `/-/ready` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The state is not restored yet, or an account was not tried yet.
    Starting,
    /// `/metrics` is complete.
    Ready,
    /// The process is stopping.
    Draining,
}

/// What the server answers with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The cached part of `/metrics`.
    pub exposition: watch::Receiver<Arc<Exposition>>,
    /// Where the publisher learns which forms of it are asked for.
    pub demand: Demand,
    /// The rest of `/metrics`.
    pub telemetry: Telemetry,
    /// What `/-/ready` reports.
    pub readiness: watch::Receiver<Readiness>,
    /// The cached part of the status document; `None` if the live page is off.
    pub status: Option<watch::Receiver<Arc<Status>>>,
    /// Whether `/-/reload` is allowed.
    pub lifecycle: Lifecycle,
    /// The clock that dates the status document.
    pub clock: Clock,
    /// What guards the port; `None` if nothing does.
    pub web: Option<Web>,
    /// The path of the metrics.
    pub metrics_path: String,
    /// The names that `Host` may have on a loopback address, beside `localhost` and loopback addresses; in lower case.
    pub allowed_hosts: Vec<String>,
}

struct Server {
    parts: Parts,
    /// Shared by all connections, because a compressor takes some 380 kB. It is locked for a few microseconds.
    compressor: Mutex<Compressor>,
    /// The one of the status documents. It is locked for longer, and only on threads that may block.
    status_compressor: Arc<Mutex<Compressor>>,
}

/// Answers requests on `sockets` until `stop` is ready, and then until running requests have ended, for at most 4 s. In
/// that time it still answers new requests.
pub async fn run(sockets: impl Into<Sockets>, parts: Parts, stop: impl Future<Output = ()>) {
    let Sockets { main, health } = sockets.into();
    let connections = Connections::new(LIMITS, parts.telemetry.connections());
    let security = parts.web.as_ref().map_or(Security::Plain, Web::security);
    let web = parts.web.clone();
    let stop = async {
        stop.await;
        web.as_ref().inspect(|web| web.stopping());
    };
    let server = Arc::new(Server { parts, compressor: Mutex::default(), status_compressor: Arc::default() });
    let stopping = watch::Sender::new(());
    let mut servings: Vec<Serving> = Vec::new();
    for socket in main {
        let server = Arc::clone(&server);
        let handle = move |request| {
            let server = Arc::clone(&server);
            async move { server.guarded(&request).await }
        };
        let listener = Listener { socket, security: security.clone() };
        let stop = stopped(stopping.subscribe());
        servings.push(Box::pin(http::serve(listener, connections.clone(), &COMMON_HEADERS, stop, handle)));
    }
    if let Some(socket) = health {
        // With a table of its own, whose statistics nobody sees: what happens here says nothing about scrapes.
        let connections = Connections::new(HEALTH_LIMITS, Arc::default());
        let handle = move |request| {
            let server = Arc::clone(&server);
            async move { Ok(server.health(&request).await) }
        };
        let stop = stopped(stopping.subscribe());
        servings.push(Box::pin(http::serve(socket, connections, &COMMON_HEADERS, stop, handle)));
    }
    run_all(servings, stopping, stop).await;
}

/// What is at a path.
enum Route<'a> {
    Metrics,
    Healthy,
    Ready,
    Asset(&'static assets::File),
    Status(&'a watch::Receiver<Arc<Status>>),
}

impl Server {
    /// The answer, unless the web configuration refuses the request.
    async fn guarded(&self, request: &Request<Incoming>) -> Result<Response<Body>, Abort> {
        let caller = request.extensions().get::<Caller>();
        let caller = caller.expect("the HTTP server gives each request its caller");
        match &self.parts.web {
            Some(web) => web.guard(request.headers(), caller, self.answer(request, caller)).await,
            None => Ok(self.answer(request, caller).await),
        }
    }

    /// The answer on the address that serves only the health endpoints.
    async fn health(&self, request: &Request<Incoming>) -> Response<Body> {
        match request.uri().path() {
            "/-/healthy" => self.route_answer(request, &Route::Healthy).await,
            "/-/ready" => self.route_answer(request, &Route::Ready).await,
            _ => {
                http::plain_text(StatusCode::NOT_FOUND, "not found; only /-/healthy and /-/ready are here\n")
            }
        }
    }

    async fn answer(&self, request: &Request<Incoming>, caller: &Caller) -> Response<Body> {
        if !host_policy::allows(caller.local(), &self.parts.allowed_hosts, request) {
            return http::plain_text(StatusCode::MISDIRECTED_REQUEST, host_policy::REFUSAL);
        }
        if request.uri().path() == "/-/reload" {
            return self.parts.lifecycle.answer(request.method(), request.headers()).await;
        }
        match self.route(request.uri().path()) {
            Some(route) => self.route_answer(request, &route).await,
            None => {
                let text = format!("not found; the metrics are at {}\n", self.parts.metrics_path);
                http::plain_text(StatusCode::NOT_FOUND, text)
            }
        }
    }

    async fn route_answer(&self, request: &Request<Incoming>, route: &Route<'_>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return http::method_not_allowed("GET, HEAD", "only GET and HEAD are allowed here\n");
        }
        let mut response = match route {
            Route::Metrics => self.metrics(request).await,
            Route::Healthy => http::plain_text(StatusCode::OK, "healthy\n"),
            Route::Ready => self.ready(),
            Route::Asset(file) => file.response(&self.parts.metrics_path),
            Route::Status(status) => self.status(request, status).await,
        };
        // hyper leaves out the body of an answer to HEAD. Without this header it would leave out the length too. An answer
        // without content, 304, would have to state the length of the content that it stands for.
        let length = response.body().size_hint().exact();
        if let Some(length) = length.filter(|_| response.status() != StatusCode::NOT_MODIFIED) {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response
    }

    fn route(&self, path: &str) -> Option<Route<'_>> {
        if path == self.parts.metrics_path {
            return Some(Route::Metrics);
        }
        match path {
            "/-/healthy" => Some(Route::Healthy),
            "/-/ready" => Some(Route::Ready),
            _ => {
                let status = self.parts.status.as_ref()?;
                match path {
                    "/api/v1/status" => Some(Route::Status(status)),
                    _ => assets::at(path).map(Route::Asset),
                }
            }
        }
    }

    async fn metrics(&self, request: &Request<Incoming>) -> Response<Body> {
        let negotiated = Negotiated::from_headers(request.headers());
        let Form { format, coding } = negotiated.form;
        if request.method() == Method::GET {
            self.parts.telemetry.scraped(format);
        }
        let Some(cached) = self.cached(negotiated.form).await else {
            return stopping();
        };
        let own = self.parts.telemetry.render(format);
        let body = match cached {
            Part::Plain(text) => http::chained(text, own.into()),
            Part::Deflated(beginning) => {
                // Each use resets the compressor, so it is usable even if the lock is poisoned.
                let mut compressor = self.compressor.lock().unwrap_or_else(PoisonError::into_inner);
                let own = compressor.finish(&beginning, own.as_bytes());
                http::chained(beginning.bytes, own.into())
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        let content_type = Bytes::from(negotiated.content_type());
        let content_type =
            HeaderValue::from_maybe_shared(content_type).expect("a content type is made of known words");
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if coding == Coding::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    /// The cached part in `form`. Waits for the publisher if it is missing; `None` if the publisher has ended.
    async fn cached(&self, form: Form) -> Option<Part> {
        let present = self.parts.exposition.borrow().part(form).cloned();
        if present.is_some() {
            self.parts.demand.met(form);
            return present;
        }
        self.parts.demand.unmet(form);
        let mut expositions = self.parts.exposition.clone();
        let exposition = expositions.wait_for(|exposition| exposition.part(form).is_some()).await.ok()?;
        exposition.part(form).cloned()
    }

    fn ready(&self) -> Response<Body> {
        let (status, text) = match *self.parts.readiness.borrow() {
            Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            Readiness::Ready => (StatusCode::OK, "ready\n"),
            Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        };
        http::plain_text(status, text)
    }

    async fn status(
        &self,
        request: &Request<Incoming>,
        status: &watch::Receiver<Arc<Status>>,
    ) -> Response<Body> {
        let query = match Query::parse(request.uri().query()) {
            Ok(query) => query,
            Err(problem) => return http::plain_text(StatusCode::BAD_REQUEST, problem),
        };
        let headers = request.headers();
        let coding = Negotiated::from_headers(headers).form.coding;
        let prepared = Arc::clone(&status.borrow());
        let (telemetry, date) = (self.parts.telemetry.clone(), self.parts.clock.date());
        let Some(Document { json, hash }) =
            blocking(move || prepared.document(&query, &telemetry, date)).await
        else {
            return stopping();
        };
        let tag = EntityTag::new(hash);
        let mut response = if tag.is_known(headers) {
            let mut response = assets::private("application/json", "no-store", http::full(""));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else if coding == Coding::Gzip {
            let compressor = Arc::clone(&self.status_compressor);
            let compress = move || {
                // Each use resets the compressor, so it is usable even if the lock is poisoned.
                compressor.lock().unwrap_or_else(PoisonError::into_inner).member(&json)
            };
            let Some(member) = blocking(compress).await else { return stopping() };
            let mut response = assets::private("application/json", "no-store", http::full(member));
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        } else {
            assets::private("application/json", "no-store", http::full(json))
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, tag.header());
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        response
    }
}

fn stopping() -> Response<Body> {
    http::plain_text(StatusCode::SERVICE_UNAVAILABLE, "the exporter is stopping\n")
}

/// Does work that takes milliseconds with many accounts, away from the threads that answer. `None` if the runtime stops.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => Some(done),
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(_)) => None,
    }
}
