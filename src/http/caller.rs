//! The client that sent a request, for handlers that are fair to all clients.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::connections::{Handle, Waiting};
use super::table::peer;

/// The connection that a request came on, an extension of each request. Clones are the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    peer: IpAddr,
    handle: Handle,
    turn: Arc<Semaphore>,
}

impl Caller {
    /// A connection from `ip`.
    pub(super) fn new(ip: IpAddr, handle: Handle) -> Self {
        Self { peer: peer(ip), handle, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Who counts as one client: an IPv4 address, or the /64 network of an IPv6 address.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// What one request of the connection at a time can have.
    pub(crate) fn turn(&self) -> Arc<Semaphore> {
        Arc::clone(&self.turn)
    }

    /// Until the result is dropped, a request waits for the turn of its login.
    pub(crate) fn wait(&self) -> Waiting {
        self.handle.wait()
    }
}
