//! Accepting connections: limits, time-outs and drain, shared by the server and the simulator.

mod patience;
mod pieces;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
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
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use patience::Patience;
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
    /// From the opening of a connection, or its last answer, to the end of the next request's head.
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
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
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
/// An `Err` of `handle`, or of the body it returns, closes the connection. Errors of accepting are
/// logged and waited out: they end nothing.
pub async fn serve<H, F>(listener: TcpListener, limits: Limits, stop: impl Future<Output = ()>, handle: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    // Dropping it, here or with this whole future, ends what is left of the connections.
    let mut connections = JoinSet::new();
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_wait)
        .max_buf_size(limits.header_bytes)
        .half_close(true);
    let accept = async {
        // Owned here, so that it need not be shared between threads.
        let handle = handle;
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, or a client that is gone already.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            // Without it an answer in two parts waits for the acknowledgement of the first.
            let _ = stream.set_nodelay(true);
            let stream = TokioIo::new(Patience::new(stream, limits.answer_wait));
            let handle = handle.clone();
            let service = service_fn(move |request| in_time(limits.answer_wait, handle(request)));
            let connection = graceful.watch(protocol.serve_connection(stream, service));
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(slot);
            });
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop => {}
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were still open at the end of the drain");
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
