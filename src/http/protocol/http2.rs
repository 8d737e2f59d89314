//! HTTP/2 with the limits that HTTP/1.1 has: on headers, on idle connections, and on answers that are read too slowly.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;

use super::super::Limits;
use super::super::body::{Abort, Body};
use super::super::stream::Stream;
use super::KeepAlive;

/// The requests that a connection may have running. A browser asks for the files of the live page at once; Prometheus
/// sends one request at a time.
const STREAMS: u32 = 16;

/// The bytes of an answer that wait in the connection because the client does not take them. They are not copied.
const SEND_BUFFER: usize = 64 * 1024;

/// Answers the requests of a connection with `handle`.
///
/// The connection is closed in an orderly way (GOAWAY) at `stop`, once no request was running for `header_wait`, and
/// with [`KeepAlive::Off`] after its first request.
pub(super) async fn serve<H, F>(
    stream: TokioIo<Stream>,
    limits: &Limits,
    keep_alive: KeepAlive,
    stop: impl Future<Output = ()>,
    handle: H,
) -> hyper::Result<()>
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    let mut protocol =
        http2::Builder::new(Streams { activity: Arc::clone(&activity), limit: limits.answer_wait * 2 });
    protocol
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER);
    let mut connection = pin!(protocol.serve_connection(stream, service_fn(handle)));
    let idle = async {
        match keep_alive {
            KeepAlive::On => activity.idle_for(limits.header_wait).await,
            KeepAlive::Off => activity.changed.notified().await,
        }
    };
    tokio::select! {
        ended = &mut connection => return ended,
        () = stop => {}
        () = idle => {}
    }
    connection.as_mut().graceful_shutdown();
    // A client that does not close its side is cut off after the time that an answer may take.
    tokio::time::timeout(limits.answer_wait * 2, connection).await.unwrap_or(Ok(()))
}

/// Tells when a connection has no running request.
#[derive(Debug, Default)]
struct Activity {
    running: AtomicUsize,
    /// Notified when a request begins, and when one ends.
    changed: Notify,
}

impl Activity {
    /// Waits until nothing was running for `span`.
    async fn idle_for(&self, span: Duration) {
        loop {
            let quiet = tokio::time::timeout(span, self.changed.notified()).await.is_err();
            if quiet && self.running.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

/// Counts as a running request until dropped.
struct Running(Arc<Activity>);

impl Running {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.running.fetch_add(1, Ordering::Relaxed);
        activity.changed.notify_one();
        Self(Arc::clone(activity))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

/// Runs the requests of a connection, each for a limited time: a client that takes no more bytes of an answer would
/// hold the answer forever, because HTTP/2 lets it stop a single answer while the connection goes on.
#[derive(Clone)]
struct Streams {
    activity: Arc<Activity>,
    limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, answer: F) {
        let (running, limit) = (Running::new(&self.activity), self.limit);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(limit, answer).await;
            drop(running);
        });
    }
}
