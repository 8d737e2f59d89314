//! Which events are the same, when their ids and times are written in another way.

use super::*;

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
