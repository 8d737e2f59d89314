//! What must have been counted after the delivered answers: a second implementation of the rules of counting.
//!
//! It shares no code with the account. Only the users that the account drops after 90 days are taken from its saved rows,
//! and checked: the rule says from when a user may be dropped, not on which day.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zt_risk_exporter::clock::{Instant, Timestamp};
use zt_risk_exporter::internals::collector::schedule::FailureClass;
use zt_risk_exporter::model::{Behavior, Completeness, EventTotals, Level, LevelChanges, Summary, UserRisk};

use super::world::{DAY, HOUR, MINUTE, SECOND};

/// A key that complete lists have not contained for this long is forgotten.
const ABSENT: i64 = 7 * DAY;
/// A user who left the list this long ago is dropped, if it has no keys.
const UNLISTED: i64 = 90 * DAY;
/// The most keys of a user that are dated in the future.
const FUTURE: usize = 1_000;
/// A reset dated more than this after the answer is ignored.
const CLOCK_SKEW: i64 = 5 * MINUTE;
/// How often a process looks for expired keys.
const CLEANUP_INTERVAL: i64 = HOUR;

/// What identifies an event of a user: id and time.
pub(crate) type Key = (u64, i64);

/// When an answer was made, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Dates {
    /// On Cloudflare's clock.
    pub(crate) cloudflare: i64,
    /// On the clock of the exporter.
    pub(crate) local: i64,
}

impl Dates {
    /// What is later is in the future.
    fn latest(self) -> i64 {
        self.cloudflare.max(self.local)
    }

    /// What expires later is kept.
    pub(crate) fn earliest(self) -> i64 {
        self.cloudflare.min(self.local)
    }

    fn disagree(self) -> bool {
        self.latest() - self.earliest() > DAY
    }
}

/// The clock that the listed events have shown to be right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    Cloudflare,
    Local,
}

/// What must be known and counted after the answers so far.
#[derive(Clone, Default)]
pub(crate) struct Expected {
    pub(crate) epoch: Option<i64>,
    /// Events and resets at or before this time are not counted, because users were dropped.
    floor: Option<i64>,
    /// Whether events may get labels.
    labels_ready: bool,
    /// The label of each behavior by its id and its display name, and those learned from events. The keys are in lower case.
    labels: BTreeMap<String, String>,
    /// The names for which the current process read the behaviors.
    looked_up: BTreeSet<String>,
    /// An answer that is counted once the behaviors were read.
    held: Option<(u128, UserRisk, Answered)>,
    /// Which of two clocks is right, if they disagree and the current process knows.
    proven: Option<Clock>,
    /// When counting began on Cloudflare's clock, if it was not known then which clock is right.
    doubtful_start: Option<i64>,
    /// How often in a row the current process was not allowed to read the behaviors.
    denials: u8,
    /// Whether the latest request for the list of users was answered.
    pub(crate) list_answers: bool,
    /// Since when the behaviors fail although the list of users answers.
    failing_since: Option<Instant>,
    /// Whether they have failed for so long that nobody waits for them.
    behaviors_given_up: bool,
    events: BTreeMap<(String, usize), u64>,
    behavior_users: BTreeMap<String, u64>,
    level_changes: LevelChanges,
    resets: u64,
    users: BTreeMap<u128, Known>,
    /// Every key that was ever counted.
    pub(crate) counted: BTreeSet<(u128, Key)>,
    /// When the current process last looked for expired keys.
    last_cleanup: Option<i64>,
}

/// When the events of a user were read.
#[derive(Clone, Copy)]
struct Answered {
    /// On the clock that is taken for right.
    date: i64,
    /// On the clock that is ahead.
    latest: i64,
}

/// What must be known about a user.
#[derive(Clone, Default)]
struct Known {
    level: LastLevel,
    /// How many complete summaries in a row did not contain the user, at most two, and the date of the second.
    missing: u8,
    gone_since: Option<i64>,
    /// Keys that were counted and not forgotten, with the date since when complete lists have not contained them.
    keys: BTreeMap<Key, Option<i64>>,
    floor: Option<i64>,
    last_reset: Option<i64>,
    /// The behaviors with an event since then.
    since_reset: BTreeSet<String>,
}

/// The last known level of a user.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum LastLevel {
    /// Not listed, or listed at an unknown level only.
    #[default]
    None,
    /// Part of the baseline, at an unknown level.
    Unclear,
    At(Level),
}

impl Expected {
    /// A new process started.
    pub(crate) fn restarted(&mut self) {
        self.last_cleanup = None;
        self.looked_up.clear();
        (self.held, self.denials) = (None, 0);
        (self.proven, self.doubtful_start) = (None, None);
        self.behaviors_end();
    }

    fn behaviors_end(&mut self) {
        (self.failing_since, self.behaviors_given_up) = (None, false);
    }

    pub(crate) fn behaviors_read(&mut self, behaviors: &[Behavior]) {
        (self.labels_ready, self.denials) = (true, 0);
        self.behaviors_end();
        for Behavior { id, name, .. } in behaviors {
            self.labels.insert(id.to_lowercase(), id.clone());
            self.labels.insert(name.to_lowercase(), id.clone());
        }
        self.count_held();
    }

    /// The behaviors could not be read. After four refusals in a row, an answer that cannot be used, or ten minutes, events are
    /// counted without them.
    pub(crate) fn behaviors_failed(&mut self, failure: FailureClass, now: Instant) {
        self.denials += u8::from(matches!(failure, FailureClass::Denied | FailureClass::Refused));
        if !self.list_answers {
            return;
        }
        let since = *self.failing_since.get_or_insert(now);
        self.behaviors_given_up |= now >= since + Duration::from_secs(600);
        if failure == FailureClass::Unusable || self.denials > 3 {
            self.behaviors_end();
        } else if !self.behaviors_given_up {
            self.held = None;
            return;
        }
        self.labels_ready = true;
        self.count_held();
    }

    fn count_held(&mut self) {
        if let Some((user, risk, answered)) = self.held.take() {
            self.looked_up.extend(self.unknown_behaviors(user, &risk, answered));
            self.count(user, &risk, answered);
        }
    }

    /// The behaviors without a label of the events that this answer adds.
    fn unknown_behaviors(&self, user: u128, risk: &UserRisk, answered: Answered) -> BTreeSet<String> {
        if risk.events.iter().all(|event| self.labels.contains_key(&event.name.to_lowercase())) {
            return BTreeSet::new();
        }
        let mut after = self.clone();
        after.count(user, risk, answered);
        after.labels.into_keys().filter(|name| !self.labels.contains_key(name)).collect()
    }

    pub(crate) fn may_ask_for_users(&self) -> bool {
        self.labels_ready && self.epoch.is_some()
    }

    /// The date of an answer on the clock that is right; as long as that is not known, on the one that is ahead.
    fn date_of(&self, dates: Dates) -> i64 {
        match self.proven {
            _ if !dates.disagree() => dates.cloudflare,
            Some(Clock::Cloudflare) => dates.cloudflare,
            Some(Clock::Local) => dates.local,
            None => dates.latest(),
        }
    }

    /// Learns from the latest events of the users which clock is right: the one that is ahead if two users, or one in the
    /// last day, had an event since the one that is behind; the other if more users had one in the day before it.
    fn learn_clock(&mut self, summary: &Summary, dates: Dates) {
        let (early, late) = (dates.earliest(), dates.latest());
        let mut events: Vec<_> = summary.rows.iter().map(|row| row.tuple.last_event.millis()).collect();
        events.retain(|at| *at <= late + CLOCK_SKEW);
        let (since, until): (Vec<_>, Vec<_>) = events.into_iter().partition(|at| *at > early + CLOCK_SKEW);
        let is_late_right = since.len() >= 2 || since.iter().any(|at| *at >= late - DAY);
        let is_early_right = until.iter().filter(|at| **at >= early - DAY).count() > since.len();
        if !dates.disagree() {
            self.proven = None;
        } else if is_late_right || is_early_right {
            let is_cloudflare = is_late_right == (dates.cloudflare > dates.local);
            self.proven = Some(if is_cloudflare { Clock::Cloudflare } else { Clock::Local });
        }
    }

    /// What was dated later than the present began now at the latest, and counting when it did on the clock that is right.
    fn correct_dates(&mut self, date: i64, dates: Dates) {
        let is_known = self.proven.is_some() || !dates.disagree();
        if let Some(start) = self.doubtful_start.take_if(|_| is_known) {
            self.epoch = self.epoch.min(Some(date - (dates.cloudflare - start)));
        }
        let present = date.max(dates.local);
        let gone = self.users.values_mut().filter_map(|known| known.gone_since.as_mut());
        for late in gone.chain(&mut self.epoch).filter(|at| **at >= present + CLOCK_SKEW) {
            *late = present;
        }
    }

    /// A list of users was read.
    pub(crate) fn summary_read(&mut self, summary: &Summary, dates: Dates) {
        self.learn_clock(summary, dates);
        let date = self.date_of(dates);
        self.correct_dates(date, dates);
        let rows = summary.rows.iter().map(|row| (row.user.as_u128(), row.tuple.level));
        if summary.completeness != Completeness::Complete {
            if self.epoch.is_some() {
                for (user, _) in rows {
                    self.users.entry(user).or_default();
                }
            }
            return;
        }
        let is_baseline = self.epoch.is_none();
        self.epoch.get_or_insert(date);
        if is_baseline && self.proven.is_none() && dates.disagree() {
            self.doubtful_start = Some(dates.cloudflare);
        }
        let unreadable: BTreeSet<_> = summary.unreadable.iter().map(|id| id.as_u128()).collect();
        for user in unreadable.iter().filter(|_| !is_baseline) {
            if let Some(known) = self.users.get_mut(user).filter(|known| known.gone_since.is_none()) {
                known.missing = 0;
            }
        }
        let listed: BTreeMap<_, _> = rows.collect();
        for (user, level) in &listed {
            let known = self.users.entry(*user).or_default();
            (known.missing, known.gone_since) = (0, None);
            if is_baseline {
                let at = if *level == Level::Unknown { LastLevel::Unclear } else { LastLevel::At(*level) };
                known.level = at;
            } else if *level != Level::Unknown {
                let to = LastLevel::At(*level);
                count_level_change(&mut self.level_changes, std::mem::replace(&mut known.level, to), to);
            }
        }
        if summary.anonymous == 0 {
            let is_missing = |user: &u128| !listed.contains_key(user) && !unreadable.contains(user);
            for (_, known) in self.users.iter_mut().filter(|(user, _)| is_missing(user)) {
                known.missing += u8::from(known.missing < 2);
                if known.missing == 2 && known.gone_since.is_none() {
                    known.gone_since = Some(date);
                    let from = std::mem::take(&mut known.level);
                    count_level_change(&mut self.level_changes, from, LastLevel::None);
                }
            }
        }
        self.forget(dates.earliest());
    }

    fn forget(&mut self, date: i64) {
        if self.last_cleanup.is_some_and(|last| last <= date && date < last + CLEANUP_INTERVAL) {
            return;
        }
        self.last_cleanup = Some(date);
        for known in self.users.values_mut() {
            let Known { keys, floor, gone_since, .. } = known;
            keys.retain(|(_, at), absent_since| {
                let absent_since = [*absent_since, *gone_since].into_iter().flatten().min();
                let is_forgotten = absent_since.is_some_and(|since| since.max(*at) + ABSENT <= date);
                if is_forgotten {
                    *floor = (*floor).max(Some(*at));
                }
                !is_forgotten
            });
        }
    }

    /// The ids of the users that are known.
    pub(crate) fn users(&self) -> impl Iterator<Item = u128> {
        self.users.keys().copied()
    }

    /// The account dropped the user, which it may do 90 days after the user left on both clocks, if no keys are left.
    pub(crate) fn dropped(&mut self, user: u128, date: i64) {
        let Some(known) = self.users.remove(&user) else { return };
        let is_due = known.gone_since.is_some_and(|since| since + UNLISTED <= date);
        assert!(is_due && known.keys.is_empty(), "user {user} was dropped too early");
        self.floor = self.floor.max(known.floor).max(known.last_reset);
    }

    /// The events of a user were read. If they have an unknown behavior, the behaviors are read first, or the user
    /// again once they can be read.
    pub(crate) fn user_read(&mut self, user: u128, risk: &UserRisk, dates: Dates) {
        let answered = Answered { date: self.date_of(dates), latest: dates.latest() };
        let is_known = self.unknown_behaviors(user, risk, answered).is_subset(&self.looked_up);
        if is_known || self.behaviors_given_up {
            self.count(user, risk, answered);
        } else if self.failing_since.is_none() {
            self.held = Some((user, risk.clone(), answered));
        }
    }

    fn count(&mut self, user: u128, risk: &UserRisk, Answered { date, latest: present }: Answered) {
        let epoch = self.epoch.expect("users are read only after the first list");
        let of_account = epoch.max(self.floor.unwrap_or(epoch));
        let known = self.users.get_mut(&user).expect("only users who were listed are read");
        let floor = of_account.max(known.floor.unwrap_or(epoch));
        let reset = risk.last_reset.map(Timestamp::millis);
        let newer_reset = reset.filter(|reset| {
            known.last_reset.is_none_or(|stored| *reset > stored) && *reset <= present + CLOCK_SKEW
        });
        self.resets += u64::from(newer_reset.is_some_and(|reset| reset > of_account));
        known.last_reset = newer_reset.or(known.last_reset);

        let mut room = FUTURE.saturating_sub(known.keys.keys().filter(|(_, at)| *at > present).count());
        let before: BTreeSet<Key> = known.keys.keys().copied().collect();
        let mut seen = BTreeSet::new();
        let mut new = Vec::new();
        for event in &risk.events {
            let key = (event.id.parse().expect("ids are numbers here"), event.timestamp.millis());
            let of_id = (key.0, i64::MIN)..=(key.0, i64::MAX);
            // Events within a few milliseconds may each be the other one. The earliest is taken.
            let others = before.range(of_id.clone()).chain(seen.range(of_id));
            let is_known = before.contains(&key) || seen.contains(&key);
            let other = others.filter(|other| !is_known && is_same_event(**other, key)).min();
            let key = *other.unwrap_or(&key);
            if !seen.insert(key) || key.1 <= floor || known.keys.contains_key(&key) {
                continue;
            }
            if key.1 > present {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            known.keys.insert(key, None);
            assert!(self.counted.insert((user, key)), "the rules count {key:?} of user {user} twice");
            let label = self.labels.entry(event.name.to_lowercase()).or_insert(event.name.clone()).clone();
            *self.events.entry((label.clone(), event.level.index())).or_default() += 1;
            new.push((key.1, label));
        }
        let is_whole = risk.completeness == Completeness::Complete && risk.rejected == 0;
        for (key, absent_since) in &mut known.keys {
            if seen.contains(key) {
                *absent_since = None;
            } else if is_whole {
                absent_since.get_or_insert(date);
            }
        }
        // Events up to a reset belong to the time before it.
        new.sort_by_key(|(at, _)| *at > newer_reset.unwrap_or(i64::MAX));
        let mut reset = newer_reset;
        for (at, label) in new {
            if reset.is_some_and(|reset| at > reset) {
                known.since_reset.clear();
                reset = None;
            }
            if known.since_reset.insert(label.clone()) {
                *self.behavior_users.entry(label).or_default() += 1;
            }
        }
        if reset.is_some() {
            known.since_reset.clear();
        }
    }

    /// Whether the event was counted, whatever the precision of its time.
    pub(crate) fn was_counted(&self, user: u128, key: Key) -> bool {
        let of_user = self.counted.range((user, (key.0, i64::MIN))..=(user, (key.0, i64::MAX)));
        of_user.into_iter().any(|(_, other)| is_same_event(*other, key))
    }

    /// Whether an event of the user at this time could be counted now, even if it is shown without fractions of a second.
    pub(crate) fn is_countable(&self, user: u128, at: i64) -> bool {
        let at = at - at.rem_euclid(SECOND);
        let floors = [self.epoch, self.floor, self.users.get(&user).and_then(|known| known.floor)];
        floors.into_iter().flatten().all(|floor| at > floor)
    }

    /// Whether a reset of the user should be known by now, because the user left the list after it, but is not.
    pub(crate) fn misses_reset(&self, user: u128, reset: i64) -> bool {
        let known = self.users.get(&user);
        known.is_some_and(|known| {
            known.gone_since.is_some_and(|gone| gone > reset) && known.last_reset < Some(reset)
        })
    }

    /// The users who must be kept, with their numbers of keys.
    pub(crate) fn kept(&self) -> BTreeMap<u128, usize> {
        self.users.iter().map(|(user, known)| (*user, known.keys.len())).collect()
    }

    /// Asserts that these totals are published.
    pub(crate) fn check(&self, shown: &EventTotals) {
        let each = |(label, levels): (&String, &[u64; 4])| {
            let label = label.clone();
            levels
                .iter()
                .enumerate()
                .map(move |(level, count)| ((label.clone(), level), *count))
                .collect::<Vec<_>>()
        };
        let events: BTreeMap<_, _> =
            shown.events.iter().flat_map(each).filter(|(_, count)| *count > 0).collect();
        assert_eq!(events, self.events, "events_total");
        let some = |(_, count): &(&String, &u64)| **count > 0;
        assert!(
            shown.behavior_users.iter().filter(some).eq(&self.behavior_users),
            "behavior_users_total is {:?} and not {:?}",
            shown.behavior_users,
            self.behavior_users
        );
        assert_eq!(shown.level_changes, self.level_changes, "level_changes_total");
        assert_eq!(shown.resets, self.resets, "resets_total");
    }
}

/// Whether two keys are of one event, whose time may be shown in whole, tenths or hundredths of a second, cut off or rounded.
fn is_same_event(one: Key, other: Key) -> bool {
    let shapes = |at: i64| {
        let units = [SECOND, SECOND / 10, SECOND / 100];
        units.into_iter().flat_map(move |unit| [at, at + unit / 2].map(|at| at.div_euclid(unit) * unit))
    };
    let is_same_time = |one: i64, other: i64| {
        one.abs_diff(other) <= 1 || shapes(one).any(|at| at == other) || shapes(other).any(|at| at == one)
    };
    one.0 == other.0 && is_same_time(one.1, other.1)
}

/// Counts a change of level, unless one of the two levels is unknown.
fn count_level_change(changes: &mut LevelChanges, from: LastLevel, to: LastLevel) {
    let index = |level| match level {
        LastLevel::None => Some(0),
        LastLevel::Unclear => None,
        LastLevel::At(level) => Some(level.index()),
    };
    if let (Some(from), Some(to)) = (index(from), index(to))
        && from != to
    {
        changes[from][to] += 1;
    }
}
