//! Accepts HTTP connections with limits, time-outs and a drain; the server and the simulator share it.

mod body;
#[cfg(feature = "daemon")]
mod chained_body;
#[cfg(feature = "daemon")]
pub(crate) mod listen;
mod per_peer;
mod write_timeout;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

pub use body::{Abort, Body, full, sentence};
#[cfg(feature = "daemon")]
pub(crate) use chained_body::chained;
use per_peer::Peers;
use write_timeout::WriteTimeout;

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; further ones wait to be accepted.
    pub connections: usize,
    /// Open connections of one address; further ones are closed.
    pub connections_of_one_peer: usize,
    /// From the opening of a connection to the end of the first request's head.
    pub first_header_wait: Duration,
    /// From an answer to the end of the next request's head.
    pub header_wait: Duration,
    /// Bytes of a request's head, at least 8 KiB.
    pub header_bytes: usize,
    /// From the end of a request's head to the answer; and again until the client has taken what was sent.
    pub answer_wait: Duration,
    /// From accepting to the last byte of an answer after a stop was asked for.
    pub drain: Duration,
}

/// Answers requests on `listener` with `handle` until `stop` is ready, then lets running requests end.
///
/// During the drain new connections are still accepted, for one request each, so that a client learns from the
/// answer that the server stops. An `Err` of `handle`, or of the body it returns, closes the connection. Errors while
/// accepting are logged; the server waits and goes on.
pub async fn serve<H, F>(listener: TcpListener, limits: Limits, stop: impl Future<Output = ()>, handle: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_wait)
        .max_buf_size(limits.header_bytes)
        .half_close(true);
    let mut acceptor = Acceptor {
        listener,
        limits,
        handle,
        protocol,
        slots: Arc::new(Semaphore::new(limits.connections)),
        peers: Peers::new(limits.connections_of_one_peer),
        connections: JoinSet::new(),
    };
    let [before, after] = [GracefulShutdown::new(), GracefulShutdown::new()];
    tokio::select! {
        () = acceptor.accept(&before) => {}
        () = stop => {}
    }
    acceptor.protocol.keep_alive(false);
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
    listener: TcpListener,
    limits: Limits,
    handle: H,
    protocol: http1::Builder,
    slots: Arc<Semaphore>,
    peers: Peers,
    /// Dropping it, here or with the whole server, ends what is left of the connections.
    connections: JoinSet<()>,
}

impl<H, F> Acceptor<H>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    /// Serves every connection until this future is dropped; `graceful` ends the connections.
    async fn accept(&mut self, graceful: &GracefulShutdown) {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The process is out of file descriptors, or the client is gone already.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let Some(place) = self.peers.admit(peer.ip()) else {
                tracing::debug!(peer = %peer.ip(), "a connection is refused: the peer has too many");
                continue;
            };
            // Otherwise the second part of an answer waits until the client acknowledges the first.
            let _ = stream.set_nodelay(true);
            let Limits { first_header_wait, answer_wait, .. } = self.limits;
            let stream = TokioIo::new(WriteTimeout::new(stream, answer_wait));
            let asked = Arc::new(Notify::new());
            let (handle, first) = (self.handle.clone(), Arc::clone(&asked));
            let service = service_fn(move |request| {
                first.notify_one();
                in_time(answer_wait, handle(request))
            });
            let connection = graceful.watch(self.protocol.serve_connection(stream, service));
            self.connections.spawn(async move {
                let _held = (slot, place);
                let mut connection = pin!(connection);
                let ended = tokio::select! {
                    ended = &mut connection => ended,
                    Err(_) = tokio::time::timeout(first_header_wait, asked.notified()) => {
                        tracing::debug!("a connection asked for nothing in time");
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

async fn in_time(
    limit: Duration,
    answer: impl Future<Output = Result<Response<Body>, Abort>>,
) -> Result<Response<Body>, Abort> {
    let late = |_| {
        let text = "the answer took too long\n";
        Ok(sentence(StatusCode::SERVICE_UNAVAILABLE, text))
    };
    tokio::time::timeout(limit, answer).await.unwrap_or_else(late)
}
