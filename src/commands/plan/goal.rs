//! What a budget is to be enough for, whether it is, and with which share or interval it would be.

use std::time::Duration;

use super::{Frame, Load, audits_wanted, budget, scheduled};
use crate::cloudflare::limit::WINDOW;
use crate::collector::schedule::Purpose;
use crate::config::{AUDIT_INTERVAL, INTERVAL};
use crate::model::Resource;
use crate::model::resource::Intervals;

/// Above this part of what can be read, chance makes users wait longer than the formula says: at three quarters the
/// slowest hundredth waited up to a fifth longer, at nine tenths up to twice as long.
const COMFORT: f64 = 0.7;

/// Intervals to propose; a day is the longest that the configuration takes.
const PROPOSED: [u64; 12] = [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];

/// Something that the budget is enough for, or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// What.
    pub aim: Aim,
    /// How well it is met.
    pub verdict: Verdict,
    /// Of what there is: users, or changes in five minutes.
    pub now: f64,
    /// How much of it the budget is enough for.
    pub up_to: f64,
    /// The smallest share that would do, in whole hundredths.
    pub share: Option<f64>,
    /// The shortest interval (the list's, or the audit's) that would do with the share there is, if the configuration
    /// takes it.
    pub interval: Option<Duration>,
}

/// What the budget is to be enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The list is read as often as configured.
    SummaryInterval,
    /// Changed users are read as they come.
    Changes,
    /// Everybody is read again within the audit's interval.
    AuditInterval,
}

impl Aim {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SummaryInterval, Self::Changes, Self::AuditInterval];

    /// The word for it.
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

    /// The same for one.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::SummaryInterval | Self::AuditInterval => "user",
            Self::Changes => "change",
        }
    }
}

/// How well a goal is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// With room to spare.
    Holds,
    /// On average; chance may make it miss.
    Tight,
    /// Not.
    Breaks,
}

impl Verdict {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Tight => "tight",
            Self::Breaks => "breaks",
        }
    }
}

impl Goal {
    /// Whether the aim is met, and if not, what would meet it.
    pub(super) fn of(frame: &Frame, aim: Aim) -> Self {
        let (now, up_to) = measure(frame, aim);
        let verdict = verdict(frame, aim);
        let (share, interval) = match verdict {
            Verdict::Holds => (None, None),
            Verdict::Tight | Verdict::Breaks => (least_share(frame.load, aim), least_interval(frame, aim)),
        };
        Self { aim, verdict, now, up_to, share, interval }
    }
}

/// How much of what an aim is about there is, and how much the budget is enough for.
fn measure(frame: &Frame, aim: Aim) -> (f64, f64) {
    let users = frame.load.users as f64;
    match aim {
        Aim::SummaryInterval => {
            let configured = frame.load.intervals.summary.as_secs_f64();
            let pages =
                (f64::from(budget(&frame.load).max(2)) / 2.0 * configured / WINDOW.as_secs_f64()).floor();
            (users, pages * f64::from(frame.load.page_size))
        }
        Aim::Changes => (frame.load.changes, frame.carries()),
        Aim::AuditInterval => {
            let windows = frame.load.intervals.audit.as_secs_f64() / WINDOW.as_secs_f64();
            (users, frame.audits() * frame.cycle.open() * windows)
        }
    }
}

fn verdict(frame: &Frame, aim: Aim) -> Verdict {
    let holds = match aim {
        Aim::SummaryInterval => frame.interval() <= frame.load.intervals.summary,
        Aim::Changes => frame.load.changes <= frame.carries(),
        Aim::AuditInterval => frame.audit_round() <= frame.load.intervals.audit,
    };
    match (holds, aim) {
        (false, _) => Verdict::Breaks,
        (true, Aim::Changes) if frame.load.changes > COMFORT * frame.carries() => Verdict::Tight,
        (true, _) => Verdict::Holds,
    }
}

/// The smallest share with which the aim is met, in whole hundredths.
fn least_share(load: Load, aim: Aim) -> Option<f64> {
    let shares = (1..=100_u32).map(|hundredths| f64::from(hundredths) / 100.0);
    let meets = |share: &f64| {
        let load = Load { budget_share: *share, ..load };
        could(&load, aim) && verdict(&Frame::of(load), aim) == Verdict::Holds
    };
    shares.filter(|share| *share > load.budget_share).find(meets)
}

/// Whether the aim may be met at all, by the schedule alone: to work out a cycle takes longer.
fn could(load: &Load, aim: Aim) -> bool {
    let schedule = scheduled(load);
    match aim {
        Aim::SummaryInterval => schedule.interval(Resource::Summary) <= Some(load.intervals.summary),
        Aim::Changes => load.changes <= COMFORT * f64::from(schedule.allowance(Purpose::Change)),
        Aim::AuditInterval => audits_wanted(load) <= schedule.allowance(Purpose::Audit).into(),
    }
}

/// The shortest interval with which the aim is met: of the list, or of the audit.
fn least_interval(frame: &Frame, aim: Aim) -> Option<Duration> {
    let load = frame.load;
    match aim {
        Aim::SummaryInterval => Some(frame.interval()).filter(|interval| INTERVAL.contains(interval)),
        Aim::AuditInterval => Some(frame.audit_round()).filter(|round| AUDIT_INTERVAL.contains(round)),
        Aim::Changes => PROPOSED
            .into_iter()
            .map(Duration::from_secs)
            .filter(|proposed| *proposed > frame.interval())
            .find(|proposed| {
                let load = Load { intervals: Intervals { summary: *proposed, ..load.intervals }, ..load };
                could(&load, aim) && verdict(&Frame::of(load), aim) == Verdict::Holds
            }),
    }
}
