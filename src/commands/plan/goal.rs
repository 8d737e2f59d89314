//! The goals of a plan: whether the budget is enough for each, and which share or interval would be.

use std::time::Duration;

use super::{Load, ScheduledLoad, audits_wanted, budget, schedule_of};
use crate::cloudflare::limit::WINDOW;
use crate::collector::schedule::Purpose;
use crate::config::{AUDIT_INTERVAL, INTERVAL};
use crate::model::Resource;
use crate::model::resource::Intervals;

/// Above this part of the capacity, users wait longer by chance than the formula says. In trials the slowest 1 % waited
/// up to a fifth longer at 75 % of the capacity, and up to twice as long at 90 %.
const COMFORT: f64 = 0.7;

/// The intervals that may be proposed, in seconds. The configuration takes at most a day.
const PROPOSED: [u64; 12] = [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];

/// A goal, and how far the budget goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The goal.
    pub aim: Aim,
    /// Whether it is met.
    pub verdict: Verdict,
    /// The current load: users, or changes in five minutes.
    pub now: f64,
    /// The highest load for which the budget is enough.
    pub up_to: f64,
    /// The smallest share that would be enough, in steps of 0.01.
    pub share: Option<f64>,
    /// The shortest interval of the list or the audit for which the current share would be enough, if the configuration
    /// accepts it.
    pub interval: Option<Duration>,
}

/// What the budget should be enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The list is read as often as configured.
    SummaryInterval,
    /// All changed users are read.
    Changes,
    /// Every user is read again within the interval of the audit.
    AuditInterval,
}

impl Aim {
    /// All goals.
    pub const ALL: [Self; 3] = [Self::SummaryInterval, Self::Changes, Self::AuditInterval];

    /// The name in the output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SummaryInterval => "summary_interval",
            Self::Changes => "changes",
            Self::AuditInterval => "audit_interval",
        }
    }

    /// The unit of `now` and `up_to`, in the plural.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::SummaryInterval | Self::AuditInterval => "users",
            Self::Changes => "changes",
        }
    }

    /// The unit in the singular.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::SummaryInterval | Self::AuditInterval => "user",
            Self::Changes => "change",
        }
    }
}

/// Whether a goal is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is met with room to spare.
    Holds,
    /// It is met on average, and may be missed by chance.
    Tight,
    /// It is not met.
    Breaks,
}

impl Verdict {
    /// The name in the output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Tight => "tight",
            Self::Breaks => "breaks",
        }
    }
}

impl Goal {
    /// Evaluates a goal, and what would meet it if it is not met.
    pub(super) fn of(scheduled: &ScheduledLoad, aim: Aim) -> Self {
        let (now, up_to) = measure(scheduled, aim);
        let verdict = verdict(scheduled, aim);
        let (share, interval) = match verdict {
            Verdict::Holds => (None, None),
            Verdict::Tight | Verdict::Breaks => {
                (least_share(scheduled.load, aim), least_interval(scheduled, aim))
            }
        };
        Self { aim, verdict, now, up_to, share, interval }
    }
}

/// The current load for a goal, and the load for which the budget is enough.
fn measure(scheduled: &ScheduledLoad, aim: Aim) -> (f64, f64) {
    let users = scheduled.load.users as f64;
    match aim {
        Aim::SummaryInterval => {
            let configured = scheduled.load.intervals.summary.as_secs_f64();
            let pages =
                (f64::from(budget(&scheduled.load).max(2)) / 2.0 * configured / WINDOW.as_secs_f64()).floor();
            (users, pages * f64::from(scheduled.load.page_size))
        }
        Aim::Changes => (scheduled.load.changes, scheduled.capacity()),
        Aim::AuditInterval => {
            let windows = scheduled.load.intervals.audit.as_secs_f64() / WINDOW.as_secs_f64();
            (users, scheduled.audits() * scheduled.cycle.usable() * windows)
        }
    }
}

fn verdict(scheduled: &ScheduledLoad, aim: Aim) -> Verdict {
    let holds = match aim {
        Aim::SummaryInterval => scheduled.interval() <= scheduled.load.intervals.summary,
        Aim::Changes => scheduled.load.changes <= scheduled.capacity(),
        Aim::AuditInterval => scheduled.audit_round() <= scheduled.load.intervals.audit,
    };
    match (holds, aim) {
        (false, _) => Verdict::Breaks,
        (true, Aim::Changes) if scheduled.load.changes > COMFORT * scheduled.capacity() => Verdict::Tight,
        (true, _) => Verdict::Holds,
    }
}

/// The smallest share that meets the goal, in steps of 0.01.
fn least_share(load: Load, aim: Aim) -> Option<f64> {
    let shares = (1..=100_u32).map(|hundredths| f64::from(hundredths) / 100.0);
    let meets = |share: &f64| {
        let load = Load { budget_share: *share, ..load };
        is_possible(&load, aim) && verdict(&ScheduledLoad::of(load), aim) == Verdict::Holds
    };
    shares.filter(|share| *share > load.budget_share).find(meets)
}

/// Whether the goal can be met, judged by the schedule alone. This is cheaper than computing a cycle.
fn is_possible(load: &Load, aim: Aim) -> bool {
    let schedule = schedule_of(load);
    match aim {
        Aim::SummaryInterval => schedule.interval(Resource::Summary) <= Some(load.intervals.summary),
        Aim::Changes => load.changes <= COMFORT * f64::from(schedule.allowance(Purpose::Change)),
        Aim::AuditInterval => audits_wanted(load) <= schedule.allowance(Purpose::Audit).into(),
    }
}

/// The shortest interval of the list or the audit that meets the goal.
fn least_interval(scheduled: &ScheduledLoad, aim: Aim) -> Option<Duration> {
    let load = scheduled.load;
    match aim {
        Aim::SummaryInterval => Some(scheduled.interval()).filter(|interval| INTERVAL.contains(interval)),
        Aim::AuditInterval => Some(scheduled.audit_round()).filter(|round| AUDIT_INTERVAL.contains(round)),
        Aim::Changes => PROPOSED
            .into_iter()
            .map(Duration::from_secs)
            .filter(|proposed| *proposed > scheduled.interval())
            .find(|proposed| {
                let load = Load { intervals: Intervals { summary: *proposed, ..load.intervals }, ..load };
                is_possible(&load, aim) && verdict(&ScheduledLoad::of(load), aim) == Verdict::Holds
            }),
    }
}
