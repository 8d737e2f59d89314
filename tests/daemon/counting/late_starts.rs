//! A list of users that was made a while before its date: counting starts after events that the list does not have.

use super::*;

/// An account whose baseline has one event of user 1, 100 seconds before counting starts. `rows` are how many events of the
/// user later lists count, and when the latest of them happened. `events` are those that are listed with the user.
fn with_late_start(rows: &[(u32, i64)], events: &[(&str, i64)]) -> Upstream {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    for (count, last_event) in rows {
        upstream.listed.insert(1, fingerprint(*count, *last_event, Level::High));
        upstream.risk(1).events =
            events.iter().filter(|(_, at)| at <= last_event).map(|(id, at)| event(id, *at)).collect();
        upstream.pass(3_600);
    }
    upstream
}

#[test]
fn events_between_the_making_and_the_date_of_the_first_list_are_neither_counted_nor_lost() {
    let old = ("old", -100);
    type Case<'a> = (&'a [(u32, i64)], &'a [(&'a str, i64)], u64, &'a [(&'a str, u64)]);
    let table: [Case<'_>; 7] = [
        (&[(2, -3)], &[old, ("a", -3)], 0, &[]),
        (&[(2, 0)], &[old, ("a", 0)], 0, &[]),
        (&[(3, 10)], &[old, ("a", -3), ("b", 10)], 1, &[]),
        // They hide no event that is missing, now or later.
        (&[(4, 10)], &[old, ("a", -3), ("b", 10)], 1, &[("unknown", 1)]),
        (&[(2, -3), (4, 20)], &[old, ("a", -3), ("b", 20)], 1, &[("unknown", 1)]),
        (&[(2, -9), (3, -3), (5, 20)], &[old, ("a", -9), ("b", -3), ("c", 20)], 1, &[("unknown", 1)]),
        // An event that the baseline counted explains no other one.
        (&[(2, -3)], &[old], 0, &[("unknown", 1)]),
    ];
    for (rows, events, counted, lost) in table {
        let upstream = with_late_start(rows, events);
        let found = (upstream.counted(), upstream.lost(), upstream.pending());
        assert_eq!(found, (counted, lost.to_vec(), 0), "{rows:?} {events:?}");
    }
}

#[test]
fn the_precision_of_times_makes_no_event_of_the_baseline_a_later_one() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    let mut old = event("old", -100);
    old.timestamp = old.timestamp + Duration::from_millis(117);
    upstream.risk(1).events = vec![old];
    upstream.listed.insert(1, fingerprint(2, -3, Level::High));
    upstream.pass(3_600);
    assert_eq!((upstream.counted(), upstream.lost()), (0, vec![("unknown", 1)]), "the second is missing");
}
