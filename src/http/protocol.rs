//! Speaks HTTP/1.1 or HTTP/2 on a connection, within the limits of the server.

#[cfg(feature = "daemon")]
mod http2;

use std::future::Future;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::sync::watch;

use super::Limits;
use super::body::{Abort, Body};
use super::security::Version;
use super::stream::Stream;

/// How each version is spoken.
#[derive(Clone, Debug)]
pub(super) struct Protocol {
    limits: Limits,
    keep_alive: KeepAlive,
}

/// Whether a connection goes on after its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeepAlive {
    On,
    Off,
}

/// What ends a connection between two requests.
pub(super) struct Ending {
    /// Ends a connection of HTTP/1.1, and counts every connection as open until it is dropped.
    pub(super) watcher: Watcher,
    /// Changes when the server stops.
    pub(super) stopping: watch::Receiver<()>,
}

impl Protocol {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, keep_alive: KeepAlive::On }
    }

    /// From now on, a new connection is closed after its first answer.
    pub(super) fn close_after_answer(&mut self) {
        self.keep_alive = KeepAlive::Off;
    }

    /// Answers the requests of a connection with `handle` until it ends.
    pub(super) async fn serve<H, F>(
        &self,
        (stream, version): (Stream, Version),
        ending: Ending,
        handle: H,
    ) -> hyper::Result<()>
    where
        H: Fn(Request<Incoming>) -> F + Send + 'static,
        F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        match version {
            Version::Http1 => {
                let connection = self.http1().serve_connection(stream, service_fn(handle));
                ending.watcher.watch(connection).await
            }
            #[cfg(feature = "daemon")]
            Version::Http2 => {
                let Ending { watcher, mut stopping } = ending;
                let stop = async {
                    // An error means that the server is gone, which stops this connection too.
                    let _ = stopping.changed().await;
                };
                let ended = http2::serve(stream, &self.limits, self.keep_alive, stop, handle).await;
                drop(watcher);
                ended
            }
        }
    }

    fn http1(&self) -> http1::Builder {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_wait)
            .max_buf_size(self.limits.header_bytes)
            .keep_alive(self.keep_alive == KeepAlive::On)
            .half_close(true);
        http1
    }
}
