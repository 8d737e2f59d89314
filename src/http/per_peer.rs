//! Limits the connections of each client address, so that one client cannot use them all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Counts the open connections of each peer.
#[derive(Debug)]
pub(super) struct Peers {
    limit: usize,
    /// One reference is held here, each other one by a connection.
    slots: BTreeMap<IpAddr, Arc<()>>,
}

/// Counts as one connection of a peer until dropped.
#[derive(Debug)]
pub(super) struct PeerSlot {
    _held: Arc<()>,
}

impl Peers {
    /// Each peer may have at most `limit` connections.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, slots: BTreeMap::new() }
    }

    /// Admits one more connection of `peer`; `None` if it has too many already.
    pub(super) fn admit(&mut self, peer: IpAddr) -> Option<PeerSlot> {
        // Entries of peers without a connection are removed, so the map is never larger than the number of connections.
        self.slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        let slot = self.slots.entry(peer).or_default();
        (Arc::strong_count(slot) <= self.limit).then(|| PeerSlot { _held: Arc::clone(slot) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_own_limit_and_closed_connections_do_not_count() {
        let [one, other] = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
        let mut peers = Peers::new(2);
        let (first, second) = (peers.admit(one), peers.admit(one));
        assert!(first.is_some() && second.is_some());
        assert!(peers.admit(one).is_none(), "a third connection of one peer");
        assert!(peers.admit(other).is_some(), "another peer");
        drop(first);
        let third = peers.admit(one);
        assert!(third.is_some(), "after the first was closed");
        assert!(peers.admit(one).is_none(), "a third connection again");
        drop((second, third));
        assert!(peers.admit(other).is_some());
        assert!(!peers.slots.contains_key(&one), "an entry without connections is removed");
    }
}
