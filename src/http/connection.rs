//! What a request can know of the connection that it came on.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::Request;
use tokio::sync::Notify;

use super::body::Abort;
use super::table::peer;
use super::tls::Session;

/// A connection. Each request that came on it has this as an extension.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Who sent the request: an IPv4 address, or the /64 network of an IPv6 address.
    pub(crate) peer: IpAddr,
    /// The address of this machine that the client connected to; `None` if the operating system does not tell.
    pub(crate) local: Option<IpAddr>,
    /// What the handshake agreed on; `None` without TLS.
    pub(crate) session: Option<Arc<Session>>,
    ending: Arc<Notify>,
}

impl Connection {
    pub(super) fn new(
        ip: IpAddr,
        local: Option<IpAddr>,
        session: Option<Session>,
        ending: Arc<Notify>,
    ) -> Self {
        Self { peer: peer(ip), local, session: session.map(Arc::new), ending }
    }

    /// The request, with this as an extension.
    pub(super) fn attached_to<B>(&self, mut request: Request<B>) -> Request<B> {
        request.extensions_mut().insert(self.clone());
        request
    }

    /// Ends the connection as soon as its requests are answered. A client of HTTP/2 is told.
    pub(crate) fn end(&self) {
        self.ending.notify_one();
    }
}

/// Gives a request no answer, so that the client sends it again on another connection: with HTTP/1.1 the connection is closed,
/// and with HTTP/2 the request is marked as not processed (RFC 9113, section 8.7).
pub(crate) fn try_elsewhere() -> Abort {
    h2::Error::from(h2::Reason::REFUSED_STREAM).into()
}
