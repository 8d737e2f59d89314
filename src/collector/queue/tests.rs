//! The order in which users are read, and the delays between readings.

use super::*;
use crate::clock::testing::at;

fn id(n: u128) -> UserId {
    UserId::from_u128(n)
}

fn fingerprint(count: u32, level: Level) -> RowFingerprint {
    RowFingerprint { last_event: Timestamp::from_seconds(1), count: count.into(), level }
}

fn change(queue: &mut Queue, n: u128, count: u32, level: Level) {
    queue.changed(id(n), fingerprint(count, level), None, Timestamp::from_seconds(0));
}

fn high_since_start() -> LevelSince {
    let since = Timestamp::from_seconds(0);
    LevelSince { level: Level::High, since, origin: crate::collector::roster::Origin::Observed }
}

fn serve(queue: &mut Queue, now: u64) -> Option<u128> {
    let next = queue.next(at(now))?;
    queue.served();
    queue.remove(next);
    Some(next.as_u128())
}

#[test]
fn users_at_high_get_five_turns_of_nine_and_all_of_them_when_alone() {
    let mut queue = Queue::default();
    for n in 0..9 {
        change(&mut queue, n, 1, Level::High);
        change(&mut queue, 100 + n, 1, Level::Low);
    }
    let order: Vec<_> = (0..18).filter_map(|_| serve(&mut queue, 0)).collect();
    assert_eq!(order[..9], [0, 1, 2, 3, 4, 100, 101, 102, 103]);
    assert_eq!(order[9..], [5, 6, 7, 8, 104, 105, 106, 107, 108]);
    assert!(queue.is_empty());
}

#[test]
fn users_who_left_come_last_and_keep_their_unread_changes() {
    let mut queue = Queue::default();
    change(&mut queue, 1, 7, Level::High);
    queue.gone(id(1), fingerprint(5, Level::High), high_since_start(), Timestamp::from_seconds(9));
    change(&mut queue, 2, 1, Level::Low);
    assert_eq!(queue.get(id(1)).map(|p| (p.latest.count.or_zero(), p.reason)), Some((7, Reason::Gone)));
    assert_eq!([serve(&mut queue, 0), serve(&mut queue, 0), serve(&mut queue, 0)], [Some(2), Some(1), None]);
}

#[test]
fn a_waiting_user_keeps_its_place_unless_it_rises_to_high() {
    let mut queue = Queue::default();
    change(&mut queue, 1, 1, Level::Low);
    change(&mut queue, 2, 1, Level::Low);
    change(&mut queue, 1, 2, Level::Low);
    assert_eq!((queue.next(at(0)), queue.len()), (Some(id(1)), 2));
    change(&mut queue, 2, 2, Level::High);
    assert_eq!((queue.next(at(0)), queue.len()), (Some(id(2)), 2));
}

#[test]
fn missing_events_are_looked_for_again_after_one_five_and_thirty_minutes() {
    let mut queue = Queue::default();
    change(&mut queue, 1, 3, Level::Low);
    let mut now = 0;
    for (count, wait) in [(1, 60), (2, 300), (3, 1_800)] {
        let attempts = Attempts { count, found: 1, ..Attempts::default() };
        queue.short(id(1), attempts, NextRetry::Later { target: 3 }, at(now));
        assert_eq!((queue.next(at(now + wait - 1)), queue.next_due()), (None, Some(at(now + wait))));
        now += wait;
        assert_eq!(queue.next(at(now)), Some(id(1)), "after {wait} seconds");
    }
    assert_eq!(queue.get(id(1)).map(|pending| pending.attempts.count), Some(3));
}

#[test]
fn a_change_of_a_user_with_missing_events_is_read_at_once_but_not_after_a_failure() {
    let mut queue = Queue::default();
    for (failing, wanted) in [(false, Some(id(1))), (true, None)] {
        queue.remove(id(1));
        change(&mut queue, 1, 3, Level::Low);
        if failing {
            queue.failed(id(1), at(0));
        } else {
            let attempts = Attempts { count: 1, ..Attempts::default() };
            queue.short(id(1), attempts, NextRetry::Later { target: 3 }, at(0));
        }
        change(&mut queue, 1, 3, Level::Low);
        assert_eq!(queue.next(at(0)), None, "nothing new, failing: {failing}");
        change(&mut queue, 1, 4, Level::Low);
        assert_eq!(queue.next(at(0)), wanted, "failing: {failing}");
    }
}

#[test]
fn a_reading_before_the_retry_is_due_leaves_its_delay_unchanged() {
    let mut queue = Queue::default();
    change(&mut queue, 1, 3, Level::Low);
    let attempts = Attempts { count: 1, ..Attempts::default() };
    queue.short(id(1), attempts, NextRetry::Later { target: 3 }, at(0));
    for second in [10, 20] {
        change(&mut queue, 1, 3 + second, Level::Low);
        assert_eq!(queue.next(at(second.into())), Some(id(1)));
        queue.short(id(1), attempts, NextRetry::AsPlanned, at(second.into()));
        assert_eq!((queue.next_due(), queue.due(id(1))), (Some(at(60)), Some(at(60))));
    }
    assert_eq!(queue.get(id(1)).and_then(|pending| pending.retry), Some(Retry { target: 3, due: at(60) }));
}

#[test]
fn failures_back_off_from_a_minute_to_six_hours() {
    let mut queue = Queue::default();
    change(&mut queue, 1, 1, Level::Low);
    for wait in [60, 120, 240, 480, 960, 1_920, 3_840, 7_680, 15_360, 21_600, 21_600] {
        queue.failed(id(1), at(0));
        assert_eq!(queue.next_due(), Some(at(wait)));
        assert_eq!(queue.next(at(wait)), Some(id(1)));
    }
}

#[test]
fn while_users_are_refused_the_lanes_alternate_among_those_who_are_not() {
    let mut queue = Queue::default();
    for n in 0..5 {
        change(&mut queue, n, 1, Level::High);
        change(&mut queue, 100 + n, 1, Level::Low);
    }
    let mut next = |refused: &[u128]| {
        let user = queue.next_eligible(|user| !refused.contains(&user.as_u128()), at(0));
        queue.served();
        user.map(|user| user.as_u128())
    };
    assert_eq!([next(&[]), next(&[]), next(&[]), next(&[])], [Some(0), Some(100), Some(0), Some(100)]);
    assert_eq!([next(&[0, 1, 2, 3, 4]), next(&[0, 1]), next(&[0, 1])], [Some(100), Some(100), Some(2)]);
    assert_eq!(next(&[0, 1, 2, 3, 4, 100, 101, 102, 103, 104]), None);
}

#[test]
fn a_postponed_user_returns_when_the_reason_is_gone_and_at_the_latest_when_it_is_due() {
    let mut queue = Queue::default();
    change(&mut queue, 1, 1, Level::Low);
    for (now, hastened, wanted) in [(9, false, None), (9, true, Some(id(1))), (10, false, Some(id(1)))] {
        queue.postpone(id(1), at(10));
        if hastened {
            queue.hasten(id(1));
        }
        assert_eq!(queue.next(at(now)), wanted, "at {now}, hastened: {hastened}");
        assert_eq!(queue.len(), 1);
    }
    queue.hasten(id(1));
    queue.hasten(id(2));
    assert_eq!((queue.next(at(10)), queue.len()), (Some(id(1)), 1));
}
