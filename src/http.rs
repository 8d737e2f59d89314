//! An HTTP server with limits, time-outs and a drain, shared by the exporter's server and the simulator.

mod accept_error;
mod body;
#[cfg(feature = "daemon")]
mod caller;
mod connections;
mod host;
mod limits;
#[cfg(feature = "daemon")]
pub(crate) mod listen;
mod protocol;
mod security;
#[cfg(feature = "daemon")]
pub(crate) mod session;
mod stats;
mod stream;
mod table;
#[cfg(feature = "daemon")]
pub(crate) mod tls;
mod warning;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Request, Response, StatusCode};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use accept_error::Next;
#[cfg(feature = "daemon")]
pub(crate) use accept_error::is_out_of_files;
pub(crate) use body::stream;
pub use body::{Abort, Body, full, plain_text};
#[cfg(feature = "daemon")]
pub(crate) use body::{chained, method_not_allowed};
#[cfg(feature = "daemon")]
pub(crate) use caller::{Caller, try_elsewhere};
pub use connections::Connections;
use connections::OpenRequest;
use host::BadHost;
pub use limits::Limits;
use protocol::Protocol;
pub use security::{Listener, Security};
pub use stats::{CloseReason, ConnectionStats};
#[cfg(feature = "daemon")]
pub(crate) use table::{ConnectionId, Standing};
#[cfg(feature = "daemon")]
pub(crate) use warning::Warning;

/// Headers that every answer has, unless it sets them itself.
pub type CommonHeaders = &'static [(HeaderName, HeaderValue)];

/// For every answer: it may not be read, embedded or reinterpreted by pages of other sites.
pub(crate) static COMMON_HEADERS: [(HeaderName, HeaderValue); 2] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// How many connections may be in the process of being closed, beside those that are open.
const CLOSING: usize = 32;

/// How long to wait before a connection is accepted again if the operating system has no room for one.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// How long an idle connection of HTTP/2 has to take the announcement that it ends: a round trip between continents.
/// Without it, a client may send a request into the closed connection, and does not know whether it was answered.
const FAREWELL: Duration = Duration::from_millis(500);

/// Answers requests on `listener` with `handle` until `stop` is ready, then waits for running requests to end.
///
/// Each answer gets the headers `common`. During the drain, new connections are still accepted for one request each, so
/// that a client learns from the answer that the server stops. An `Err` from `handle`, or from the body that it returns,
/// closes the connection. If the operating system has no room for a connection, the one that has been idle or slow
/// for longest is closed.
pub async fn serve<H, F>(
    listener: impl Into<Listener>,
    connections: Connections,
    common: CommonHeaders,
    stop: impl Future<Output = ()>,
    handle: H,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    let limits = *connections.limits();
    let mut acceptor = Acceptor {
        listener: listener.into(),
        slots: Arc::new(Semaphore::new(limits.connections + CLOSING)),
        connections: connections.clone(),
        responder: Responder { handle, common, answer_wait: limits.answer_wait },
        protocol: Protocol::new(limits.header_bytes),
        tasks: JoinSet::new(),
    };
    let accepted = async {
        // Each tells its connections to end, and is closed when they have.
        let [before, after] = [watch::Sender::new(()), watch::Sender::new(())];
        tokio::select! {
            () = acceptor.accept(&before) => {}
            () = stop => {}
        }
        acceptor.protocol.close_after_answer();
        before.send_replace(());
        let drained = async {
            tokio::select! {
                () = acceptor.accept(&after) => {}
                () = before.closed() => {}
            }
            after.send_replace(());
            after.closed().await;
        };
        if tokio::time::timeout(limits.drain, drained).await.is_err() {
            tracing::warn!("connections were still open at the end of the drain");
        }
    };
    tokio::select! {
        () = accepted => {}
        () = connections.close_overdue() => {}
    }
}

/// Accepts connections and serves them.
struct Acceptor<H> {
    listener: Listener,
    /// Limits the open connections and those that are being closed, and with them the open files.
    slots: Arc<Semaphore>,
    connections: Connections,
    responder: Responder<H>,
    protocol: Protocol,
    /// Dropping this closes the connections that are still open.
    tasks: JoinSet<()>,
}

/// Answers the requests of a connection.
#[derive(Clone)]
struct Responder<H> {
    handle: H,
    common: CommonHeaders,
    answer_wait: Duration,
}

impl<H, F> Acceptor<H>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    /// Serves connections until this future is dropped. They end when `stopping` changes.
    async fn accept(&mut self, stopping: &watch::Sender<()>) {
        // How often it failed since a connection was accepted.
        let mut failures = 0_u32;
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            let (stream, peer) = match self.listener.socket.accept().await {
                Ok(accepted) => {
                    failures = 0;
                    accepted
                }
                Err(error) => {
                    match Next::after(&error) {
                        Next::Continue => {}
                        Next::MakeRoom => {
                            failures += 1;
                            self.connections.not_accepted(&error);
                            self.connections.make_room();
                            self.wait_for_room(failures).await;
                        }
                        Next::Wait => {
                            self.connections.not_accepted(&error);
                            tokio::time::sleep(RETRY_WAIT).await;
                        }
                    }
                    continue;
                }
            };
            // Without this, the second part of an answer waits until the client acknowledges the first (Nagle).
            let _ = stream.set_nodelay(true);
            let (open, closing) = self.connections.admit(peer.ip());
            let requests = open.handle();
            #[cfg(feature = "daemon")]
            let caller = Caller::new(peer.ip(), open.handle());
            let (security, protocol) = (self.listener.security.clone(), self.protocol.clone());
            let (responder, mut stopping) = (self.responder.clone(), stopping.subscribe());
            self.tasks.spawn(async move {
                let _held = (slot, open);
                let (ending, speaks_http2) = (Arc::new(Notify::new()), AtomicBool::new(false));
                let connection = async {
                    #[cfg(feature = "daemon")]
                    let local = stream.local_addr().ok().map(|address| address.ip().to_canonical());
                    let Some(secured) = security.secure(stream, &mut stopping).await else { return Ok(()) };
                    speaks_http2.store(secured.version.is_http2(), Ordering::Relaxed);
                    #[cfg(feature = "daemon")]
                    let caller = caller.over(local, secured.session, Arc::clone(&ending));
                    let service = move |request: Request<Incoming>| {
                        #[cfg(feature = "daemon")]
                        let request = with(request, caller.clone());
                        let open = requests.request();
                        let answer = host::check(&request).map(|()| (responder.handle)(request));
                        respond(answer, open, responder.common, responder.answer_wait)
                    };
                    let told_to_end = async {
                        tokio::select! {
                            _ = stopping.changed() => {}
                            () = ending.notified() => {}
                        }
                    };
                    protocol.serve(secured.stream, secured.version, told_to_end, service).await
                };
                let mut connection = pin!(connection);
                let reason = tokio::select! {
                    ended = &mut connection => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection ended early");
                        }
                        return;
                    }
                    reason = closing => reason,
                };
                if reason == Ok(CloseReason::Idle) && speaks_http2.load(Ordering::Relaxed) {
                    ending.notify_one();
                    let _ = tokio::time::timeout(FAREWELL, connection).await;
                }
            });
            while self.tasks.try_join_next().is_some() {}
        }
    }

    /// Waits until the connection that was closed to make room has ended; for [`RETRY_WAIT`] at most. If accepting fails again
    /// after that, there is no use in closing one connection after the other, so it waits for the whole time.
    async fn wait_for_room(&mut self, failures: u32) {
        let waited = tokio::time::sleep(RETRY_WAIT);
        match failures {
            1 => {
                tokio::select! {
                    Some(_) = self.tasks.join_next() => {}
                    () = waited => {}
                }
            }
            _ => waited.await,
        }
    }
}

/// The request with its caller as an extension.
#[cfg(feature = "daemon")]
fn with(mut request: Request<Incoming>, caller: Caller) -> Request<Incoming> {
    request.extensions_mut().insert(caller);
    request
}

/// The response to a request, with the headers `common`; `answer` is the handler's, unless `Host` cannot be used.
async fn respond(
    answer: Result<impl Future<Output = Result<Response<Body>, Abort>>, BadHost>,
    request: OpenRequest,
    common: CommonHeaders,
    limit: Duration,
) -> Result<Response<Body>, Abort> {
    let mut response = match answer {
        Ok(answer) => with_timeout(limit, answer).await?,
        Err(bad) => refused(bad),
    };
    for (name, value) in common {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    Ok(response.map(|body| body.answering(request)))
}

/// The answer to a request whose `Host` cannot be used. What follows on the connection cannot be trusted either.
fn refused(bad: BadHost) -> Response<Body> {
    let mut response = plain_text(StatusCode::BAD_REQUEST, bad.as_str());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn with_timeout(
    limit: Duration,
    answer: impl Future<Output = Result<Response<Body>, Abort>>,
) -> Result<Response<Body>, Abort> {
    let timed_out = |_| {
        let text = "the answer took too long\n";
        Ok(plain_text(StatusCode::SERVICE_UNAVAILABLE, text))
    };
    tokio::time::timeout(limit, answer).await.unwrap_or_else(timed_out)
}
