//! How a listener protects its connections, and which version of HTTP they speak.

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::stream::Secured;

/// A bound socket, and how its connections are protected.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// How its connections are protected.
    pub security: Security,
}

/// A listener without TLS.
impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self { socket, security: Security::Plain }
    }
}

/// How connections are protected.
#[derive(Clone, Debug)]
pub enum Security {
    /// Plain HTTP.
    Plain,
    /// TLS, with these certificates and versions.
    #[cfg(feature = "daemon")]
    Tls(super::tls::Tls),
}

impl Security {
    /// Makes a connection ready for HTTP; `None` if it was closed instead. The caller limits the time. `stopping` closes
    /// connections on which nothing was received yet.
    #[cfg_attr(not(feature = "daemon"), expect(unused_variables, reason = "only a handshake waits"))]
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        stopping: &mut watch::Receiver<()>,
    ) -> Option<Secured> {
        match self {
            Self::Plain => Some(Secured::plain(stream)),
            #[cfg(feature = "daemon")]
            Self::Tls(tls) => tls.accept(stream, stopping).await,
        }
    }
}
