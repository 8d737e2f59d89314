//! Limits the connections of each peer, so that one peer cannot use them all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The open connections of each peer that has any.
#[derive(Debug)]
pub(super) struct Peers {
    most: usize,
    /// One reference is held here, every other one by a connection.
    places: BTreeMap<IpAddr, Arc<()>>,
}

/// Counts as one connection of a peer until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _held: Arc<()>,
}

impl Peers {
    /// Each peer may have at most `most` connections.
    pub(super) fn new(most: usize) -> Self {
        Self { most, places: BTreeMap::new() }
    }

    /// Admits one more connection of `peer`, unless the peer has too many.
    pub(super) fn admit(&mut self, peer: IpAddr) -> Option<Place> {
        // The map has at most one entry for each open connection.
        self.places.retain(|_, place| Arc::strong_count(place) > 1);
        let place = self.places.entry(peer).or_default();
        (Arc::strong_count(place) <= self.most).then(|| Place { _held: Arc::clone(place) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_places_and_gets_them_back() {
        let [one, other] = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
        let mut peers = Peers::new(2);
        let (first, second) = (peers.admit(one), peers.admit(one));
        assert!(first.is_some() && second.is_some());
        assert!(peers.admit(one).is_none(), "a third of one peer");
        assert!(peers.admit(other).is_some(), "another peer");
        drop(first);
        let third = peers.admit(one);
        assert!(third.is_some(), "after the first has gone");
        assert!(peers.admit(one).is_none(), "a third again");
        drop((second, third));
        assert!(peers.admit(other).is_some());
        assert!(!peers.places.contains_key(&one), "a peer that has gone is forgotten");
    }
}
