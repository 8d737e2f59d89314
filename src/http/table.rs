//! The open connections, what each of them is waiting for, and which one is closed when there is no room.
//!
//! A client that opens connections and does nothing with them must not lock others out: the server always has room for
//! one more, because the connection that has been idle or slow for longest is closed. Pure: callers pass the time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::limits::Limits;
use super::stats::CloseReason;
use crate::clock::Instant;

/// How a peer has used passwords. One whose latest comparison was not wrong, or that had none yet, may be a scraper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    NotWrong,
    #[cfg(any(feature = "daemon", test))]
    Wrong,
}

/// A connection that is idle or receives an answer for longer than this is closed before others. A scraper on the same
/// continent gets its answer in less.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// The limit of unsent bytes is at least this many times the largest buffer: the current exposition in two formats, and
/// one that was superseded. Compressed ones are smaller.
const LARGEST_BUFFERS: usize = 3;

/// A connection; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(u64);

/// An answer; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AnswerId(u64);

/// Where a buffer is in memory, and its size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Buffer {
    address: usize,
    bytes: usize,
}

impl Buffer {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { address: bytes.as_ptr() as usize, bytes: bytes.len() }
    }
}

/// A connection that must be closed. It is no longer in the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closing<C> {
    /// What was admitted with the connection.
    pub(super) closer: C,
    pub(super) peer: IpAddr,
    pub(super) reason: CloseReason,
}

/// The open connections; `C` is what closes one.
#[derive(Debug)]
pub(super) struct Table<C> {
    limits: Limits,
    open: BTreeMap<ConnectionId, Connection<C>>,
    /// Those with an open connection.
    peers: BTreeMap<IpAddr, Peer>,
    /// The buffers of unfinished answers, and how many answers share each; never 0.
    buffers: BTreeMap<Buffer, usize>,
    /// The sum of the sizes of `buffers`.
    unsent_bytes: usize,
    next_id: u64,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    /// The number of its open connections; never 0.
    open: usize,
    standing: Standing,
}

#[derive(Debug)]
struct Connection<C> {
    closer: C,
    peer: IpAddr,
    /// Which request is expected next.
    next: Next,
    /// When the connection was accepted, or when its last answer was sent.
    idle_since: Instant,
    /// Requests that are not answered yet.
    handling: usize,
    /// Those of them that wait for the turn of their login.
    waiting: usize,
    /// When the first of these began to wait.
    waiting_since: Instant,
    /// Answers that the client has not received yet. The first one began first.
    sending: BTreeMap<AnswerId, Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    FirstRequest,
    AnotherRequest,
}

#[derive(Debug)]
struct Answer {
    began: Instant,
    buffers: Vec<Buffer>,
}

/// In which order connections are closed to make room: the smallest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Idle or slow, for longer than [`SLOW_AFTER`].
    Stale { since: Instant },
    /// Idle or receiving an answer for a moment, or waiting for the turn of a login after a wrong password. So many connections
    /// were opened at once, or so many passwords are guessed, that most of them cannot be those of a scraper. The peer with the
    /// most connections loses the one that is the oldest in this sense. What it does must not count: a client that only begins
    /// its first request could not be told from one that will never send it, and would lose to clients that read slowly.
    Recent { connections_of_peer: Reverse<usize>, since: Instant },
    /// Waiting for the turn of a login, with no wrong password so far. The newest goes first: those that come later must not
    /// take the place of one that is next in turn. It is not refused when it comes, because it may be a login that was right
    /// before and waits for nothing.
    Login { connections_of_peer: Reverse<usize>, since: Reverse<Instant> },
    /// Its request is being handled, which takes long only for a reload.
    Handling { connections_of_peer: Reverse<usize>, since: Instant },
}

impl<C> Table<C> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: BTreeMap::new(),
            peers: BTreeMap::new(),
            buffers: BTreeMap::new(),
            unsent_bytes: 0,
            next_id: 0,
        }
    }

    /// The number of open connections.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// The size of the unfinished answers.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// Adds a connection from `ip`. If there is no room, another one must be closed.
    pub(super) fn admit(
        &mut self,
        ip: IpAddr,
        closer: C,
        now: Instant,
    ) -> (ConnectionId, Option<Closing<C>>) {
        let peer = peer(ip);
        let closing =
            if self.peers.get(&peer).is_some_and(|peer| peer.open >= self.limits.connections_of_one_peer) {
                self.longest_waiting(now, |connection| connection.peer == peer)
                    .map(|id| (id, CloseReason::PeerLimit))
            } else if self.open.len() >= self.limits.connections {
                self.longest_waiting(now, |_| true).map(|id| (id, CloseReason::ConnectionLimit))
            } else {
                None
            };
        let closing = closing.and_then(|(id, reason)| self.take(id, reason));
        let id = ConnectionId(self.next_id());
        self.peers.entry(peer).or_insert(Peer { open: 0, standing: Standing::NotWrong }).open += 1;
        let connection = Connection {
            closer,
            peer,
            next: Next::FirstRequest,
            idle_since: now,
            handling: 0,
            waiting: 0,
            waiting_since: now,
            sending: BTreeMap::new(),
        };
        self.open.insert(id, connection);
        (id, closing)
    }

    /// The header of a request was received.
    pub(super) fn request_began(&mut self, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.next = Next::AnotherRequest;
            connection.handling += 1;
        }
    }

    /// A request waits for the turn of its login.
    #[cfg(any(feature = "daemon", test))]
    pub(super) fn wait_began(&mut self, id: ConnectionId, standing: Standing, now: Instant) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        if connection.waiting == 0 {
            connection.waiting_since = now;
        }
        connection.waiting += 1;
        let peer = connection.peer;
        self.judged(peer, standing);
    }

    /// A password of this peer was compared.
    #[cfg(any(feature = "daemon", test))]
    pub(super) fn judged(&mut self, peer: IpAddr, standing: Standing) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.standing = standing;
        }
    }

    /// A request waits no longer.
    #[cfg(any(feature = "daemon", test))]
    pub(super) fn wait_ended(&mut self, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.waiting -= 1;
        }
    }

    /// A request ended without an answer.
    pub(super) fn request_ended(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.handling -= 1;
            connection.idle_since = now;
        }
    }

    /// A request is answered with `buffers`. Connections with older answers must be closed if all answers together take
    /// too much memory.
    pub(super) fn answer_began(
        &mut self,
        id: ConnectionId,
        buffers: Vec<Buffer>,
        now: Instant,
    ) -> (AnswerId, Vec<Closing<C>>) {
        let answer = AnswerId(self.next_id());
        if let Some(connection) = self.open.get_mut(&id) {
            connection.handling -= 1;
            for buffer in &buffers {
                let shared = self.buffers.entry(*buffer).or_default();
                *shared += 1;
                if *shared == 1 {
                    self.unsent_bytes += buffer.bytes;
                }
            }
            connection.sending.insert(answer, Answer { began: now, buffers });
        }
        (answer, self.reduce_unsent_bytes(id))
    }

    /// The client has received an answer.
    pub(super) fn answer_ended(&mut self, id: ConnectionId, answer: AnswerId, now: Instant) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        connection.idle_since = now;
        if let Some(answer) = connection.sending.remove(&answer) {
            self.release(&answer);
        }
    }

    /// A connection ended.
    pub(super) fn remove(&mut self, id: ConnectionId) {
        let _ = self.take_out(id);
    }

    /// The connection to close when the operating system has no room for another one; none if all have a request that is
    /// being handled.
    pub(super) fn longest_idle_or_slow(&mut self, now: Instant) -> Option<Closing<C>> {
        let id = self.longest_waiting(now, |connection| connection.handling <= connection.waiting)?;
        self.take(id, CloseReason::ConnectionLimit)
    }

    /// The timed-out connections.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Closing<C>> {
        let overdue: Vec<_> = self
            .open
            .iter()
            .filter_map(|(id, connection)| Some((*id, connection.overdue(&self.limits, now)?)))
            .collect();
        overdue.into_iter().filter_map(|(id, reason)| self.take(id, reason)).collect()
    }

    /// The connection to close first, of those that `may_go`.
    fn longest_waiting(&self, now: Instant, may_go: impl Fn(&Connection<C>) -> bool) -> Option<ConnectionId> {
        let candidates = self.open.iter().filter(|(_, connection)| may_go(connection));
        let ranked = candidates.map(|(id, connection)| {
            let peer = self.peers.get(&connection.peer).copied();
            let peer = peer.unwrap_or(Peer { open: 0, standing: Standing::NotWrong });
            (connection.rank(peer, now), *id)
        });
        ranked.min().map(|(_, id)| id)
    }

    /// Takes out the connections with the oldest answers, until the rest takes little enough memory. The connection
    /// `newest` stays.
    fn reduce_unsent_bytes(&mut self, newest: ConnectionId) -> Vec<Closing<C>> {
        let mut closing = Vec::new();
        while self.unsent_bytes > self.unsent_limit() {
            let others = self.open.iter().filter(|(id, _)| **id != newest);
            let oldest = others
                .filter_map(|(id, connection)| Some((connection.sending.values().next()?.began, *id)))
                .min();
            let Some((_, id)) = oldest else { break };
            closing.extend(self.take(id, CloseReason::UnsentBytes));
        }
        closing
    }

    fn unsent_limit(&self) -> usize {
        let largest = self.buffers.keys().map(|buffer| buffer.bytes).max().unwrap_or_default();
        self.limits.unsent_bytes.max(LARGEST_BUFFERS.saturating_mul(largest))
    }

    fn take(&mut self, id: ConnectionId, reason: CloseReason) -> Option<Closing<C>> {
        let Connection { closer, peer, .. } = self.take_out(id)?;
        Some(Closing { closer, peer, reason })
    }

    fn take_out(&mut self, id: ConnectionId) -> Option<Connection<C>> {
        let connection = self.open.remove(&id)?;
        connection.sending.values().for_each(|answer| self.release(answer));
        if let Some(peer) = self.peers.get_mut(&connection.peer) {
            peer.open -= 1;
            if peer.open == 0 {
                self.peers.remove(&connection.peer);
            }
        }
        Some(connection)
    }

    fn release(&mut self, answer: &Answer) {
        for buffer in &answer.buffers {
            if let Some(shared) = self.buffers.get_mut(buffer) {
                *shared -= 1;
                if *shared == 0 {
                    self.buffers.remove(buffer);
                    self.unsent_bytes -= buffer.bytes;
                }
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl<C> Connection<C> {
    fn rank(&self, peer: Peer, now: Instant) -> Rank {
        let connections_of_peer = Reverse(peer.open);
        if self.handling > self.waiting {
            return Rank::Handling { connections_of_peer, since: self.idle_since };
        }
        let oldest = self.sending.values().next();
        let since = oldest.map_or(self.idle_since, |answer| answer.began);
        match oldest {
            None if self.waiting > 0 => match peer.standing {
                Standing::NotWrong => Rank::Login { connections_of_peer, since: Reverse(self.waiting_since) },
                #[cfg(any(feature = "daemon", test))]
                Standing::Wrong => Rank::Recent { connections_of_peer, since },
            },
            _ if now.since(since) >= SLOW_AFTER => Rank::Stale { since },
            _ => Rank::Recent { connections_of_peer, since },
        }
    }

    /// Why the connection must be closed now, if it must.
    fn overdue(&self, limits: &Limits, now: Instant) -> Option<CloseReason> {
        let (since, wait, reason) = match (self.sending.values().next(), self.handling, self.next) {
            (Some(answer), _, _) => (answer.began, limits.answer_wait, CloseReason::SlowReader),
            (None, 0, Next::FirstRequest) => {
                (self.idle_since, limits.first_header_wait, CloseReason::NoRequest)
            }
            (None, 0, Next::AnotherRequest) => (self.idle_since, limits.header_wait, CloseReason::Idle),
            // The time to find an answer is limited where the answer is waited for.
            (None, _, _) => return None,
        };
        (now.since(since) >= wait).then_some(reason)
    }
}

/// Who counts as one peer: an IPv4 address, or the /64 network of an IPv6 address, because one customer of a provider or
/// one host gets at least that.
pub(super) fn peer(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        ip @ IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests;
