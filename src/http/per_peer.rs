//! How many connections each peer has, so that one alone cannot take them all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The places of each peer that has any.
#[derive(Debug)]
pub(super) struct Peers {
    most: usize,
    /// One reference is ours, each other one is held by a connection.
    places: BTreeMap<IpAddr, Arc<()>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _held: Arc<()>,
}

impl Peers {
    /// Nobody is here yet; each peer has at most `most` places.
    pub(super) fn new(most: usize) -> Self {
        Self { most, places: BTreeMap::new() }
    }

    /// A place for one more connection of `peer`, if it may have one.
    pub(super) fn admit(&mut self, peer: IpAddr) -> Option<Place> {
        // There are at most as many as connections.
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
