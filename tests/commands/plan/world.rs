//! The schedule, the queue and the rate limit under a virtual clock, with users who change at random.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use zt_risk_exporter::clock::{Instant, Timestamp};
use zt_risk_exporter::cloudflare::limit::{Admission, RateLimit, WINDOW};
use zt_risk_exporter::internals::collector::queue::Queue;
use zt_risk_exporter::internals::collector::schedule::{Purpose, Schedule};
use zt_risk_exporter::internals::commands::plan::Load;
use zt_risk_exporter::model::{Level, Resource, RowFingerprint, UserId};

/// Warm-up before measuring.
const SUMMARIES_BEFORE: u32 = 5;
/// The shortest measurement, in summaries; it also lasts for two rounds of an audit that has time.
const SUMMARIES: u32 = 40;
const LEAST: Duration = Duration::from_secs(5 * 3_600);

/// One user in this many is at level high.
const HIGH: u64 = 10;

/// The measurement.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) worst: f64,
    /// From one reading of the list to the next, on average.
    pub(crate) cycle: f64,
    /// The time until each user was read again.
    pub(crate) audit_round: f64,
    /// Requests for changed users in five minutes.
    pub(crate) changes: f64,
    /// Changed users who are still pending.
    pub(crate) waiting: usize,
}

/// Runs a schedule on `load`, with `budget` requests in five minutes.
pub(crate) fn watch(load: &Load, budget: u32) -> Seen {
    let mut schedule = Schedule::new(load.intervals, budget, 1);
    schedule.resume(load.pages, Instant::default(), Instant::default());
    let interval = schedule.interval(Resource::Summary).expect("the list is read by the clock");
    let mut world = World {
        load: *load,
        schedule,
        queue: Queue::default(),
        limit: RateLimit::new(budget, WINDOW),
        random: fastrand::Rng::with_seed(1),
        now: Duration::ZERO,
        next_change: Duration::ZERO,
        uncounted: BTreeMap::new(),
        changed: BTreeSet::new(),
        audited: VecDeque::new(),
        looked_at_from: interval * SUMMARIES_BEFORE,
        latencies: Vec::new(),
        audits: 0,
        summaries: Vec::new(),
    };
    let rounds = if load.users < 2_000 { load.intervals.audit * 2 } else { LEAST };
    world.run((interval * SUMMARIES).max(rounds));
    world.seen()
}

struct World {
    load: Load,
    schedule: Schedule,
    queue: Queue,
    limit: RateLimit,
    random: fastrand::Rng,
    now: Duration,
    next_change: Duration,
    /// Since when changes of a user are not counted.
    uncounted: BTreeMap<u64, Duration>,
    /// The users who changed since the list was last requested.
    changed: BTreeSet<u64>,
    /// When the users read last were read for the audit, one after the other.
    audited: VecDeque<Duration>,
    looked_at_from: Duration,
    latencies: Vec<Duration>,
    audits: u64,
    summaries: Vec<Duration>,
}

impl World {
    fn run(&mut self, end: Duration) {
        while self.now < end {
            let now = self.moment();
            if let Some(resource) = self.schedule.due(now) {
                self.poll(resource);
                continue;
            }
            let change = self.schedule.user_admission(Purpose::Change, now);
            let audit = self.schedule.user_admission(Purpose::Audit, now);
            if change == Admission::Now
                && let Some(user) = self.queue.next(now)
            {
                self.read(user);
            } else if audit == Admission::Now && self.audit_due() <= self.now {
                self.audit();
            } else {
                let turn = |turn, other| if let Admission::At(free) = turn { span(free) } else { other };
                let change = if self.queue.is_empty() { Duration::MAX } else { turn(change, Duration::MAX) };
                let next = change.min(turn(audit, self.audit_due()));
                self.now = next.min(span(self.schedule.next_due()));
            }
        }
    }

    fn poll(&mut self, resource: Resource) {
        if resource != Resource::Summary {
            self.request(self.load.user_time);
            self.schedule.read(resource, 1, self.moment());
            return;
        }
        self.catch_up();
        // The list is as it was when its first page was asked for.
        let (changed, begun) = (std::mem::take(&mut self.changed), self.now);
        for _ in 0..self.load.pages {
            self.request(self.load.page_time);
        }
        let date = Timestamp::default() + begun;
        for user in changed {
            let level = if user % HIGH == 0 { Level::High } else { Level::Low };
            let tuple = RowFingerprint { last_event: date, count: 1.into(), level };
            self.queue.changed(UserId::from_u128(user.into()), tuple, None, date);
        }
        self.summaries.push(begun);
        self.schedule.read(Resource::Summary, self.load.pages, self.moment());
    }

    fn read(&mut self, id: UserId) {
        self.queue.served();
        self.queue.remove(id);
        self.request(self.load.user_time);
        self.catch_up();
        let user = u64::try_from(id.as_u128()).expect("users are numbered");
        if let Some(since) = self.uncounted.remove(&user)
            && since >= self.looked_at_from
        {
            self.latencies.push(self.now - since);
        }
        self.schedule.spent(Purpose::Change, 1, self.moment());
    }

    /// From when on the next user may be audited.
    fn audit_due(&self) -> Duration {
        let all = self.audited.len() as u64 >= self.load.users;
        self.audited.front().filter(|_| all).map_or(self.now, |read| *read + self.load.intervals.audit)
    }

    fn audit(&mut self) {
        if self.audited.len() as u64 >= self.load.users {
            self.audited.pop_front();
        }
        self.request(self.load.user_time);
        self.audited.push_back(self.now);
        self.schedule.spent(Purpose::Audit, 1, self.moment());
        self.audits += u64::from(self.now >= self.looked_at_from);
    }

    fn request(&mut self, took: Duration) {
        if let Admission::At(free) = self.limit.admission(self.moment()) {
            self.now = span(free);
        }
        let request = self.limit.begin(self.moment());
        self.now += took;
        self.limit.end(request, self.moment());
    }

    /// Changes so far: exponential waiting times, random users.
    fn catch_up(&mut self) {
        let every = WINDOW.div_f64(self.load.changes);
        while self.next_change <= self.now {
            let user = self.random.u64(0..self.load.users);
            self.uncounted.entry(user).or_insert(self.next_change);
            self.changed.insert(user);
            self.next_change += every.mul_f64(-(1.0 - self.random.f64()).ln());
        }
    }

    fn seen(mut self) -> Seen {
        self.latencies.sort_unstable();
        let last = self.latencies.len().checked_sub(1).expect("some changes are counted");
        let at = |part: f64| self.latencies[(last as f64 * part) as usize].as_secs_f64();
        let before = SUMMARIES_BEFORE as usize;
        let cycles = (self.summaries.len() - 1 - before) as f64;
        let looked_at = (self.now - self.looked_at_from).as_secs_f64();
        Seen {
            median: at(0.5),
            p99: at(0.99),
            worst: at(1.0),
            cycle: (self.summaries[self.summaries.len() - 1] - self.summaries[before]).as_secs_f64() / cycles,
            audit_round: self.load.users as f64 * looked_at / self.audits as f64,
            changes: self.latencies.len() as f64 * WINDOW.as_secs_f64() / looked_at,
            waiting: self.queue.len(),
        }
    }

    fn moment(&self) -> Instant {
        Instant::after_start(self.now)
    }
}

fn span(moment: Instant) -> Duration {
    moment.since(Instant::default())
}
