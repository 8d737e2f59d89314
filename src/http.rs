//! Accepting connections: limits, time-outs and drain, shared by the server and the simulator.

pub mod listen;
mod patience;
mod peers;
mod pieces;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use patience::Patience;
use peers::Peers;
pub use pieces::pieces;

/// An error that ends a connection without an answer, or in the middle of one.
pub type Abort = Box<dyn Error + Send + Sync>;

/// What answers are made of.
pub type Body = UnsyncBoxBody<Bytes, Abort>;

/// What a server takes on at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time; further ones wait to be accepted.
    pub connections: usize,
    /// The same for those of one address; further ones are closed.
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

/// A body that is there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// An answer that is a sentence for people.
pub fn sentence(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// Answers requests on `listener` by `handle` until `stop` is ready, then lets those under way end.
///
/// As long as they take, new connections are still answered, one request each: who asks is told that this
/// is the end. An `Err` of `handle`, or of the body it returns, closes the connection. Errors of accepting
/// are logged and waited out: they end nothing.
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
    let mut door = Door {
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
        () = door.accept(&before) => {}
        () = stop => {}
    }
    door.protocol.keep_alive(false);
    let drained = async {
        tokio::select! {
            () = door.accept(&after) => {}
            () = before.shutdown() => {}
        }
        after.shutdown().await;
    };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!("connections were still open at the end of the drain");
    }
}

/// Where connections come in.
struct Door<H> {
    listener: TcpListener,
    limits: Limits,
    handle: H,
    protocol: http1::Builder,
    slots: Arc<Semaphore>,
    peers: Peers,
    /// Dropping it, here or with the whole server, ends what is left of the connections.
    connections: JoinSet<()>,
}

impl<H, F> Door<H>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    /// Serves all that come, until it is dropped; `graceful` ends the connections.
    async fn accept(&mut self, graceful: &GracefulShutdown) {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or a client that is gone already.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let Some(place) = self.peers.admit(peer.ip()) else {
                tracing::debug!(peer = %peer.ip(), "a connection is refused: the peer has too many");
                continue;
            };
            // Without it an answer in two parts waits for the acknowledgement of the first.
            let _ = stream.set_nodelay(true);
            let Limits { first_header_wait, answer_wait, .. } = self.limits;
            let stream = TokioIo::new(Patience::new(stream, answer_wait));
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
