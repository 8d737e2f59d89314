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
mod stats;
mod stream;
mod table;
#[cfg(feature = "daemon")]
pub(crate) mod tls;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use accept_error::Next;
#[cfg(feature = "daemon")]
pub(crate) use accept_error::is_out_of_files;
pub(crate) use body::stream;
pub use body::{Abort, Body, full, plain_text};
#[cfg(feature = "daemon")]
pub(crate) use body::{chained, method_not_allowed};
#[cfg(feature = "daemon")]
pub(crate) use caller::Caller;
pub use connections::Connections;
use connections::OpenRequest;
use host::BadHost;
pub use limits::Limits;
use protocol::Protocol;
pub use security::{Listener, Security};
pub use stats::{CloseReason, ConnectionStats};

/// Headers that every answer has, unless it sets them itself.
pub type CommonHeaders = &'static [(HeaderName, HeaderValue)];

/// How many connections may be in the process of being closed, beside those that are open.
const CLOSING: usize = 32;

/// How long to wait before a connection is accepted again if the operating system has no room for one.
const RETRY_WAIT: Duration = Duration::from_secs(1);

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
        stopping: watch::Sender::new(()),
        tasks: JoinSet::new(),
    };
    let accepted = async {
        let [before, after] = [GracefulShutdown::new(), GracefulShutdown::new()];
        tokio::select! {
            () = acceptor.accept(&before) => {}
            () = stop => {}
        }
        acceptor.protocol.close_after_answer();
        acceptor.stopping.send_replace(());
        let drained = async {
            tokio::select! {
                () = acceptor.accept(&after) => {}
                () = before.shutdown() => {}
            }
            after.shutdown().await;
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
    /// Changes when the server stops.
    stopping: watch::Sender<()>,
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
    /// Serves connections until this future is dropped; `graceful` can shut them down.
    async fn accept(&mut self, graceful: &GracefulShutdown) {
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
            let (responder, requests) = (self.responder.clone(), open.handle());
            #[cfg(feature = "daemon")]
            let caller = Caller::new(peer.ip(), open.handle());
            let service = move |request: Request<Incoming>| {
                let open = requests.request();
                #[cfg(feature = "daemon")]
                let request = with(request, caller.clone());
                let answer = host::check(&request).map(|()| (responder.handle)(request));
                respond(answer, open, responder.common, responder.answer_wait)
            };
            let (security, protocol) = (self.listener.security.clone(), self.protocol.clone());
            let (watcher, stopping) = (graceful.watcher(), self.stopping.subscribe());
            self.tasks.spawn(async move {
                let _held = (slot, open);
                let connection = async {
                    match security.secure(stream, stopping).await {
                        Some(secured) => protocol.serve(secured, watcher, service).await,
                        None => Ok(()),
                    }
                };
                let mut connection = pin!(connection);
                tokio::select! {
                    ended = &mut connection => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection ended early");
                        }
                    }
                    _ = closing => {}
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
