//! The table of open connections, shared by the listeners of a server, the tasks of the connections, and the answers
//! that are being sent.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::limits::Limits;
use super::stats::{CloseReason, ConnectionStats};
use super::table::{AnswerId, Buffer, Closing, ConnectionId, Table};
use crate::clock::{Clock, Instant};

/// How often connections whose time is over are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// At most one warning in this time, because a client that opens too many connections opens thousands.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The connections of a server. Clones share the same limits.
#[derive(Clone, Debug)]
pub struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    clock: Clock,
    stats: Arc<ConnectionStats>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: Table<Closer>,
    last_warning: Option<Instant>,
}

/// Tells the task of a connection to close it, and why.
type Closer = oneshot::Sender<CloseReason>;

/// A connection that is open until this is dropped.
#[derive(Debug)]
pub(super) struct OpenConnection {
    handle: Handle,
}

/// Reports the requests of one connection.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    connections: Connections,
    id: ConnectionId,
}

/// A request without an answer, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenRequest {
    /// `None` once it is answered.
    handle: Option<Handle>,
}

/// An answer that the client has not received completely, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenAnswer {
    handle: Handle,
    id: AnswerId,
}

impl Connections {
    /// No connections yet; `stats` shows what happens to them.
    pub fn new(limits: Limits, stats: Arc<ConnectionStats>) -> Self {
        let state = Mutex::new(State { table: Table::new(limits), last_warning: None });
        Self { shared: Arc::new(Shared { limits, clock: Clock::system(), stats, state }) }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Adds a connection, and closes another one if there is no room. The receiver is ready when the new one must be
    /// closed.
    pub(super) fn admit(&self, ip: IpAddr) -> (OpenConnection, oneshot::Receiver<CloseReason>) {
        let (closer, closing) = oneshot::channel();
        let id = self.change(|table, now| {
            let (id, closing) = table.admit(ip, closer, now);
            (id, closing.into_iter().collect())
        });
        (OpenConnection { handle: Handle { connections: self.clone(), id } }, closing)
    }

    /// Counts a connection that could not be accepted.
    pub(super) fn not_accepted(&self) {
        self.shared.stats.add(CloseReason::AcceptFailed);
    }

    /// Closes connections whose time is over, until this future is dropped.
    pub(super) async fn close_overdue(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.change(|table, now| ((), table.overdue(now)));
        }
    }

    /// Changes the table, closes the connections that `change` returns, and updates the statistics.
    fn change<T>(&self, change: impl FnOnce(&mut Table<Closer>, Instant) -> (T, Vec<Closing<Closer>>)) -> T {
        let now = self.shared.clock.now();
        let mut state = self.lock();
        let (result, closing) = change(&mut state.table, now);
        self.shared.stats.set(state.table.open(), state.table.unsent_bytes());
        for Closing { closer, peer, reason } in closing {
            self.shared.stats.add(reason);
            state.log(peer, reason, now);
            // The task may have ended already.
            let _ = closer.send(reason);
        }
        result
    }

    /// Every change of the table is complete when the lock is released, so it is usable even if the lock is poisoned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn log(&mut self, peer: IpAddr, reason: CloseReason, now: Instant) {
        let reason_text = reason.as_str();
        let recently = self.last_warning.is_some_and(|last| now.since(last) < WARNING_INTERVAL);
        match reason {
            CloseReason::PeerLimit | CloseReason::ConnectionLimit | CloseReason::UnsentBytes if !recently => {
                self.last_warning = Some(now);
                tracing::warn!(
                    %peer,
                    reason = reason_text,
                    "closed a connection to make room for others; the next minute logs no further ones"
                );
            }
            _ => tracing::debug!(%peer, reason = reason_text, "closed a connection"),
        }
    }
}

impl OpenConnection {
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let Handle { connections, id } = &self.handle;
        connections.change(|table, _| (table.remove(*id), Vec::new()));
    }
}

impl Handle {
    /// The header of a request was received.
    pub(super) fn request(&self) -> OpenRequest {
        self.connections.change(|table, _| (table.request_began(self.id), Vec::new()));
        OpenRequest { handle: Some(self.clone()) }
    }
}

impl OpenRequest {
    /// The request is answered with `buffers`.
    pub(super) fn answer(mut self, buffers: Vec<Buffer>) -> OpenAnswer {
        let handle = self.handle.take().expect("a request has its handle until it is answered");
        let id = handle.connections.change(|table, now| table.answer_began(handle.id, buffers, now));
        OpenAnswer { handle, id }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if let Some(Handle { connections, id }) = &self.handle {
            connections.change(|table, now| (table.request_ended(*id, now), Vec::new()));
        }
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        let Handle { connections, id } = &self.handle;
        connections.change(|table, now| (table.answer_ended(*id, self.id, now), Vec::new()));
    }
}
