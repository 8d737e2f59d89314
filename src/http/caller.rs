//! The client that sent a request, for handlers that are fair to all clients.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Notify;

use super::body::Abort;
use super::connections::{Handle, Waiting};
use super::session::Session;
use super::table::{ConnectionId, Standing, peer};

/// The connection that a request came on, an extension of each request. Clones are the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    peer: IpAddr,
    handle: Handle,
    /// The address of this machine that the client connected to; `None` if the operating system does not tell.
    local: Option<IpAddr>,
    /// What the handshake agreed on; `None` without TLS.
    session: Option<Arc<Session>>,
    ending: Arc<Notify>,
}

impl Caller {
    /// A connection from `ip`.
    pub(super) fn new(ip: IpAddr, handle: Handle) -> Self {
        Self { peer: peer(ip), handle, local: None, session: None, ending: Arc::default() }
    }

    /// The same connection: to this address of this machine, with what its handshake agreed on, and ended by `ending`.
    pub(super) fn over(self, local: Option<IpAddr>, session: Option<Session>, ending: Arc<Notify>) -> Self {
        Self { local, session: session.map(Arc::new), ending, ..self }
    }

    /// The address of this machine that the client connected to; `None` if the operating system does not tell.
    pub(crate) fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// What the handshake agreed on; `None` without TLS.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Ends the connection as soon as its requests are answered. A client of HTTP/2 is told.
    pub(crate) fn end(&self) {
        self.ending.notify_one();
    }

    /// Who counts as one client: an IPv4 address, or the /64 network of an IPv6 address.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Tells the connection from all others.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.handle.id()
    }

    /// Until the result is dropped, a request waits for the turn of its login.
    pub(crate) fn wait(&self, standing: Standing) -> Waiting {
        self.handle.wait(standing)
    }

    /// A password of this client was compared.
    pub(crate) fn judged(&self, standing: Standing) {
        self.handle.judged(self.peer, standing);
    }
}

#[cfg(test)]
impl Caller {
    /// Connections from these addresses, which are not open any more.
    pub(crate) fn from_addresses<const N: usize>(addresses: [&str; N]) -> [Self; N] {
        use std::time::Duration;

        use super::{Connections, Limits};

        let limits = Limits {
            connections: N,
            connections_of_one_peer: N,
            first_header_wait: Duration::ZERO,
            header_wait: Duration::ZERO,
            header_bytes: 8 * 1024,
            answer_wait: Duration::ZERO,
            unsent_bytes: 0,
            drain: Duration::ZERO,
        };
        let connections = Connections::new(limits, Arc::default());
        addresses.map(|address| {
            let ip = address.parse().expect("the address of a test");
            Self::new(ip, connections.admit(ip).0.handle())
        })
    }
}

/// Gives a request no answer, so that the client sends it again on another connection: with HTTP/1.1 the connection is closed,
/// and with HTTP/2 the request is marked as not processed (RFC 9113, section 8.7).
pub(crate) fn try_elsewhere() -> Abort {
    h2::Error::from(h2::Reason::REFUSED_STREAM).into()
}
