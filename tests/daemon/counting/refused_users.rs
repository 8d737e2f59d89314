//! Users whose events cannot be read, and what that means for the others.

use super::*;

#[test]
fn a_user_who_cannot_be_read_does_not_delay_others_and_is_audited_as_rarely() {
    let mut upstream = Upstream::with_users(3);
    upstream.risks.remove(&2);
    upstream.pass(21_000);
    let mut asked = upstream.requested.clone();
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3], "each once within the audit interval");
}

#[test]
fn a_refused_user_does_not_delay_others() {
    for failure in [FailureClass::Refused, FailureClass::Denied] {
        let mut upstream = Upstream::with_users(30);
        upstream.pass(60);
        upstream.failing.insert(7, failure);
        (1..=30).for_each(|user| upstream.happens(user, "a", 61));
        upstream.pass(120);
        assert_eq!((upstream.counted(), upstream.pending()), (29, 1), "{failure:?}");
        upstream.failing.clear();
        upstream.pass(600);
        assert_eq!((upstream.counted(), upstream.lost()), (30, vec![]), "{failure:?}");
    }
}

#[test]
fn many_refused_users_delay_the_events_of_others_by_two_minutes_at_most() {
    let every_fifth: Vec<u128> = (1..=20).map(|number| number * 5).collect();
    let first: Vec<u128> = (1..=20).collect();
    let last: Vec<u128> = (81..=100).collect();
    let mixed: Vec<u128> = (1..=100).filter(|user| user % 3 == 0).collect();
    for refused in [&every_fifth, &first, &last] {
        for (low, warm_up) in [(&mixed, 60), (&mixed, 0), (&first, 400), (refused, 60), (&Vec::new(), 60)] {
            let case = format!("{refused:?} refused, {low:?} at low, {warm_up} s");
            let mut upstream = Upstream::with_users(100);
            upstream.failing = refused.iter().map(|user| (*user, FailureClass::Denied)).collect();
            // The audits meet the refused users first.
            upstream.pass(warm_up);
            for round in 1..=4 {
                let second = i64::try_from(upstream.now).expect("an hour") + 1;
                // In the second round the events of the refused users come first.
                let refused_first =
                    refused.iter().copied().chain((1..=100).filter(|user| !refused.contains(user)));
                for user in refused_first {
                    upstream.happens(user, &round.to_string(), second);
                    if low.contains(&user) {
                        upstream.listed.get_mut(&user).expect("all are listed").level = Level::Low;
                    }
                    if round == 2 && user == refused[19] {
                        upstream.pass(40);
                    }
                }
                upstream.pass(120);
                assert_eq!(upstream.counted(), 80 * round, "round {round}, {case}");
            }
            upstream.failing.clear();
            upstream.pass(22_000);
            assert_eq!((upstream.counted(), upstream.lost()), (400, vec![]), "{case}");
        }
    }
}

#[test]
fn three_different_refused_users_in_a_row_stop_the_requests_for_users_for_a_while() {
    let mut upstream = Upstream::with_users(30);
    upstream.pass(60);
    upstream.requested.clear();
    upstream.failing = (1..=30).map(|user| (user, FailureClass::Denied)).collect();
    (1..=30).for_each(|user| upstream.happens(user, "a", 61));
    upstream.pass(290);
    let users: BTreeSet<_> = upstream.requested.iter().collect();
    assert_eq!((upstream.requested.len(), users.len()), (6, 6), "{:?}", upstream.requested);
    upstream.pass(200);
    assert_eq!(upstream.requested.len(), 7, "one request tests whether it is over: {:?}", upstream.requested);
    assert_eq!(upstream.snapshot().up, Some(true));
    upstream.failing.clear();
    upstream.pass(700);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (30, vec![], 0));
}

#[test]
fn refused_users_do_not_stop_counting_for_others_whatever_their_level_and_how_often() {
    // Which users are refused, and which are at low; the others are at high.
    let table: [(&[u128], &[u128]); 5] = [
        (&[1, 2, 3], &[]),
        (&[28, 29, 30], &[28, 29, 30]),
        (&[1, 2, 3], &[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]),
        (&[1, 11, 21], &[11, 21]),
        (&[1, 2, 3, 4, 5], &[7, 8, 9, 10]),
    ];
    for failure in [FailureClass::Refused, FailureClass::Denied] {
        for (refused, low) in table {
            let mut upstream = Upstream::with_users(30);
            upstream.failing = refused.iter().map(|user| (*user, failure)).collect();
            let others = 30 - refused.len() as u64;
            // The audits meet the refused users first.
            upstream.pass(60);
            for round in 1..=20 {
                let second = i64::try_from(upstream.now).expect("an hour");
                (1..=30).for_each(|user| upstream.happens(user, &round.to_string(), second));
                for user in low {
                    upstream.listed.get_mut(user).expect("all are listed").level = Level::Low;
                }
                upstream.pass(180);
                let counts = (upstream.counted(), upstream.pending());
                assert_eq!(
                    counts,
                    (others * round, refused.len() as u64),
                    "{failure:?} of {refused:?}, {low:?} at low, round {round}"
                );
            }
            upstream.failing.clear();
            upstream.pass(22_000);
            assert_eq!((upstream.counted(), upstream.lost()), (600, vec![]), "{failure:?} of {refused:?}");
        }
    }
}
