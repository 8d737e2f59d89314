//! Lists of events that take long: our own time limits lose nothing, and the list of users is read meanwhile.

use super::*;

/// A request for the events of user 1, which changed from low to high.
fn request(upstream: &mut Upstream) -> Fetch {
    upstream.pass(20);
    upstream.happens(1, "a", 10);
    upstream.summary();
    match upstream.account.plan(upstream.moment()) {
        Step::Fetch(fetch @ Fetch::User(_)) => fetch,
        other => panic!("the user changed: {other:?}"),
    }
}

#[test]
fn a_list_that_our_own_limits_cut_loses_no_event_however_often() {
    let mut upstream = Upstream::with_users(1);
    upstream.pass(1);
    upstream.requested.clear();
    upstream.happens(1, "a", 10);
    upstream.listed.insert(1, fingerprint(5, 12, Level::High));
    upstream.risk(1).completeness = Completeness::Unfinished("page 22 is late".to_owned());
    upstream.pass(100_000);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (1, vec![], 1));
    assert!(upstream.requested.len() < 20, "it is not read all the time: {:?}", upstream.requested);
    for id in ["b", "c", "d"] {
        upstream.risk(1).events.push(event(id, 12));
    }
    upstream.risk(1).completeness = Completeness::Complete;
    upstream.pass(30_000);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (4, vec![], 0));
}

#[test]
fn a_level_that_changes_during_a_request_changes_once() {
    let mut upstream = Upstream::with_users(1);
    let fetch = request(&mut upstream);
    upstream.listed.get_mut(&1).expect("it is listed").level = Level::Medium;
    upstream.summary();
    upstream.answer(&fetch);
    upstream.summary();
    upstream.pass(60);
    assert_eq!(upstream.moves(), [(1, 3, 1), (3, 2, 1)]);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (1, vec![], 0));
}

#[test]
fn a_user_who_leaves_the_list_during_a_request_is_read_once_more() {
    let mut upstream = Upstream::with_users(2);
    let fetch = request(&mut upstream);
    upstream.listed.insert(1, fingerprint(3, 12, Level::High));
    upstream.summary();
    upstream.listed.remove(&1);
    // A user who is missing in two lists left.
    upstream.summary();
    upstream.summary();
    upstream.answer(&fetch);
    assert_eq!((upstream.counted(), upstream.pending()), (1, 1));
    upstream.risk(1).events.push(event("b", 12));
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (2, vec![], 0));
}

#[test]
fn an_event_that_is_listed_during_a_request_is_read_next_time() {
    let mut upstream = Upstream::with_users(1);
    let fetch = request(&mut upstream);
    upstream.listed.insert(1, fingerprint(3, 12, Level::High));
    upstream.summary();
    upstream.answer(&fetch);
    upstream.risk(1).events.push(event("b", 12));
    upstream.pass(60);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (2, vec![], 0));
}
