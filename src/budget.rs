//! The budget of one credential: a [`RateLimit`] that requests wait for in turns.
//!
//! Cloudflare counts by credential, so accounts that share one share its budget. The lock stays behind
//! the verbs here and is never held while waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Moment};
use crate::rate_limit::{QUOTA, RateLimit, ServerLimit, Turn, WINDOW};

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
    pub blocked_until: Option<Moment>,
}

impl Budget {
    /// `share` of the 1,200 requests that Cloudflare allows in five minutes: above 0, and at most 1 but for
    /// a simulator that allows more.
    pub fn new(share: f64, clock: Clock) -> Self {
        let limit = RateLimit::new((f64::from(QUOTA) * share) as u32, WINDOW);
        let inner = Inner {
            limit: Mutex::new(limit),
            turn: tokio::sync::Mutex::default(),
            answered: Notify::new(),
            share: share.min(1.0),
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Waits until a request may go, behind those that came before.
    ///
    /// # Errors
    /// The moment at which one might go, if that is more than `patience` away.
    pub async fn take(&self, patience: Duration) -> Result<Permit, Moment> {
        let inner = &self.inner;
        let deadline = inner.clock.now() + patience;
        let _turn = inner.turn.lock().await;
        loop {
            let answered = inner.answered.notified();
            let now = inner.clock.now();
            let turn = inner.limit().turn(now);
            match turn {
                Turn::Now => {
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
        self.inner.limit().passed(self.inner.clock.now());
    }

    /// The answer was a refusal for the rate limit: nothing goes for `wait`.
    pub fn limited(&self, wait: Duration) {
        self.inner.limit().block(self.inner.clock.now(), wait);
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
    fn limit(&self) -> MutexGuard<'_, RateLimit> {
        // The limit is whole after each of its verbs, so a panic elsewhere has not spoilt it.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
