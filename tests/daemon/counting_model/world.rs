//! The simulated Cloudflare of the histories: its users, and its answers.

use std::collections::{BTreeMap, BTreeSet};

use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::internals::collector::ledger::{DetailRequest, FetchReason};
use zt_risk_exporter::internals::collector::schedule::FailureClass;
use zt_risk_exporter::model::{
    Behavior, Completeness, Event, EventCount, Level, Listing, OddFields, Row, RowFingerprint, Summary,
    UserId, UserRisk,
};

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// When the histories begin on Cloudflare's clock, in milliseconds.
pub(crate) const START: i64 = 1_700_000_000 * SECOND;

/// A date that no history reaches: in the year 2999.
pub(crate) const DISTANT: i64 = 32_480_000_000 * SECOND;

/// The behaviors, by id and display name.
const BEHAVIORS: [(&str, &str); 4] = [
    ("imp_travel", "Impossible Travel"),
    ("high_dlp", "High Number of DLP Policies Triggered"),
    ("s1", "S1"),
    ("brand_new", "Brand New"),
];

/// The number of users.
const USERS: u128 = 12;

/// How often in a row a faithful upstream hides events of a user.
const HIDDEN_AT_MOST: u8 = 2;

/// Whether the summary shows every change, so that it is found without the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faith {
    /// It does: events disappear from a list only by a reset, no list stays incomplete for long, every event may be
    /// counted, and the details lag by five minutes at most.
    Kept,
    /// A change may look like none, and a list may stay incomplete.
    None,
}

/// How the upstream behaves where Cloudflare's behavior is unknown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) faith: Faith,
    /// How long after the summary the details show an event, in milliseconds.
    pub(crate) lag: i64,
    /// Whether a reset removes the events from the user's list.
    pub(crate) forgets: bool,
    /// How many of ten answers have a fault, before the calm at the end.
    pub(crate) trouble: u32,
    /// When the last of the behaviors appears.
    pub(crate) new_behavior_at: i64,
    /// Whether the details show some times without fractions of a second.
    pub(crate) precision_varies: bool,
    /// Whether events with different times share an id.
    pub(crate) ids_repeat: bool,
    /// Whether users have more events dated in the future than are kept.
    pub(crate) crowds: bool,
    /// The local clock minus Cloudflare's clock, in milliseconds.
    pub(crate) skew: i64,
}

/// An event of a user.
#[derive(Clone, Debug)]
struct Happened {
    id: u64,
    at: i64,
    behavior: usize,
    level: Level,
    /// When the details first show it.
    shown: i64,
}

/// What the upstream knows about one user.
#[derive(Clone, Debug, Default)]
struct Person {
    events: Vec<Happened>,
    /// Events that disappeared from the list and may come back.
    hidden: Vec<Happened>,
    last_reset: Option<i64>,
    /// The event count in the summary.
    count: u32,
    level: Level,
    is_listed: bool,
    /// How many listed events cannot be read.
    unreadable: u32,
    /// How many readings in a row hid events.
    short: u8,
}

/// The truth.
pub(crate) struct World {
    pub(crate) habits: Habits,
    /// Cloudflare's clock, in milliseconds.
    pub(crate) now: i64,
    /// Whether answers have no more faults.
    pub(crate) calm: bool,
    /// Since when events are counted, once that was committed.
    pub(crate) epoch: Option<i64>,
    people: BTreeMap<u128, Person>,
    /// The events that resets removed.
    removed: Vec<(u128, u64, i64)>,
    next_id: u64,
}

/// The outcome of a request for a user's events.
pub(crate) enum UserAnswer {
    Read(UserRisk),
    NotFound,
    Failed(FailureClass),
}

/// The outcome of a request for the summary or the behaviors.
pub(crate) enum Answer<T> {
    Read(T),
    Failed(FailureClass),
}

fn failure(random: &mut fastrand::Rng) -> FailureClass {
    [
        FailureClass::Transient,
        FailureClass::Transient,
        FailureClass::Unusable,
        FailureClass::Denied,
        FailureClass::Refused,
    ][random.usize(0..5)]
}

fn level(random: &mut fastrand::Rng) -> Level {
    Level::ALL[random.usize(0..4)]
}

impl World {
    pub(crate) fn new(random: &mut fastrand::Rng) -> Self {
        let faith = if random.bool() { Faith::Kept } else { Faith::None };
        let habits = Habits {
            faith,
            lag: match (random.bool(), faith) {
                (true, _) => 0,
                (false, Faith::Kept) => random.i64(0..5 * MINUTE),
                (false, Faith::None) => random.i64(0..10 * MINUTE),
            },
            new_behavior_at: START + random.i64(0..2 * HOUR),
            precision_varies: false,
            forgets: faith == Faith::Kept || random.bool(),
            trouble: random.u32(0..5),
            ids_repeat: random.bool(),
            crowds: random.u32(0..100) == 0,
            skew: [0, 0, 17 * MINUTE, -17 * MINUTE, 40 * DAY, -40 * DAY][random.usize(0..6)],
        };
        let habits = Habits { precision_varies: !habits.ids_repeat && random.bool(), ..habits };
        let (people, now, calm) = (BTreeMap::new(), START, false);
        let mut world = Self { habits, now, calm, epoch: None, people, removed: Vec::new(), next_id: 0 };
        for _ in 0..20 {
            let user = random.u128(1..=USERS);
            world.append(user, -random.i64(0..2 * DAY), random);
            if random.u32(0..8) == 0
                && let Some(person) = world.people.get_mut(&user)
            {
                person.last_reset = Some(START - random.i64(2 * DAY..3 * DAY));
            }
        }
        world
    }

    pub(crate) fn date(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// The date on the local clock.
    pub(crate) fn local_date(&self) -> Timestamp {
        Timestamp::from_millis(self.now + self.habits.skew)
    }

    /// Adds an event of `user`, `when` milliseconds from now.
    fn append(&mut self, user: u128, when: i64, random: &mut fastrand::Rng) {
        let at = if when == DISTANT { DISTANT + random.i64(0..DAY) } else { self.now + when };
        if self.habits.faith == Faith::Kept && self.epoch.map_or(at > self.now, |epoch| at <= epoch) {
            return;
        }
        let id = if self.habits.ids_repeat && random.u32(0..3) == 0 { 1 } else { self.next_id + 2 };
        self.next_id += 1;
        let shown = self.now + self.habits.lag;
        let behavior_count = self.behavior_count();
        let person = self.people.entry(user).or_default();
        person.is_listed = true;
        if person.events.iter().chain(&person.hidden).any(|known| (known.id, known.at) == (id, at)) {
            return;
        }
        let level = level(random);
        person.level = if random.u32(0..8) == 0 { Level::Unknown } else { person.level.max(level) };
        person.count += 1;
        let behavior = random.usize(0..behavior_count);
        person.events.push(Happened { id, at, behavior, level, shown });
    }

    /// Lets something happen to a user.
    pub(crate) fn happen(&mut self, random: &mut fastrand::Rng) {
        let user = random.u128(1..=USERS);
        match random.u32(0..40) {
            0..18 => self.append(user, -random.i64(0..MINUTE), random),
            // Appears late, or too late to be counted.
            18..21 => self.append(user, -random.i64(MINUTE..HOUR), random),
            21 => self.append(user, -random.i64(DAY..20 * DAY), random),
            22 => self.append(user, random.i64(0..5 * MINUTE), random),
            23 => self.append(user, [DISTANT, random.i64(HOUR..9 * DAY)][random.usize(0..2)], random),
            // A campaign.
            24 => (0..random.u32(2..12)).for_each(|_| self.append(user, -random.i64(0..MINUTE), random)),
            25 if self.habits.crowds => {
                (0..1_100).for_each(|_| self.append(user, random.i64(HOUR..3 * DAY), random));
            }
            // At the same time as another event.
            25 | 26 => {
                let Some(event) = self.people.get(&user).and_then(|person| person.events.last()) else {
                    return;
                };
                self.append(user, event.at - self.now, random);
            }
            27..30 => {
                self.reset(user, random);
                if random.u32(0..4) == 0 {
                    self.append(user, 0, random);
                }
            }
            30..33 => self.leave_or_return(user),
            33 | 34 => {
                if let Some(person) = self.people.get_mut(&user) {
                    person.level = level(random);
                }
            }
            _ if self.habits.faith == Faith::None => self.disturb(user, random),
            _ => {}
        }
    }

    /// Something may happen to a user during the request for its events. The details are ahead of the summary then, which
    /// the estimate of missing events handles only in part, so a faithful world does not do it.
    pub(crate) fn meanwhile(&mut self, user: u128, random: &mut fastrand::Rng) {
        match random.u32(0..40) {
            _ if self.calm || self.habits.faith == Faith::Kept => {}
            0 => self.append(user, 0, random),
            1 => self.reset(user, random),
            _ => {}
        }
    }

    /// An administrator resets the user.
    fn reset(&mut self, user: u128, random: &mut fastrand::Rng) {
        let Some(person) = self.people.get_mut(&user).filter(|person| person.is_listed) else { return };
        let is_odd = self.habits.faith == Faith::None && random.u32(0..10) == 0;
        let when = if is_odd { DISTANT } else { self.now };
        (person.last_reset, person.is_listed, person.count, person.level) =
            (Some(when), false, 0, Level::Unknown);
        if self.habits.forgets {
            let events = person.events.drain(..).chain(person.hidden.drain(..));
            self.removed.extend(events.map(|event| (user, event.id, event.at)));
        }
    }

    fn leave_or_return(&mut self, user: u128) {
        if let Some(person) = self.people.get_mut(&user) {
            person.is_listed = !person.is_listed && !person.events.is_empty();
        }
    }

    /// Changes that the summary may hide.
    fn disturb(&mut self, user: u128, random: &mut fastrand::Rng) {
        let Some(person) = self.people.get_mut(&user) else { return };
        match random.u32(0..8) {
            0 => drop(self.people.remove(&user)),
            // Some of the oldest events disappear from the list, with or without a lower count.
            1..4 => {
                let gone = random.usize(0..=person.events.len());
                person.hidden.extend(person.events.drain(..gone));
                if random.bool() {
                    person.count = person.count.saturating_sub(u32::try_from(gone).expect("they are few"));
                }
            }
            4 | 5 => person.events.append(&mut person.hidden),
            6 => person.unreadable = random.u32(0..2),
            // One event appears and one disappears, and the summary stays the same.
            _ => {
                let (count, level) = (person.count, person.level);
                if person.events.len() < 2 {
                    return;
                }
                person.events.remove(0);
                let latest = person.events.iter().map(|event| event.at).max().unwrap_or_default();
                self.append(user, (latest - self.now - 1).min(-1), random);
                let person = self.people.get_mut(&user).expect("an event was just appended");
                (person.count, person.level) = (count, level);
            }
        }
    }

    /// Takes all users off the list for good.
    pub(crate) fn end(&mut self, random: &mut fastrand::Rng) {
        if random.bool() {
            self.people.clear();
        }
        self.people.values_mut().for_each(|person| person.is_listed = false);
    }

    fn has_fault(&self, random: &mut fastrand::Rng) -> bool {
        !self.calm && random.u32(0..10) < self.habits.trouble
    }

    pub(crate) fn summary(&self, random: &mut fastrand::Rng) -> Answer<Summary> {
        let row = |(user, person): (&u128, &Person)| Row {
            user: UserId::from_u128(*user),
            tuple: RowFingerprint {
                last_event: Timestamp::from_millis(
                    person.events.iter().map(|event| event.at).max().unwrap_or_default(),
                ),
                count: person.count.into(),
                level: person.level,
            },
        };
        let rows = self.people.iter().filter(|(_, person)| person.is_listed).map(row).collect();
        let date = Some(self.date());
        let mut summary = Summary {
            odd: OddFields::default(),
            is_null: false,
            rows,
            unreadable: Vec::new(),
            anonymous: 0,
            completeness: Completeness::Complete,
            date,
            identities: None,
            pages: 1,
        };
        if self.has_fault(random) {
            let lost = random.usize(0..=summary.rows.len());
            if random.u32(0..7) == 0 {
                // A row lacks a field or two, which claims nothing about the user's events.
                if let Some(row) = summary.rows.get_mut(lost) {
                    if lost % 3 != 1 {
                        row.tuple.last_event = Timestamp::UNKNOWN;
                    }
                    if !lost.is_multiple_of(3) {
                        row.tuple.count = EventCount::UNKNOWN;
                    }
                }
                return Answer::Read(summary);
            }
            let rows = summary.rows.drain(lost..(lost + 1).min(summary.rows.len())).collect::<Vec<_>>();
            match random.u32(0..6) {
                0 => return Answer::Failed(failure(random)),
                1 => summary.unreadable.extend(rows.iter().map(|row| row.user)),
                2 => summary.anonymous = 1,
                // A user is missing, although the list claims to be complete.
                3 => {}
                _ => {
                    summary.rows.truncate(random.usize(0..=summary.rows.len()));
                    summary.completeness = Completeness::Partial("pages moved".to_owned());
                }
            }
        }
        Answer::Read(summary)
    }

    pub(crate) fn behaviors(&self, random: &mut fastrand::Rng) -> Answer<Listing<Behavior>> {
        if self.has_fault(random) {
            return Answer::Failed(failure(random));
        }
        let behavior = |(id, name): (&str, &str)| Behavior {
            id: id.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            enabled: Some(true),
            level: Level::Low,
        };
        let rows = BEHAVIORS.into_iter().take(self.behavior_count()).map(behavior).collect();
        Answer::Read(Listing { rows, rejected: 0, odd: OddFields::default() })
    }

    /// How many behaviors exist by now.
    fn behavior_count(&self) -> usize {
        BEHAVIORS.len() - usize::from(self.now < self.habits.new_behavior_at)
    }

    pub(crate) fn user(&mut self, request: &DetailRequest, random: &mut fastrand::Rng) -> UserAnswer {
        let is_faithful = self.habits.faith == Faith::Kept;
        let mut incidents = || self.has_fault(random).then(|| random.u32(0..6));
        let trouble = incidents();
        let (now, date) = (self.now, self.date());
        let Some(person) = self.people.get_mut(&request.user.id.as_u128()) else {
            return UserAnswer::NotFound;
        };
        let precision_varies = self.habits.precision_varies;
        let shown = person.events.iter().filter(|event| event.shown <= now);
        let mut events: Vec<_> = shown.map(|event| shown_as(event, precision_varies, random)).collect();
        random.shuffle(&mut events);
        let (mut rejected, mut completeness, mut last_reset) =
            (person.unreadable, Completeness::Complete, person.last_reset);
        match trouble {
            Some(0) if request.reason != FetchReason::Gone || !is_faithful => return UserAnswer::NotFound,
            Some(0 | 1) => return UserAnswer::Failed(failure(random)),
            Some(2) if !is_faithful => last_reset = None,
            Some(_) if is_faithful && person.short == HIDDEN_AT_MOST => {}
            Some(2 | 3) => {
                let kept = random.usize(0..=events.len());
                rejected += u32::try_from(events.len() - kept).expect("they are few");
                events.truncate(kept);
            }
            Some(_) => {
                events.truncate(random.usize(0..=events.len()));
                completeness = Completeness::Partial("cut short".to_owned());
            }
            None => {}
        }
        let is_short = rejected > person.unreadable || completeness != Completeness::Complete;
        person.short = if is_short { person.short.saturating_add(1) } else { 0 };
        // A row that appears on two pages.
        if let Some(twice) = events.first().cloned()
            && random.u32(0..4) == 0
        {
            events.push(twice);
        }
        UserAnswer::Read(UserRisk {
            odd: OddFields::default(),
            events,
            rejected,
            last_reset: last_reset.map(Timestamp::from_millis),
            level: None,
            completeness,
            date: Some(date),
            identity: None,
            pages: 1,
        })
    }

    /// When each user who is not listed was last reset.
    pub(crate) fn resets(&self) -> impl Iterator<Item = (u128, i64)> {
        let away = self.people.iter().filter(|(_, person)| !person.is_listed);
        away.filter_map(|(user, person)| Some((*user, person.last_reset?)))
    }

    /// The events that resets removed.
    pub(crate) fn removed(&self) -> &[(u128, u64, i64)] {
        &self.removed
    }

    /// The events of listed users that a reading would show now.
    pub(crate) fn readable(&self) -> BTreeSet<(u128, u64, i64)> {
        let here = self.people.iter().filter(|(_, person)| person.is_listed);
        here.flat_map(|(user, person)| person.events.iter().map(|event| (*user, event.id, event.at)))
            .collect()
    }
}

/// An event as the details show it, with the id or the display name of its behavior, in either letter case.
fn shown_as(event: &Happened, precision_varies: bool, random: &mut fastrand::Rng) -> Event {
    let (id, name) = BEHAVIORS[event.behavior];
    let fraction = if precision_varies && random.bool() { event.at.rem_euclid(SECOND) } else { 0 };
    let name = if random.bool() { id } else { name };
    Event {
        id: event.id.to_string(),
        name: if random.u8(0..4) == 0 { name.to_uppercase() } else { name.to_owned() },
        level: event.level,
        timestamp: Timestamp::from_millis(event.at - fraction),
    }
}
