//! The logins that wait for a comparison of their password, and which one is next.
//!
//! So that guesses delay others only a little, the logins take turns: those of peers that sent a wrong password with those of
//! all others, then the peers of each kind, then the connections of a peer. A scraper whose password was not compared yet waits
//! for few guesses, and whatever the others do, its turn comes.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::http::{ConnectionId, Standing};

/// How many different logins of one peer may wait before its connections may have only one each. So many users of a proxy may
/// come at once after a start.
const WAITING_OF_ONE_PEER: usize = 8;

/// How many peers that sent a wrong password are remembered while none of their logins waits.
const REMEMBERED: usize = 1_000;

/// Stands for a name, a hash and a password.
pub(in crate::web) type Tag = [u8; 32];

/// The logins that wait; `T` is how one of them learns that its turn has come.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// Those with a login that waits, and those that sent a wrong password.
    peers: BTreeMap<IpAddr, Peer<T>>,
    /// Whose turn was the latest.
    latest: Standing,
    /// Counts logins and turns, to tell what was earlier.
    number: u64,
}

#[derive(Debug)]
struct Peer<T> {
    standing: Standing,
    /// The number of its latest turn; before that, of its first login.
    since: u64,
    /// Those with a login that waits, the next one first.
    connections: VecDeque<Connection<T>>,
}

#[derive(Debug)]
struct Connection<T> {
    id: ConnectionId,
    /// In the order of arrival; never empty.
    logins: VecDeque<Login<T>>,
}

#[derive(Debug)]
struct Login<T> {
    number: u64,
    tag: Tag,
    waiter: T,
}

/// Too many other logins of the peer wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) struct Full;

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { peers: BTreeMap::new(), latest: Standing::Wrong, number: 0 }
    }
}

impl<T> Queue<T> {
    /// Adds a login, which `tag` stands for, and returns its number. The first one of a connection always finds room, so
    /// those that share an address cannot keep each other out.
    ///
    /// # Errors
    /// The connection has a login that waits, and so do too many different ones of the peer. The same login again is not
    /// another one.
    pub(super) fn enter(
        &mut self,
        peer: IpAddr,
        connection: ConnectionId,
        tag: Tag,
        waiter: T,
    ) -> Result<u64, Full> {
        let number = self.next_number();
        let peer = self.peers.entry(peer).or_insert_with(|| Peer::new(Standing::NotWrong, number));
        let (has_room, login) = (peer.has_room_for(&tag), Login { number, tag, waiter });
        match peer.connections.iter_mut().find(|known| known.id == connection) {
            Some(_) if !has_room => return Err(Full),
            Some(known) => known.logins.push_back(login),
            None => {
                peer.connections.push_back(Connection { id: connection, logins: VecDeque::from([login]) });
            }
        }
        Ok(number)
    }

    /// Takes out the login whose turn it is, with its peer.
    pub(super) fn next(&mut self) -> Option<(IpAddr, T)> {
        let number = self.next_number();
        let latest = self.latest;
        let waiting = self.peers.iter_mut().filter(|(_, peer)| !peer.connections.is_empty());
        let (ip, peer) = waiting.min_by_key(|(_, peer)| (peer.standing == latest, peer.since))?;
        let mut connection = peer.connections.pop_front()?;
        let login = connection.logins.pop_front()?;
        if !connection.logins.is_empty() {
            peer.connections.push_back(connection);
        }
        peer.since = number;
        self.latest = peer.standing;
        let ip = *ip;
        self.forget(ip);
        Some((ip, login.waiter))
    }

    /// Takes out a login that waits no longer. It may have had its turn.
    pub(super) fn leave(&mut self, ip: IpAddr, number: u64) {
        let Some(peer) = self.peers.get_mut(&ip) else { return };
        peer.connections.retain_mut(|connection| {
            connection.logins.retain(|login| login.number != number);
            !connection.logins.is_empty()
        });
        self.forget(ip);
    }

    /// How the peer has used passwords.
    pub(super) fn standing(&self, ip: IpAddr) -> Standing {
        self.peers.get(&ip).map_or(Standing::NotWrong, |peer| peer.standing)
    }

    /// A password of this peer was right.
    pub(super) fn right(&mut self, ip: IpAddr) {
        if let Some(peer) = self.peers.get_mut(&ip) {
            peer.standing = Standing::NotWrong;
        }
        self.forget(ip);
    }

    /// A password of this peer was wrong.
    pub(super) fn wrong(&mut self, ip: IpAddr) {
        let number = self.next_number();
        self.peers.entry(ip).or_insert_with(|| Peer::new(Standing::Wrong, number)).standing = Standing::Wrong;
        self.forget(ip);
    }

    /// Forgets the peer, unless something of it is needed. Of the others without a login, only some are remembered.
    fn forget(&mut self, ip: IpAddr) {
        let is_idle = |peer: &Peer<T>| peer.connections.is_empty();
        if self.peers.get(&ip).is_some_and(|peer| is_idle(peer) && peer.standing == Standing::NotWrong) {
            self.peers.remove(&ip);
        }
        let idle = self.peers.iter().filter(|(_, peer)| is_idle(peer));
        if idle.clone().count() > REMEMBERED
            && let Some((oldest, _)) = idle.min_by_key(|(_, peer)| peer.since)
        {
            let oldest = *oldest;
            self.peers.remove(&oldest);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}

impl<T> Peer<T> {
    fn new(standing: Standing, since: u64) -> Self {
        Self { standing, since, connections: VecDeque::new() }
    }

    fn has_room_for(&self, tag: &Tag) -> bool {
        let waiting = self.connections.iter().flat_map(|connection| &connection.logins);
        let mut different: Vec<&Tag> = waiting.map(|login| &login.tag).collect();
        different.sort_unstable();
        different.dedup();
        different.len() < WAITING_OF_ONE_PEER || different.contains(&tag)
    }
}

#[cfg(test)]
mod tests;
