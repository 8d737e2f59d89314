//! The budget of one credential: a [`RateLimit`] that requests wait for in turns.
//!
//! Cloudflare counts by credential, so accounts that share one share its budget. The lock stays behind
//! the verbs here and is never held while waiting.
//!
//! A process that is started over and over must not spend a budget each time. So with a [`Journal`] requests
//! are leased, a few at a time, and each lease is told to the journal before its requests go: after a crash
//! all of a lease counts as spent.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Instant, Timestamp};
use crate::cloudflare::limit::{QUOTA, RateLimit, ServerLimit, Turn, WINDOW};

/// A lease is good for so long: at its end, or at the next start, its requests are all held to be sent.
const LEASE: Duration = Duration::from_secs(30);

/// A lease is as large as what this process has sent already, so that however often it is started, at least
/// half of the budget is really spent; and at most the budget's twentieth, so that a start after a crash finds
/// at most a twentieth spent that was not.
const LEASES: u32 = 20;

/// A block that an earlier process met is believed for so long; then one request finds out.
const LONGEST_BLOCK: Duration = Duration::from_secs(3_600);

/// What one credential may spend; cloned handles spend from the same.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: Mutex<RateLimit>,
    /// First come, first served: only the holder waits for the limit.
    turn: tokio::sync::Mutex<()>,
    answered: Notify,
    share: f64,
    clock: Clock,
    journaled: Option<Journaled>,
}

/// Requests that still count against a budget, and until when Cloudflare blocks all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spending {
    /// How many requests were sent by when, at the latest.
    pub leases: Vec<(Timestamp, u32)>,
    /// The end of a block by Cloudflare.
    pub blocked_until: Option<Timestamp>,
}

impl Spending {
    /// Adds what another account of the same budget spent.
    pub fn add(&mut self, other: Self) {
        self.leases.extend(other.leases);
        self.blocked_until = self.blocked_until.max(other.blocked_until);
    }

    /// Forgets what no longer counts at `date`, and what a clock that was ahead has written.
    fn forget(&mut self, date: Timestamp) {
        self.leases.retain(|(until, _)| *until + WINDOW > date && *until <= date + WINDOW);
        self.blocked_until = self.blocked_until.filter(|until| *until > date);
    }
}

/// Makes the spending of a budget durable. It returns when that is done, or when it has failed: requests do
/// not wait for a disk in trouble. It may block, and says so to the runtime.
pub struct Journal(Box<dyn Fn(&Spending) + Send + Sync>);

impl Journal {
    /// A journal that writes with this function.
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

/// A journal, and what was written to it last.
#[derive(Debug)]
struct Journaled {
    journal: Journal,
    lease: Mutex<Lease>,
}

/// Requests that may go without being written down again.
#[derive(Debug, Default)]
struct Lease {
    left: u32,
    until: Timestamp,
    /// How many requests went from this and earlier leases.
    sent: u32,
    spending: Spending,
}

/// Whether a request was taken from a lease that is written down, or from one that is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    FromOld,
    FromNew,
}

/// Leave to send one request; the request counts as answered when this is dropped.
#[derive(Debug)]
pub struct Permit {
    inner: Arc<Inner>,
}

/// What the budget looks like now, for the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Requests allowed in five minutes.
    pub limit: u32,
    /// Requests that may still go now.
    pub remaining: u32,
    /// Until when Cloudflare blocks every request, if it does.
    pub blocked_until: Option<Instant>,
}

impl Budget {
    /// How many requests in five minutes such a share is.
    pub fn requests(share: f64) -> u32 {
        (f64::from(QUOTA) * share) as u32
    }

    /// `share` of the 1,200 requests that Cloudflare allows in five minutes: above 0, and at most 1 but for
    /// a simulator that allows more.
    pub fn new(share: f64, clock: Clock) -> Self {
        Self::with(RateLimit::new(Self::requests(share), WINDOW), share, clock, None)
    }

    /// As [`Budget::new`], after an earlier process sent so many requests, the latest of them at these dates.
    pub fn after(share: f64, clock: Clock, sent: &[(Timestamp, u32)]) -> Self {
        let (now, date) = (clock.now(), clock.date());
        let mut limit = RateLimit::new(Self::requests(share), WINDOW);
        for (at, requests) in sent {
            limit.spent_before(*requests, now + (*at + WINDOW).since(date), now);
        }
        Self::with(limit, share, clock, None)
    }

    /// As [`Budget::new`], going on from what earlier processes spent, and telling `journal` what this one
    /// spends.
    pub fn durable(share: f64, clock: Clock, mut spending: Spending, journal: Journal) -> Self {
        let (now, date) = (clock.now(), clock.date());
        let mut limit = RateLimit::new(Self::requests(share), WINDOW);
        spending.forget(date);
        for (until, requests) in &spending.leases {
            limit.spent_before(*requests, now + (*until + WINDOW).since(date), now);
        }
        if let Some(until) = spending.blocked_until.filter(|until| *until > date) {
            limit.block(now, until.since(date).min(LONGEST_BLOCK));
        }
        let lease = Mutex::new(Lease { spending, ..Lease::default() });
        Self::with(limit, share, clock, Some(Journaled { journal, lease }))
    }

    fn with(limit: RateLimit, share: f64, clock: Clock, journaled: Option<Journaled>) -> Self {
        let inner = Inner {
            limit: Mutex::new(limit),
            turn: tokio::sync::Mutex::default(),
            answered: Notify::new(),
            share: share.min(1.0),
            clock,
            journaled,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Waits until a request may go, behind those that came before.
    ///
    /// # Errors
    /// The moment at which one might go, if that is more than `patience` away.
    pub async fn take(&self, patience: Duration) -> Result<Permit, Instant> {
        let inner = &self.inner;
        let deadline = inner.clock.now() + patience;
        let _turn = inner.turn.lock().await;
        loop {
            let answered = inner.answered.notified();
            let now = inner.clock.now();
            let turn = inner.limit().turn(now);
            match turn {
                Turn::Now => {
                    inner.lease();
                    // To write a lease down may take a while, in which another request may have met a block.
                    let now = inner.clock.now();
                    if inner.limit().turn(now) != Turn::Now {
                        continue;
                    }
                    inner.limit().begin(now);
                    return Ok(Permit { inner: Arc::clone(inner) });
                }
                Turn::At(moment) if moment > deadline => return Err(moment),
                Turn::At(moment) => inner.clock.sleep_until(moment).await,
                Turn::AfterAnswer => answered.await,
            }
        }
    }

    /// What is left now.
    pub fn level(&self) -> Level {
        let (limit, now) = (self.inner.limit(), self.inner.clock.now());
        Level {
            limit: limit.limit(),
            remaining: limit.remaining(now),
            blocked_until: limit.blocked_until(now),
        }
    }

    /// The clock the budget runs on; retries wait by the same.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }
}

impl Permit {
    /// The answer was not a refusal for the rate limit.
    pub fn passed(&self) {
        let now = self.inner.clock.now();
        self.inner.limit().passed(now);
        if let Some(journaled) = &self.inner.journaled
            && self.inner.limit().blocked_until(now).is_none()
        {
            // It is over, whenever it was to be; the next lease says so.
            journaled.lease().spending.blocked_until = None;
        }
    }

    /// The answer was a refusal for the rate limit: nothing goes for `wait`.
    pub fn limited(&self, wait: Duration) {
        self.inner.limit().block(self.inner.clock.now(), wait);
        if let Some(journaled) = &self.inner.journaled {
            let until = self.inner.clock.date() + wait;
            journaled.write(|spending| spending.blocked_until = spending.blocked_until.max(Some(until)));
        }
    }

    /// The answer said what is left of the server's limit.
    pub fn narrow(&self, server: ServerLimit) {
        self.inner.limit().narrow(self.inner.clock.now(), server, self.inner.share);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inner.limit().end(self.inner.clock.now());
        self.inner.answered.notify_waiters();
    }
}

impl Inner {
    /// Takes a request from the lease, or from a new one.
    fn lease(&self) {
        let Some(journaled) = &self.journaled else { return };
        let (limit, remaining) = {
            let limit = self.limit();
            (limit.limit(), limit.remaining(self.clock.now()))
        };
        let mut lease = journaled.lease();
        if lease.take(self.clock.date(), limit, remaining) == Taken::FromNew {
            journaled.journal.write(&lease.spending);
        }
    }

    fn limit(&self) -> MutexGuard<'_, RateLimit> {
        // The limit is whole after each of its verbs, so a panic elsewhere has not spoilt it.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Takes a request at `date`, of which `remaining` may still go of the `limit` for a window.
    fn take(&mut self, date: Timestamp, limit: u32, remaining: u32) -> Taken {
        // A clock that was set back makes no lease last longer.
        let is_over = self.left == 0 || date > self.until || date + LEASE < self.until;
        if is_over {
            self.renew(self.sent.min(limit / LEASES).min(remaining).max(1), date);
        }
        self.left -= 1;
        self.sent = self.sent.saturating_add(1);
        if is_over { Taken::FromNew } else { Taken::FromOld }
    }

    /// Ends the lease, whose rest will not be sent, and begins one of `size` requests.
    fn renew(&mut self, size: u32, date: Timestamp) {
        let (until, rest) = (self.until, std::mem::replace(&mut self.left, size));
        if let Some((_, requests)) = self.spending.leases.iter_mut().rfind(|(known, _)| *known == until) {
            *requests = requests.saturating_sub(rest);
        }
        self.until = date + LEASE;
        self.spending.forget(date);
        self.spending.leases.push((self.until, size));
    }
}

impl Journaled {
    fn write(&self, change: impl FnOnce(&mut Spending)) {
        let mut lease = self.lease();
        change(&mut lease.spending);
        self.journal.write(&lease.spending);
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        // A lease that was not written is written with the next one.
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
    async fn a_start_finds_at_most_twice_what_was_sent_and_a_twentieth_more_than_it() {
        for requests in [1, 2, 3, 10, 40, 200, 290] {
            let last = Arc::new(Mutex::new(Spending::default()));
            let journal = {
                let last = Arc::clone(&last);
                Journal::new(move |spending| *last.lock().unwrap() = spending.clone())
            };
            let budget = Budget::durable(0.25, Clock::system(), Spending::default(), journal);
            for _ in 0..requests {
                drop(budget.take(Duration::ZERO).await.unwrap());
            }
            let written = written(&last.lock().unwrap());
            let most = (2 * requests).min(requests + 300 / LEASES);
            assert!((requests..=most).contains(&written), "{written} for {requests}");
        }
    }

    #[test]
    fn what_ended_leases_left_is_not_spent() {
        // Each lease ends before the next request; the latest is as large as what was sent before it.
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
