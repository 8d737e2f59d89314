//! The rules of counting, one by one, with one account and an upstream made of tables.

mod departures;
mod late_starts;
mod long_lists;
mod restarts;
mod unreadable_users;
mod unsaid_fields;
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
fn a_change_during_the_request_is_read_next_time() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(20);
    upstream.happens(1, "a", 10);
    upstream.summary();
    let Step::Fetch(Fetch::User(request)) = upstream.account.plan(upstream.moment()) else {
        panic!("the user changed")
    };
    // During the request another event happens, too late for the answer.
    upstream.listed.insert(1, fingerprint(3, 12, Level::High));
    upstream.answer(&Fetch::User(request));
    assert_eq!((upstream.counted(), upstream.pending()), (1, 0));
    upstream.risk(1).events.push(event("b", 12));
    upstream.summary();
    assert_eq!(upstream.pending(), 1);
    upstream.pass(1);
    assert_eq!((upstream.counted(), upstream.lost()), (2, vec![]));
}

#[test]
fn an_incomplete_list_is_read_three_times_more_then_covered_and_the_rest_counts_as_lost() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    upstream.requested.clear();
    upstream.happens(1, "a", 10);
    upstream.listed.insert(1, fingerprint(5, 12, Level::High));
    upstream.risk(1).completeness = cut_short();
    upstream.summary();
    for (span, asked, pending) in [(59, 1, 1), (3, 2, 1), (290, 2, 1), (10, 3, 1), (1_780, 3, 1), (30, 4, 0)]
    {
        upstream.pass(span);
        assert_eq!(
            (upstream.requested.len(), upstream.pending()),
            (asked, pending),
            "second {}",
            upstream.now
        );
    }
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![("capped", 3)]));
}

#[test]
fn events_that_are_listed_late_are_found_by_the_retries() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    upstream.listed.insert(1, fingerprint(2, 10, Level::High));
    upstream.pass(40);
    assert_eq!((upstream.counted(), upstream.pending()), (0, 1));
    upstream.risk(1).events.push(event("a", 10));
    upstream.pass(70);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (1, vec![], 0));
}

#[test]
fn a_reset_that_an_early_retry_showed_is_the_reason_after_the_last() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    upstream.listed.insert(1, fingerprint(3, 10, Level::High));
    upstream.risk(1).last_reset = Some(at(1));
    upstream.pass(3_600);
    assert_eq!((upstream.lost(), upstream.snapshot().totals.resets), (vec![("reset", 2)], 1));
}

#[test]
fn events_that_were_unread_at_a_reset_are_expected_although_the_count_starts_again() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    // The summary counted four, three of them unread. Then comes a reset, and one more event.
    upstream.listed.insert(1, fingerprint(4, 10, Level::High));
    upstream.summary();
    upstream.risks.insert(1, UserRisk { last_reset: Some(at(20)), ..risk(vec![event("after", 25)]) });
    upstream.listed.insert(1, fingerprint(1, 25, Level::High));
    upstream.summary();
    upstream.pass(3_600);
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![("reset", 3)]));
}

#[test]
fn a_reset_dated_in_the_distant_future_does_not_hide_a_real_one() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    for (day, reset) in [(1, 30_000_000_000), (2, 90_000), (3, 30_000_000_000)] {
        upstream.risk(1).last_reset = Some(at(reset));
        upstream.pass(86_400);
        let totals = upstream.snapshot().totals;
        assert_eq!(totals.resets, u64::from(day > 1), "day {day}");
    }
}

#[test]
fn a_user_in_a_partial_list_is_read_at_once_and_changes_level_with_the_next_complete_list() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    upstream.completeness = cut_short();
    upstream.happens(2, "a", 5);
    upstream.pass(40);
    assert_eq!((upstream.counted(), upstream.moves()), (1, vec![]));
    upstream.completeness = Completeness::Complete;
    upstream.pass(40);
    assert_eq!((upstream.counted(), upstream.moves(), upstream.lost()), (1, vec![(0, 3, 1)], vec![]));
}

#[test]
fn a_user_who_cannot_be_read_does_not_delay_others_and_is_audited_as_rarely() {
    let mut upstream = Upstream::with_users(3);
    upstream.risks.remove(&2);
    upstream.pass(21_000);
    let mut asked = upstream.requested.clone();
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3], "each once within the audit interval");
}

#[test]
fn an_unusable_list_of_behaviors_makes_labels_ready_as_a_refusal_does() {
    for (failure, started) in [(FailureClass::Unusable, true), (FailureClass::Refused, false)] {
        let mut upstream = Upstream::untouched();
        upstream.summary();
        upstream.account.failed(Resource::Behaviors, failure, upstream.moment());
        assert_eq!(upstream.snapshot().totals.started, started, "{failure:?}");
    }
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
fn a_reset_counts_once_and_only_if_later_than_the_epoch() {
    for (second, wanted) in [(-1, 0), (0, 0), (1, 1)] {
        let mut upstream = Upstream::with_users(1);
        upstream.happens(1, "a", 2);
        upstream.risk(1).last_reset = Some(at(second));
        upstream.pass(60);
        upstream.happens(1, "b", 50);
        upstream.pass(60);
        assert!(upstream.requested.len() >= 2, "{:?}", upstream.requested);
        assert_eq!(upstream.snapshot().totals.resets, wanted, "reset at second {second}");
        let users = upstream.snapshot().users.expect("listed");
        assert_eq!(users.series[0].last_reset, Some(at(second)));
    }
}

#[test]
fn a_reset_user_leaves_the_list_and_returns_without_losses() {
    let mut upstream = Upstream::with_users(2);
    upstream.happens(1, "a", 10);
    upstream.happens(1, "b", 11);
    upstream.pass(100);
    upstream.listed.remove(&1);
    upstream.risk(1).last_reset = Some(at(100));
    upstream.pass(100);
    let totals = upstream.snapshot().totals;
    assert_eq!((totals.resets, totals.time_to_reset[Level::High.index()].count()), (1, 1));
    assert_eq!(upstream.moves(), [(1, 3, 1), (3, 0, 1)]);
    // The user returns with the old events still listed, with or without them in the count.
    for (count, second) in [(1, 300), (5, 400)] {
        upstream.happens(1, "back", second);
        upstream.listed.insert(1, fingerprint(count, second, Level::High));
        upstream.pass(100);
    }
    assert_eq!((upstream.counted(), upstream.lost()), (4, vec![]));
    assert_eq!(upstream.snapshot().totals.behavior_users["imp_travel"], 2, "first since the reset again");
}

#[test]
fn a_user_missing_once_or_from_an_incomplete_list_is_not_gone() {
    let mut upstream = Upstream::with_users(3);
    upstream.listed.remove(&1);
    upstream.summary();
    assert_eq!(upstream.moves(), [], "missing once");
    upstream.completeness = cut_short();
    upstream.summary();
    upstream.completeness = Completeness::Complete;
    upstream.anonymous = 1;
    upstream.summary();
    upstream.anonymous = 0;
    assert_eq!(upstream.moves(), [], "one of the rows may belong to the user");
    upstream.unreadable = vec![id(1)];
    upstream.summary();
    upstream.unreadable.clear();
    upstream.summary();
    assert_eq!(upstream.moves(), [], "an unreadable row is still a row, so the user is missing once");
    upstream.summary();
    assert_eq!(upstream.moves(), [(1, 0, 1)]);
}

#[test]
fn an_incomplete_list_keeps_the_last_counts_and_sets_up_to_0() {
    let mut upstream = Upstream::with_users(3);
    upstream.listed.clear();
    upstream.completeness = cut_short();
    upstream.pass(60);
    let snapshot = upstream.snapshot();
    assert_eq!((snapshot.up, snapshot.users.expect("listed").count), (Some(false), [0, 3, 0, 0]));
    assert_eq!(snapshot.last_success[&Resource::Summary], at(0));
}

#[test]
fn unread_events_of_a_removed_user_count_as_lost() {
    let mut upstream = Upstream::with_users(2);
    upstream.pass(1);
    upstream.risks.remove(&1);
    upstream.listed.insert(1, fingerprint(3, 10, Level::High));
    upstream.pass(35);
    upstream.listed.remove(&1);
    upstream.pass(3_600);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (0, vec![("removed", 2)], 0));
    assert_eq!(upstream.moves(), [(1, 3, 1), (3, 0, 1)]);
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

#[test]
fn an_unknown_level_is_not_a_change_and_a_lower_one_is() {
    use Level::{High, Low, Medium, Unknown};
    let table = [
        (vec![Unknown, Low], vec![]),
        (vec![High], vec![(1, 3, 1)]),
        (vec![High, Unknown, High], vec![(1, 3, 1)]),
        (vec![High, Unknown, Medium], vec![(1, 3, 1), (3, 2, 1)]),
        (vec![High, Low], vec![(1, 3, 1), (3, 1, 1)]),
    ];
    for (levels, wanted) in table {
        let mut upstream = Upstream::with_users(1);
        for level in &levels {
            upstream.listed.insert(1, fingerprint(1, -100, *level));
            upstream.summary();
        }
        let mut moves = upstream.moves();
        moves.sort_by_key(|(from, ..)| *from);
        assert_eq!(moves, wanted, "{levels:?}");
    }
    let mut upstream = Upstream::with_users(0);
    for level in [Unknown, Medium] {
        upstream.listed.insert(1, fingerprint(1, -100, level));
        upstream.summary();
    }
    assert_eq!(upstream.moves(), [(0, 2, 1)], "listed at an unknown level first");
}

#[test]
fn no_event_gets_a_label_before_the_behaviors_were_read_or_refused() {
    let table = [
        (FailureClass::Denied, 4, vec![1]),
        (FailureClass::Denied, 3, vec![]),
        (FailureClass::Refused, 4, vec![1]),
        (FailureClass::Refused, 3, vec![]),
        (FailureClass::Unusable, 1, vec![1]),
        (FailureClass::Transient, 4, vec![]),
    ];
    for (failure, times, wanted) in table {
        let mut upstream = Upstream::untouched();
        upstream.summary();
        upstream.happens(1, "a", 10);
        upstream.now = 20;
        upstream.summary();
        let now = upstream.moment();
        (0..times).for_each(|_| upstream.account.failed(Resource::Behaviors, failure, now));
        assert_eq!(upstream.snapshot().totals.started, !wanted.is_empty(), "{times} times {failure:?}");
        upstream.pass(1);
        assert_eq!(upstream.requested, wanted, "{times} times {failure:?}");
    }
}

#[test]
fn behaviors_that_fail_in_whatever_way_delay_counting_by_ten_minutes_at_most() {
    let table = [
        (FailureClass::Refused, 60),
        (FailureClass::Denied, 60),
        (FailureClass::Unusable, 10),
        (FailureClass::Transient, 650),
    ];
    for (failure, within) in table {
        let mut upstream = Upstream::untouched();
        upstream.behaviors_fail = Some(failure);
        upstream.listed.insert(1, fingerprint(1, -100, Level::Low));
        upstream.risks.insert(1, risk(vec![event("old", -100)]));
        upstream.summary();
        upstream.happens(1, "a", 1);
        upstream.pass(within);
        upstream.pass(40);
        assert_eq!((upstream.counted(), upstream.pending()), (1, 0), "{failure:?}");
        assert_eq!(upstream.snapshot().totals.events["Impossible Travel"], [0, 0, 0, 1], "{failure:?}");
        // Once they can be read, the name that was learned leads to the id.
        upstream.behaviors_fail = None;
        upstream.pass(400);
        let second = i64::try_from(upstream.now).expect("an hour");
        upstream.happens(1, "b", second);
        upstream.pass(60);
        assert_eq!(upstream.snapshot().totals.events["imp_travel"], [0, 0, 0, 1], "{failure:?}");
    }
}

#[test]
fn events_of_unknown_behaviors_wait_for_behaviors_that_fail_and_cost_no_more_requests() {
    for recovers in [Some(300), None] {
        let mut upstream = Upstream::with_users(10);
        upstream.pass(330);
        upstream.behaviors_fail = Some(FailureClass::Transient);
        (upstream.behaviors_requested, upstream.requested) = (0, Vec::new());
        for user in 1..=10 {
            upstream.happens(user, "a", 331);
            upstream.risk(user).events.last_mut().expect("it just happened").name = "Brand New".to_owned();
        }
        let new = Behavior {
            id: "brand_new".to_owned(),
            name: "Brand New".to_owned(),
            ..behaviors().rows[0].clone()
        };
        upstream.behaviors.rows.push(new);
        upstream.pass(270);
        assert_eq!((upstream.counted(), upstream.pending()), (0, 10), "they wait");
        assert_eq!(upstream.requested.len(), 10, "{recovers:?}: once for each user");
        if recovers.is_some() {
            upstream.behaviors_fail = None;
        }
        upstream.pass(recovers.unwrap_or(450));
        let label = if recovers.is_some() { "brand_new" } else { "Brand New" };
        assert_eq!((upstream.counted(), upstream.pending(), upstream.lost()), (10, 0, vec![]));
        assert_eq!(upstream.snapshot().totals.events[label], [0, 0, 0, 10]);
        assert_eq!(upstream.requested.len(), 20, "{recovers:?}: twice for each user");
        assert!(upstream.behaviors_requested <= 26, "{recovers:?}: {}", upstream.behaviors_requested);
    }
}

#[test]
fn no_user_is_read_while_the_summary_does_not_answer() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    upstream.requested.clear();
    upstream.happens(1, "a", 10);
    upstream.summary();
    upstream.account.failed(Resource::Summary, FailureClass::Transient, upstream.moment());
    upstream.pass(29);
    assert_eq!((upstream.requested.len(), upstream.pending()), (0, 1));
    upstream.pass(10);
    assert_eq!((upstream.requested.len(), upstream.counted()), (1, 1));
}

#[test]
fn a_refused_user_does_not_delay_others() {
    for failure in [FailureClass::Refused, FailureClass::Denied] {
        let mut upstream = Upstream::with_users(30);
        upstream.pass(60);
        upstream.failing.insert(7, failure);
        (1..=30).for_each(|user| upstream.happens(user, "a", 61));
        upstream.pass(120);
        assert_eq!((upstream.counted(), upstream.pending()), (29, 1), "{failure:?}");
        upstream.failing.clear();
        upstream.pass(600);
        assert_eq!((upstream.counted(), upstream.lost()), (30, vec![]), "{failure:?}");
    }
}

#[test]
fn many_refused_users_delay_the_events_of_others_by_two_minutes_at_most() {
    let every_fifth: Vec<u128> = (1..=20).map(|number| number * 5).collect();
    let first: Vec<u128> = (1..=20).collect();
    let last: Vec<u128> = (81..=100).collect();
    let mixed: Vec<u128> = (1..=100).filter(|user| user % 3 == 0).collect();
    for refused in [&every_fifth, &first, &last] {
        for (low, warm_up) in [(&mixed, 60), (&mixed, 0), (&first, 400), (refused, 60), (&Vec::new(), 60)] {
            let case = format!("{refused:?} refused, {low:?} at low, {warm_up} s");
            let mut upstream = Upstream::with_users(100);
            upstream.failing = refused.iter().map(|user| (*user, FailureClass::Denied)).collect();
            // The audits meet the refused users first.
            upstream.pass(warm_up);
            for round in 1..=4 {
                let second = i64::try_from(upstream.now).expect("an hour") + 1;
                // In the second round the events of the refused users come first.
                let refused_first =
                    refused.iter().copied().chain((1..=100).filter(|user| !refused.contains(user)));
                for user in refused_first {
                    upstream.happens(user, &round.to_string(), second);
                    if low.contains(&user) {
                        upstream.listed.get_mut(&user).expect("all are listed").level = Level::Low;
                    }
                    if round == 2 && user == refused[19] {
                        upstream.pass(40);
                    }
                }
                upstream.pass(120);
                assert_eq!(upstream.counted(), 80 * round, "round {round}, {case}");
            }
            upstream.failing.clear();
            upstream.pass(22_000);
            assert_eq!((upstream.counted(), upstream.lost()), (400, vec![]), "{case}");
        }
    }
}

#[test]
fn three_different_refused_users_in_a_row_stop_the_requests_for_users_for_a_while() {
    let mut upstream = Upstream::with_users(30);
    upstream.pass(60);
    upstream.requested.clear();
    upstream.failing = (1..=30).map(|user| (user, FailureClass::Denied)).collect();
    (1..=30).for_each(|user| upstream.happens(user, "a", 61));
    upstream.pass(290);
    let users: BTreeSet<_> = upstream.requested.iter().collect();
    assert_eq!((upstream.requested.len(), users.len()), (6, 6), "{:?}", upstream.requested);
    upstream.pass(200);
    assert_eq!(upstream.requested.len(), 7, "one request tests whether it is over: {:?}", upstream.requested);
    assert_eq!(upstream.snapshot().up, Some(true));
    upstream.failing.clear();
    upstream.pass(700);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (30, vec![], 0));
}

#[test]
fn refused_users_do_not_stop_counting_for_others_whatever_their_level_and_how_often() {
    // Which users are refused, and which are at low; the others are at high.
    let table: [(&[u128], &[u128]); 5] = [
        (&[1, 2, 3], &[]),
        (&[28, 29, 30], &[28, 29, 30]),
        (&[1, 2, 3], &[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]),
        (&[1, 11, 21], &[11, 21]),
        (&[1, 2, 3, 4, 5], &[7, 8, 9, 10]),
    ];
    for failure in [FailureClass::Refused, FailureClass::Denied] {
        for (refused, low) in table {
            let mut upstream = Upstream::with_users(30);
            upstream.failing = refused.iter().map(|user| (*user, failure)).collect();
            let others = 30 - refused.len() as u64;
            // The audits meet the refused users first.
            upstream.pass(60);
            for round in 1..=20 {
                let second = i64::try_from(upstream.now).expect("an hour");
                (1..=30).for_each(|user| upstream.happens(user, &round.to_string(), second));
                for user in low {
                    upstream.listed.get_mut(user).expect("all are listed").level = Level::Low;
                }
                upstream.pass(180);
                let counts = (upstream.counted(), upstream.pending());
                assert_eq!(
                    counts,
                    (others * round, refused.len() as u64),
                    "{failure:?} of {refused:?}, {low:?} at low, round {round}"
                );
            }
            upstream.failing.clear();
            upstream.pass(22_000);
            assert_eq!((upstream.counted(), upstream.lost()), (600, vec![]), "{failure:?} of {refused:?}");
        }
    }
}

#[test]
fn details_that_lag_delay_the_count_and_lose_nothing() {
    for lag in [5, 60, 300] {
        for events in [1, 4, 60, 1_000] {
            let mut upstream = Upstream::with_users(1);
            upstream.pass(60);
            upstream.lag = seconds(lag);
            for number in 0..events {
                let second = i64::try_from(upstream.now).expect("an hour");
                upstream.happens(1, &number.to_string(), second);
                upstream.pass(3);
            }
            upstream.pass(4_000);
            let counts = (upstream.counted(), upstream.lost(), upstream.pending());
            assert_eq!(counts, (events, vec![], 0), "{events} events, {lag} s of lag");
        }
    }
}

#[test]
fn events_that_never_appear_are_lost_although_the_user_stays_active() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(60);
    upstream.listed.insert(1, fingerprint(3, 60, Level::High));
    for number in 0..100 {
        let second = i64::try_from(upstream.now).expect("an hour");
        upstream.happens(1, &number.to_string(), second);
        upstream.pass(60);
    }
    // The estimate takes missing events for late ones while later events are found, so it needs a calm time.
    upstream.pass(8_000);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (100, vec![("unknown", 2)], 0));
}

#[test]
fn an_event_of_an_unknown_behavior_is_counted_after_one_reading_of_the_behaviors() {
    for is_listed in [true, false] {
        let mut upstream = Upstream::with_users(1);
        upstream.pass(60);
        let new = Behavior {
            id: "brand_new".to_owned(),
            name: "Brand New".to_owned(),
            ..behaviors().rows[0].clone()
        };
        upstream.behaviors.rows.extend(is_listed.then_some(new));
        for second in [61, 100] {
            upstream.happens(1, &second.to_string(), second);
            upstream.risk(1).events.last_mut().expect("it just happened").name = "Brand New".to_owned();
            upstream.pass(40);
        }
        let label = if is_listed { "brand_new" } else { "Brand New" };
        assert_eq!(upstream.snapshot().totals.events[label], [0, 0, 0, 2]);
        assert_eq!(upstream.snapshot().totals.events.len(), 2, "no other label");
    }
}

#[test]
fn the_same_id_with_a_time_of_another_precision_is_one_event() {
    let precise = |id: &str| Event { timestamp: at(10) + Duration::from_millis(123), ..event(id, 10) };
    let late = Event { timestamp: at(9) + Duration::from_millis(900), ..event("a", 9) };
    for (first, then) in [
        (event("a", 10), precise("a")),
        (precise("a"), event("a", 10)),
        (event("a", 10), late.clone()),
        (late, event("a", 10)),
    ] {
        let mut upstream = Upstream::with_users(1);
        upstream.happens(1, "a", 10);
        upstream.risk(1).events = vec![first];
        upstream.pass(60);
        upstream.happens(1, "b", 70);
        upstream.risk(1).events = vec![then.clone(), event("b", 70), precise("c"), event("c", 10)];
        upstream.pass(60);
        assert_eq!((upstream.counted(), upstream.lost()), (3, vec![]), "then {:?}", then.timestamp);
    }
}

#[test]
fn the_same_id_with_a_time_cut_or_rounded_to_any_precision_is_one_event() {
    let precise = [117, 583, 250];
    for shown in [[117, 584, 251], [110, 580, 250], [120, 580, 250], [100, 500, 200], [100, 600, 300]] {
        let mut upstream = Upstream::with_users(1);
        let happened = |fractions: [u64; 3]| {
            let ids = ["a", "b", "c"].into_iter().zip(fractions);
            ids.map(|(id, fraction)| Event {
                timestamp: at(10) + Duration::from_millis(fraction),
                ..event(id, 10)
            })
            .collect::<Vec<_>>()
        };
        for (id, second) in [("a", 10), ("b", 10), ("c", 10)] {
            upstream.happens(1, id, second);
        }
        upstream.risk(1).events = happened(precise);
        upstream.pass(60);
        upstream.happens(1, "d", 70);
        upstream.risk(1).events = happened(shown);
        upstream.risk(1).events.push(event("d", 70));
        upstream.pass(60);
        assert_eq!((upstream.counted(), upstream.lost()), (4, vec![]), "{shown:?}");
    }
}

#[test]
fn events_without_an_id_count_each_even_if_name_and_time_are_the_same() {
    let unnamed = |second: i64| event("", second);
    let mut upstream = Upstream::with_users(1);
    for _ in 0..3 {
        upstream.happens(1, "", 10);
    }
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (3, vec![]));
    // One more of the same time, and one of another.
    upstream.happens(1, "", 10);
    upstream.happens(1, "", 70);
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (5, vec![]));
    // The list now has their ids, and loses them again.
    let with_ids = ["a", "b", "c", "d"].map(|id| event(id, 10));
    upstream.happens(1, "e", 130);
    upstream.risk(1).events = with_ids.to_vec();
    upstream.risk(1).events.extend([unnamed(70), event("e", 130)]);
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (6, vec![]));
    upstream.happens(1, "f", 190);
    upstream.risk(1).events = vec![unnamed(10), event("b", 10), unnamed(10), unnamed(10)];
    upstream.risk(1).events.extend([event("", 70), event("", 130), event("f", 190)]);
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (7, vec![]));
}

#[test]
fn an_event_that_is_listed_now_with_and_now_without_its_id_is_one_event() {
    let without_id = |event: &Event| Event { id: String::new(), ..event.clone() };
    let mut upstream = Upstream::with_users(1);
    for (id, second) in [("a", 10), ("b", 10), ("c", 20)] {
        upstream.happens(1, id, second);
    }
    upstream.pass(60);
    let counted = upstream.risk(1).events.clone();
    // All without their ids, and one more.
    upstream.happens(1, "d", 70);
    let all = upstream.risk(1).events.clone();
    upstream.risk(1).events = all.iter().map(without_id).collect();
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (4, vec![]));
    // All with their ids, and one more, whose time is that of an event without an id.
    upstream.happens(1, "e", 130);
    upstream.risk(1).events = all.clone();
    upstream.risk(1).events.push(event("e", 130));
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (5, vec![]));
    // Some with and some without.
    upstream.happens(1, "f", 190);
    upstream.risk(1).events = vec![without_id(&counted[0]), counted[1].clone(), without_id(&counted[2])];
    upstream.risk(1).events.extend([all[3].clone(), event("e", 130), without_id(&event("f", 190))]);
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (6, vec![]));
}

#[test]
fn an_event_whose_id_and_precision_change_together_is_one_event() {
    let precise = Event { timestamp: at(10) + Duration::from_millis(623), ..event("a", 10) };
    let rounded = Event { timestamp: at(11), ..event("a", 11) };
    let without_id = |event: &Event| Event { id: String::new(), ..event.clone() };
    let shapes = [precise.clone(), rounded.clone(), without_id(&precise), without_id(&rounded)];
    for first in &shapes {
        for second in &shapes {
            for third in &shapes {
                let mut upstream = Upstream::with_users(1);
                upstream.happens(1, "a", 10);
                for (number, shape) in (1..).zip([first, second, third]) {
                    upstream.risk(1).events = vec![shape.clone()];
                    upstream.pass(60);
                    // The summary changes, so the user is read again.
                    upstream.listed.insert(1, fingerprint(2, 10 + number, Level::High));
                }
                upstream.pass(60);
                let shapes = [first, second, third].map(|event| (&event.id, event.timestamp));
                assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]), "{shapes:?}");
            }
        }
    }
    // Two events of one second stay two.
    let other = Event { timestamp: at(10) + Duration::from_millis(900), ..event("b", 10) };
    let mut upstream = Upstream::with_users(1);
    upstream.happens(1, "a", 10);
    upstream.happens(1, "b", 10);
    upstream.risk(1).events = vec![precise.clone(), other.clone()];
    upstream.pass(60);
    upstream.listed.insert(1, fingerprint(3, 11, Level::High));
    let late = |event: &Event| Event { timestamp: at(11), ..without_id(event) };
    upstream.risk(1).events = vec![late(&precise), Event { name: "Other".to_owned(), ..late(&other) }];
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost()), (2, vec![]));
}

#[test]
fn a_reset_with_a_time_of_another_precision_is_the_same_reset() {
    let millis = Duration::from_millis;
    for (first, then, wanted) in [
        (at(30), at(30) + millis(400), 1),
        (at(30) + millis(600), at(31), 1),
        (at(30) + millis(100), at(30) + millis(400), 2),
        (at(30), at(31), 2),
    ] {
        let mut upstream = Upstream::with_users(1);
        upstream.happens(1, "a", 10);
        upstream.pass(60);
        for (number, reset) in [(1, first), (2, then)] {
            upstream.risk(1).last_reset = Some(reset);
            upstream.happens(1, &format!("after {number}"), 60 * number);
            upstream.pass(60);
        }
        assert_eq!(upstream.snapshot().totals.resets, wanted, "{first:?} {then:?}");
    }
}

#[test]
fn unreadable_events_are_the_reason_even_in_an_incomplete_list() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(60);
    upstream.listed.insert(1, fingerprint(3, 61, Level::High));
    *upstream.risk(1) = UserRisk { rejected: 2, completeness: cut_short(), ..risk(Vec::new()) };
    upstream.pass(4_000);
    assert_eq!((upstream.lost(), upstream.pending()), (vec![("unreadable", 2)], 0));
}

#[test]
fn a_reset_in_the_year_1_is_ignored() {
    let mut upstream = Upstream::with_users(1);
    upstream.risk(1).last_reset = Some(Timestamp::from_seconds(-62_135_596_800));
    upstream.pass(60);
    assert_eq!(upstream.snapshot().users.expect("listed").series[0].last_reset, None);
}

#[test]
fn users_who_leave_are_queued_up_to_a_limit_and_the_rest_is_counted() {
    let mut upstream = Upstream::with_users(10_100);
    upstream.pass(1);
    upstream.listed.insert(10_100, fingerprint(1, -100, Level::High));
    upstream.summary();
    upstream.listed.clear();
    upstream.summary();
    upstream.summary();
    assert_eq!((upstream.pending(), upstream.account.departures_skipped()), (10_000, 100));
    upstream.requested.clear();
    upstream.pass(1);
    assert_eq!(upstream.requested.first(), Some(&10_100), "the highest level comes first");
}

#[test]
fn an_overdue_list_sets_up_to_0() {
    use zt_risk_exporter::internals::collector::account::Hold;
    let mut upstream = Upstream::with_users(1);
    let (blocked, other) =
        (upstream.account.list_deadline(Hold::Blocked), upstream.account.list_deadline(Hold::Other));
    let after = |deadline: Option<Instant>| deadline.map(|at| at.since(Instant::default()).as_secs());
    assert!(matches!(after(blocked), Some(30..=33)), "when it is due: {blocked:?}");
    assert!(matches!(after(other), Some(60..=63)), "an interval later: {other:?}");
    let (up, until) = (upstream.snapshot().up, upstream.snapshot().up_until);
    assert_eq!(up, Some(true));
    assert!(matches!(after(until), Some(90..=93)), "two intervals later, if the poller hangs: {until:?}");
    upstream.account.list_missed();
    assert_eq!((upstream.snapshot().up, upstream.snapshot().down_at()), (Some(false), None));
    assert_eq!(upstream.account.list_deadline(Hold::Blocked), None);
}

#[test]
fn an_account_that_was_never_read_is_not_up_two_intervals_after_polling_began() {
    for begin in [0, 5_000] {
        let mut account = Account::new(settings());
        account.begin(Instant::after_start(seconds(begin)));
        let snapshot = account.snapshot();
        let wanted = Some(Instant::after_start(seconds(begin + 60)));
        assert_eq!((snapshot.up, snapshot.down_at()), (None, wanted));
    }
}

#[test]
fn a_clock_that_was_ahead_leaves_no_date_in_the_future_and_hides_no_event() {
    const DAYS: u64 = 2 * 86_400;
    let mut upstream = Upstream::untouched();
    upstream.ahead = seconds(DAYS);
    upstream.listed.insert(1, fingerprint(1, -100, Level::Low));
    upstream.risk(1).events.push(event("old", -100));
    upstream.pass(40);
    // A user who is first listed, and waits for its events, while the clocks are ahead.
    upstream.failing.insert(2, FailureClass::Transient);
    upstream.listed.insert(2, fingerprint(1, 30, Level::High));
    upstream.pass(40);
    upstream.account.at_local_date(upstream.date());
    let ahead = upstream.snapshot();
    assert!(ahead.counting_since > Some(at(80)), "{:?}", ahead.counting_since);
    assert!(ahead.last_success[&Resource::Behaviors] > at(80), "{:?}", ahead.last_success);

    upstream.ahead = Duration::ZERO;
    // The list is not read, and still no reading is dated in the future.
    upstream.account.failed(Resource::Summary, FailureClass::Transient, upstream.moment());
    upstream.account.at_local_date(upstream.date());
    assert!(upstream.snapshot().last_success.values().all(|read| *read <= upstream.date()));
    upstream.pass(40);
    let now = upstream.date();
    let (snapshot, users) = (upstream.snapshot(), upstream.snapshot().users.expect("a list was read"));
    let oldest = users.oldest.iter().flatten().copied();
    let dates = oldest.chain(users.oldest_pending).chain(snapshot.counting_since);
    let series = users.series.iter().map(|user| user.since);
    for date in dates.chain(series).chain(snapshot.last_success.into_values()) {
        assert!(date <= now, "{date} is after {now}");
    }
    assert_eq!((users.pending, users.oldest_pending.is_some()), (1, true));
    // The dates stay where they are: an age that stays 0 would be one that no alert sees.
    upstream.pass(3_600);
    let later = upstream.snapshot();
    assert!(later.counting_since <= Some(now), "{:?}", later.counting_since);
    assert!(later.users.and_then(|users| users.oldest_pending) <= Some(now));

    upstream.happens(1, "new", 3_700);
    upstream.pass(60);
    assert_eq!(upstream.counted(), 1, "events are counted from then on");
}

#[test]
fn one_clock_that_is_behind_for_a_moment_moves_no_date() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(86_400);
    let since = upstream.snapshot().counting_since;
    // A cache answers with a page from before counting began.
    let (now, local_date) = (upstream.moment(), upstream.date());
    let summary = Summary { date: Some(at(-1_000)), ..upstream.list() };
    upstream.account.summary_read(&summary, now, local_date);
    upstream.account.saved();
    assert_eq!(upstream.snapshot().counting_since, since);
}

#[test]
fn a_list_that_is_null_empties_an_account_only_after_ten_minutes() {
    let null = |upstream: &Upstream| Summary { is_null: true, rows: Vec::new(), ..upstream.list() };
    let doubted = |upstream: &mut Upstream, mut summary: Summary| {
        let (now, date) = (upstream.moment(), upstream.date());
        upstream.account.correct_list(&mut summary, now, date);
        upstream.account.summary_read(&summary, now, date);
        upstream.account.saved();
        summary.completeness != Completeness::Complete
    };
    let mut upstream = Upstream::with_users(2);
    for (second, is_null, is_partial, users) in [
        (10, true, true, 2),
        (600, true, true, 2),
        // Another list in between begins a new doubt.
        (605, false, false, 2),
        (610, true, true, 2),
        (1_209, true, true, 2),
        (1_210, true, false, 0),
        (1_220, true, false, 0),
        // Nobody can be lost from an account without users.
        (1_230, true, false, 0),
    ] {
        upstream.now = second;
        let summary = if is_null { null(&upstream) } else { upstream.list() };
        assert_eq!(doubted(&mut upstream, summary), is_partial, "at second {second}");
        let listed: u64 = upstream.snapshot().users.expect("a list was read").count.iter().sum();
        assert_eq!(listed, users, "at second {second}");
    }
    let mut empty = Upstream::with_users(0);
    let summary = null(&empty);
    assert!(!doubted(&mut empty, summary), "an account without users");
}

#[test]
fn impossible_dates_of_events_are_not_exported() {
    let year = |year: i64| Timestamp::from_seconds((year - 1970) * 31_556_952);
    for (last_event, shown) in [
        (at(20), at(20)),
        (at(100), at(60)),
        (year(9999), Timestamp::UNKNOWN),
        // The row does not say it, so the time from before stays.
        (Timestamp::UNKNOWN, at(-100)),
        (year(1), year(1)),
    ] {
        let mut upstream = Upstream::with_users(1);
        upstream.listed.insert(1, RowFingerprint { last_event, count: 1.into(), level: Level::High });
        upstream.pass(60);
        upstream.account.at_local_date(upstream.date());
        let users = upstream.snapshot().users.expect("a list was read");
        assert_eq!(users.series[0].last_event, shown, "{last_event}");
    }
}

#[test]
fn events_are_read_even_if_the_lists_are_always_due() {
    let mut upstream = Upstream::with_users(3);
    for user in 1..=3 {
        upstream.happens(user, "new", 10);
    }
    upstream.now = 600;
    // Each answer takes longer than the longest interval.
    for _ in 0..12 {
        let Step::Fetch(fetch) = upstream.account.plan(upstream.moment()) else {
            panic!("everything is due")
        };
        upstream.answer(&fetch);
        upstream.now += 600;
    }
    assert_eq!((upstream.counted(), upstream.pending()), (3, 0));
}
