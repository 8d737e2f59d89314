//! Events that an answer does not have yet, and how often they are read again.

use super::*;

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
fn unreadable_events_are_the_reason_even_in_an_incomplete_list() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(60);
    upstream.listed.insert(1, fingerprint(3, 61, Level::High));
    *upstream.risk(1) = UserRisk { rejected: 2, completeness: cut_short(), ..risk(Vec::new()) };
    upstream.pass(4_000);
    assert_eq!((upstream.lost(), upstream.pending()), (vec![("unreadable", 2)], 0));
}
