//! How late a change is counted when many users change, and that noisy users do not starve the others.

use std::time::Duration;

use zt_risk_exporter::clock::{Instant, Timestamp};
use zt_risk_exporter::cloudflare::limit::{Admission, RateLimit, WINDOW};
use zt_risk_exporter::internals::collector::account::{Account, Fetch, Settings, Step};
use zt_risk_exporter::internals::collector::ledger::DetailRequest;
use zt_risk_exporter::internals::collector::user_label::UserLabel;
use zt_risk_exporter::internals::model::resource::Intervals;
use zt_risk_exporter::model::{
    AccountName, Completeness, Event, Level, Listing, OddFields, Resource, Row, RowFingerprint, Summary,
    UserId, UserRisk,
};

/// A quarter of the 1,200 requests that Cloudflare allows in five minutes: the default budget.
const BUDGET: u32 = 300;
/// Users on a page of the summary.
const PAGE: usize = 1_000;
/// The duration of one request.
const REQUEST: Duration = Duration::from_millis(100);
/// When counting begins, in seconds.
const START: i64 = 1_700_000_000;

/// How many users change, and how often.
struct Plan {
    /// Users at high who change at every summary.
    noisy: usize,
    /// Users at low.
    quiet: usize,
    /// The mean time between two changes of quiet users.
    every: Duration,
}

/// An account with many users, and since when each user has a change that was not counted.
struct Crowd {
    plan: Plan,
    account: Account,
    /// The limit of all requests together.
    limit: RateLimit,
    random: fastrand::Rng,
    now: Duration,
    next_change: Duration,
    counts: Vec<u32>,
    last: Vec<Duration>,
    waiting: Vec<Option<Duration>>,
    /// How long each counted change of a quiet user waited.
    latencies: Vec<Duration>,
    /// How many changes there were.
    changes: u64,
    longest_interval: Duration,
    last_summary: Duration,
}

impl Crowd {
    fn new(plan: Plan) -> Self {
        let seconds = Duration::from_secs;
        let intervals = Intervals {
            summary: seconds(30),
            behaviors: seconds(300),
            integrations: seconds(300),
            audit: seconds(6 * 3_600),
        };
        let account = Account::new(Settings {
            name: AccountName { alias: "crowd".to_owned(), id: "0".repeat(32) },
            intervals,
            budget: BUDGET,
            user_limit: 100,
            user_label: UserLabel::Id,
            baseline: None,
            secret: [5; 16],
            seed: 1,
        });
        let users = plan.noisy + plan.quiet;
        Self {
            plan,
            account,
            limit: RateLimit::new(BUDGET, WINDOW),
            random: fastrand::Rng::with_seed(1),
            now: Duration::ZERO,
            next_change: Duration::ZERO,
            counts: vec![0; users],
            last: vec![Duration::ZERO; users],
            waiting: vec![None; users],
            latencies: Vec::new(),
            changes: 0,
            longest_interval: Duration::ZERO,
            last_summary: Duration::ZERO,
        }
    }

    fn date(at: Duration) -> Timestamp {
        Timestamp::from_seconds(START) + at
    }

    fn change(&mut self, user: usize, at: Duration) {
        self.counts[user] += 1;
        self.last[user] = at;
        if self.waiting[user].is_none() {
            self.waiting[user] = Some(at);
            self.changes += 1;
        }
    }

    /// Applies the changes of quiet users up to now.
    fn catch_up(&mut self) {
        while self.next_change <= self.now {
            let user = self.plan.noisy + self.random.usize(0..self.plan.quiet);
            self.change(user, self.next_change);
            self.next_change += self.plan.every.mul_f64(self.random.f64() * 2.0);
        }
    }

    fn request(&mut self) {
        if let Admission::At(free) = self.limit.admission(Instant::after_start(self.now)) {
            self.now = free.since(Instant::default());
        }
        let request = self.limit.begin(Instant::after_start(self.now));
        self.now += REQUEST;
        self.limit.end(request, Instant::after_start(self.now));
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            match self.account.plan(Instant::after_start(self.now)) {
                Step::Wait(until) => self.now = until.since(Instant::default()),
                Step::Fetch(Fetch::User(request)) => self.user(&request),
                Step::Fetch(Fetch::Resource(Resource::Summary)) => self.summary(),
                Step::Fetch(Fetch::Resource(resource)) => {
                    self.request();
                    let (now, date) = (Instant::after_start(self.now), Self::date(self.now));
                    match resource {
                        Resource::Behaviors => self.account.behaviors_read(Listing::default(), now, date),
                        Resource::Integrations => {
                            self.account.integrations_read(Listing::default(), now, date);
                        }
                        _ => self.account.read(resource, now),
                    }
                }
            }
            self.account.saved();
        }
    }

    /// Reads the list as it was when its first page was requested.
    fn summary(&mut self) {
        self.longest_interval = self.longest_interval.max(self.now.saturating_sub(self.last_summary));
        self.last_summary = self.now;
        for user in 0..self.plan.noisy {
            self.change(user, self.now);
        }
        self.catch_up();
        let level = |user| if user < self.plan.noisy { Level::High } else { Level::Low };
        let row = |user: usize| Row {
            user: UserId::from_u128(user as u128),
            tuple: RowFingerprint {
                last_event: Self::date(self.last[user]),
                count: self.counts[user].into(),
                level: level(user),
            },
        };
        let rows: Vec<_> = (0..self.counts.len()).map(row).collect();
        if self.account.snapshot().counting_since.is_none() {
            // Changes before the baseline do not count.
            self.waiting.fill(None);
            self.changes = 0;
        }
        let (date, pages) = (Some(Self::date(self.now)), rows.len().div_ceil(PAGE));
        let pages = u32::try_from(pages).expect("thousands");
        (0..pages).for_each(|_| self.request());
        let summary = Summary {
            rows,
            unreadable: Vec::new(),
            anonymous: 0,
            odd: OddFields::default(),
            is_null: false,
            completeness: Completeness::Complete,
            date,
            identities: None,
            pages,
        };
        self.account.summary_read(&summary, Instant::after_start(self.now), Self::date(self.now));
    }

    fn user(&mut self, request: &DetailRequest) {
        self.request();
        self.catch_up();
        let user = usize::try_from(request.user.id.as_u128()).expect("users are numbered");
        // What the audit or the queue finds is counted either way.
        if let Some(since) = self.waiting[user].take()
            && user >= self.plan.noisy
        {
            self.latencies.push(self.now.saturating_sub(since));
        }
        let event = |n: u32| Event {
            id: n.to_string(),
            name: "imp_travel".to_owned(),
            level: Level::Low,
            timestamp: Self::date(self.last[user]),
        };
        let date = Self::date(self.now);
        let risk = UserRisk {
            events: (0..self.counts[user]).map(event).collect(),
            rejected: 0,
            odd: OddFields::default(),
            last_reset: None,
            level: None,
            completeness: Completeness::Complete,
            date: Some(date),
            identity: None,
            pages: 1,
        };
        self.account.user_read(request, &risk, Instant::after_start(self.now), date);
    }

    /// How long the oldest uncounted change has been waiting.
    fn still_waiting(&self) -> Duration {
        let quiet = self.waiting.iter().skip(self.plan.noisy).flatten();
        quiet.map(|since| self.now.saturating_sub(*since)).max().unwrap_or_default()
    }
}

/// Requests in five minutes that are left for changed users, without the tenth of the audit.
fn requests_for_changes(users: usize, interval: Duration) -> f64 {
    let summaries = users.div_ceil(PAGE) as f64 * WINDOW.as_secs_f64() / interval.as_secs_f64();
    // Behaviors, integrations, and the token.
    (f64::from(BUDGET) - summaries - 3.0) * 0.9
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this")]
fn noisy_users_do_not_starve_the_others() {
    let plan = Plan { noisy: 400, quiet: 20_000, every: Duration::from_secs(10) };
    let (noisy, users, every) = (plan.noisy, plan.noisy + plan.quiet, plan.every);
    let mut crowd = Crowd::new(plan);
    crowd.run(Duration::from_secs(4 * 3_600));
    let worst = crowd.latencies.iter().max().copied().unwrap_or_default().max(crowd.still_waiting());
    // P + C / D: C users change in five minutes, and D requests are left for them.
    let interval = crowd.account.interval(Resource::Summary).expect("the summary has one");
    let changed = noisy as f64 + WINDOW.as_secs_f64() / every.as_secs_f64();
    let queue = WINDOW.mul_f64(changed / requests_for_changes(users, interval));
    let bound = crowd.longest_interval + queue;
    println!("400 noisy users, 20,000 quiet ones: {worst:?} at worst, {bound:?} allowed");
    assert!(crowd.latencies.len() > 1_000, "{} changes were counted", crowd.latencies.len());
    assert!(worst <= bound, "{worst:?} is more than {bound:?}");
}

/// A fiftieth of the users have one event a day, spread evenly.
#[test]
#[ignore = "prints figures; a million users take a minute without optimisation"]
#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this")]
fn latencies_by_size() {
    println!("users | changes counted | median | p99 | worst | still waiting");
    for users in [5_000, 100_000, 1_000_000] {
        let every = Duration::from_secs(86_400).mul_f64(50.0 / users as f64);
        let mut crowd = Crowd::new(Plan { noisy: 0, quiet: users, every });
        crowd.run(Duration::from_secs(86_400));
        crowd.latencies.sort_unstable();
        let at = |share: f64| {
            let last = crowd.latencies.len() - 1;
            crowd.latencies[(last as f64 * share) as usize].as_secs()
        };
        println!(
            "{users} | {} | {} s | {} s | {} s | {} s",
            crowd.latencies.len(),
            at(0.5),
            at(0.99),
            at(1.0),
            crowd.still_waiting().as_secs()
        );
        assert!(crowd.latencies.len() as f64 > 0.8 * crowd.changes as f64, "most changes are counted");
    }
}
