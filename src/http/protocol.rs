//! Speaks HTTP/1.1 or HTTP/2 on a connection. The table of connections limits the time of each header and of each answer.

use std::future::Future;
use std::pin::pin;

use hyper::body::Incoming;
use hyper::server::conn::http1;
#[cfg(feature = "daemon")]
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
#[cfg(feature = "daemon")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;

use super::body::{Abort, Body};
use super::stream::{Stream, Version};

/// The requests that a connection of HTTP/2 may have running. A browser asks for the files of the live page at once;
/// Prometheus sends one request at a time.
#[cfg(feature = "daemon")]
const STREAMS: u32 = 16;

/// How each version is spoken.
#[derive(Clone, Debug)]
pub(super) struct Protocol {
    http1: http1::Builder,
    #[cfg(feature = "daemon")]
    http2: http2::Builder<TokioExecutor>,
}

impl Protocol {
    /// `header_bytes` is the maximum size of a request's header.
    pub(super) fn new(header_bytes: usize) -> Self {
        let mut http1 = http1::Builder::new();
        http1.header_read_timeout(None).max_buf_size(header_bytes).half_close(true);
        Self {
            http1,
            #[cfg(feature = "daemon")]
            http2: {
                let mut http2 = http2::Builder::new(TokioExecutor::new());
                http2
                    .max_concurrent_streams(STREAMS)
                    .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
                http2
            },
        }
    }

    /// From now on, a new connection of HTTP/1.1 is closed after its first answer.
    pub(super) fn close_after_answer(&mut self) {
        self.http1.keep_alive(false);
    }

    /// Answers the requests of a connection with `handle` until it ends, or until `told_to_end` is ready and the requests that
    /// were received before are answered.
    pub(super) async fn serve<H, F>(
        &self,
        stream: Stream,
        version: Version,
        told_to_end: impl Future<Output = ()>,
        handle: H,
    ) -> hyper::Result<()>
    where
        H: Fn(Request<Incoming>) -> F + Send + 'static,
        F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
    {
        let (stream, service) = (TokioIo::new(stream), service_fn(handle));
        match version {
            Version::Http1 => until(told_to_end, self.http1.serve_connection(stream, service)).await,
            #[cfg(feature = "daemon")]
            Version::Http2 => until(told_to_end, self.http2.serve_connection(stream, service)).await,
        }
    }
}

async fn until<C: GracefulConnection>(
    told_to_end: impl Future<Output = ()>,
    connection: C,
) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended,
        () = told_to_end => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
