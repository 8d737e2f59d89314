//! Who may have a password compared next: one at a time, and nobody can take all turns.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// How many different logins of one peer may wait: some users behind one address that come at once after a start.
const WAITING_OF_ONE_PEER: usize = 4;

/// How many peers with a wrong password are remembered, each until its next right one.
const SUSPECTS: usize = 1_000;

/// The turns to compare a password. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    is_taken: bool,
    /// In the order of arrival.
    waiting: VecDeque<Waiter>,
    /// Peers whose latest password was wrong; the one whose latest turn is longest ago comes first.
    suspects: VecDeque<IpAddr>,
    next_id: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    peer: IpAddr,
    login: [u8; 32],
    turn: oneshot::Sender<Turn>,
}

/// The right to compare one password, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    peer: IpAddr,
}

/// Too many logins of the peer wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

impl Turns {
    /// Waits for a turn of `peer`. A peer whose latest password was not wrong comes first, and then the one whose latest turn is
    /// longest ago. `login` stands for the name and the password: the same one again does not count as another.
    ///
    /// # Errors
    /// Too many other logins of the peer wait.
    pub(super) async fn take(&self, peer: IpAddr, login: [u8; 32]) -> Result<Turn, Busy> {
        let (id, turn) = {
            let mut state = self.lock();
            if !state.is_taken {
                state.is_taken = true;
                return Ok(Turn { turns: self.clone(), peer });
            }
            let mut others: BTreeSet<[u8; 32]> = state
                .waiting
                .iter()
                .filter(|waiter| waiter.peer == peer)
                .map(|waiter| waiter.login)
                .collect();
            others.remove(&login);
            if others.len() >= WAITING_OF_ONE_PEER {
                return Err(Busy);
            }
            state.next_id += 1;
            let (sender, receiver) = oneshot::channel();
            let id = state.next_id;
            state.waiting.push_back(Waiter { id, peer, login, turn: sender });
            (id, receiver)
        };
        let _leaving = Leaving { turns: self, id };
        Ok(turn.await.expect("a waiter gets its turn before it is forgotten"))
    }

    /// Gives the turn to the next waiter, if there is one.
    fn pass_on(&self) {
        let next = {
            let mut state = self.lock();
            let next = state.next();
            state.is_taken = next.is_some();
            next
        };
        if let Some(Waiter { peer, turn, .. }) = next {
            // If the waiter has left, the turn is dropped here, and passed on.
            drop(turn.send(Turn { turns: self.clone(), peer }));
        }
    }

    /// Every change is complete when the lock is released, so the state is usable even if the lock is poisoned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Waiter> {
        // `None`, which is no suspect, is less than every position.
        let rank = |peer: IpAddr| self.suspects.iter().position(|suspect| *suspect == peer);
        let (index, _) =
            self.waiting.iter().enumerate().min_by_key(|(_, waiter)| (rank(waiter.peer), waiter.id))?;
        self.waiting.remove(index)
    }
}

impl Turn {
    /// The password was right.
    pub(super) fn right(&self) {
        self.turns.lock().suspects.retain(|suspect| *suspect != self.peer);
    }

    /// The password was wrong.
    pub(super) fn wrong(&self) {
        let mut state = self.turns.lock();
        state.suspects.retain(|suspect| *suspect != self.peer);
        if state.suspects.len() == SUSPECTS {
            state.suspects.pop_front();
        }
        state.suspects.push_back(self.peer);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.pass_on();
    }
}

/// Takes a waiter out that no longer waits.
struct Leaving<'a> {
    turns: &'a Turns,
    id: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.turns.lock().waiting.retain(|waiter| waiter.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn peer(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    fn login(number: u8) -> [u8; 32] {
        [number; 32]
    }

    type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Turn, Busy>> + 'a>>;

    /// The turn, if it is there.
    fn poll(waiting: &mut Waiting<'_>) -> Option<Result<Turn, Busy>> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    fn wait(turns: &Turns, of: u8, with: u8) -> Waiting<'_> {
        let mut waiting: Waiting<'_> = Box::pin(turns.take(peer(of), login(with)));
        assert!(poll(&mut waiting).is_none(), "the turn of {of} with {with} comes later");
        waiting
    }

    /// A turn that is taken, and was the first.
    fn taken(turns: &Turns) -> Turn {
        let mut taking = pin!(turns.take(peer(99), login(99)));
        match taking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(turn)) => turn,
            other => panic!("nobody waits: {other:?}"),
        }
    }

    #[test]
    fn peers_take_turns_and_those_without_a_wrong_password_come_first() {
        let turns = Turns::default();
        let mut turn = taken(&turns);
        let mut waiting = Vec::new();
        // Three peers guess, and refill what they may have waiting.
        for (of, with) in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)] {
            waiting.push(((of, with), wait(&turns, of, with)));
        }
        let mut order = Vec::new();
        let mut newcomer = None;
        while !waiting.is_empty() || newcomer.is_some() {
            drop(turn);
            let at = waiting.iter_mut().position(|(_, waiting)| match poll(waiting) {
                Some(next) => {
                    newcomer = Some(next.unwrap());
                    true
                }
                None => false,
            });
            let Some(at) = at else { break };
            let ((of, with), _) = waiting.remove(at);
            order.push((of, with));
            turn = newcomer.take().unwrap();
            turn.wrong();
            if order.len() == 3 {
                // It comes last, and has given no wrong password.
                waiting.push(((4, 1), wait(&turns, 4, 1)));
            }
        }
        assert_eq!(order, [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2)]);
    }

    #[test]
    fn a_right_password_ends_the_suspicion() {
        let turns = Turns::default();
        for is_right in [false, true] {
            let first = taken(&turns);
            let mut of_one = wait(&turns, 1, 1);
            drop(first);
            let turn = poll(&mut of_one).unwrap().unwrap();
            turn.wrong();
            if is_right {
                turn.right();
            }
            let [mut one, mut two] = [wait(&turns, 1, 2), wait(&turns, 2, 1)];
            drop(turn);
            let got = [poll(&mut one), poll(&mut two)];
            assert_eq!(got.each_ref().map(Option::is_some), [is_right, !is_right]);
        }
    }

    #[test]
    fn a_peer_may_have_only_some_different_logins_waiting() {
        let turns = Turns::default();
        let turn = taken(&turns);
        let mut waiting: Vec<_> = (0..4).map(|number| wait(&turns, 1, number)).collect();
        let mut refused: Waiting<'_> = Box::pin(turns.take(peer(1), login(9)));
        assert_eq!(poll(&mut refused).map(|turn| turn.err()), Some(Some(Busy)));
        waiting.push(wait(&turns, 1, 3));
        waiting.push(wait(&turns, 2, 9));
        // Those that leave make room, and get no turn.
        waiting.drain(..4);
        assert_eq!(turns.lock().waiting.len(), 2);
        waiting.push(wait(&turns, 1, 9));
        drop(turn);
        assert!(poll(&mut waiting[0]).is_some_and(|turn| turn.is_ok()));
    }

    #[test]
    fn a_turn_that_nobody_takes_is_passed_on() {
        let turns = Turns::default();
        let turn = taken(&turns);
        let [gone, mut next] = [wait(&turns, 1, 1), wait(&turns, 2, 1)];
        drop(turn);
        assert!(poll(&mut next).is_none(), "the turn went to the other");
        drop(gone);
        assert!(poll(&mut next).is_some());
        drop(next);
        drop(taken(&turns));
    }

    #[test]
    fn the_memory_of_suspects_is_bounded() {
        let turns = Turns::default();
        for number in 0..2_000_u32 {
            Turn { turns: turns.clone(), peer: IpAddr::from(number.to_be_bytes()) }.wrong();
        }
        assert_eq!(turns.lock().suspects.len(), SUSPECTS);
    }
}
