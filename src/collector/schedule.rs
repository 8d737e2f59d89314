//! When each resource is due, and how many requests for users' events may be sent.
//!
//! The periodic requests take their part of the budget first. The rest goes to users' events, a tenth of it to the
//! audit. Nothing here sleeps or reads a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Instant;
use crate::cloudflare::limit::{Admission, RateLimit, WINDOW};
use crate::model::Resource;
use crate::model::resource::Intervals;

/// How often refused credentials, or a missing permission, are tried again: a person must act first.
pub(crate) const REFUSED_INTERVAL: Duration = Duration::from_secs(300);

/// Valid credentials are refused now and then, so the first refusals in a row are tried again after these delays. Together
/// with an interval of 30 s they are shorter than three intervals.
pub(crate) const REFUSAL_RETRIES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(20)];

/// The delay of a retry after a transient failure, for resources that are read every few minutes.
const TRANSIENT_RETRY: Duration = Duration::from_secs(30);

/// Why a request failed, by what follows for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The credentials were refused. If the list of users or two resources in a row do that, no other request will succeed
    /// either.
    Refused,
    /// The credentials may not read this resource.
    Denied,
    /// A temporary failure.
    Transient,
    /// The answer cannot be used.
    Unusable,
}

/// What a request for a user's events is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The summary shows a change.
    Change,
    /// The summary shows none.
    Audit,
}

/// How often a resource is read, and when it is due.
#[derive(Clone, Copy, Debug)]
struct Poll {
    interval: Duration,
    due: Instant,
    /// How often in a row the credentials were not allowed to read it.
    denials: usize,
    latest: Latest,
}

/// How the latest request for a resource ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latest {
    /// With the resource, or there was no request yet.
    Read,
    Failed,
}

/// When each request of one account may be sent.
#[derive(Debug)]
pub struct Schedule {
    /// The resources that are read periodically, in the order in which they are read when all are due.
    polls: BTreeMap<Resource, Poll>,
    budget: u32,
    summary_pages: u32,
    refused_interval: Duration,
    changes: RateLimit,
    audits: RateLimit,
    /// The credentials were refused: nothing is sent before this instant.
    refused_until: Option<Instant>,
    /// How often in a row the credentials were refused.
    refusals: usize,
    /// The resources that refused them since they were last accepted.
    refused_by: BTreeSet<Resource>,
    /// Users' events were denied: none are requested before this instant.
    users_denied_until: Option<Instant>,
    /// How often in a row they were denied.
    user_denials: usize,
    random: fastrand::Rng,
}

impl Schedule {
    /// A schedule in which everything is due. `budget` is how many requests this account may send in five minutes; `seed`
    /// is the seed of the jitter.
    pub fn new(intervals: Intervals, budget: u32, seed: u64) -> Self {
        let poll = |resource| {
            let interval = intervals.of(resource)?;
            Some((resource, Poll { interval, due: Instant::default(), denials: 0, latest: Latest::Read }))
        };
        let mut schedule = Self {
            polls: Resource::ALL.into_iter().filter_map(poll).collect(),
            budget,
            summary_pages: 1,
            refused_interval: REFUSED_INTERVAL,
            changes: RateLimit::new(1, WINDOW),
            audits: RateLimit::new(1, WINDOW),
            refused_until: None,
            refusals: 0,
            refused_by: BTreeSet::new(),
            users_denied_until: None,
            user_denials: 0,
            random: fastrand::Rng::with_seed(seed),
        };
        schedule.divide();
        schedule
    }

    /// Continues after an earlier process, whose summary took `summary_pages` requests, and whose last audits may count
    /// until `audits_free`.
    pub fn resume(&mut self, summary_pages: u32, audits_free: Instant, now: Instant) {
        self.summary_pages = summary_pages.max(1);
        self.divide();
        self.audits.spent_before(u32::MAX, audits_free, now);
    }

    /// An earlier process read `resource`, so it is not due before this instant.
    pub fn resume_at(&mut self, resource: Resource, due: Instant) {
        if let Some(poll) = self.polls.get_mut(&resource) {
            poll.due = due;
        }
    }

    /// Polling begins. What was due before is due now, so that nothing is overdue yet.
    pub fn begin(&mut self, now: Instant) {
        for poll in self.polls.values_mut() {
            poll.due = poll.due.max(now);
        }
    }

    /// Retries after a refusal come this often, instead of every [`REFUSED_INTERVAL`].
    pub fn retry_refused_every(&mut self, interval: Duration) {
        self.refused_interval = interval;
    }

    /// How many requests the summary took last.
    pub fn summary_pages(&self) -> u32 {
        self.summary_pages
    }

    /// The time between two readings of `resource` that the budget allows; `None` for resources that are not read
    /// periodically.
    pub fn interval(&self, resource: Resource) -> Option<Duration> {
        let configured = self.configured(resource)?;
        if resource != Resource::Summary {
            return Some(configured);
        }
        // The summary may take half of the budget: s requests every 300 s · s / (B / 2).
        let affordable =
            WINDOW.mul_f64(f64::from(self.summary_pages) / (f64::from(self.budget.max(2)) / 2.0));
        Some(configured.max(affordable))
    }

    /// The configured time between two readings of `resource`.
    pub fn configured(&self, resource: Resource) -> Option<Duration> {
        self.polls.get(&resource).map(|poll| poll.interval)
    }

    /// The resources that are read periodically.
    pub fn polled(&self) -> impl Iterator<Item = Resource> {
        self.polls.keys().copied()
    }

    /// How many requests the readings of `resource` take in five minutes on average, 0 for resources that are not read
    /// periodically. It can be below the requests of one summary, if a summary is read less often than every five minutes.
    pub fn load(&self, resource: Resource) -> f64 {
        let requests = if resource == Resource::Summary { self.summary_pages } else { 1 };
        let windows = |interval: Duration| WINDOW.as_secs_f64() / interval.as_secs_f64();
        self.interval(resource).map_or(0.0, |interval| f64::from(requests) * windows(interval))
    }

    /// How many requests for users' events may be sent in five minutes.
    pub fn allowance(&self, purpose: Purpose) -> u32 {
        self.limit(purpose).limit()
    }

    /// The resource to read now: the one that has been due longest. Otherwise a resource could wait forever behind
    /// one whose requests take longer than its interval.
    pub fn due(&self, now: Instant) -> Option<Resource> {
        if self.refused_until.is_some_and(|until| now < until) {
            return None;
        }
        let due = self.polls.iter().filter(|(_, poll)| poll.due <= now);
        due.min_by_key(|(_, poll)| poll.due).map(|(resource, _)| *resource)
    }

    /// When the next resource is due.
    pub fn next_due(&self) -> Instant {
        let earliest = self.polls.values().map(|poll| poll.due).min().unwrap_or_default();
        self.refused_until.map_or(earliest, |until| until.max(earliest))
    }

    /// When a user's events may be requested.
    pub fn user_admission(&self, purpose: Purpose, now: Instant) -> Admission {
        let denied = self.refused_until.max(self.users_denied_until).filter(|until| now < *until);
        match denied {
            Some(until) => Admission::At(until),
            None => self.limit(purpose).admission(now),
        }
    }

    /// `resource` was read with `pages` requests, so the credentials are valid.
    pub fn read(&mut self, resource: Resource, pages: u32, now: Instant) {
        self.accepted();
        if let Some(poll) = self.polls.get_mut(&resource) {
            (poll.denials, poll.latest) = (0, Latest::Read);
        }
        if resource == Resource::Summary && pages != self.summary_pages {
            self.summary_pages = pages.max(1);
            self.divide();
        }
        if let Some(interval) = self.interval(resource) {
            self.postpone(resource, now, interval);
        }
    }

    /// Cloudflare accepted the credentials.
    pub fn accepted(&mut self) {
        (self.refused_until, self.refusals) = (None, 0);
        self.refused_by.clear();
    }

    /// A user's events were read.
    pub fn users_accepted(&mut self) {
        self.accepted();
        (self.users_denied_until, self.user_denials) = (None, 0);
    }

    /// Whether the credentials may not read `resource`: all retries were refused as well.
    pub fn is_denied(&self, resource: Resource) -> bool {
        self.polls.get(&resource).is_some_and(|poll| poll.denials > REFUSAL_RETRIES.len())
    }

    /// When `resource` is due, if it is read periodically.
    pub fn due_at(&self, resource: Resource) -> Option<Instant> {
        self.polls.get(&resource).map(|poll| poll.due)
    }

    /// Users' events were refused, whichever user was requested: none is requested for a while. The first requests come
    /// soon, because they may well be about the only users who are refused.
    pub fn users_denied(&mut self, now: Instant) {
        self.user_denials += 1;
        let wait = self.refusal_wait(self.user_denials, self.refused_interval, self.refused_interval);
        self.users_denied_until = Some(now + self.jittered(wait));
    }

    /// A user's events were requested, with `pages` requests.
    pub fn spent(&mut self, purpose: Purpose, pages: u32, now: Instant) {
        let limit = match purpose {
            Purpose::Change => &mut self.changes,
            Purpose::Audit => &mut self.audits,
        };
        for _ in 0..pages.max(1) {
            let request = limit.begin(now);
            limit.end(request, now);
        }
    }

    /// `resource` could not be read.
    pub fn failed(&mut self, resource: Resource, failure: FailureClass, now: Instant) {
        let interval = self.interval(resource).unwrap_or(TRANSIENT_RETRY);
        if failure == FailureClass::Refused {
            self.refused_by.insert(resource);
            if resource == Resource::Summary || self.refused_by.len() > 1 {
                self.refusals += 1;
                let pause = self.refusal_wait(self.refusals, interval, self.refused_interval);
                self.refused_until = Some(now + pause);
            }
        }
        let wait = match failure {
            FailureClass::Refused | FailureClass::Denied => {
                let denials = self.polls.get_mut(&resource).map_or(usize::MAX, |poll| {
                    poll.denials += 1;
                    poll.denials
                });
                self.refusal_wait(denials, interval, interval.max(self.refused_interval))
            }
            FailureClass::Transient | FailureClass::Unusable if resource == Resource::TokenVerify => interval,
            FailureClass::Transient | FailureClass::Unusable => {
                interval.min(TRANSIENT_RETRY.max(self.summary_interval()))
            }
        };
        if let Some(poll) = self.polls.get_mut(&resource) {
            poll.latest = Latest::Failed;
        }
        self.postpone(resource, now, wait);
    }

    /// The credentials changed: everything that could not be read is due at once, and so is the expiry of the new token.
    /// What could be read is not read twice within its interval.
    pub fn retry_now(&mut self, now: Instant) {
        self.users_accepted();
        for (resource, poll) in &mut self.polls {
            let is_due = poll.latest == Latest::Failed || *resource == Resource::TokenVerify;
            // What was due before comes in the usual order.
            poll.due = if is_due { now } else { poll.due.max(now) };
            poll.denials = 0;
        }
    }

    /// Other intervals and another budget apply from now on. A resource is read when it was due already, or after its new
    /// interval if that is sooner.
    pub fn retune(&mut self, intervals: Intervals, budget: u32, now: Instant) {
        self.budget = budget;
        for (resource, poll) in &mut self.polls {
            poll.interval = intervals.of(*resource).unwrap_or(poll.interval);
        }
        self.divide();
        for resource in Resource::ALL {
            let Some(interval) = self.interval(resource) else { continue };
            if let Some(poll) = self.polls.get_mut(&resource).filter(|poll| poll.latest == Latest::Read) {
                poll.due = poll.due.min(now + interval);
            }
        }
    }

    fn summary_interval(&self) -> Duration {
        self.interval(Resource::Summary).unwrap_or(TRANSIENT_RETRY)
    }

    /// The delay after so many refusals in a row: short at first, then `longest`.
    fn refusal_wait(&self, refusals: usize, interval: Duration, longest: Duration) -> Duration {
        let retry = REFUSAL_RETRIES.get(refusals.saturating_sub(1));
        retry.map_or(longest, |wait| (*wait).min(interval).min(self.refused_interval))
    }

    fn postpone(&mut self, resource: Resource, now: Instant, wait: Duration) {
        let wait = self.jittered(wait);
        if let Some(poll) = self.polls.get_mut(&resource) {
            poll.due = now + wait;
        }
    }

    /// A random number below `limit`; 0 if the limit is 0.
    pub fn random_below(&mut self, limit: usize) -> usize {
        self.random.usize(..limit.max(1))
    }

    /// Adds jitter of at most a tenth. It never shortens a delay, so it costs no budget.
    fn jittered(&mut self, wait: Duration) -> Duration {
        wait.mul_f64(1.0 + self.random.f64() / 10.0)
    }

    fn limit(&self, purpose: Purpose) -> &RateLimit {
        match purpose {
            Purpose::Change => &self.changes,
            Purpose::Audit => &self.audits,
        }
    }

    /// Divides the rest of the budget: nine tenths for changes, one tenth for the audit.
    fn divide(&mut self) {
        let periodic: u32 = self.polled().map(|resource| self.load(resource).ceil() as u32).sum();
        let left = self.budget.saturating_sub(periodic).max(2);
        let audits = (left / 10).max(1);
        self.audits.resize(audits);
        self.changes.resize(left - audits);
    }
}

#[cfg(test)]
mod tests;
