//! When each endpoint is to be read, and how many users' events may be.
//!
//! Of the credential's budget the periodic readings come first, whatever else there is to do; what they
//! leave goes to users' events, a tenth of it to the audit. Nothing here sleeps or reads a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Instant;
use crate::cloudflare::limit::{RateLimit, Turn, WINDOW};
use crate::model::Resource;
use crate::model::resource::Intervals;

/// A refused credential, or a missing permission, is tried again this often: a person must act first.
pub(crate) const REFUSED_INTERVAL: Duration = Duration::from_secs(300);

/// The first try again of what is read every few minutes, when the trouble may pass.
const PASSING_INTERVAL: Duration = Duration::from_secs(30);

/// Why a reading failed, by what it means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The credentials were refused: nothing else will be answered either.
    Refused,
    /// This endpoint is closed to them.
    Closed,
    /// It may be over soon.
    Passing,
    /// There was an answer, and nothing in it can be used.
    Unusable,
}

/// What a request for a user's events is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The summary says that something changed.
    Change,
    /// Nothing says so.
    Audit,
}

/// How often a resource is read, and when next.
#[derive(Clone, Copy, Debug)]
struct Poll {
    interval: Duration,
    due: Instant,
}

/// When each request of one account may go.
#[derive(Debug)]
pub struct Schedule {
    /// What is read by the clock, in the order in which it is read when all of it is due.
    polls: BTreeMap<Resource, Poll>,
    budget: u32,
    summary_pages: u32,
    refused_interval: Duration,
    changes: RateLimit,
    audits: RateLimit,
    /// Nothing goes before: the credentials were refused.
    refused_until: Option<Instant>,
    /// No user's events are asked for before.
    users_closed_until: Option<Instant>,
    random: fastrand::Rng,
}

impl Schedule {
    /// `budget` is this account's part of the requests allowed in five minutes; `seed` varies the jitter.
    pub fn new(intervals: Intervals, budget: u32, seed: u64) -> Self {
        let poll = |resource| {
            let interval = intervals.of(resource)?;
            Some((resource, Poll { interval, due: Instant::default() }))
        };
        let mut schedule = Self {
            polls: Resource::ALL.into_iter().filter_map(poll).collect(),
            budget,
            summary_pages: 1,
            refused_interval: REFUSED_INTERVAL,
            changes: RateLimit::new(1, WINDOW),
            audits: RateLimit::new(1, WINDOW),
            refused_until: None,
            users_closed_until: None,
            random: fastrand::Rng::with_seed(seed),
        };
        schedule.divide();
        schedule
    }

    /// The summary took an earlier process so many requests; its last audits may weigh until `audits_free`.
    pub fn resume(&mut self, summary_pages: u32, audits_free: Instant, now: Instant) {
        self.summary_pages = summary_pages.max(1);
        self.divide();
        self.audits.spent_before(u32::MAX, audits_free, now);
    }

    /// An earlier process read `endpoint`, which is not due before this moment.
    pub fn resume_at(&mut self, endpoint: Resource, due: Instant) {
        if let Some(poll) = self.polls.get_mut(&endpoint) {
            poll.due = due;
        }
    }

    /// What was refused is tried again this often, in place of [`REFUSED_INTERVAL`].
    pub fn retry_refused_every(&mut self, interval: Duration) {
        self.refused_interval = interval;
    }

    /// How many requests the summary takes.
    pub fn summary_pages(&self) -> u32 {
        self.summary_pages
    }

    /// The time between two readings of `endpoint`, as the budget allows; `None` for what no clock drives.
    pub fn interval(&self, endpoint: Resource) -> Option<Duration> {
        let configured = self.configured(endpoint)?;
        if endpoint != Resource::Summary {
            return Some(configured);
        }
        // The summary may take half of the budget: s requests every 300 s · s / (B / 2).
        let affordable =
            WINDOW.mul_f64(f64::from(self.summary_pages) / (f64::from(self.budget.max(2)) / 2.0));
        Some(configured.max(affordable))
    }

    /// The time between two readings of `endpoint`, as it was wished for.
    pub fn configured(&self, endpoint: Resource) -> Option<Duration> {
        self.polls.get(&endpoint).map(|poll| poll.interval)
    }

    /// What is read by the clock.
    pub fn polled(&self) -> impl Iterator<Item = Resource> {
        self.polls.keys().copied()
    }

    /// How many requests the readings of `endpoint` take in five minutes, on average: a summary that is read less
    /// often than once in a window takes part of several. None for what no clock drives.
    pub fn load(&self, endpoint: Resource) -> f64 {
        let requests = if endpoint == Resource::Summary { self.summary_pages } else { 1 };
        let windows = |interval: Duration| WINDOW.as_secs_f64() / interval.as_secs_f64();
        self.interval(endpoint).map_or(0.0, |interval| f64::from(requests) * windows(interval))
    }

    /// How many requests for users' events may go in five minutes.
    pub fn allowance(&self, purpose: Purpose) -> u32 {
        self.limit(purpose).limit()
    }

    /// The endpoint to read now, if one is due: the one that has been for longest, so that none waits for ever
    /// where each attempt takes longer than the interval of another.
    pub fn due(&self, now: Instant) -> Option<Resource> {
        if self.refused_until.is_some_and(|until| now < until) {
            return None;
        }
        let due = self.polls.iter().filter(|(_, poll)| poll.due <= now);
        due.min_by_key(|(_, poll)| poll.due).map(|(resource, _)| *resource)
    }

    /// When the next endpoint is due.
    pub fn next_due(&self) -> Instant {
        let earliest = self.polls.values().map(|poll| poll.due).min().unwrap_or_default();
        self.refused_until.map_or(earliest, |until| until.max(earliest))
    }

    /// When a user's events may be asked for.
    pub fn user_turn(&self, purpose: Purpose, now: Instant) -> Turn {
        let closed = self.refused_until.max(self.users_closed_until).filter(|until| now < *until);
        match closed {
            Some(until) => Turn::At(until),
            None => self.limit(purpose).turn(now),
        }
    }

    /// `endpoint` was read, by so many requests; the credentials are good.
    pub fn read(&mut self, endpoint: Resource, pages: u32, now: Instant) {
        self.refused_until = None;
        if endpoint == Resource::Summary && pages != self.summary_pages {
            self.summary_pages = pages.max(1);
            self.divide();
        }
        if let Some(interval) = self.interval(endpoint) {
            self.put_off(endpoint, now, interval);
        }
    }

    /// A user's events were asked for, by so many requests.
    pub fn spent(&mut self, purpose: Purpose, pages: u32, now: Instant) {
        let limit = match purpose {
            Purpose::Change => &mut self.changes,
            Purpose::Audit => &mut self.audits,
        };
        for _ in 0..pages.max(1) {
            limit.begin(now);
            limit.end(now);
        }
    }

    /// `endpoint` could not be read.
    pub fn failed(&mut self, endpoint: Resource, setback: FailureClass, now: Instant) {
        let interval = self.interval(endpoint).unwrap_or(PASSING_INTERVAL);
        let wait = match setback {
            FailureClass::Refused => {
                self.refused_until = Some(now + self.refused_interval);
                self.refused_interval
            }
            FailureClass::Closed => interval.max(self.refused_interval),
            FailureClass::Passing | FailureClass::Unusable if endpoint == Resource::TokenVerify => interval,
            FailureClass::Passing | FailureClass::Unusable => {
                interval.min(PASSING_INTERVAL.max(self.summary_interval()))
            }
        };
        if endpoint == Resource::User && setback == FailureClass::Closed {
            self.users_closed_until = Some(now + wait);
        }
        self.put_off(endpoint, now, wait);
    }

    /// The credentials changed: whatever was refused is tried at once.
    pub fn retry_now(&mut self, now: Instant) {
        (self.refused_until, self.users_closed_until) = (None, None);
        for poll in self.polls.values_mut() {
            poll.due = now;
        }
    }

    fn summary_interval(&self) -> Duration {
        self.interval(Resource::Summary).unwrap_or(PASSING_INTERVAL)
    }

    /// Jitter only ever lengthens a wait, by a tenth at most, so that it costs no budget.
    fn put_off(&mut self, endpoint: Resource, now: Instant, wait: Duration) {
        if let Some(poll) = self.polls.get_mut(&endpoint) {
            poll.due = now + wait.mul_f64(1.0 + self.random.f64() / 10.0);
        }
    }

    fn limit(&self, purpose: Purpose) -> &RateLimit {
        match purpose {
            Purpose::Change => &self.changes,
            Purpose::Audit => &self.audits,
        }
    }

    /// Divides what the periodic readings leave of the budget: nine tenths to changes, one to the audit.
    fn divide(&mut self) {
        let periodic: u32 = self.polled().map(|endpoint| self.load(endpoint).ceil() as u32).sum();
        let left = self.budget.saturating_sub(periodic).max(2);
        let audits = (left / 10).max(1);
        self.audits.resize(audits);
        self.changes.resize(left - audits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{at, seconds};

    /// What is read by the clock, in the order in which it is read when all of it is due.
    const PERIODIC: [Resource; 4] =
        [Resource::Summary, Resource::Behaviors, Resource::Integrations, Resource::TokenVerify];

    fn schedule(budget: u32) -> Schedule {
        let intervals = Intervals {
            summary: seconds(30),
            behaviors: seconds(300),
            integrations: seconds(300),
            audit: seconds(21_600),
        };
        Schedule::new(intervals, budget, 1)
    }

    fn read_all(schedule: &mut Schedule, now: Instant) -> Vec<Resource> {
        let mut order = Vec::new();
        while let Some(endpoint) = schedule.due(now) {
            schedule.read(endpoint, 1, now);
            order.push(endpoint);
        }
        order
    }

    #[test]
    fn at_the_start_everything_is_due_the_summary_first() {
        let mut schedule = schedule(300);
        assert_eq!(read_all(&mut schedule, at(0)), PERIODIC);
        assert!(schedule.next_due() >= at(30) && schedule.next_due() <= at(33), "{:?}", schedule.next_due());
    }

    #[test]
    fn the_summary_takes_at_most_half_of_the_budget() {
        for (budget, pages, wanted) in
            [(300, 1, 30), (300, 15, 30), (300, 16, 32), (300, 100, 200), (6, 1, 100)]
        {
            let mut schedule = schedule(budget);
            schedule.read(Resource::Summary, pages, at(0));
            let interval = schedule.interval(Resource::Summary);
            assert_eq!(interval, Some(seconds(wanted)), "{pages} pages of {budget} requests");
        }
    }

    #[test]
    fn what_the_periodic_readings_leave_goes_to_users_a_tenth_to_the_audit() {
        // 300 requests, less 10 summaries, 1 reading of behaviors, 1 of integrations, 1 of the token.
        for (purpose, allowed) in [(Purpose::Change, 259), (Purpose::Audit, 28)] {
            let mut schedule = schedule(300);
            let sent = (0..300).take_while(|_| {
                let free = schedule.user_turn(purpose, at(1)) == Turn::Now;
                schedule.spent(purpose, 1, at(1));
                free
            });
            assert_eq!(sent.count(), allowed, "{purpose:?}");
            assert_eq!(schedule.user_turn(purpose, at(301)), Turn::Now, "{purpose:?}, a window later");
        }
    }

    #[test]
    fn a_summary_that_takes_several_windows_leaves_half_of_the_budget_too() {
        let mut schedule = schedule(300);
        schedule.read(Resource::Summary, 1_000, at(0));
        // 300 requests, less 150 for the summary and 3 others; a tenth of the rest is the audit's.
        let sent = (0..300).take_while(|_| {
            let free = schedule.user_turn(Purpose::Change, at(1)) == Turn::Now;
            schedule.spent(Purpose::Change, 1, at(1));
            free
        });
        assert_eq!(sent.count(), 133);
    }

    #[test]
    fn refused_credentials_are_tried_once_in_five_minutes_and_at_once_when_they_change() {
        let mut schedule = schedule(300);
        schedule.failed(Resource::Summary, FailureClass::Refused, at(0));
        assert_eq!(
            (schedule.due(at(299)), schedule.user_turn(Purpose::Change, at(299))),
            (None, Turn::At(at(300)))
        );
        assert_eq!(schedule.due(at(300)), Some(Resource::Behaviors), "one probe, by what is due longest");
        schedule.failed(Resource::Behaviors, FailureClass::Refused, at(300));
        assert_eq!((schedule.due(at(599)), schedule.next_due()), (None, at(600)));
        schedule.retry_now(at(400));
        assert_eq!(schedule.due(at(400)), Some(Resource::Summary));
    }

    #[test]
    fn refused_credentials_are_tried_as_often_as_the_upstream_allows() {
        let mut schedule = schedule(300);
        schedule.retry_refused_every(seconds(5));
        schedule.failed(Resource::Summary, FailureClass::Refused, at(0));
        assert_eq!((schedule.due(at(4)), schedule.due(at(5))), (None, Some(Resource::Behaviors)));
    }

    #[test]
    fn where_every_attempt_takes_long_each_endpoint_has_its_turn() {
        let intervals = Intervals {
            summary: seconds(1),
            behaviors: seconds(2),
            integrations: seconds(2),
            audit: seconds(3600),
        };
        let mut schedule = Schedule::new(intervals, 1_200, 1);
        let mut asked = Vec::new();
        for turn in 0..8 {
            let now = at(turn * 5);
            asked.extend(schedule.due(now));
            schedule.failed(asked[asked.len() - 1], FailureClass::Passing, now + seconds(5));
        }
        for endpoint in PERIODIC {
            assert!(asked.contains(&endpoint), "{endpoint:?} in {asked:?}");
        }
    }

    #[test]
    fn a_missing_permission_closes_its_endpoint_alone() {
        let mut schedule = schedule(300);
        schedule.failed(Resource::User, FailureClass::Closed, at(0));
        assert_eq!(schedule.user_turn(Purpose::Audit, at(0)), Turn::At(at(300)));
        schedule.failed(Resource::Summary, FailureClass::Closed, at(0));
        assert_eq!(read_all(&mut schedule, at(0)), PERIODIC[1..]);
        assert_eq!(schedule.due(at(299)), None);
    }

    #[test]
    fn passing_trouble_is_tried_again_within_the_summary_interval() {
        let mut schedule = schedule(300);
        schedule.failed(Resource::Behaviors, FailureClass::Passing, at(0));
        read_all(&mut schedule, at(0));
        assert_eq!(schedule.due(at(34)), Some(Resource::Summary));
        schedule.read(Resource::Summary, 1, at(34));
        assert_eq!(schedule.due(at(34)), Some(Resource::Behaviors));
    }
}
