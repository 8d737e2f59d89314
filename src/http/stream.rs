//! The bytes of a connection: plain, or protected by TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A stream that HTTP is spoken over. One type for both kinds, so that the code of HTTP is compiled once.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "daemon")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// Calls a method on the stream of either kind.
macro_rules! either {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(feature = "daemon")]
            Stream::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&mut *self, poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "daemon")]
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, poll_shutdown(context))
    }
}

/// The version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    /// Only over TLS, where the handshake agreed on it.
    #[cfg(feature = "daemon")]
    Http2,
}

impl Version {
    pub(super) const fn is_http2(self) -> bool {
        !matches!(self, Self::Http1)
    }
}

/// A connection that is ready for HTTP.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) stream: Stream,
    pub(super) version: Version,
    /// What the handshake agreed on; `None` without TLS.
    #[cfg(feature = "daemon")]
    pub(super) session: Option<super::session::Session>,
}

impl Secured {
    /// A connection without TLS.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self {
            stream: Stream::Plain(stream),
            version: Version::Http1,
            #[cfg(feature = "daemon")]
            session: None,
        }
    }
}
