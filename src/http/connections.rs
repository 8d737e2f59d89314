//! The table of open connections, shared by the listeners of a server, the tasks of the connections, and the answers
//! that are being sent.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::limits::Limits;
use super::stats::{CloseReason, ConnectionStats};
#[cfg(feature = "daemon")]
use super::table::Standing;
use super::table::{AnswerId, Buffer, Closing, ConnectionId, Table};
use super::warning::Warning;
use crate::clock::{Clock, Instant};

/// How often timed-out connections are looked for.
const SWEEP: Duration = Duration::from_secs(1);

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
    /// Held by the listener that closes connections whose time is over.
    sweeper: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    table: Table<Closer>,
    /// When a connection was closed to make room.
    closed: Warning,
    /// When one could not be accepted.
    not_accepted: Warning,
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

/// A request that waits for the turn of its login, until this is dropped.
#[cfg(feature = "daemon")]
#[derive(Debug)]
pub(crate) struct Waiting {
    handle: Handle,
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
        let state = Mutex::new(State {
            table: Table::new(limits),
            closed: Warning::default(),
            not_accepted: Warning::default(),
        });
        Self {
            shared: Arc::new(Shared {
                limits,
                clock: Clock::system(),
                stats,
                state,
                sweeper: tokio::sync::Mutex::default(),
            }),
        }
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

    /// Counts and logs that a connection could not be accepted.
    pub(super) fn not_accepted(&self, error: &io::Error) {
        self.shared.stats.add(CloseReason::AcceptFailed);
        let now = self.shared.clock.now();
        if self.lock().not_accepted.is_due(now) {
            tracing::warn!(%error, "cannot accept a connection; the next minute logs no further failures");
        }
    }

    /// Closes the connection that has been idle or slow for longest, which gives back its file descriptor and its memory.
    pub(super) fn make_room(&self) {
        self.change(|table, now| ((), table.longest_idle_or_slow(now).into_iter().collect()));
    }

    /// Closes timed-out connections, until this future is dropped. Each listener calls this, and one of them does
    /// it for all.
    pub(super) async fn close_overdue(&self) {
        let _sweeper = self.shared.sweeper.lock().await;
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
        match reason {
            CloseReason::PeerLimit | CloseReason::ConnectionLimit | CloseReason::UnsentBytes
                if self.closed.is_due(now) =>
            {
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

#[cfg(feature = "daemon")]
impl Handle {
    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    /// One of the requests waits for the turn of its login, until the result is dropped. If the peer sent a wrong password, the
    /// connection is as likely as an idle one to make room for others.
    pub(super) fn wait(&self, standing: Standing) -> Waiting {
        self.connections.change(|table, now| (table.wait_began(self.id, standing, now), Vec::new()));
        Waiting { handle: self.clone() }
    }

    /// A password of this peer was compared.
    pub(super) fn judged(&self, peer: IpAddr, standing: Standing) {
        self.connections.change(|table, _| (table.judged(peer, standing), Vec::new()));
    }
}

#[cfg(feature = "daemon")]
impl Drop for Waiting {
    fn drop(&mut self) {
        let Handle { connections, id } = &self.handle;
        connections.change(|table, _| (table.wait_ended(*id), Vec::new()));
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
