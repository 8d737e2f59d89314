//! Counting against random histories: appended, late and reset events, users who leave and come back, lists
//! that lag, are cut short or come in part.
//!
//! What was delivered and is later than the epoch is counted, each event once, at every step; and when the
//! trouble stops, everything that is listed gets delivered. `COUNTING_SEED` replays one history,
//! `COUNTING_SEEDS` says how many are played.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use zt_risk_exporter::account::{Account, Question, Settings, Step};
use zt_risk_exporter::clock::{Moment, Timestamp};
use zt_risk_exporter::identity::Naming;
use zt_risk_exporter::ledger::Asked;
use zt_risk_exporter::model::{
    AccountName, Endpoint, Event, Extent, Level, Listing, Row, Summary, Tuple, UserId, UserRisk,
};
use zt_risk_exporter::schedule::{Intervals, Setback};

/// When the histories begin, in seconds.
const START: i64 = 1_000_000;

/// How long after the last trouble everything listed must have been read: the longest backoff of a user,
/// then a round of the audit, with as much again to spare.
const SETTLED: u64 = 2 * 6 * 3_600 + 6 * 3_600;

/// What the upstream holds of one user.
#[derive(Clone, Debug, Default)]
struct Person {
    /// Events with the second from which the detail shows them.
    events: Vec<(Event, u64)>,
    last_reset: Option<Timestamp>,
    /// How many events the summary speaks of.
    count: u32,
    here: bool,
}

/// How an upstream behaves where nobody knows.
#[derive(Clone, Copy, Debug)]
struct Habits {
    lag: u64,
    /// Whether a reset takes the events off the user's list.
    forgets: bool,
    /// How many of ten answers are in trouble while there is any.
    trouble: u32,
}

struct History {
    random: fastrand::Rng,
    habits: Habits,
    people: BTreeMap<u128, Person>,
    account: Account,
    now: u64,
    next_id: u64,
    /// Keys of events later than the epoch that were delivered.
    delivered: BTreeSet<(u128, String, i64)>,
    epoch: Option<Timestamp>,
    counted: u64,
    /// Whether answers may be in trouble.
    calm: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let habits = Habits { lag: random.u64(0..200), forgets: random.bool(), trouble: random.u32(0..5) };
        let intervals = Intervals {
            summary: Duration::from_secs(30),
            behaviors: Duration::from_secs(300),
            integrations: Duration::from_secs(300),
            audit: Duration::from_secs(6 * 3_600),
        };
        let account = Account::new(Settings {
            name: AccountName { alias: "model".to_owned(), id: "0".repeat(32) },
            intervals,
            budget: random.u32(20..300),
            series: 3,
            naming: Naming::Id,
            secret: [3; 16],
            seed,
        });
        let (people, delivered) = (BTreeMap::new(), BTreeSet::new());
        let mut history = Self {
            random,
            habits,
            people,
            account,
            now: 0,
            next_id: 0,
            delivered,
            epoch: None,
            counted: 0,
            calm: false,
        };
        for _ in 0..20 {
            history.happen(-100_000..0);
        }
        history
    }

    fn date(&self) -> Timestamp {
        Timestamp::from_seconds(START + i64::try_from(self.now).expect("histories are short"))
    }

    fn moment(&self) -> Moment {
        Moment::after_start(Duration::from_secs(self.now))
    }

    /// Somebody does something, so many seconds from now.
    fn happen(&mut self, when: Range<i64>) {
        let user = self.random.u128(1..12);
        let at = self.date().millis() + 1_000 * self.random.i64(when) + self.random.i64(0..1_000);
        // Ids that come again at other times are as good as any.
        self.next_id += u64::from(self.random.bool());
        let event = Event {
            id: self.next_id.to_string(),
            name: ["imp_travel", "high_dlp"][self.random.usize(0..2)].to_owned(),
            level: Level::High,
            timestamp: Timestamp::from_millis(at),
        };
        let shown = self.now + self.habits.lag;
        let person = self.people.entry(user).or_default();
        person.here = true;
        if !person.events.iter().any(|(known, _)| known.id == event.id && known.timestamp == event.timestamp)
        {
            person.count += 1;
            person.events.push((event, shown));
        }
    }

    fn disturb(&mut self) {
        let user = self.random.u128(1..12);
        let (date, forgets) = (self.date(), self.habits.forgets);
        let Some(person) = self.people.get_mut(&user) else { return };
        match self.random.u32(0..10) {
            // Reset by an administrator.
            0..4 => {
                (person.last_reset, person.here, person.count) = (Some(date), false, 0);
                if forgets {
                    person.events.clear();
                }
            }
            // Deleted.
            4 => drop(self.people.remove(&user)),
            // Some of the oldest fall off the list, whether the count says so or not.
            _ => {
                let gone = self.random.usize(0..=person.events.len().min(2));
                person.events.drain(..gone);
                if self.random.bool() {
                    person.count = person.count.saturating_sub(u32::try_from(gone).expect("two at most"));
                }
            }
        }
    }

    fn is_in_trouble(&mut self) -> bool {
        !self.calm && self.random.u32(0..10) < self.habits.trouble
    }

    fn answer(&mut self, question: &Question) {
        let (now, date) = (self.moment(), self.date());
        match question {
            Question::Poll(endpoint) if self.is_in_trouble() => {
                self.account.failed(*endpoint, Setback::Passing, now);
            }
            Question::Poll(Endpoint::Summary) => {
                let summary = self.summary();
                self.account.summary_read(&summary, now, date);
                if summary.extent == Extent::Whole {
                    self.epoch.get_or_insert(date);
                }
            }
            Question::Poll(Endpoint::Behaviors) => self.account.behaviors_read(Listing::default(), now, date),
            Question::Poll(Endpoint::Integrations) => {
                self.account.integrations_read(Listing::default(), now, date);
            }
            Question::Poll(_) => self.account.token_read(now),
            Question::User(asked) => self.answer_user(asked),
        }
    }

    fn summary(&mut self) -> Summary {
        let row = |(user, person): (&u128, &Person)| Row {
            user: UserId::from_u128(*user),
            tuple: Tuple {
                last_event: person.events.iter().map(|(event, _)| event.timestamp).max().unwrap_or_default(),
                count: person.count,
                level: Level::High,
            },
        };
        let mut rows: Vec<_> = self.people.iter().filter(|(_, person)| person.here).map(row).collect();
        let (mut unreadable, mut extent) = (Vec::new(), Extent::Whole);
        if self.is_in_trouble() && !rows.is_empty() {
            let lost = rows.remove(self.random.usize(0..rows.len()));
            if self.random.bool() {
                unreadable.push(lost.user);
            } else {
                extent = Extent::Partial("a page is missing".to_owned());
            }
        }
        let date = Some(self.date());
        Summary { rows, unreadable, anonymous: 0, extent, date, identities: None, pages: 1 }
    }

    fn answer_user(&mut self, asked: &Asked) {
        let user = asked.user.id.as_u128();
        let (now, date) = (self.moment(), self.date());
        if self.is_in_trouble() && self.random.bool() {
            return self.account.user_failed(asked, Setback::Passing, now);
        }
        let Some(person) = self.people.get(&user).cloned() else {
            return self.account.user_not_found(asked, now);
        };
        let shown = person.events.iter().filter(|(_, shown)| *shown <= self.now);
        let mut events: Vec<_> = shown.map(|(event, _)| event.clone()).collect();
        self.random.shuffle(&mut events);
        let mut extent = Extent::Whole;
        if self.is_in_trouble() {
            events.truncate(self.random.usize(0..=events.len()));
            extent = Extent::Partial("cut short".to_owned());
        }
        let epoch = self.epoch.expect("nobody is asked for before the first list");
        for event in events.iter().filter(|event| event.timestamp > epoch) {
            self.delivered.insert((user, event.id.clone(), event.timestamp.millis()));
        }
        let risk = UserRisk {
            events,
            rejected: 0,
            last_reset: person.last_reset,
            level: None,
            extent,
            date: Some(date),
            identity: None,
            pages: 1,
        };
        self.account.user_read(asked, &risk, now, date);
    }

    /// Time passes, and every question is answered; safety holds after each answer.
    fn pass(&mut self, span: u64, context: &str) {
        let end = self.now + span;
        loop {
            match self.account.plan(self.moment()) {
                Step::Ask(question) => {
                    self.answer(&question);
                    self.is_safe(context);
                }
                Step::Wait(until) => {
                    let until = until.since(Moment::default()).as_secs_f64().ceil() as u64;
                    if until > end {
                        break;
                    }
                    assert!(until > self.now, "{context}: waiting for the past");
                    self.now = until;
                }
            }
        }
        self.now = end;
    }

    fn is_safe(&mut self, context: &str) {
        self.account.saved();
        let totals = self.account.snapshot().totals;
        let counted = totals.events.values().flatten().sum();
        assert!(counted >= self.counted, "{context}: a counter fell from {} to {counted}", self.counted);
        assert_eq!(counted, self.delivered.len() as u64, "{context}: second {}", self.now);
        self.counted = counted;
    }

    fn is_complete(&self, context: &str) {
        let epoch = self.epoch.expect("a list was read by now");
        for (user, person) in self.people.iter().filter(|(_, person)| person.here) {
            for (event, _) in person.events.iter().filter(|(event, _)| event.timestamp > epoch) {
                let key = (*user, event.id.clone(), event.timestamp.millis());
                assert!(self.delivered.contains(&key), "{context}: {key:?} was never read");
            }
        }
        let pending = self.account.snapshot().users.expect("a list was read by now").pending;
        assert_eq!(pending, 0, "{context}");
    }
}

fn play(seed: u64) {
    let context = format!("COUNTING_SEED={seed}");
    let mut history = History::new(seed);
    for _ in 0..150 {
        match history.random.u32(0..10) {
            0..4 => history.happen(-60..1),
            // An event that surfaces late.
            4 => history.happen(-3_600..-600),
            5 => history.disturb(),
            _ => {}
        }
        let span = history.random.u64(1..90);
        history.pass(span, &context);
    }
    history.calm = true;
    history.pass(SETTLED, &context);
    history.is_complete(&context);
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text}")))
}

#[test]
fn what_is_delivered_is_counted_once_and_what_is_listed_gets_delivered() {
    if let Some(seed) = number("COUNTING_SEED") {
        return play(seed);
    }
    (0..number("COUNTING_SEEDS").unwrap_or(100)).for_each(play);
}
