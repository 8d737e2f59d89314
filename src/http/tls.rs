//! TLS on accepted connections: the handshake, and the answer to a client that does not speak TLS.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;

use super::session::{ClientPolicy, Session};
use super::stream::{Secured, Stream, Version};

/// The name of HTTP/2 in the handshake (ALPN).
pub(crate) const HTTP2: &[u8] = b"h2";

/// The name of HTTP/1.1 in the handshake (ALPN).
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\nContent-Length: 58\r\n\r\n\
    this port speaks HTTPS; the client sent a request in HTTP\n";

/// How long the answer to a request in plain HTTP waits for the client to close the connection. Without the wait,
/// unread data would make the kernel reset the connection and drop the answer.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// How much of a request in plain HTTP is read before it is answered.
const LONGEST_HEADER: u64 = 16 * 1024;

/// Why there is no configuration for a handshake. The owner of the configuration logs the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unconfigured;

/// What a handshake is done with.
#[derive(Debug)]
pub(crate) struct Configured {
    pub(crate) config: Arc<ServerConfig>,
    /// How it judges clients.
    pub(crate) policy: ClientPolicy,
}

type Configuration = Pin<Box<dyn Future<Output = Result<Configured, Unconfigured>> + Send>>;

/// The TLS of a listener.
#[derive(Clone)]
pub struct Tls {
    configuration: Arc<dyn Fn() -> Configuration + Send + Sync>,
    failed: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// TLS that asks for its configuration at each handshake, and reports each handshake that fails.
    pub(crate) fn new<F>(
        configuration: impl Fn() -> F + Send + Sync + 'static,
        failed: impl Fn() + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Configured, Unconfigured>> + Send + 'static,
    {
        Self { configuration: Arc::new(move || Box::pin(configuration())), failed: Arc::new(failed) }
    }

    /// The handshake of a new connection; `None` if the connection was closed instead.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        stopping: &mut watch::Receiver<()>,
    ) -> Option<Secured> {
        let mut first = [0];
        let received = tokio::select! {
            received = stream.peek(&mut first) => received,
            _ = stopping.changed() => return None,
        };
        // A client that sends nothing only probed the port.
        if received.ok()? == 0 {
            return None;
        }
        let mut attempt = Attempt { tls: self, succeeded: false };
        if first != [HANDSHAKE] {
            // Counted before the answer, so that the count is there before the client sees the answer.
            drop(attempt);
            refuse_plain_http(stream).await;
            return None;
        }
        match self.handshake(stream).await {
            Ok(secured) => {
                attempt.succeeded = true;
                Some(secured)
            }
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
        }
    }

    async fn handshake(&self, stream: TcpStream) -> io::Result<Secured> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let configured = (self.configuration)().await;
        let Configured { config, policy } =
            configured.map_err(|Unconfigured| io::Error::other("the web configuration cannot be used"))?;
        let stream = start.into_stream(config).await?;
        let agreed = stream.get_ref().1;
        let version = match agreed.alpn_protocol() {
            Some(HTTP2) => Version::Http2,
            _ => Version::Http1,
        };
        let client = agreed.peer_certificates().and_then(|chain| chain.first()).cloned();
        let session = Some(Session { policy, client: client.map(CertificateDer::into_owned) });
        Ok(Secured { stream: Stream::Tls(Box::new(stream)), version, session })
    }
}

/// Reports a failed handshake, including timeouts.
struct Attempt<'a> {
    tls: &'a Tls,
    succeeded: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.succeeded {
            (self.tls.failed)();
        }
    }
}

/// Answers 400 if the client sent the header of a request in plain HTTP.
async fn refuse_plain_http(mut stream: TcpStream) {
    let mut header = Vec::new();
    let mut limited = (&mut stream).take(LONGEST_HEADER);
    while !header.windows(4).any(|four| four == b"\r\n\r\n") {
        match limited.read_buf(&mut header).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    if !header.first().is_some_and(u8::is_ascii_uppercase) {
        return;
    }
    if stream.write_all(NOT_TLS).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut rest = [0; 1024];
        let closed = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
        let _ = tokio::time::timeout(CLOSE_WAIT, pin!(closed)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_has_the_length_that_it_says() {
        let text = str::from_utf8(NOT_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
