//! The rules of counting, one by one, with one account and an upstream made of tables.

mod departures;
mod labels;
mod late_starts;
mod long_lists;
mod refused_users;
mod resets;
mod restarts;
mod retries;
mod same_event;
mod unreadable_users;
mod unsaid_fields;
mod user_lists;
mod wrong_clocks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zt_risk_exporter::clock::{Instant, Timestamp};
use zt_risk_exporter::internals::collector::account::{Account, Fetch, Settings, Step};
use zt_risk_exporter::internals::collector::schedule::FailureClass;
use zt_risk_exporter::internals::collector::user_label::UserLabel;
use zt_risk_exporter::internals::model::resource::Intervals;
use zt_risk_exporter::model::{
    AccountName, Behavior, Completeness, Event, Level, Listing, OddFields, Resource, Row, RowFingerprint,
    Snapshot, Summary, UserId, UserRisk,
};

/// When counting begins in these tests, in seconds on Cloudflare's clock.
const EPOCH: i64 = 1_000_000;

/// An account, and the answers that its upstream gives.
struct Upstream {
    account: Account,
    /// Seconds since the start of both clocks.
    now: u64,
    listed: BTreeMap<u128, RowFingerprint>,
    risks: BTreeMap<u128, UserRisk>,
    completeness: Completeness,
    unreadable: Vec<UserId>,
    anonymous: u32,
    /// Users whose events cannot be read, and why.
    failing: BTreeMap<u128, FailureClass>,
    /// How long after its time an event is listed in the details.
    lag: Duration,
    /// How far both clocks are ahead.
    ahead: Duration,
    /// How far the dates of answers are behind the clock of the exporter.
    behind: Duration,
    /// How far they are ahead of it.
    early: Duration,
    behaviors: Listing<Behavior>,
    /// How the behaviors fail, if they do.
    behaviors_fail: Option<FailureClass>,
    /// How often the behaviors were requested.
    behaviors_requested: usize,
    /// Users whose events were requested, in order.
    requested: Vec<u128>,
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn id(user: u128) -> UserId {
    UserId::from_u128(user)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(EPOCH + second)
}

fn fingerprint(count: u32, last_event: i64, level: Level) -> RowFingerprint {
    RowFingerprint { last_event: at(last_event), count: count.into(), level }
}

/// An event `id` of `imp_travel` at high, `second` seconds after the epoch.
fn event(id: &str, second: i64) -> Event {
    Event {
        id: id.to_owned(),
        name: "Impossible Travel".to_owned(),
        level: Level::High,
        timestamp: at(second),
    }
}

/// The one behavior that Cloudflare lists here.
pub(crate) fn behaviors() -> Listing<Behavior> {
    let behavior = Behavior {
        id: "imp_travel".to_owned(),
        name: "Impossible Travel".to_owned(),
        description: String::new(),
        enabled: Some(true),
        level: Level::High,
    };
    Listing { rows: vec![behavior], rejected: 0, odd: OddFields::default() }
}

fn risk(events: Vec<Event>) -> UserRisk {
    UserRisk {
        events,
        rejected: 0,
        odd: OddFields::default(),
        last_reset: None,
        level: None,
        completeness: Completeness::Complete,
        date: None,
        identity: None,
        pages: 1,
    }
}

fn cut_short() -> Completeness {
    Completeness::Partial("2 of 3".to_owned())
}

fn settings() -> Settings {
    let intervals = Intervals {
        summary: seconds(30),
        behaviors: seconds(300),
        integrations: seconds(300),
        audit: seconds(21_600),
    };
    let name = AccountName { alias: "acme".to_owned(), id: "0".repeat(32) };
    Settings {
        name,
        intervals,
        budget: 300,
        user_limit: 10,
        user_label: UserLabel::Id,
        baseline: None,
        secret: [7; 16],
        seed: 1,
    }
}

impl Upstream {
    /// An account that has read nothing yet.
    fn untouched() -> Self {
        Self {
            account: Account::new(settings()),
            now: 0,
            listed: BTreeMap::new(),
            risks: BTreeMap::new(),
            completeness: Completeness::Complete,
            unreadable: Vec::new(),
            anonymous: 0,
            failing: BTreeMap::new(),
            lag: Duration::ZERO,
            ahead: Duration::ZERO,
            behind: Duration::ZERO,
            early: Duration::ZERO,
            behaviors: behaviors(),
            behaviors_fail: None,
            behaviors_requested: 0,
            requested: Vec::new(),
        }
    }

    /// An account whose baseline is users 1, 2, ... with one old event each.
    fn with_users(users: u128) -> Self {
        let mut upstream = Self::untouched();
        upstream.listed = (1..=users).map(|user| (user, fingerprint(1, -100, Level::Low))).collect();
        upstream.risks = (1..=users).map(|user| (user, risk(vec![event("old", -100)]))).collect();
        upstream.summary();
        upstream.account.behaviors_read(behaviors(), upstream.moment(), at(0));
        upstream.account.saved();
        upstream
    }

    fn moment(&self) -> Instant {
        Instant::after_start(seconds(self.now))
    }

    fn date(&self) -> Timestamp {
        at(i64::try_from(self.now).expect("tests are short")) + self.ahead
    }

    /// Answers the summary, but no request for a user's events.
    fn summary(&mut self) {
        let (now, date) = (self.moment(), self.date());
        let mut list = self.list();
        self.account.correct_list(&mut list, now, date);
        self.account.summary_read(&list, now, date);
        self.account.saved();
    }

    /// The summary as it is now.
    fn list(&self) -> Summary {
        let rows = self.listed.iter().map(|(&user, &tuple)| Row { user: id(user), tuple }).collect();
        Summary {
            rows,
            unreadable: self.unreadable.clone(),
            anonymous: self.anonymous,
            odd: OddFields::default(),
            is_null: false,
            completeness: self.completeness.clone(),
            date: Some(self.date() + self.early - self.behind),
            identities: None,
            pages: 1,
        }
    }

    /// Advances the clocks, and answers all requests.
    fn pass(&mut self, span: u64) {
        let end = self.now + span;
        let begun = self.requested.len();
        loop {
            assert!(self.requested.len() - begun < 100_000, "requests without end");
            match self.account.plan(self.moment()) {
                Step::Fetch(fetch) => self.answer(&fetch),
                Step::Wait(until) => {
                    let until = until.since(Instant::default()).as_secs_f64().ceil() as u64;
                    if until > end {
                        break;
                    }
                    self.now = until.max(self.now);
                }
            }
        }
        self.now = end;
    }

    fn answer(&mut self, fetch: &Fetch) {
        let (now, date) = (self.moment(), self.date());
        match fetch {
            Fetch::Resource(Resource::Summary) => self.summary(),
            Fetch::Resource(resource @ Resource::Behaviors) => {
                self.behaviors_requested += 1;
                match self.behaviors_fail {
                    Some(failure) => self.account.failed(*resource, failure, now),
                    None => self.account.behaviors_read(self.behaviors.clone(), now, date),
                }
            }
            Fetch::Resource(Resource::Integrations) => {
                self.account.integrations_read(Listing::default(), now, date);
            }
            Fetch::Resource(resource) => self.account.read(*resource, now),
            Fetch::User(request) => {
                let user = request.user.id.as_u128();
                self.requested.push(user);
                let is_shown = |event: &Event| self.lag.is_zero() || event.timestamp + self.lag <= date;
                match (self.failing.get(&user), self.risks.get(&user).cloned()) {
                    (Some(failure), _) => self.account.user_failed(request, *failure, now),
                    (None, Some(mut risk)) => {
                        risk.events.retain(is_shown);
                        risk.date = Some(date + self.early - self.behind);
                        self.account.user_read(request, &risk, now, date);
                    }
                    (None, None) => self.account.user_not_found(request, now),
                }
            }
        }
        self.account.saved();
    }

    fn risk(&mut self, user: u128) -> &mut UserRisk {
        self.risks.entry(user).or_insert_with(|| risk(Vec::new()))
    }

    /// Adds an event of `user`, which both the list and the user's events show.
    fn happens(&mut self, user: u128, id: &str, second: i64) {
        self.risk(user).events.push(event(id, second));
        let count = self.listed.get(&user).map_or(0, |known| known.count.or_zero());
        self.listed.insert(user, fingerprint(count + 1, second, Level::High));
    }

    fn snapshot(&self) -> Snapshot {
        self.account.snapshot()
    }

    fn pending(&self) -> u64 {
        self.snapshot().users.expect("a list was read").pending
    }

    fn counted(&self) -> u64 {
        self.snapshot().totals.events.values().flatten().sum()
    }

    fn lost(&self) -> Vec<(&'static str, u64)> {
        self.snapshot().totals.unattributed.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Observed changes of level, as from, to and how many; 0 is none.
    fn moves(&self) -> Vec<(usize, usize, u64)> {
        let changes = self.snapshot().totals.level_changes;
        let all = (0..4).flat_map(|from| (0..4).map(move |to| (from, to, changes[from][to])));
        all.filter(|(.., count)| *count > 0).collect()
    }
}

#[test]
fn the_baseline_reads_no_user_and_counts_nothing() {
    let mut upstream = Upstream::with_users(3);
    assert_eq!((upstream.counted(), upstream.moves(), upstream.pending()), (0, vec![], 0));
    assert_eq!(upstream.snapshot().counting_since, Some(at(0)));
    upstream.pass(29);
    // No user changed. The audit reads them, and finds nothing later than the epoch.
    assert_eq!((upstream.requested.clone(), upstream.counted()), (vec![1, 2, 3], 0));
}

#[test]
fn an_event_is_counted_once_however_often_it_is_read() {
    let mut upstream = Upstream::with_users(1);
    upstream.happens(1, "a", 10);
    upstream.pass(3_600);
    assert_eq!(upstream.counted(), 1);
    upstream.listed.insert(1, fingerprint(2, 11, Level::Medium));
    upstream.pass(30_000);
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]));
    assert!(upstream.requested.len() >= 3, "it was read again: {:?}", upstream.requested);
    let totals = upstream.snapshot().totals;
    assert_eq!(totals.events["imp_travel"], [0, 0, 0, 1]);
    assert_eq!(totals.behavior_users["imp_travel"], 1);
    assert_eq!((totals.observation_delay.count(), totals.resets), (1, 0));
}

#[test]
fn the_same_id_at_another_time_and_the_same_time_with_another_id_are_separate_events() {
    let mut upstream = Upstream::with_users(2);
    for (user, id, second) in [(1, "a", 10), (1, "a", 11), (1, "b", 11), (2, "a", 10)] {
        upstream.happens(user, id, second);
    }
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (4, vec![]));
}

#[test]
fn events_at_or_before_the_epoch_are_never_counted_even_if_the_user_is_listed_later() {
    let mut upstream = Upstream::with_users(1);
    for (id, second) in [("before", -5), ("at", 0), ("after", 1)] {
        upstream.happens(2, id, second);
    }
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]));
    assert_eq!(upstream.moves(), [(0, 3, 1)], "a user who is first listed later changes from none");
}

#[test]
fn losses_have_a_reason() {
    let unreadable = UserRisk { rejected: 1, ..risk(Vec::new()) };
    let cut = UserRisk { completeness: cut_short(), ..risk(Vec::new()) };
    let both = UserRisk { rejected: 1, ..cut.clone() };
    let reset = UserRisk { last_reset: Some(at(500)), ..risk(Vec::new()) };
    let table = [
        (vec![("unreadable", 1)], fingerprint(2, 10, Level::High), unreadable.clone()),
        (vec![("unknown", 2), ("unreadable", 1)], fingerprint(4, 10, Level::High), unreadable),
        (vec![("capped", 2)], fingerprint(3, 10, Level::High), cut),
        (vec![("unreadable", 1)], fingerprint(2, 10, Level::High), both.clone()),
        (vec![("capped", 3), ("unreadable", 1)], fingerprint(5, 10, Level::High), both),
        (vec![("late", 1)], fingerprint(2, -100, Level::Low), risk(Vec::new())),
        (vec![("unknown", 1)], fingerprint(2, 10, Level::High), risk(Vec::new())),
        (vec![("reset", 1)], fingerprint(2, 10, Level::High), reset),
    ];
    for (reasons, listed, says) in table {
        let mut upstream = Upstream::with_users(1);
        upstream.listed.insert(1, listed);
        // The reset comes before the last retry.
        upstream.pass(if says.last_reset.is_some() { 600 } else { 0 });
        *upstream.risk(1) = says;
        upstream.pass(3_600);
        assert_eq!((upstream.counted(), upstream.lost()), (0, reasons));
    }
}

#[test]
fn rows_that_cannot_be_read_are_counted_by_resource() {
    let mut upstream = Upstream::with_users(1);
    upstream.anonymous = 2;
    upstream.summary();
    for _ in 0..2 {
        let (moment, date) = (upstream.moment(), upstream.date());
        upstream.account.behaviors_read(Listing { rejected: 3, ..behaviors() }, moment, date);
        upstream.account.integrations_read(Listing { rejected: 4, ..Listing::default() }, moment, date);
    }
    let snapshot = upstream.snapshot();
    let wanted = [(Resource::Summary, 2), (Resource::Behaviors, 6), (Resource::Integrations, 8)];
    assert_eq!(snapshot.rejected_rows, BTreeMap::from(wanted));
    assert_eq!(snapshot.behaviors.map(|known| known.len()), Some(1), "the readable row is there");
}

#[test]
fn the_audit_finds_a_change_that_the_summary_hides() {
    let mut upstream = Upstream::with_users(2);
    upstream.pass(60);
    // One event appears and one disappears, and the row stays the same.
    upstream.risks.insert(2, risk(vec![event("hidden", 70)]));
    upstream.pass(20_000);
    assert_eq!(upstream.counted(), 0, "no user is audited again within six hours");
    upstream.pass(2_000);
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]));
}
