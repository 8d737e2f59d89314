//! `plan`: what watching an account costs, and how late changes are counted, before anything runs.
//!
//! The intervals and the shares of the budget are those of the [`Schedule`] itself. On top of it stands one
//! formula. A change waits for the next list, on average half of a cycle; then for the list's last page; then
//! for its place among the changed users, of whom no more are read in five minutes than the schedule allows.
//! Within a cycle each request is at a fixed place, and none may go before the one that many places earlier
//! has left its window: from that the time of each place follows, and from these the median and the rest.

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

use super::terminal::table::width;
use super::{Failure, Outcome, setup, terminal};
use crate::clock::{Clock, Instant};
use crate::cloudflare::Bounds;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::limit::WINDOW;
use crate::collector::schedule::{Purpose, Schedule};
use crate::config::{self, Flags};
use crate::model::Resource;
use crate::model::resource::Intervals;

/// What one request takes, where nobody measured it.
const USER_TIME: Duration = Duration::from_millis(100);

/// One user in fifty has an event in a day: what is assumed where nobody says better.
const USERS_WITH_AN_EVENT_A_DAY: f64 = 0.02;

impl PlanArgs {
    pub(crate) fn run(&self) -> Outcome {
        let plan = Plan::of(self.over(self.load()?));
        terminal::print(render::render(&plan, self.output, width()))
    }

    /// The load that the flags or the configured account give.
    fn load(&self) -> Result<Load, Failure> {
        let flags = Flags::from(&self.file);
        if let Some(users) = self.users {
            let local = setup::configure_local(&flags)?;
            return assumed(users, self.page_size, local.intervals).map_err(Failure::Usage);
        }
        let config = setup::configure(&flags)?;
        let account = config.account(self.account.as_deref())?;
        setup::wait(measure(&config, account, &Clock::system()))?.map_err(Failure::runtime)
    }
}

/// What is to be watched, and what may be spent on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Users on the list.
    pub users: u64,
    /// Requests that the list takes.
    pub pages: u32,
    /// Users that one of them may list.
    pub page_size: u32,
    /// How long each of them takes.
    pub page_time: Duration,
    /// How long a request for one user takes.
    pub user_time: Duration,
    /// Users who have an event within five minutes.
    pub changes: f64,
    /// Where that number is from.
    pub basis: Basis,
    /// The part of the 1,200 requests in five minutes that may be spent.
    pub budget_share: f64,
    /// How many accounts share it.
    pub sharing: u32,
    /// How often what is to be read.
    pub intervals: Intervals,
}

/// Where the number of changes is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Somebody said so.
    Given,
    /// From the dates on the list: so many users had their latest event in the last hour, or in the last day.
    Measured,
    /// One user in fifty a day.
    Assumed,
}

impl Basis {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Measured => "measured",
            Self::Assumed => "assumed",
        }
    }
}

/// What comes of a [`Load`].
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is for.
    pub load: Load,
    /// Requests that may be sent in five minutes.
    pub budget: u32,
    /// Requests in five minutes, by what they are for.
    pub requests: Vec<Requests>,
    /// The time between two readings of the list, as the budget allows.
    pub summary_interval: Duration,
    /// How long one reading takes, waiting for the budget included.
    pub reading: Duration,
    /// How late changes are counted; `None` if more change than can be read, so that the queue only grows.
    pub latency: Option<Latency>,
    /// How long it takes until each user was read again.
    pub audit_round: Duration,
    /// What holds, and what would.
    pub goals: Vec<Goal>,
}

/// Requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requests {
    /// What they are for.
    pub kind: RequestKind,
    /// The time between two of them, or two readings; `None` for what comes as it comes.
    pub interval: Option<Duration>,
    /// How many in five minutes, on average.
    pub expected: f64,
    /// How many in five minutes at most.
    pub most: f64,
}

/// What requests are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// An endpoint read by the clock.
    Poll(Resource),
    /// Users who changed.
    Changes,
    /// Users of whom nothing new is known.
    Audit,
}

impl RequestKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll(endpoint) => endpoint.as_str(),
            Self::Changes => "user_changes",
            Self::Audit => "user_audit",
        }
    }
}

/// From an event to its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of the changes are counted sooner.
    pub median: Duration,
    /// All but one in a hundred.
    pub p99: Duration,
    /// All, while users change by chance and no more of them than planned.
    pub bound: Duration,
}

/// The load of `users` on pages of `page_size` of whom nothing else is known.
///
/// # Errors
/// No list of so many pages is read whole.
fn assumed(users: u64, page_size: u32, intervals: Intervals) -> Result<Load, String> {
    let most = Bounds::default().pages;
    let pages = users.div_ceil(page_size.max(1).into()).max(1);
    let pages = u32::try_from(pages).ok().filter(|pages| *pages <= most);
    let pages = pages.ok_or_else(|| format!("a list of more than {most} pages is not read whole"))?;
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
    })
}

impl Plan {
    /// Works it out.
    pub fn of(load: Load) -> Self {
        let frame = Frame::of(load);
        let latency = (frame.carries() >= load.changes).then(|| {
            let cycle = &frame.cycle;
            let worst = frame.worst();
            Latency {
                median: Duration::from_secs_f64(cycle.quantile(0.5)),
                p99: Duration::from_secs_f64(cycle.quantile(0.99)),
                bound: Duration::from_secs_f64(worst),
            }
        });
        Self {
            load,
            budget: budget(&load),
            requests: frame.requests(),
            summary_interval: frame.interval(),
            reading: Duration::from_secs_f64(frame.cycle.reading),
            latency,
            audit_round: frame.audit_round(),
            goals: Aim::ALL.map(|aim| Goal::of(&frame, aim)).into(),
        }
    }
}

/// The account's part of the budget, in requests.
fn budget(load: &Load) -> u32 {
    Budget::requests(load.budget_share) / load.sharing.max(1)
}

/// A load with the schedule it gets.
struct Frame {
    load: Load,
    schedule: Schedule,
    rates: queueing::Rates,
    cycle: Cycle,
    /// The same if as many users changed as may be read.
    busiest: Cycle,
}

impl Frame {
    fn of(load: Load) -> Self {
        let schedule = scheduled(&load);
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

    /// The longest that a change waits: the longest cycle, and the last place when more change by chance, three
    /// standard deviations more. Not less than for a place behind all who change in a cycle, or in a window.
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

    /// Requests for changed users that may go in five minutes.
    fn changes(&self) -> f64 {
        f64::from(self.schedule.allowance(Purpose::Change))
    }

    fn audits(&self) -> f64 {
        f64::from(self.schedule.allowance(Purpose::Audit))
    }

    /// How many changed users can be read in five minutes, with nobody read while the list is.
    fn carries(&self) -> f64 {
        self.changes() * self.busiest.open()
    }

    fn audit_round(&self) -> Duration {
        let rate = self.audits() * self.cycle.open() / WINDOW.as_secs_f64();
        self.load.intervals.audit.max(Duration::from_secs_f64(self.load.users as f64 / rate))
    }

    fn requests(&self) -> Vec<Requests> {
        let poll = |endpoint| {
            let rate = self.schedule.load(endpoint);
            let interval = self.schedule.interval(endpoint);
            Requests { kind: RequestKind::Poll(endpoint), interval, expected: rate, most: rate.ceil() }
        };
        let changes = Requests {
            kind: RequestKind::Changes,
            interval: None,
            expected: self.load.changes.min(self.carries()),
            most: self.changes(),
        };
        let audit = Requests {
            kind: RequestKind::Audit,
            interval: Some(self.audit_round()),
            expected: audits_wanted(&self.load).min(self.audits() * self.cycle.open()),
            most: self.audits(),
        };
        self.schedule.polled().map(poll).chain([changes, audit]).collect()
    }
}

/// The schedule that a load gets.
fn scheduled(load: &Load) -> Schedule {
    // What jitter there is makes no difference to intervals and shares.
    let mut schedule = Schedule::new(load.intervals, budget(load), 0);
    schedule.resume(load.pages, Instant::default(), Instant::default());
    schedule
}

fn summary_interval(schedule: &Schedule) -> Duration {
    schedule.interval(Resource::Summary).expect("the list is read by the clock")
}

/// Requests for the audit that would go in five minutes, were there no limit.
fn audits_wanted(load: &Load) -> f64 {
    load.users as f64 * WINDOW.as_secs_f64() / load.intervals.audit.as_secs_f64()
}
