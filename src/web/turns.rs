//! Gives logins their turns to have a password compared.
//!
//! A comparison takes long on purpose, and one runs at a time. [`queue`] decides which login is next.

mod queue;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::http::{Caller, Standing};
pub(super) use queue::Tag;
use queue::{Full, Queue};

/// The turns to compare a password. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a login has its turn.
    is_taken: bool,
    /// Whether the server stops.
    is_closed: bool,
    queue: Queue<oneshot::Sender<Turn>>,
}

/// Why a login gets no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// Too many other logins of the same peer wait.
    Full,
    /// The server stops.
    Closed,
}

impl From<Full> for NoTurn {
    fn from(Full: Full) -> Self {
        Self::Full
    }
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
    /// Too many other logins of the same peer wait, or the turns were closed.
    pub(super) async fn next(&self, caller: &Caller, tag: Tag) -> Result<Turn, NoTurn> {
        let peer = caller.peer();
        let (waiter, turn) = oneshot::channel();
        let (number, standing) = {
            let State { is_closed, queue, .. } = &mut *self.lock();
            if *is_closed {
                return Err(NoTurn::Closed);
            }
            (queue.enter(peer, caller.connection(), tag, waiter)?, queue.standing(peer))
        };
        let _leaving = Leaving { turns: self, peer, number };
        let _waiting = caller.wait(standing);
        self.give();
        // A login stays in the queue until it has its turn, or until the queue is gone.
        turn.await.map_err(|_| NoTurn::Closed)
    }

    /// Gives no login a turn any more, not even those that wait. The one that has its turn keeps it.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.is_closed = true;
            std::mem::take(&mut state.queue)
        };
        drop(waiting);
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

    type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Turn, NoTurn>> + 'a>>;

    /// The turn, if it has come.
    fn poll(waiting: &mut Waiting<'_>) -> Option<Turn> {
        result(waiting).map(Result::unwrap)
    }

    /// The turn, or why there is none, if that is known.
    fn result(waiting: &mut Waiting<'_>) -> Option<Result<Turn, NoTurn>> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
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

    #[test]
    fn closed_turns_end_with_the_one_that_is_taken() {
        let (turns, callers) = (Turns::default(), callers());
        let mut waiting =
            callers.each_ref().map(|caller| Box::pin(turns.next(caller, [0; 32])) as Waiting<'_>);
        let taken = poll(&mut waiting[0]).unwrap();
        assert!(poll(&mut waiting[1]).is_none());
        turns.close();
        for late in &mut waiting[1..] {
            assert_eq!(result(late).map(|turn| turn.err()), Some(Some(NoTurn::Closed)));
        }
        taken.wrong(&callers[0]);
        drop(taken);
        let mut next: Waiting<'_> = Box::pin(turns.next(&callers[0], [0; 32]));
        assert_eq!(result(&mut next).map(|turn| turn.err()), Some(Some(NoTurn::Closed)));
    }
}
