//! The list of users: incomplete, late, null, or without users who were on it.

use super::*;

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
