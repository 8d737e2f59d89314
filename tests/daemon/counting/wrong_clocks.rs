//! Dates of answers, and a clock of the exporter, that are weeks away from each other.

use super::*;

const DAYS: u64 = 40 * 86_400;

/// An account with one user, whose old event is listed; then both clocks are read for the first time.
fn one_user(ahead: Duration, behind: Duration) -> Upstream {
    let mut upstream = Upstream::untouched();
    (upstream.ahead, upstream.behind) = (ahead, behind);
    upstream.listed.insert(1, fingerprint(1, -100, Level::Low));
    upstream.risks.insert(1, risk(vec![event("old", -100)]));
    upstream.pass(60);
    upstream
}

#[test]
fn a_proxy_that_dates_answers_long_ago_makes_no_old_event_count_and_rejects_no_new_one() {
    let mut upstream = one_user(Duration::ZERO, seconds(DAYS));
    assert_eq!(upstream.snapshot().counting_since, Some(at(0)));
    // A user who is first listed later, with events from before and after counting began.
    for (id, second) in [("january", -2_000_000), ("before", -5), ("after", 50)] {
        upstream.happens(2, id, second);
    }
    for number in 0..1_500 {
        upstream.happens(1, &number.to_string(), 50);
    }
    upstream.risk(2).last_reset = Some(at(45));
    upstream.pass(4_000);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (1_501, vec![], 0));
    assert_eq!(upstream.snapshot().totals.resets, 1);
    let users = upstream.snapshot().users.expect("a list was read");
    assert!(users.series.iter().all(|user| user.since >= at(0)), "{:?}", users.series);
    assert!(upstream.snapshot().totals.observation_delay.sum < 1_502.0 * 120.0, "seconds, and not weeks");
}

#[test]
fn an_empty_list_that_is_dated_long_ago_does_not_start_the_count_long_ago() {
    let mut upstream = Upstream::untouched();
    upstream.behind = seconds(DAYS);
    upstream.pass(60);
    assert_eq!(upstream.snapshot().counting_since, Some(at(0)));
    for (id, second) in [("before", -1_000_000), ("after", 50)] {
        upstream.happens(1, id, second);
    }
    upstream.pass(100);
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]));
}

#[test]
fn a_clock_of_the_exporter_that_is_weeks_ahead_changes_no_count() {
    let mut upstream = one_user(seconds(DAYS), seconds(DAYS));
    assert_eq!(upstream.snapshot().counting_since, Some(at(0)));
    upstream.happens(1, "new", 50);
    upstream.risk(1).last_reset = Some(at(45));
    upstream.pass(100);
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]));
    assert_eq!(upstream.snapshot().totals.resets, 1);
}

#[test]
fn clocks_that_disagree_are_reported_as_an_unexpected_date() {
    for (ahead, behind, wanted) in
        [(0, 0, None), (0, 80_000, None), (0, DAYS, Some(1)), (DAYS, DAYS, Some(1))]
    {
        let upstream = one_user(seconds(ahead), seconds(behind));
        let lists = upstream.snapshot().unexpected_fields.get(&(Resource::Summary, "date")).copied();
        assert_eq!(lists.map(|lists| lists.min(1)), wanted, "{ahead} s ahead, {behind} s behind");
    }
}

#[test]
fn idle_users_do_not_make_a_date_of_long_ago_the_start_of_counting() {
    const TEN_DAYS: u64 = 10 * 86_400;
    let mut upstream = Upstream::untouched();
    upstream.behind = seconds(TEN_DAYS);
    for user in 1..=8 {
        upstream.listed.insert(user, fingerprint(1, -9_000_000, Level::Low));
    }
    for user in 9..=10 {
        upstream.happens(user, "three days ago", -3 * 86_400);
    }
    upstream.pass(60);
    assert_eq!(upstream.snapshot().counting_since, Some(at(0)));
    upstream.happens(9, "new", 50);
    upstream.pass(100);
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]));
}

#[test]
fn a_date_that_has_not_come_stops_no_counting() {
    for has_users in [true, false] {
        let mut upstream = Upstream::untouched();
        upstream.early = seconds(10 * DAYS);
        if has_users {
            upstream.happens(1, "old", -100);
        }
        upstream.pass(60);
        let started = upstream.snapshot().counting_since;
        assert_eq!(started == Some(at(0)), has_users, "an empty list shows nothing: {started:?}");
        upstream.happens(2, "before", -50);
        upstream.happens(2, "after", 50);
        upstream.pass(100);
        assert_eq!(upstream.snapshot().counting_since, Some(at(0)), "the first event shows it");
        assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]), "{has_users}");
    }
}

#[test]
fn a_start_of_counting_that_our_clock_dated_too_late_moves_once_an_event_shows_it() {
    let mut upstream = Upstream::untouched();
    (upstream.ahead, upstream.behind) = (seconds(DAYS), seconds(DAYS));
    upstream.pass(60);
    assert_eq!(upstream.snapshot().counting_since, Some(at(0) + seconds(DAYS)));
    upstream.happens(1, "before", -5);
    upstream.happens(1, "after", 50);
    upstream.pass(100);
    assert_eq!(upstream.snapshot().counting_since, Some(at(0)));
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]));
    // A list without events is not dated by our clock again: its users are gone at once, and not in weeks.
    upstream.listed.clear();
    upstream.pass(100);
    upstream.listed.insert(2, fingerprint(0, -9_000_000, Level::Low));
    upstream.pass(100);
    let users = upstream.snapshot().users.expect("a list was read");
    assert!(users.series.iter().all(|user| user.since < at(1_000)), "{:?}", users.series);
}

#[test]
fn one_clock_that_is_weeks_ahead_deletes_nothing() {
    for ours in [true, false] {
        let mut upstream = Upstream::with_users(2);
        upstream.happens(1, "a", 10);
        upstream.pass(60);
        // The counted event is no longer listed, and the user's latest event says nothing about clocks any more.
        upstream.risk(1).events.clear();
        upstream.pass(2 * 86_400);
        assert_eq!(upstream.counted(), 1);
        let (now, date) = (upstream.moment(), upstream.date());
        let wrong = date + seconds(DAYS);
        let summary = Summary { date: Some(if ours { date } else { wrong }), ..upstream.list() };
        upstream.account.summary_read(&summary, now, if ours { wrong } else { date });
        upstream.account.saved();
        // If its key were deleted, no earlier event would count any more.
        upstream.happens(1, "late", 5);
        upstream.pass(60);
        assert_eq!(upstream.counted(), 2, "our clock: {ours}");
    }
}

#[test]
fn one_clock_that_is_weeks_ahead_gives_no_user_up() {
    let mut upstream = Upstream::with_users(3);
    upstream.pass(60);
    upstream.failing.insert(1, FailureClass::Refused);
    upstream.happens(1, "a", 70);
    upstream.pass(60);
    upstream.listed.remove(&1);
    upstream.pass(3 * 86_400);
    upstream.early = seconds(DAYS);
    upstream.pass(2 * 86_400);
    assert_eq!((upstream.pending(), upstream.lost()), (1, vec![]), "within the week");
    upstream.early = Duration::ZERO;
    upstream.failing.clear();
    upstream.pass(86_400);
    assert_eq!((upstream.counted(), upstream.lost()), (1, vec![]));
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
