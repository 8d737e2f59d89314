//! Whose password is compared next.
//!
//! A comparison takes long on purpose, and one runs at a time. So that nobody who guesses passwords delays others for long,
//! connections take turns, then the peers that they come from: a login of a peer that guesses nothing waits for one
//! comparison of each other peer at most.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::Caller;

/// The order of the comparisons.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// Of the peers with a login that waits or is compared; others may be left over until the next login.
    peers: Mutex<BTreeMap<IpAddr, Weak<Semaphore>>>,
}

/// The right to compare a password, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _all: OwnedSemaphorePermit,
    _peer: OwnedSemaphorePermit,
    _connection: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(1)), peers: Mutex::default() }
    }

    /// Waits for the turn of a login. Each of the three queues is in the order of arrival, and of a connection and of a peer
    /// only the first one is in the next queue.
    pub(super) async fn next(&self, caller: &Caller) -> Turn {
        let _waiting = caller.wait();
        let connection = acquire(caller.turn()).await;
        let peer = acquire(self.peer(caller.peer())).await;
        let all = acquire(Arc::clone(&self.all)).await;
        Turn { _all: all, _peer: peer, _connection: connection }
    }

    fn peer(&self, ip: IpAddr) -> Arc<Semaphore> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get(&ip).and_then(Weak::upgrade) {
            return known;
        }
        peers.retain(|_, peer| peer.strong_count() > 0);
        let new = Arc::new(Semaphore::new(1));
        peers.insert(ip, Arc::downgrade(&new));
        new
    }
}

async fn acquire(turn: Arc<Semaphore>) -> OwnedSemaphorePermit {
    turn.acquire_owned().await.expect("no semaphore is closed")
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;
    use crate::http::{Connections, Limits};

    const LIMITS: Limits = Limits {
        connections: 100,
        connections_of_one_peer: 100,
        first_header_wait: Duration::from_secs(1),
        header_wait: Duration::from_secs(1),
        header_bytes: 8 * 1024,
        answer_wait: Duration::from_secs(1),
        unsent_bytes: 1_000,
        drain: Duration::from_secs(1),
    };

    /// A login of the connection with a number, from an address.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Login(&'static str, u8);

    /// The order in which `logins`, which arrived in this order, are compared; `gone` are those whose client has gone before.
    fn order(logins: &[Login], gone: &[usize]) -> Vec<Login> {
        let (turns, connections) = (Turns::new(), Connections::new(LIMITS, Arc::default()));
        let mut callers: Vec<(Login, Caller)> = Vec::new();
        for login in logins {
            if !callers.iter().any(|(known, _)| known == login) {
                callers.push((*login, connections.caller(login.0.parse().unwrap())));
            }
        }
        let caller = |login: &Login| &callers.iter().find(|(known, _)| known == login).unwrap().1;
        type Waiting<'a> = Pin<Box<dyn Future<Output = Turn> + 'a>>;
        let mut waiting: Vec<(usize, Waiting<'_>)> = logins
            .iter()
            .enumerate()
            .map(|(index, login)| (index, Box::pin(turns.next(caller(login))) as _))
            .collect();
        let (mut compared, mut running) = (Vec::new(), None);
        let mut context = Context::from_waker(Waker::noop());
        for round in 0..=logins.len() {
            // A comparison ends, and the next one begins.
            drop(running.take());
            if round == 1 {
                waiting.retain(|(index, _)| !gone.contains(index));
            }
            // Several times, because a turn of one queue is needed to arrive in the next one.
            for _ in 0..3 {
                waiting.retain_mut(|(index, next)| match next.as_mut().poll(&mut context) {
                    Poll::Pending => true,
                    Poll::Ready(turn) => {
                        assert!(running.replace(turn).is_none(), "two are compared at once");
                        compared.push(logins[*index]);
                        false
                    }
                });
            }
        }
        assert!(waiting.is_empty(), "each has its turn");
        compared
    }

    #[test]
    fn peers_and_their_connections_take_turns() {
        let (a, b, c) = ("10.0.0.1", "10.0.0.2", "10.0.0.3");
        type Logins<'a> = &'a [Login];
        let cases: [(&str, Logins<'_>, &[usize], Logins<'_>); 6] = [
            ("one", &[Login(a, 1)], &[], &[Login(a, 1)]),
            (
                "the peer that came last waits for one of each other",
                &[Login(a, 1), Login(a, 2), Login(a, 3), Login(b, 1), Login(b, 2), Login(c, 1)],
                &[],
                &[Login(a, 1), Login(b, 1), Login(c, 1), Login(a, 2), Login(b, 2), Login(a, 3)],
            ),
            (
                "of one peer, a connection with many requests counts as one",
                &[Login(a, 1), Login(a, 1), Login(a, 1), Login(a, 1), Login(a, 2)],
                &[],
                &[Login(a, 1), Login(a, 2), Login(a, 1), Login(a, 1), Login(a, 1)],
            ),
            (
                "a network of IPv6 is one peer",
                &[Login("2001:db8::1", 1), Login("2001:db8::2", 2), Login("2001:db8::3", 3), Login(b, 1)],
                &[],
                &[Login("2001:db8::1", 1), Login(b, 1), Login("2001:db8::2", 2), Login("2001:db8::3", 3)],
            ),
            (
                "a login whose client has gone keeps nobody waiting",
                &[Login(a, 1), Login(a, 2), Login(b, 1), Login(c, 1)],
                &[1, 2],
                &[Login(a, 1), Login(c, 1)],
            ),
            (
                "all but one have gone",
                &[Login(a, 1), Login(a, 2), Login(a, 3)],
                &[1],
                &[Login(a, 1), Login(a, 3)],
            ),
        ];
        for (name, logins, gone, wanted) in cases {
            assert_eq!(order(logins, gone), wanted, "{name}");
        }
    }

    #[test]
    fn nothing_is_kept_of_peers_without_a_login() {
        let turns = Turns::new();
        for number in 0..1_000_u32 {
            let held = turns.peer(IpAddr::from(number.to_be_bytes()));
            assert_eq!((held.available_permits(), turns.peers.lock().unwrap().len()), (1, 1));
        }
    }
}
