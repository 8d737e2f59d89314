//! The behaviors, which label the events, when they are late, refused or unknown.

use super::*;

#[test]
fn an_unusable_list_of_behaviors_makes_labels_ready_as_a_refusal_does() {
    for (failure, started) in [(FailureClass::Unusable, true), (FailureClass::Refused, false)] {
        let mut upstream = Upstream::untouched();
        upstream.summary();
        upstream.account.failed(Resource::Behaviors, failure, upstream.moment());
        assert_eq!(upstream.snapshot().totals.started, started, "{failure:?}");
    }
}

#[test]
fn no_event_gets_a_label_before_the_behaviors_were_read_or_refused() {
    let table = [
        (FailureClass::Denied, 4, vec![1]),
        (FailureClass::Denied, 3, vec![]),
        (FailureClass::Refused, 4, vec![1]),
        (FailureClass::Refused, 3, vec![]),
        (FailureClass::Unusable, 1, vec![1]),
        (FailureClass::Transient, 4, vec![]),
    ];
    for (failure, times, wanted) in table {
        let mut upstream = Upstream::untouched();
        upstream.summary();
        upstream.happens(1, "a", 10);
        upstream.now = 20;
        upstream.summary();
        let now = upstream.moment();
        (0..times).for_each(|_| upstream.account.failed(Resource::Behaviors, failure, now));
        assert_eq!(upstream.snapshot().totals.started, !wanted.is_empty(), "{times} times {failure:?}");
        upstream.pass(1);
        assert_eq!(upstream.requested, wanted, "{times} times {failure:?}");
    }
}

#[test]
fn behaviors_that_fail_in_whatever_way_delay_counting_by_ten_minutes_at_most() {
    let table = [
        (FailureClass::Refused, 60),
        (FailureClass::Denied, 60),
        (FailureClass::Unusable, 10),
        (FailureClass::Transient, 650),
    ];
    for (failure, within) in table {
        let mut upstream = Upstream::untouched();
        upstream.behaviors_fail = Some(failure);
        upstream.listed.insert(1, fingerprint(1, -100, Level::Low));
        upstream.risks.insert(1, risk(vec![event("old", -100)]));
        upstream.summary();
        upstream.happens(1, "a", 1);
        upstream.pass(within);
        upstream.pass(40);
        assert_eq!((upstream.counted(), upstream.pending()), (1, 0), "{failure:?}");
        assert_eq!(upstream.snapshot().totals.events["Impossible Travel"], [0, 0, 0, 1], "{failure:?}");
        // Once they can be read, the name that was learned leads to the id.
        upstream.behaviors_fail = None;
        upstream.pass(400);
        let second = i64::try_from(upstream.now).expect("an hour");
        upstream.happens(1, "b", second);
        upstream.pass(60);
        assert_eq!(upstream.snapshot().totals.events["imp_travel"], [0, 0, 0, 1], "{failure:?}");
    }
}

#[test]
fn events_of_unknown_behaviors_wait_for_behaviors_that_fail_and_cost_no_more_requests() {
    for recovers in [Some(300), None] {
        let mut upstream = Upstream::with_users(10);
        upstream.pass(330);
        upstream.behaviors_fail = Some(FailureClass::Transient);
        (upstream.behaviors_requested, upstream.requested) = (0, Vec::new());
        for user in 1..=10 {
            upstream.happens(user, "a", 331);
            upstream.risk(user).events.last_mut().expect("it just happened").name = "Brand New".to_owned();
        }
        let new = Behavior {
            id: "brand_new".to_owned(),
            name: "Brand New".to_owned(),
            ..behaviors().rows[0].clone()
        };
        upstream.behaviors.rows.push(new);
        upstream.pass(270);
        assert_eq!((upstream.counted(), upstream.pending()), (0, 10), "they wait");
        assert_eq!(upstream.requested.len(), 10, "{recovers:?}: once for each user");
        if recovers.is_some() {
            upstream.behaviors_fail = None;
        }
        upstream.pass(recovers.unwrap_or(450));
        let label = if recovers.is_some() { "brand_new" } else { "Brand New" };
        assert_eq!((upstream.counted(), upstream.pending(), upstream.lost()), (10, 0, vec![]));
        assert_eq!(upstream.snapshot().totals.events[label], [0, 0, 0, 10]);
        assert_eq!(upstream.requested.len(), 20, "{recovers:?}: twice for each user");
        assert!(upstream.behaviors_requested <= 26, "{recovers:?}: {}", upstream.behaviors_requested);
    }
}

#[test]
fn an_event_of_an_unknown_behavior_is_counted_after_one_reading_of_the_behaviors() {
    for is_listed in [true, false] {
        let mut upstream = Upstream::with_users(1);
        upstream.pass(60);
        let new = Behavior {
            id: "brand_new".to_owned(),
            name: "Brand New".to_owned(),
            ..behaviors().rows[0].clone()
        };
        upstream.behaviors.rows.extend(is_listed.then_some(new));
        for second in [61, 100] {
            upstream.happens(1, &second.to_string(), second);
            upstream.risk(1).events.last_mut().expect("it just happened").name = "Brand New".to_owned();
            upstream.pass(40);
        }
        let label = if is_listed { "brand_new" } else { "Brand New" };
        assert_eq!(upstream.snapshot().totals.events[label], [0, 0, 0, 2]);
        assert_eq!(upstream.snapshot().totals.events.len(), 2, "no other label");
    }
}
