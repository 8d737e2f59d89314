//! Users who left the list and cannot be read.

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
