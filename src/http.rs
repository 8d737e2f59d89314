//! An HTTP server with limits, time-outs and a drain, shared by the exporter's server and the simulator.

mod body;
#[cfg(feature = "daemon")]
mod chained_body;
#[cfg(feature = "daemon")]
pub(crate) mod listen;
mod per_peer;
mod protocol;
mod security;
mod stream;
#[cfg(feature = "daemon")]
pub(crate) mod tls;
mod write_timeout;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

pub use body::{Abort, Body, full, plain_text};
#[cfg(feature = "daemon")]
pub(crate) use chained_body::chained;
use per_peer::Peers;
use protocol::{Ending, Protocol};
pub use security::{Listener, Security};

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum of open connections. Further ones wait to be accepted.
    pub connections: usize,
    /// The maximum of open connections from one address. Further ones are closed.
    pub connections_of_one_peer: usize,
    /// The time from accepting a connection to the end of the first request's header, with the TLS handshake.
    pub first_header_wait: Duration,
    /// The time from an answer to the end of the next request's header.
    pub header_wait: Duration,
    /// The maximum size of a request's header, at least 8 KiB.
    pub header_bytes: usize,
    /// The time from the end of a request's header to the answer, and again until the client has received what was sent.
    pub answer_wait: Duration,
    /// The time that running requests get to end after `stop`.
    pub drain: Duration,
}

/// Answers requests on `listener` with `handle` until `stop` is ready, then waits for running requests to end.
///
/// During the drain, new connections are still accepted for one request each, so that a client learns from the answer
/// that the server stops. An `Err` from `handle`, or from the body that it returns, closes the connection. Errors while
/// accepting are logged; the server waits a second and continues.
pub async fn serve<H, F>(
    listener: impl Into<Listener>,
    limits: Limits,
    stop: impl Future<Output = ()>,
    handle: H,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    let mut acceptor = Acceptor {
        listener: listener.into(),
        limits,
        handle,
        protocol: Protocol::new(limits),
        stopping: watch::Sender::new(()),
        slots: Arc::new(Semaphore::new(limits.connections)),
        peers: Peers::new(limits.connections_of_one_peer),
        connections: JoinSet::new(),
    };
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
}

/// Accepts connections and serves them.
struct Acceptor<H> {
    listener: Listener,
    limits: Limits,
    handle: H,
    protocol: Protocol,
    /// Changes when the server stops.
    stopping: watch::Sender<()>,
    slots: Arc<Semaphore>,
    peers: Peers,
    /// Dropping this closes the connections that are still open.
    connections: JoinSet<()>,
}

impl<H, F> Acceptor<H>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    /// Serves connections until this future is dropped; `graceful` can shut them down.
    async fn accept(&mut self, graceful: &GracefulShutdown) {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            let (stream, peer) = match self.listener.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The process is out of file descriptors, or the client is gone already.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let Some(peer_slot) = self.peers.admit(peer.ip()) else {
                tracing::debug!(peer = %peer.ip(), "refused a connection: the peer has too many");
                continue;
            };
            // Without this, the second part of an answer waits until the client acknowledges the first (Nagle).
            let _ = stream.set_nodelay(true);
            let Limits { first_header_wait, answer_wait, .. } = self.limits;
            let requested = Arc::new(Notify::new());
            let (handle, first_request) = (self.handle.clone(), Arc::clone(&requested));
            let service = move |request| {
                first_request.notify_one();
                with_timeout(answer_wait, handle(request))
            };
            let ending = Ending { watcher: graceful.watcher(), stopping: self.stopping.subscribe() };
            let (limits, security, protocol) =
                (self.limits, self.listener.security.clone(), self.protocol.clone());
            self.connections.spawn(async move {
                let _held = (slot, peer_slot);
                let connection = async {
                    match security.secure(stream, &limits, ending.stopping.clone()).await {
                        Some(secured) => protocol.serve(secured, ending, service).await,
                        None => Ok(()),
                    }
                };
                let mut connection = pin!(connection);
                let ended = tokio::select! {
                    ended = &mut connection => ended,
                    Err(_) = tokio::time::timeout(first_header_wait, requested.notified()) => {
                        tracing::debug!("closed a connection that sent no request in time");
                        return;
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
            });
            while self.connections.try_join_next().is_some() {}
        }
    }
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
