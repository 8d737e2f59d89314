//! `plan`: computes what watching an account costs, and how late changes are counted, before the exporter is started.
//!
//! Intervals and allowances come from the [`Schedule`] itself; the latency follows from a formula. A change waits for the
//! next list, half a cycle on average; then for the last page of the list; then for its turn among the changed users. The
//! schedule reads a limited number of these in five minutes. Within a cycle each request has a fixed position, and may
//! not be sent before the request that many positions earlier has left the window of the limit. That gives the time of
//! each position ([`queueing`]), and so the median and the other quantiles.

mod args;
mod goal;
mod measure;
mod queueing;
mod render;

use std::time::Duration;

pub(super) use args::PlanArgs;
pub(crate) use goal::Goal;
pub use goal::{Aim, Verdict};
use measure::measure;
use queueing::Cycle;

use super::{Failure, Outcome, setup, terminal};
use crate::app::logging::Colour;
use crate::clock::{Clock, Instant};
use crate::cloudflare::Bounds;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::limit::WINDOW;
use crate::collector::schedule::{Purpose, Schedule};
use crate::config::{self, Flags};
use crate::model::Resource;
use crate::model::resource::Intervals;

/// How long one request takes, if it was not measured.
const USER_TIME: Duration = Duration::from_millis(100);

/// The assumption without better data: one user in fifty has an event per day.
const USERS_WITH_AN_EVENT_A_DAY: f64 = 0.02;

impl PlanArgs {
    pub(crate) fn run(&self) -> Outcome {
        let plan = Plan::of(self.with_flags(self.load()?));
        terminal::print(render::render(
            &plan,
            self.output,
            Colour::for_stream(&std::io::stdout()),
            terminal::width(),
        ))
    }

    /// The load given by the flags, or measured on the configured account.
    fn load(&self) -> Result<Load, Failure> {
        let flags = Flags::from(&self.file);
        if let Some(users) = self.users {
            let local = setup::configure_local(&flags)?;
            return assumed(users, self.page_size, local.intervals).map_err(Failure::Usage);
        }
        let config = setup::with_found(setup::configure(&flags)?)?;
        let account = config.account(self.account.as_deref())?;
        setup::block_on(measure(&config, account, &Clock::system()))?.map_err(Failure::runtime)
    }
}

/// The size of an account, and the budget for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// The number of users on the list.
    pub users: u64,
    /// The number of requests for the list.
    pub pages: u32,
    /// The number of users in one request of the list.
    pub page_size: u32,
    /// How long each request for the list takes.
    pub page_time: Duration,
    /// How long a request for one user takes.
    pub user_time: Duration,
    /// Users who have an event within five minutes.
    pub changes: f64,
    /// The source of `changes`.
    pub basis: Basis,
    /// The share of the 1,200 requests in five minutes that may be used.
    pub budget_share: f64,
    /// The number of accounts that share the budget.
    pub sharing: u32,
    /// The configured intervals.
    pub intervals: Intervals,
    /// All accounts of the configuration, if it was read.
    pub all: Option<AllAccounts>,
}

/// All accounts of a configuration, or of this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllAccounts {
    /// The number of accounts.
    pub accounts: usize,
    /// The number of their credentials, each with a budget of its own.
    pub credentials: usize,
    /// These budgets together: requests in five minutes.
    pub budget: u32,
}

/// The source of the number of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The `--changes` flag.
    Given,
    /// The dates on the list: the number of users whose latest event was in the last hour, or in the last day.
    Measured,
    /// One user in fifty per day.
    Assumed,
}

impl Basis {
    /// The name in the output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Measured => "measured",
            Self::Assumed => "assumed",
        }
    }
}

/// The result for a [`Load`].
#[derive(Clone, Debug)]
pub struct Plan {
    /// The load.
    pub load: Load,
    /// The budget: requests in five minutes.
    pub budget: u32,
    /// Requests in five minutes, by purpose.
    pub requests: Vec<Requests>,
    /// The interval of the list, as the budget allows.
    pub summary_interval: Duration,
    /// How long reading the list takes, including waits for the budget.
    pub reading: Duration,
    /// How late changes are counted; `None` if more users change than can be read, so that the queue only grows.
    pub latency: Option<Latency>,
    /// How long it takes to read every user again.
    pub audit_round: Duration,
    /// Whether each goal is met, and what would meet it.
    pub goals: Vec<Goal>,
}

/// The requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requests {
    /// The kind.
    pub kind: RequestKind,
    /// The interval; `None` for requests that follow changes.
    pub interval: Option<Duration>,
    /// The average number in five minutes.
    pub expected: f64,
    /// The highest number in five minutes.
    pub most: f64,
}

/// The purpose of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A resource that is read at an interval.
    Poll(Resource),
    /// Users whose row in the list changed.
    Changes,
    /// Users whose row did not change.
    Audit,
}

impl RequestKind {
    /// The name in the output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll(resource) => resource.as_str(),
            Self::Changes => "user_changes",
            Self::Audit => "user_audit",
        }
    }
}

/// The time from an event to its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The median.
    pub median: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The worst case, if users change at random and not more often than planned.
    pub bound: Duration,
}

/// The load of an account with `users` users in pages of `page_size`, with assumptions for the rest.
///
/// # Errors
/// The list would have more pages than the client reads.
fn assumed(users: u64, page_size: u32, intervals: Intervals) -> Result<Load, String> {
    let most = Bounds::default().pages;
    let pages = users.div_ceil(page_size.max(1).into()).max(1);
    let pages = u32::try_from(pages).ok().filter(|pages| *pages <= most);
    let pages = pages.ok_or_else(|| format!("the client reads at most {most} pages of a list"))?;
    Ok(Load {
        users,
        pages,
        page_size,
        page_time: USER_TIME,
        user_time: USER_TIME,
        changes: users as f64 * USERS_WITH_AN_EVENT_A_DAY * WINDOW.as_secs_f64() / 86_400.0,
        basis: Basis::Assumed,
        budget_share: config::DEFAULT_SHARE,
        sharing: 1,
        intervals,
        all: None,
    })
}

impl Plan {
    /// Computes the plan.
    pub fn of(load: Load) -> Self {
        let scheduled = ScheduledLoad::of(load);
        let latency = (scheduled.capacity() >= load.changes).then(|| {
            let cycle = &scheduled.cycle;
            let worst = scheduled.worst();
            Latency {
                median: Duration::from_secs_f64(cycle.quantile(0.5)),
                p99: Duration::from_secs_f64(cycle.quantile(0.99)),
                bound: Duration::from_secs_f64(worst),
            }
        });
        Self {
            load,
            budget: budget(&load),
            requests: scheduled.requests(),
            summary_interval: scheduled.interval(),
            reading: Duration::from_secs_f64(scheduled.cycle.reading),
            latency,
            audit_round: scheduled.audit_round(),
            goals: Aim::ALL.map(|aim| Goal::of(&scheduled, aim)).into(),
        }
    }
}

/// The account's part of the budget, in requests in five minutes.
fn budget(load: &Load) -> u32 {
    Budget::requests(load.budget_share) / load.sharing.max(1)
}

/// A load with its schedule.
struct ScheduledLoad {
    load: Load,
    schedule: Schedule,
    rates: queueing::Rates,
    cycle: Cycle,
    /// The cycle in which as many users change as the schedule allows to read.
    busiest: Cycle,
}

impl ScheduledLoad {
    fn of(load: Load) -> Self {
        let schedule = schedule_of(&load);
        let beside_the_list = schedule.polled().filter(|resource| *resource != Resource::Summary);
        let polls: f64 = beside_the_list.map(|resource| schedule.load(resource)).sum();
        let allowed = schedule.allowance(Purpose::Change);
        let audits = audits_wanted(&load).min(schedule.allowance(Purpose::Audit).into());
        let rates = queueing::Rates {
            interval: summary_interval(&schedule).as_secs_f64(),
            pages: load.pages.max(1) as usize,
            page_time: load.page_time.as_secs_f64(),
            user_time: load.user_time.as_secs_f64(),
            budget: budget(&load).max(1) as usize,
            allowed: allowed as usize,
            changes: load.changes.min(allowed.into()),
            others: audits + polls,
        };
        let busiest = Cycle::of(&queueing::Rates { changes: allowed.into(), ..rates });
        Self { load, schedule, rates, cycle: Cycle::of(&rates), busiest }
    }

    /// The longest time that a change waits: the longest cycle, and then the last position if by chance three standard
    /// deviations more users change. At least as long as a wait behind all users who change in a cycle or a window.
    fn worst(&self) -> f64 {
        let window = WINDOW.as_secs_f64();
        let together = self.cycle.longest.max(window) / window;
        let changes = self.load.changes + 3.0 * (self.load.changes / together).sqrt();
        let crowded = Cycle::of(&queueing::Rates { changes: changes.min(self.changes()), ..self.rates });
        let behind_all = crowded.reading + changes * together / self.changes() * window;
        crowded.longest + crowded.last().max(behind_all)
    }

    fn interval(&self) -> Duration {
        summary_interval(&self.schedule)
    }

    /// The allowance for changed users: requests in five minutes.
    fn changes(&self) -> f64 {
        f64::from(self.schedule.allowance(Purpose::Change))
    }

    fn audits(&self) -> f64 {
        f64::from(self.schedule.allowance(Purpose::Audit))
    }

    /// How many changed users can be read in five minutes. None is read while the list is.
    fn capacity(&self) -> f64 {
        self.changes() * self.busiest.usable()
    }

    fn audit_round(&self) -> Duration {
        let rate = self.audits() * self.cycle.usable() / WINDOW.as_secs_f64();
        self.load.intervals.audit.max(Duration::from_secs_f64(self.load.users as f64 / rate))
    }

    fn requests(&self) -> Vec<Requests> {
        let poll = |resource| {
            let rate = self.schedule.load(resource);
            let interval = self.schedule.interval(resource);
            Requests { kind: RequestKind::Poll(resource), interval, expected: rate, most: rate.ceil() }
        };
        let changes = Requests {
            kind: RequestKind::Changes,
            interval: None,
            expected: self.load.changes.min(self.capacity()),
            most: self.changes(),
        };
        let audit = Requests {
            kind: RequestKind::Audit,
            interval: Some(self.audit_round()),
            expected: audits_wanted(&self.load).min(self.audits() * self.cycle.usable()),
            most: self.audits(),
        };
        self.schedule.polled().map(poll).chain([changes, audit]).collect()
    }
}

/// The schedule for a load.
fn schedule_of(load: &Load) -> Schedule {
    // The seed of the jitter makes no difference to intervals and allowances.
    let mut schedule = Schedule::new(load.intervals, budget(load), 0);
    schedule.resume(load.pages, Instant::default(), Instant::default());
    schedule
}

fn summary_interval(schedule: &Schedule) -> Duration {
    schedule.interval(Resource::Summary).expect("the list is read at an interval")
}

/// Requests for the audit in five minutes, if there were no limit.
fn audits_wanted(load: &Load) -> f64 {
    load.users as f64 * WINDOW.as_secs_f64() / load.intervals.audit.as_secs_f64()
}
