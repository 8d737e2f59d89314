//! Saves an account before its counts are published.
//!
//! The rows of each reading go to a batch, which [`State`] commits within a second. Only then are its counts published.
//! Dates and other changes that cost a few requests if they are lost wait for the next counts, or for two hours: an account
//! in which nothing happens is hardly ever written.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, Instant};
use crate::collector::account::Account;
use crate::collector::persist::Now;
use crate::store::{Batch, ExistingRows, Generation, State, Written};

/// How long changes wait at most that can wait. All accounts write them at the same time, so that one commit has them all.
const LONGEST_WAIT: Duration = Duration::from_secs(7_200);

/// Where an account is saved, and how much of it is there.
#[derive(Debug)]
pub(crate) struct Saving {
    state: State,
    /// The file with the latest copy of the account.
    generation: Generation,
    /// The batch that the account was last handed over to, unless it is known to be on disk.
    handed: Option<Batch>,
    committed: watch::Receiver<Batch>,
    /// When changes that can wait are saved.
    late: Instant,
}

impl Saving {
    /// The account's latest copy is in the file `generation`.
    pub(crate) fn new(state: State, generation: Generation, now: Instant) -> Self {
        let committed = state.committed();
        Self { state, generation, handed: None, committed, late: next_turn(now) }
    }

    /// Hands the changes over to the next commit. If that is not possible, they stay unsaved, and the counts of the last
    /// commit stay published.
    pub(super) fn hand_over(&mut self, account: &mut Account, clock: &Clock) {
        self.publish_committed(account);
        while let Some(generation) = self.state.usable() {
            if generation != self.generation {
                account.save_everything();
                self.handed = None;
            }
            let now = Now { instant: clock.now(), date: clock.date() };
            let changes = account.changes(now);
            if changes.is_empty() || (changes.can_wait() && now.instant < self.late) {
                return;
            }
            let before = if changes.are_everything() { ExistingRows::Clear } else { ExistingRows::Keep };
            let id = &account.name().id;
            match self.state.write(id, generation, before, |sink| changes.each(&mut *sink)) {
                Written::To(batch) => {
                    // The batches of a file are committed in their order.
                    if self.handed.is_some_and(|before| before != batch) {
                        account.committed();
                    }
                    account.handed_over();
                    (self.generation, self.handed) = (generation, Some(batch));
                    self.late = next_turn(now.instant);
                    return;
                }
                Written::Failed => return,
                // Another poller replaced the file meanwhile. That happens every ten seconds at most.
                Written::OtherFile => {}
            }
        }
    }

    /// Hands all changes over, also those that can wait.
    pub(super) fn hand_over_all(&mut self, account: &mut Account, clock: &Clock) {
        self.late = Instant::default();
        self.hand_over(account, clock);
    }

    /// Whether something was handed over that is not known to be on disk.
    pub(super) fn awaits_commit(&self) -> bool {
        self.handed.is_some()
    }

    /// Publishes what was handed over, if it is on disk. Returns whether it is.
    fn publish_committed(&mut self, account: &mut Account) -> bool {
        let committed = *self.committed.borrow_and_update();
        let is_committed = self.handed.is_some_and(|handed| handed.is_in(committed));
        if is_committed {
            account.committed();
            self.handed = None;
        }
        is_committed
    }
}

/// Waits until what was handed over is on disk, and publishes it. Never returns if nothing was handed over.
pub(super) async fn committed(saving: &mut Option<Saving>, account: &mut Account) {
    let Some(saving) = saving else { return pending().await };
    while !saving.publish_committed(account) {
        if saving.handed.is_none() || saving.committed.changed().await.is_err() {
            return pending().await;
        }
    }
}

/// When all accounts write next what can wait.
fn next_turn(now: Instant) -> Instant {
    let wait = LONGEST_WAIT.as_secs();
    Instant::after_start(Duration::from_secs((now.since(Instant::default()).as_secs() / wait + 1) * wait))
}

/// Saves the changes of an account whose latest copy is in the file `last`, then publishes them. If they cannot be
/// saved, they stay unsaved, and the totals that were saved last stay published.
///
/// Blocks until the changes are on disk.
pub fn save(account: &mut Account, state: &State, last: &mut Generation, clock: &Clock) {
    let mut saving = Saving::new(state.clone(), *last, clock.now());
    saving.hand_over_all(account, clock);
    state.commit();
    saving.publish_committed(account);
    *last = saving.generation;
}

#[cfg(test)]
mod tests;
