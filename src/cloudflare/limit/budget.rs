//! The budget of one credential: a [`RateLimit`] that requests wait for, first come, first served.
//!
//! Cloudflare counts requests by credential, so accounts with the same credential share a budget. The lock of the rate
//! limit is private to this module and never held across an await.
//!
//! A process that restarts again and again must not spend a whole budget each time. So a budget with a [`Journal`]
//! leases requests, a few at a time, and writes each lease to the journal before it sends any of its requests. After a
//! crash, the whole lease counts as spent.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Instant, Timestamp};
use crate::cloudflare::limit::{Admission, Counted, Held, QUOTA, RateLimit, RequestId, ServerLimit, WINDOW};

/// How long a lease is valid. When it ends, or at the next start, all of its requests count as sent.
const LEASE: Duration = Duration::from_secs(30);

/// A lease is as large as the number of requests that this process has sent already, so that a process that restarts
/// again and again can still use at least half of its budget. It is at most 1/20 of the budget, so that a crash wastes
/// at most that much.
const LEASES: u32 = 20;

/// The longest that a block of an earlier process is respected. After that, one request tests whether it is over.
const LONGEST_BLOCK: Duration = Duration::from_secs(3_600);

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

/// Requests that still count against a budget, and the end of a block, as they survive a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spending {
    /// How many requests were sent, each with the latest time at which they were sent.
    pub leases: Vec<(Timestamp, u32)>,
    /// The end of a block by Cloudflare.
    pub blocked_until: Option<Timestamp>,
}

impl Spending {
    /// Adds the spending of another account with the same budget.
    pub fn add(&mut self, other: Self) {
        self.leases.extend(other.leases);
        self.blocked_until = self.blocked_until.max(other.blocked_until);
    }

    /// Removes what no longer counts at `date`, and leases from the future, which a wrong clock has written.
    pub fn expire(&mut self, date: Timestamp) {
        self.leases.retain(|(until, _)| *until + WINDOW > date && *until <= date + WINDOW);
        self.blocked_until = self.blocked_until.filter(|until| *until > date);
    }

    /// Counts against `limit` what is not expired.
    fn count(&self, limit: &mut RateLimit, now: Instant, date: Timestamp) {
        for (until, requests) in &self.leases {
            limit.spent_before(*requests, now + (*until + WINDOW).since(date), now);
        }
        if let Some(until) = self.blocked_until {
            limit.block(now, until.since(date).min(LONGEST_BLOCK));
        }
    }
}

/// Requests of this process that still count against a budget, and the end of a block. Other budgets may count the same requests.
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

/// Makes the spending of a budget durable. The function returns when that is done or has failed: requests do not wait
/// for a failing disk. It may block, if it tells the runtime so.
pub struct Journal(Box<dyn Fn(&Spending) + Send + Sync>);

impl Journal {
    /// A journal that calls `write` with the spending to store.
    pub fn new(write: impl Fn(&Spending) + Send + Sync + 'static) -> Self {
        Self(Box::new(write))
    }

    fn write(&self, spending: &Spending) {
        (self.0)(spending);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

/// A journal, and the lease that it must contain.
///
/// A write waits for a disk, which may take long. So the lease is not locked during a write. A change that comes during a
/// write does not wait: the task that is writing writes it next.
#[derive(Debug)]
struct Journaled {
    journal: Journal,
    lease: Mutex<Lease>,
    writing: tokio::sync::Mutex<()>,
}

/// Requests that may be sent without another write to the journal.
#[derive(Debug, Default)]
struct Lease {
    left: u32,
    until: Timestamp,
    /// How many requests were sent from this and earlier leases.
    sent: u32,
    spending: Spending,
    /// Counts the changes that must be written.
    version: u64,
}

/// Whether a request was taken from a lease that the journal has, or from a new one, which must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    FromOld,
    FromNew,
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
    pub fn continued(share: f64, clock: Clock, mut spending: Spending, journal: Option<Journal>) -> Self {
        let (now, date) = (clock.now(), clock.date());
        let mut limit = RateLimit::new(Self::requests(share), WINDOW);
        spending.expire(date);
        spending.count(&mut limit, now, date);
        let lease = Mutex::new(Lease { spending, ..Lease::default() });
        Self::with(
            limit,
            share,
            clock,
            journal.map(|journal| Journaled { journal, lease, writing: tokio::sync::Mutex::default() }),
        )
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

    /// The same budget for the next credential, which is in use as soon as [`Budget::credential_changed`] is called on it.
    pub fn for_next_credential(&self) -> Self {
        Self { credential: self.credential + 1, ..self.clone() }
    }

    /// Ends a block, because it belongs to a credential that is no longer used, and ignores the errors of requests that are
    /// still sent with that one. The requests so far still count: the new credential may belong to the same user.
    pub fn credential_changed(&self) {
        self.inner.credential.store(self.credential, Ordering::Relaxed);
        self.inner.limit().unblock();
        if let Some(journaled) = &self.inner.journaled {
            journaled.write(|spending| spending.blocked_until = None);
        }
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
        spent.expire(date);
        spent.count(&mut self.inner.limit(), now, date);
        if let Some(journaled) = &self.inner.journaled {
            journaled.lease().spending.add(spent);
        }
    }

    /// Counts this too, if it does not count yet: what was spent elsewhere by a credential, or by accounts, that use this budget
    /// now. The journal gets it with its next write.
    pub fn merge(&self, Spent { requests, blocked_until }: Spent) {
        let (now, date) = (self.inner.clock.now(), self.inner.clock.date());
        let blocked_until = blocked_until.filter(|until| *until > now);
        let added = {
            let mut limit = self.inner.limit();
            if let Some(until) = blocked_until {
                limit.block(now, until.since(now));
            }
            limit.count(requests, now)
        };
        if let Some(journaled) = &self.inner.journaled {
            let leases = added.into_iter().map(|request| (date + request.free_at.since(now) - WINDOW, 1));
            let blocked_until = blocked_until.map(|until| date + until.since(now));
            journaled.lease().spending.add(Spending { leases: leases.collect(), blocked_until });
        }
    }

    /// Writes the spending to the journal, because the journal keeps it in another place from now on.
    pub fn write_journal(&self) {
        if let Some(journaled) = &self.inner.journaled {
            journaled.write(|_| {});
        }
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
            journaled.lease().spending.blocked_until = None;
        }
    }

    /// Records a rate-limit error: nothing is sent for `wait`. An error for an earlier credential is ignored.
    pub fn limited(&self, wait: Duration) {
        if self.credential != self.inner.credential.load(Ordering::Relaxed) {
            return;
        }
        self.inner.limit().block(self.inner.clock.now(), wait);
        if let Some(journaled) = &self.inner.journaled {
            let until = self.inner.clock.date() + wait;
            journaled.write(|spending| spending.blocked_until = spending.blocked_until.max(Some(until)));
        }
    }

    /// Records how much of its limit the server says is left.
    pub fn narrow(&self, server: ServerLimit) {
        self.inner.limit().narrow(self.inner.clock.now(), server, *self.inner.share());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inner.limit().end(self.id, self.inner.clock.now());
        self.inner.answered.notify_waiters();
    }
}

impl Inner {
    /// Takes a request from the current lease, or from a new one.
    async fn lease(&self) {
        let Some(journaled) = &self.journaled else { return };
        let (limit, remaining) = {
            let limit = self.limit();
            (limit.limit(), limit.remaining(self.clock.now()))
        };
        let taken = journaled.lease().take(self.clock.date(), limit, remaining);
        if taken == Taken::FromNew {
            let writing = journaled.writing.lock().await;
            journaled.write_latest(writing);
        }
    }

    fn share(&self) -> MutexGuard<'_, f64> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> MutexGuard<'_, RateLimit> {
        // Each method leaves the limit consistent, so a panic elsewhere did not damage it.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Takes a request at `date`, when `remaining` of the `limit` of a window are left.
    fn take(&mut self, date: Timestamp, limit: u32, remaining: u32) -> Taken {
        // Setting the clock back must not extend a lease.
        let is_over = self.left == 0 || date > self.until || date + LEASE < self.until;
        if is_over {
            self.version += 1;
            self.renew(self.sent.min(limit / LEASES).min(remaining).max(1), date);
        }
        self.left -= 1;
        self.sent = self.sent.saturating_add(1);
        if is_over { Taken::FromNew } else { Taken::FromOld }
    }

    /// Ends the lease, whose remaining requests will not be sent, and starts one of `size` requests.
    fn renew(&mut self, size: u32, date: Timestamp) {
        let (until, rest) = (self.until, std::mem::replace(&mut self.left, size));
        if let Some((_, requests)) = self.spending.leases.iter_mut().rfind(|(known, _)| *known == until) {
            *requests = requests.saturating_sub(rest);
        }
        self.until = date + LEASE;
        self.spending.expire(date);
        self.spending.leases.push((self.until, size));
    }
}

impl Journaled {
    /// Changes the spending, and writes it. If another task is writing, that task writes the change next.
    fn write(&self, change: impl FnOnce(&mut Spending)) {
        {
            let mut lease = self.lease();
            change(&mut lease.spending);
            lease.version += 1;
        }
        if let Ok(writing) = self.writing.try_lock() {
            self.write_latest(writing);
        }
    }

    /// Writes the spending until what was written last is the latest.
    fn write_latest<'a>(&'a self, mut writing: tokio::sync::MutexGuard<'a, ()>) {
        loop {
            let (version, spending) = {
                let lease = self.lease();
                (lease.version, lease.spending.clone())
            };
            self.journal.write(&spending);
            drop(writing);
            if self.lease().version == version {
                return;
            }
            // Otherwise the task that has the lock now writes the change.
            match self.writing.try_lock() {
                Ok(again) => writing = again,
                Err(_) => return,
            }
        }
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        // A lease whose write panicked is written with the next one.
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(spending: &Spending) -> u32 {
        spending.leases.iter().map(|(_, requests)| requests).sum()
    }

    #[tokio::test]
    async fn leases_exceed_the_requests_sent_at_most_twofold_and_by_at_most_a_twentieth_of_the_budget() {
        for requests in [1, 2, 3, 10, 40, 200, 290] {
            let last = Arc::new(Mutex::new(Spending::default()));
            let journal = {
                let last = Arc::clone(&last);
                Journal::new(move |spending| *last.lock().unwrap() = spending.clone())
            };
            let budget = Budget::continued(0.25, Clock::system(), Spending::default(), Some(journal));
            for _ in 0..requests {
                drop(budget.acquire(Duration::ZERO).await.unwrap());
            }
            let written = written(&last.lock().unwrap());
            let most = (2 * requests).min(requests + 300 / LEASES);
            assert!((requests..=most).contains(&written), "{written} for {requests}");
        }
    }

    #[tokio::test]
    async fn a_block_ends_with_its_credential() {
        let last = Arc::new(Mutex::new(Spending::default()));
        let journal = {
            let last = Arc::clone(&last);
            Journal::new(move |spending| *last.lock().unwrap() = spending.clone())
        };
        let budget = Budget::continued(0.25, Clock::system(), Spending::default(), Some(journal));
        let early = budget.acquire(Duration::ZERO).await.unwrap();
        let late = budget.acquire(Duration::ZERO).await.unwrap();
        early.limited(Duration::from_secs(300));
        drop(early);
        assert!(budget.status().blocked_until.is_some());
        assert!(last.lock().unwrap().blocked_until.is_some());

        let waiting = budget.clone();
        let waiting = tokio::spawn(async move { waiting.acquire(Duration::from_secs(3_600)).await.is_ok() });
        tokio::task::yield_now().await;
        let next = budget.for_next_credential();
        next.credential_changed();
        assert!(waiting.await.unwrap(), "a request that waited for the end of the block is sent at once");
        assert_eq!((budget.status().blocked_until, last.lock().unwrap().blocked_until), (None, None));
        late.limited(Duration::from_secs(300));
        let even_later = budget.acquire(Duration::ZERO).await.unwrap();
        even_later.limited(Duration::from_secs(300));
        assert_eq!(budget.status().blocked_until, None, "errors for the earlier credential");
        next.acquire(Duration::ZERO).await.unwrap().limited(Duration::from_secs(300));
        assert!(budget.status().blocked_until.is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_but_the_writer_waits_for_a_journal_that_hangs() {
        let (release, released) = std::sync::mpsc::sync_channel::<()>(4);
        let (began, begins) = std::sync::mpsc::sync_channel(4);
        let written = Arc::new(Mutex::new(Vec::new()));
        let journal = {
            let (written, released) = (Arc::clone(&written), Mutex::new(released));
            Journal::new(move |spending| {
                written.lock().unwrap().push(spending.clone());
                began.send(()).unwrap();
                tokio::task::block_in_place(|| released.lock().unwrap().recv().unwrap());
            })
        };
        let budget = Budget::continued(0.25, Clock::system(), Spending::default(), Some(journal));
        release.send(()).unwrap();
        let permit = budget.acquire(Duration::ZERO).await.unwrap();
        let waiting = budget.clone();
        let waiting = tokio::spawn(async move { waiting.acquire(Duration::ZERO).await.is_ok() });
        let begins =
            tokio::task::spawn_blocking(move || (begins.recv(), begins.recv(), begins).2).await.unwrap();
        // The second request waits for the disk. These do not.
        permit.passed();
        permit.limited(Duration::from_secs(300));
        budget.credential_changed();
        budget.write_journal();
        assert_eq!(written.lock().unwrap().len(), 2);
        // The writer writes what has changed in the meantime, once.
        release.send(()).unwrap();
        release.send(()).unwrap();
        assert!(waiting.await.unwrap());
        drop(begins);
        let written = written.lock().unwrap();
        assert_eq!(written.len(), 3);
        assert_eq!(written[2].leases.len(), 2);
    }

    #[tokio::test]
    async fn another_share_allows_more_or_fewer_requests_and_those_sent_still_count() {
        let budget = Budget::new(0.01, Clock::system());
        assert!(budget.is_unspent());
        for _ in 0..12 {
            drop(budget.acquire(Duration::ZERO).await.unwrap());
        }
        assert!(budget.acquire(Duration::ZERO).await.is_err());
        let waiting = budget.clone();
        let waiting = tokio::spawn(async move { waiting.acquire(Duration::from_secs(3_600)).await.is_ok() });
        tokio::task::yield_now().await;
        for (share, limit, remaining) in [(0.02, 24, 11), (0.01, 12, 0), (0.005, 6, 0), (0.02, 24, 11)] {
            budget.set_share(share);
            if share == 0.02 {
                tokio::task::yield_now().await;
            }
            let status = budget.status();
            assert_eq!((status.limit, status.remaining), (limit, remaining), "{share}");
        }
        assert!(waiting.await.unwrap(), "a request that waited for the window is sent at once");
        assert!(!budget.is_unspent());
    }

    #[test]
    fn the_rest_of_an_ended_lease_is_not_spent() {
        // Each lease ends before the next request. The latest is as large as the number of requests before it.
        let (mut lease, mut date) = (Lease::default(), Timestamp::from_seconds(1_900_000_000));
        for sent in 0..8 {
            assert_eq!(lease.take(date, 300, 300 - sent), Taken::FromNew);
            date = date + LEASE + Duration::from_secs(5);
        }
        assert_eq!(written(&lease.spending), 7 + 7);
    }

    #[test]
    fn a_lease_is_not_written_again_while_it_lasts() {
        let (mut lease, date) =
            (Lease { sent: 3, ..Lease::default() }, Timestamp::from_seconds(1_900_000_000));
        let end = date + LEASE;
        let table =
            [(date, Taken::FromNew), (end, Taken::FromOld), (date, Taken::FromOld), (end, Taken::FromNew)];
        for (date, taken) in table {
            assert_eq!(lease.take(date, 300, 100), taken, "{date:?}");
        }
    }
}
