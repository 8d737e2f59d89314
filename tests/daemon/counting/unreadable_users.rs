//! Users who fail in different ways at the same time, and the others, whose events are counted all the same.

use super::*;

/// How many requests for users' events are allowed in five minutes here: for changes, and for audits.
const ALLOWANCE: usize = 259 + 28;

/// An account with 30 users, of whom 5 was read last. Its 300 s before that are over.
fn with_user_5_read_last() -> Upstream {
    let mut upstream = Upstream::with_users(30);
    upstream.pass(700);
    upstream.happens(5, "before", 701);
    upstream.pass(40);
    assert_eq!((upstream.requested.last(), upstream.counted()), (Some(&5), 1));
    upstream
}

#[test]
fn a_user_who_was_read_last_and_fails_otherwise_is_no_test_of_refusals() {
    for failure in [FailureClass::Transient, FailureClass::Unusable] {
        for sick_has_an_event in [true, false] {
            let case = format!("{failure:?}, {sick_has_an_event}");
            let mut upstream = with_user_5_read_last();
            upstream.failing = [1, 2, 3].map(|user| (user, FailureClass::Denied)).into();
            upstream.failing.insert(5, failure);
            upstream.requested.clear();
            let begun = i64::try_from(upstream.now).expect("an hour");
            [1, 2, 3].into_iter().for_each(|user| upstream.happens(user, "a", begun));
            if sick_has_an_event {
                upstream.happens(5, "a", begun);
            }
            upstream.pass(40);
            (4..=30).filter(|user| *user != 5).for_each(|user| upstream.happens(user, "b", begun + 40));
            upstream.pass(200);
            let pending = 3 + u64::from(sick_has_an_event);
            assert_eq!((upstream.counted(), upstream.pending()), (27, pending), "{case}");
            let sick = upstream.requested.iter().filter(|user| **user == 5).count();
            assert!(upstream.requested.len() <= ALLOWANCE && sick <= 4, "{case}: {:?}", upstream.requested);
            upstream.failing.clear();
            upstream.pass(22_000);
            assert_eq!((upstream.counted(), upstream.lost()), (27 + pending, vec![]), "{case}");
        }
    }
}

#[test]
fn tests_that_fail_otherwise_come_as_rarely_as_those_that_are_refused() {
    let mut upstream = with_user_5_read_last();
    upstream.failing = (1..=30).map(|user| (user, FailureClass::Transient)).collect();
    upstream.failing.extend([1, 2, 3].map(|user| (user, FailureClass::Denied)));
    upstream.requested.clear();
    let begun = i64::try_from(upstream.now).expect("an hour");
    [1, 2, 3].into_iter().for_each(|user| upstream.happens(user, "a", begun));
    upstream.pass(40);
    (4..=30).for_each(|user| upstream.happens(user, "b", begun + 40));
    upstream.pass(260);
    assert!(upstream.requested.len() <= 7, "{:?}", upstream.requested);
    upstream.failing.clear();
    upstream.pass(22_000);
    assert_eq!((upstream.counted(), upstream.pending(), upstream.lost()), (31, 0, vec![]));
}

#[test]
fn refusals_concern_all_users_only_once_the_user_that_was_read_last_is_refused_too() {
    let mut upstream = with_user_5_read_last();
    upstream.failing = (1..=30).map(|user| (user, FailureClass::Denied)).collect();
    upstream.requested.clear();
    let begun = i64::try_from(upstream.now).expect("an hour");
    [1, 2, 3].into_iter().for_each(|user| upstream.happens(user, "a", begun));
    while !upstream.account.users_are_refused() {
        upstream.pass(1);
        assert!(upstream.now < 2_000, "all are refused: {:?}", upstream.requested);
    }
    assert_eq!(upstream.requested, [1, 2, 3, 5]);
}

#[test]
fn users_who_are_all_refused_are_still_tried_without_events() {
    let mut upstream = Upstream::with_users(5);
    upstream.failing = (1..=5).map(|user| (user, FailureClass::Denied)).collect();
    upstream.pass(3_600);
    assert_eq!((upstream.account.failing_users(), upstream.account.users_are_refused()), (5, true));
    upstream.failing.clear();
    // The next round of the audit.
    upstream.pass(25_000);
    assert_eq!((upstream.account.failing_users(), upstream.account.users_are_refused()), (0, false));
}

#[test]
fn a_listed_user_whom_cloudflare_does_not_know_is_said_and_shows_nothing_of_other_users() {
    let mut upstream = with_user_5_read_last();
    upstream.failing = (1..=4).map(|user| (user, FailureClass::Denied)).collect();
    let begun = i64::try_from(upstream.now).expect("an hour");
    [1, 2, 3].into_iter().for_each(|user| upstream.happens(user, "a", begun));
    // The user that was read last is not found, and neither are most others.
    (5..=30).for_each(|user| drop(upstream.risks.remove(&user)));
    upstream.happens(4, "a", begun);
    upstream.requested.clear();
    upstream.pass(600);
    assert!(upstream.account.only_tests_users(), "no user was read: {:?}", upstream.requested);
    assert!(upstream.requested.len() < 30, "the tests come after pauses: {:?}", upstream.requested);
    let failing = upstream.account.failing_users();
    assert!(failing > 3, "users who are not found fail: {failing}");
}
