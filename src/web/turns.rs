//! Gives logins their turns to have a password compared.
//!
//! A comparison takes long on purpose, and one runs at a time. [`queue`] decides which login is next.

mod queue;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::http::{Caller, Standing};
use queue::Queue;
pub(super) use queue::{Full, Tag};

/// The turns to compare a password. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a login has its turn.
    is_taken: bool,
    queue: Queue<oneshot::Sender<Turn>>,
}

/// The right to compare a password, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
}

impl Turns {
    /// Waits for the turn of a login, which `caller` sent and `tag` stands for.
    ///
    /// # Errors
    /// Too many other logins of the same peer wait.
    pub(super) async fn next(&self, caller: &Caller, tag: Tag) -> Result<Turn, Full> {
        let peer = caller.peer();
        let (waiter, turn) = oneshot::channel();
        let (number, standing) = {
            let queue = &mut self.lock().queue;
            (queue.enter(peer, caller.connection(), tag, waiter)?, queue.standing(peer))
        };
        let _leaving = Leaving { turns: self, peer, number };
        let _waiting = caller.wait(standing);
        self.give();
        Ok(turn.await.expect("a login stays in the queue until it has its turn"))
    }

    /// Gives the turn to the next login, if none has it.
    fn give(&self) {
        let next = {
            let mut state = self.lock();
            if state.is_taken {
                return;
            }
            let next = state.queue.next().map(|(_, waiter)| waiter);
            state.is_taken = next.is_some();
            next
        };
        if let Some(waiter) = next {
            // If the login has left meanwhile, its turn is dropped here, and the next one gets it.
            drop(waiter.send(Turn { turns: self.clone() }));
        }
    }

    /// Every change is complete when the lock is released, so the state is usable even if the lock is poisoned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The password that `caller` sent was right.
    pub(super) fn right(&self, caller: &Caller) {
        self.turns.lock().queue.right(caller.peer());
        caller.judged(Standing::NotWrong);
    }

    /// The password that `caller` sent was wrong. Its other logins make room for those of others from now on.
    pub(super) fn wrong(&self, caller: &Caller) {
        self.turns.lock().queue.wrong(caller.peer());
        caller.judged(Standing::Wrong);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().is_taken = false;
        self.turns.give();
    }
}

/// Takes a login out of the queue that no longer waits.
struct Leaving<'a> {
    turns: &'a Turns,
    peer: IpAddr,
    number: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.turns.lock().queue.leave(self.peer, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Turn, Full>> + 'a>>;

    /// The turn, if it has come.
    fn poll(waiting: &mut Waiting<'_>) -> Option<Turn> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn.unwrap()),
            Poll::Pending => None,
        }
    }

    fn callers() -> [Caller; 3] {
        Caller::from_addresses(["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    }

    #[test]
    fn one_login_at_a_time_has_the_turn_and_those_that_left_get_none() {
        let (turns, callers) = (Turns::default(), callers());
        let mut waiting =
            callers.each_ref().map(|caller| Box::pin(turns.next(caller, [0; 32])) as Waiting<'_>);
        let first = poll(&mut waiting[0]);
        assert!(first.is_some() && poll(&mut waiting[1]).is_none() && poll(&mut waiting[2]).is_none());
        let [_, gone, mut last] = waiting;
        drop(gone);
        drop(first);
        assert!(poll(&mut last).is_some());
    }

    #[test]
    fn a_turn_that_its_login_does_not_take_goes_to_the_next_one() {
        let (turns, callers) = (Turns::default(), callers());
        let mut waiting =
            callers.each_ref().map(|caller| Box::pin(turns.next(caller, [0; 32])) as Waiting<'_>);
        let first = poll(&mut waiting[0]);
        assert!(poll(&mut waiting[1]).is_none() && poll(&mut waiting[2]).is_none());
        drop(first);
        assert!(poll(&mut waiting[2]).is_none(), "the turn is that of the second");
        let [_, gone, mut last] = waiting;
        drop(gone);
        assert!(poll(&mut last).is_some());
        assert!(poll(&mut (Box::pin(turns.next(&callers[0], [0; 32])) as _)).is_some(), "all have ended");
    }
}
