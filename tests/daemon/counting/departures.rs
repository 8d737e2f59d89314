//! Users who left the list and cannot be read, or not to the end of their events.

use super::*;

const DAY: u64 = 86_400;

/// Three users; two events of the first one cannot be read.
fn unread_user(failure: FailureClass) -> Upstream {
    let mut upstream = Upstream::with_users(3);
    upstream.pass(60);
    upstream.failing.insert(1, failure);
    upstream.happens(1, "a", 70);
    upstream.happens(1, "b", 71);
    upstream.pass(60);
    upstream
}

#[test]
fn a_user_who_left_and_cannot_be_read_for_a_week_was_removed() {
    for failure in
        [FailureClass::Refused, FailureClass::Denied, FailureClass::Transient, FailureClass::Unusable]
    {
        let mut upstream = unread_user(failure);
        upstream.listed.remove(&1);
        upstream.pass(6 * DAY + DAY / 2);
        assert_eq!((upstream.pending(), upstream.lost()), (1, vec![]), "{failure:?}: within the week");
        assert_eq!(upstream.account.failing_users(), 1, "{failure:?}");
        upstream.pass(DAY);
        assert_eq!((upstream.pending(), upstream.lost()), (0, vec![("removed", 2)]), "{failure:?}");
        assert_eq!(upstream.account.failing_users(), 0, "{failure:?}");
        upstream.requested.clear();
        upstream.pass(2 * DAY);
        assert!(!upstream.requested.contains(&1), "{failure:?}: the user is not requested again");
        // A user who returns is counted as ever.
        upstream.failing.clear();
        let second = i64::try_from(upstream.now).expect("days");
        upstream.happens(1, "back", second);
        upstream.pass(4_000);
        assert_eq!(upstream.counted(), 3, "{failure:?}");
    }
}

#[test]
fn a_listed_user_who_cannot_be_read_stays_pending() {
    for failure in [FailureClass::Refused, FailureClass::Transient] {
        let mut upstream = unread_user(failure);
        upstream.pass(20 * DAY);
        assert_eq!((upstream.pending(), upstream.lost()), (1, vec![]), "{failure:?}");
        // The week begins when the user leaves.
        upstream.listed.remove(&1);
        upstream.pass(6 * DAY + DAY / 2);
        assert_eq!((upstream.pending(), upstream.lost()), (1, vec![]), "{failure:?}");
        upstream.pass(DAY);
        assert_eq!((upstream.pending(), upstream.lost()), (0, vec![("removed", 2)]), "{failure:?}");
    }
}

#[test]
fn nobody_is_removed_while_nobody_can_be_read() {
    for failure in [FailureClass::Refused, FailureClass::Denied, FailureClass::Transient] {
        let mut upstream = unread_user(failure);
        for user in 2..=3 {
            upstream.failing.insert(user, failure);
            upstream.happens(user, "c", 130);
        }
        upstream.listed.remove(&1);
        upstream.pass(20 * DAY);
        assert_eq!((upstream.pending(), upstream.lost()), (3, vec![]), "{failure:?}");
        upstream.failing.clear();
        upstream.pass(DAY);
        assert_eq!((upstream.pending(), upstream.counted(), upstream.lost()), (0, 4, vec![]), "{failure:?}");
    }
}

#[test]
fn a_user_who_left_and_is_never_read_to_the_end_is_given_up_after_a_week() {
    let mut upstream = Upstream::with_users(3);
    upstream.pass(60);
    for (id, second) in [("a", 70), ("b", 71), ("c", 72)] {
        upstream.happens(1, id, second);
    }
    // A user who is first listed now, with two events from before the epoch. The latest ones are not read either.
    upstream.listed.insert(4, fingerprint(5, 73, Level::High));
    upstream.risk(4).events = vec![event("old", -200), event("older", -300), event("new", 70)];
    upstream.risk(1).events.pop();
    for user in [1, 4] {
        upstream.risk(user).completeness = Completeness::Unfinished("page 22 is late".to_owned());
    }
    upstream.pass(120);
    assert_eq!((upstream.pending(), upstream.counted(), upstream.lost()), (2, 3, vec![]));
    upstream.listed.remove(&1);
    upstream.listed.remove(&4);
    upstream.pass(6 * DAY + DAY / 2);
    assert_eq!((upstream.pending(), upstream.counted(), upstream.lost()), (2, 3, vec![]), "within the week");
    // An event that is listed meanwhile still counts.
    upstream.risk(1).events.push(event("late", 74));
    upstream.pass(DAY);
    assert_eq!((upstream.pending(), upstream.counted(), upstream.lost()), (0, 4, vec![("capped", 2)]));
    upstream.requested.clear();
    upstream.pass(2 * DAY);
    assert!([1, 4].iter().all(|user| !upstream.requested.contains(user)), "they are not requested again");
    // A user who returns is counted as ever.
    let second = i64::try_from(upstream.now).expect("days");
    upstream.risk(1).completeness = Completeness::Complete;
    upstream.happens(1, "back", second);
    upstream.pass(4_000);
    assert_eq!((upstream.counted(), upstream.pending(), upstream.lost()), (5, 0, vec![("capped", 2)]));
}

#[test]
fn events_that_a_removed_user_had_before_a_reset_are_lost_too() {
    let mut upstream = Upstream::with_users(3);
    upstream.pass(60);
    upstream.happens(1, "a", 70);
    upstream.pass(60);
    // Two more events, then a reset and another one; only that one is listed.
    upstream.listed.insert(1, fingerprint(4, 130, Level::High));
    upstream.failing.insert(1, FailureClass::Transient);
    upstream.pass(40);
    upstream.listed.insert(1, fingerprint(1, 170, Level::High));
    upstream.summary();
    upstream.failing.clear();
    *upstream.risk(1) = UserRisk { last_reset: Some(at(140)), ..risk(vec![event("after", 170)]) };
    upstream.pass(100);
    assert_eq!((upstream.counted(), upstream.pending(), upstream.lost()), (2, 1, vec![]));
    upstream.listed.remove(&1);
    upstream.risks.remove(&1);
    upstream.pass(4_000);
    assert_eq!((upstream.pending(), upstream.lost()), (0, vec![("removed", 2)]));
}
