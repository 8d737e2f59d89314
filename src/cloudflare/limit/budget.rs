//! The budget of one credential: a [`RateLimit`] that requests wait for, first come, first served.
//!
//! Cloudflare counts requests by credential, so accounts with the same credential share a budget. The lock of the rate
//! limit is private to this module and never held across an await.
//!
//! A process that restarts again and again must not spend a whole budget each time. So a budget with a [`Journal`]
//! leases requests, and writes each lease to the journal before it sends any of its requests. After a crash, the whole
//! lease counts as spent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Instant, Timestamp};
use crate::cloudflare::limit::lease::{Leases, Taken};
use crate::cloudflare::limit::{
    Admission, Counted, Held, Lease, QUOTA, RateLimit, RequestId, ServerLimit, Spending, WINDOW,
};

/// The requests that one credential may send. Clones share the same budget.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<Inner>,
    /// Which of the credentials that had this budget one after the other sends the requests.
    credential: u32,
}

#[derive(Debug)]
struct Inner {
    limit: Mutex<RateLimit>,
    /// First come, first served: only the holder of this lock waits for the limit.
    turn: tokio::sync::Mutex<()>,
    answered: Notify,
    unblocked: Notify,
    share: Mutex<f64>,
    clock: Clock,
    journaled: Option<Journaled>,
    /// The credential that is in use.
    credential: AtomicU32,
}

/// Requests that still count against a budget, and the end of a block. Other budgets may count the same requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spent {
    /// The requests.
    pub requests: Vec<Counted>,
    /// The end of a block by Cloudflare.
    pub blocked_until: Option<Instant>,
}

impl Spent {
    /// Removes what no longer counts.
    pub fn expire(&mut self, now: Instant) {
        self.requests.retain(|request| request.free_at > now);
        self.blocked_until = self.blocked_until.filter(|until| *until > now);
    }
}

/// Makes the spending of a budget durable.
pub struct Journal {
    turn: JournalTurn,
    write: Box<dyn Fn(&Spending) + Send + Sync>,
}

/// The turn of one of several journals that are on the same disk. Requests that wait for it need no thread. One that has it may
/// not be polled for a while, so nothing but requests waits for it.
pub type JournalTurn = Arc<tokio::sync::Mutex<()>>;

impl Journal {
    /// A journal that calls `write` with the spending to store. The function returns when that is done or has failed:
    /// requests do not wait for a failing disk. It may block, if it tells the runtime so.
    pub fn new(turn: JournalTurn, write: impl Fn(&Spending) + Send + Sync + 'static) -> Self {
        Self { turn, write: Box::new(write) }
    }

    fn write(&self, spending: &Spending) {
        (self.write)(spending);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

/// A journal, and the leases that it must contain.
///
/// A write waits for a disk, which may take long. So the leases are not locked during a write. A change that comes during
/// a write does not wait: the task that is writing writes it next.
#[derive(Debug)]
struct Journaled {
    journal: Journal,
    leases: Mutex<Leases>,
    writing: tokio::sync::Mutex<()>,
}

/// The permission to send one request. Dropping it marks the request as finished.
#[derive(Debug)]
pub struct Permit {
    inner: Arc<Inner>,
    id: RequestId,
    /// The credential that the request is sent with.
    credential: u32,
}

/// The state of a budget, for metrics and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetStatus {
    /// Requests allowed in five minutes.
    pub limit: u32,
    /// Requests that may still be sent now.
    pub remaining: u32,
    /// The end of a block by Cloudflare, if there is one.
    pub blocked_until: Option<Instant>,
}

impl Budget {
    /// The number of requests in five minutes for this share.
    pub fn requests(share: f64) -> u32 {
        (f64::from(QUOTA) * share) as u32
    }

    /// A budget of `share` of the 1,200 requests that Cloudflare allows in five minutes. The share is above 0, and at most
    /// 1 except for a simulator that allows more.
    pub fn new(share: f64, clock: Clock) -> Self {
        Self::with(RateLimit::new(Self::requests(share), WINDOW), share, clock, None)
    }

    /// Like [`Budget::new`], but earlier processes have sent requests: pairs of the latest time and the number.
    pub fn after(share: f64, clock: Clock, sent: &[(Timestamp, u32)]) -> Self {
        let (now, date) = (clock.now(), clock.date());
        let mut limit = RateLimit::new(Self::requests(share), WINDOW);
        for (at, requests) in sent {
            limit.spent_before(*requests, now + (*at + WINDOW).since(date), now);
        }
        Self::with(limit, share, clock, None)
    }

    /// Like [`Budget::new`], but continues from an earlier spending, and writes its own to `journal`.
    pub fn continued(share: f64, clock: Clock, spending: Spending, journal: Option<Journal>) -> Self {
        let limit = RateLimit::new(Self::requests(share), WINDOW);
        let journaled = journal.map(|journal| Journaled {
            journal,
            leases: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        });
        let budget = Self::with(limit, share, clock, journaled);
        budget.add(spending);
        budget
    }

    fn with(limit: RateLimit, share: f64, clock: Clock, journaled: Option<Journaled>) -> Self {
        let inner = Inner {
            limit: Mutex::new(limit),
            turn: tokio::sync::Mutex::default(),
            answered: Notify::new(),
            unblocked: Notify::new(),
            share: Mutex::new(share.min(1.0)),
            clock,
            journaled,
            credential: AtomicU32::new(0),
        };
        Self { inner: Arc::new(inner), credential: 0 }
    }

    /// Waits until a request may be sent, first come, first served.
    ///
    /// # Errors
    /// The earliest time for the request, if that is more than `max_wait` away.
    pub async fn acquire(&self, max_wait: Duration) -> Result<Permit, Instant> {
        let inner = &self.inner;
        let deadline = inner.clock.now() + max_wait;
        let _turn = inner.turn.lock().await;
        loop {
            let answered = inner.answered.notified();
            let unblocked = inner.unblocked.notified();
            let now = inner.clock.now();
            let admission = inner.limit().admission(now);
            match admission {
                Admission::Now => {
                    inner.lease().await;
                    // Writing a lease may take a while. Meanwhile another request may have started a block.
                    let now = inner.clock.now();
                    if inner.limit().admission(now) != Admission::Now {
                        continue;
                    }
                    let id = inner.limit().begin(now);
                    if let Some(journaled) = &inner.journaled {
                        journaled.leases().begun();
                    }
                    return Ok(Permit { inner: Arc::clone(inner), id, credential: self.credential });
                }
                Admission::At(moment) if moment > deadline => return Err(moment),
                Admission::At(moment) => tokio::select! {
                    () = inner.clock.sleep_until(moment) => {}
                    () = unblocked => {}
                },
                Admission::AfterResponse => answered.await,
            }
        }
    }

    /// Like [`Budget::acquire`], but leaves `reserve` requests to those who do not wait here, and lets them go first.
    ///
    /// # Errors
    /// The earliest time for the request, if that is more than `max_wait` away.
    pub async fn acquire_beyond(&self, reserve: u32, max_wait: Duration) -> Result<Permit, Instant> {
        let clock = &self.inner.clock;
        let deadline = clock.now() + max_wait;
        loop {
            let now = clock.now();
            let more_at = self.inner.limit().more_than(reserve, now);
            match more_at {
                None => return self.acquire(deadline.since(now)).await,
                Some(moment) if moment > deadline => return Err(moment),
                Some(moment) => clock.sleep_until(moment).await,
            }
        }
    }

    /// The same budget for the next credential, which is in use as soon as [`Budget::credential_changed`] is called on it.
    pub fn for_next_credential(&self) -> Self {
        Self { credential: self.credential + 1, ..self.clone() }
    }

    /// Ends a block, because it belongs to a credential that is no longer used, and ignores the errors of requests that are
    /// still sent with that one. The requests so far still count: the new credential may belong to the same user.
    pub fn credential_changed(&self) {
        self.inner.credential.store(self.credential, Ordering::Relaxed);
        self.inner.limit().unblock();
        self.inner.write(|leases| leases.blocked_until = None);
        self.inner.unblocked.notify_waiters();
    }

    /// Allows `share` of the requests from now on. The requests so far still count.
    pub fn set_share(&self, share: f64) {
        let inner = &self.inner;
        *inner.share() = share.min(1.0);
        inner.limit().resize(Self::requests(share));
        inner.unblocked.notify_waiters();
    }

    /// Counts this too: what an earlier process spent for accounts that use this budget now. The journal gets it with its next
    /// write.
    pub fn add(&self, mut spent: Spending) {
        let (now, date) = (self.inner.clock.now(), self.inner.clock.date());
        spent.end(date);
        spent.count(&mut self.inner.limit(), now, date);
        if let Some(journaled) = &self.inner.journaled {
            journaled.leases().block(spent.blocked_until);
        }
    }

    /// Counts this too, if it does not count yet: what was spent elsewhere by a credential, or by accounts, that use this budget
    /// now. The journal gets it with its next write.
    pub fn merge(&self, Spent { requests, blocked_until }: Spent) {
        let (now, date) = (self.inner.clock.now(), self.inner.clock.date());
        let blocked_until = blocked_until.filter(|until| *until > now);
        {
            let mut limit = self.inner.limit();
            if let Some(until) = blocked_until {
                limit.block(now, until.since(now));
            }
            limit.count(requests, now);
        }
        if let Some(journaled) = &self.inner.journaled {
            journaled.leases().block(blocked_until.map(|until| date + until.since(now)));
        }
    }

    /// Writes the spending to the journal, because the journal keeps it in another place from now on.
    pub fn write_journal(&self) {
        self.inner.write(|_| {});
    }

    /// Removes from the journal what is reserved, because nothing counts against the budget and nobody uses it any more.
    pub fn give_back(&self) {
        self.inner.write(Leases::give_back);
    }

    /// What counts against the budget now. Requests in flight count as sent now.
    pub fn spent(&self) -> Spent {
        let (limit, now) = (self.inner.limit(), self.inner.clock.now());
        Spent { requests: limit.counting(now).collect(), blocked_until: limit.blocked_until(now) }
    }

    /// Whether nothing counts against the budget, so that a new budget would allow the same requests.
    pub fn is_unspent(&self) -> bool {
        self.inner.limit().is_unspent(self.inner.clock.now())
    }

    /// Whether `other` is a clone of this budget.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The current state of the budget.
    pub fn status(&self) -> BudgetStatus {
        let (limit, now) = (self.inner.limit(), self.inner.clock.now());
        BudgetStatus {
            limit: limit.limit(),
            remaining: limit.remaining(now),
            blocked_until: limit.blocked_until(now),
        }
    }

    /// Why no request may be sent now, and until when.
    pub fn held(&self) -> Option<Held> {
        let (limit, now) = (self.inner.limit(), self.inner.clock.now());
        limit.held(now)
    }

    /// The clock of the budget, by which retries wait too.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }
}

impl Permit {
    /// Records a response that was not a rate-limit error.
    pub fn passed(&self) {
        let now = self.inner.clock.now();
        self.inner.limit().passed(now);
        if let Some(journaled) = &self.inner.journaled
            && self.inner.limit().blocked_until(now).is_none()
        {
            // The block is over, perhaps early. The next lease writes that down.
            journaled.leases().blocked_until = None;
        }
    }

    /// Records a rate-limit error: nothing is sent for `wait`. An error for an earlier credential is ignored.
    pub fn limited(&self, wait: Duration) {
        if self.credential != self.inner.credential.load(Ordering::Relaxed) {
            return;
        }
        self.inner.limit().block(self.inner.clock.now(), wait);
        let until = self.inner.clock.date() + wait;
        self.inner.write(|leases| leases.block(Some(until)));
    }

    /// Records how much of its limit the server says is left.
    pub fn narrow(&self, server: ServerLimit) {
        self.inner.limit().narrow(self.inner.clock.now(), server, *self.inner.share());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.inner.clock.now();
        self.inner.limit().end(self.id, now);
        if let Some(journaled) = &self.inner.journaled {
            journaled.leases().ended(now);
        }
        self.inner.answered.notify_waiters();
    }
}

impl Inner {
    /// Takes a request from the current lease, or from a new one.
    async fn lease(&self) {
        let Some(journaled) = &self.journaled else { return };
        let (now, date) = (self.clock.now(), self.clock.date());
        let (limit, remaining) = {
            let limit = self.limit();
            (limit.limit(), limit.remaining(now))
        };
        let taken = journaled.leases().take(now, date, limit, remaining);
        if taken == Taken::FromNew {
            // In this order: who has the turn waits for no other lock of a budget.
            let writing = journaled.writing.lock().await;
            let turn = journaled.journal.turn.lock().await;
            self.write_latest(journaled, writing);
            drop(turn);
            // The runtime has replaced a thread that was blocked, which it would use for as long as the task has something to do.
            tokio::task::yield_now().await;
        }
    }

    /// Changes what the journal must have, and writes it. If another task is writing, that task writes the change next.
    fn write(&self, change: impl FnOnce(&mut Leases)) {
        let Some(journaled) = &self.journaled else { return };
        {
            let mut leases = journaled.leases();
            change(&mut leases);
            leases.version += 1;
        }
        if let Ok(writing) = journaled.writing.try_lock() {
            self.write_latest(journaled, writing);
        }
    }

    /// Writes the spending until what was written last is the latest.
    fn write_latest<'a>(&self, journaled: &'a Journaled, mut writing: tokio::sync::MutexGuard<'a, ()>) {
        loop {
            // What changes after this has a later version.
            let version = journaled.leases().version;
            journaled.journal.write(&self.spending(journaled));
            drop(writing);
            if journaled.leases().version == version {
                return;
            }
            // Otherwise the task that has the lock now writes the change.
            match journaled.writing.try_lock() {
                Ok(again) => writing = again,
                Err(_) => return,
            }
        }
    }

    /// What the journal must have now: the leases of this budget, and the requests of others that count against it.
    fn spending(&self, journaled: &Journaled) -> Spending {
        let (now, date) = (self.clock.now(), self.clock.date());
        let mut others: BTreeMap<_, u32> = BTreeMap::new();
        let owner = {
            let limit = self.limit();
            for Counted { id, free_at } in limit.of_others(now) {
                *others.entry((id.owner(), free_at)).or_default() += 1;
            }
            limit.owner()
        };
        let mut spending = journaled.leases().spending(owner, date);
        spending.leases.extend(others.into_iter().map(|((owner, free_at), requests)| Lease {
            owner,
            until: date + free_at.since(now) - WINDOW,
            requests,
        }));
        spending
    }

    fn share(&self) -> MutexGuard<'_, f64> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> MutexGuard<'_, RateLimit> {
        // Each method leaves the limit consistent, so a panic elsewhere did not damage it.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journaled {
    fn leases(&self) -> MutexGuard<'_, Leases> {
        // A lease whose write panicked is written with the next one.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
