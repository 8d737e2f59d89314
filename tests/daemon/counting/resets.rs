//! Resets, and users who leave the list because of one.

use super::*;

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
fn a_reset_in_the_year_1_is_ignored() {
    let mut upstream = Upstream::with_users(1);
    upstream.risk(1).last_reset = Some(Timestamp::from_seconds(-62_135_596_800));
    upstream.pass(60);
    assert_eq!(upstream.snapshot().users.expect("listed").series[0].last_reset, None);
}
