//! Rows that do not say how many events a user has, or when the latest one was.

use zt_risk_exporter::model::EventCount;

use super::*;

/// What a row does not say for a while.
#[derive(Clone, Copy, Debug)]
enum Unsaid {
    Count,
    LastEvent,
    Both,
}

const CASES: [Unsaid; 3] = [Unsaid::Count, Unsaid::LastEvent, Unsaid::Both];

impl Unsaid {
    fn of(self, row: RowFingerprint) -> RowFingerprint {
        let (count, last_event) = (EventCount::UNKNOWN, Timestamp::UNKNOWN);
        match self {
            Self::Count => RowFingerprint { count, ..row },
            Self::LastEvent => RowFingerprint { last_event, ..row },
            Self::Both => RowFingerprint { count, last_event, ..row },
        }
    }
}

/// Events from before counting began.
fn old_events(events: i64) -> UserRisk {
    risk((0..events).map(|number| event(&format!("old {number}"), -100 - number)).collect())
}

/// An account with one user, whose row counts 50 events; 20 of them are listed.
fn busy_user(row: RowFingerprint) -> Upstream {
    let mut upstream = Upstream::untouched();
    upstream.listed.insert(1, row);
    upstream.risks.insert(1, old_events(20));
    upstream.pass(60);
    upstream
}

/// When a user is listed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    SinceTheBaseline,
    Later,
    Again,
}

impl Listed {
    /// An account in which the user is listed now, with this row.
    fn now(self, row: RowFingerprint) -> Upstream {
        let mut upstream = Upstream::untouched();
        match self {
            Self::SinceTheBaseline => return busy_user(row),
            Self::Later => upstream.pass(600),
            Self::Again => {
                upstream = busy_user(whole_row());
                upstream.listed.clear();
                upstream.pass(600);
            }
        }
        upstream.risks.insert(1, old_events(50));
        upstream.listed.insert(1, row);
        upstream.pass(60);
        upstream
    }
}

fn whole_row() -> RowFingerprint {
    fingerprint(50, -100, Level::High)
}

/// The exported count and the exported time of the latest event.
fn shown(upstream: &Upstream) -> (Option<u32>, Timestamp) {
    let users = upstream.snapshot().users.expect("a list was read");
    (users.series[0].reported_events, users.series[0].last_event)
}

#[test]
fn a_field_that_is_unsaid_for_a_while_stays_as_it_was() {
    for unsaid in CASES {
        let mut upstream = busy_user(whole_row());
        upstream.requested.clear();
        for _ in 0..3 {
            upstream.listed.insert(1, unsaid.of(whole_row()));
            upstream.pass(120);
            assert_eq!(shown(&upstream), (Some(50), at(-100)), "{unsaid:?}");
            let reported = upstream.snapshot().users.expect("a list was read").reported_events;
            assert_eq!(reported, [0, 0, 0, 50], "{unsaid:?}");
            upstream.listed.insert(1, whole_row());
            upstream.pass(120);
        }
        upstream.pass(4_000);
        let counts = (upstream.counted(), upstream.lost(), upstream.pending());
        assert_eq!(counts, (0, vec![], 0), "{unsaid:?}");
        assert_eq!(upstream.requested, Vec::<u128>::new(), "{unsaid:?}: nothing changed");
    }
}

#[test]
fn events_that_come_while_a_field_is_unsaid_are_counted_and_none_is_lost() {
    for unsaid in CASES {
        let mut upstream = busy_user(whole_row());
        upstream.listed.insert(1, unsaid.of(whole_row()));
        upstream.pass(120);
        let mut now = whole_row();
        for number in 1..=3 {
            let second = i64::try_from(upstream.now).expect("an hour");
            upstream.risk(1).events.push(event(&format!("new {number}"), second));
            now = fingerprint(50 + number, second, Level::High);
            upstream.listed.insert(1, unsaid.of(now));
            upstream.pass(120);
        }
        upstream.listed.insert(1, now);
        upstream.pass(4_000);
        let counts = (upstream.counted(), upstream.lost(), upstream.pending());
        assert_eq!(counts, (3, vec![], 0), "{unsaid:?}");
        assert_eq!(shown(&upstream), (Some(53), now.last_event), "{unsaid:?}");
        // What is really missing after that is said.
        let second = i64::try_from(upstream.now).expect("a few hours");
        upstream.listed.insert(1, fingerprint(55, second, Level::High));
        upstream.pass(4_000);
        assert_eq!((upstream.counted(), upstream.lost()), (3, vec![("unknown", 2)]), "{unsaid:?}");
    }
}

#[test]
fn a_queued_user_keeps_the_latest_row_and_not_the_covered_one() {
    let mut upstream = busy_user(whole_row());
    upstream.failing.insert(1, FailureClass::Transient);
    let second = i64::try_from(upstream.now).expect("a minute");
    upstream.happens(1, "new", second);
    upstream.pass(40);
    upstream.listed.insert(1, Unsaid::Both.of(fingerprint(51, second, Level::High)));
    upstream.pass(40);
    assert_eq!((shown(&upstream), upstream.pending()), ((Some(51), at(second)), 1));
    upstream.failing.clear();
    upstream.pass(4_000);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.pending()), (1, vec![], 0));
}

#[test]
fn a_count_that_is_said_for_the_first_time_claims_no_lost_events() {
    for unsaid in CASES {
        for listed in [Listed::SinceTheBaseline, Listed::Later, Listed::Again] {
            let what = format!("{unsaid:?}, listed {listed:?}");
            let mut upstream = listed.now(unsaid.of(whole_row()));
            let is_known = matches!(unsaid, Unsaid::LastEvent);
            assert_eq!(shown(&upstream).0, is_known.then_some(50), "{what}: an unknown count is not 0");
            upstream.listed.insert(1, whole_row());
            upstream.pass(4_000);
            assert_eq!(shown(&upstream), (Some(50), at(-100)), "{what}");
            let second = i64::try_from(upstream.now).expect("a few hours");
            upstream.risk(1).events.push(event("new", second));
            upstream.listed.insert(1, fingerprint(51, second, Level::High));
            upstream.pass(4_000);
            let counts = (upstream.counted(), upstream.lost(), upstream.pending());
            assert_eq!(counts, (1, vec![], 0), "{what}");
            upstream.listed.insert(1, fingerprint(54, second + 1, Level::High));
            upstream.pass(4_000);
            assert_eq!(upstream.lost(), [("unknown", 3)], "{what}: later losses are said");
        }
    }
}

#[test]
fn counts_that_return_after_a_baseline_without_them_cost_no_requests() {
    let mut upstream = Upstream::untouched();
    for user in 1..=30 {
        upstream.listed.insert(user, Unsaid::Count.of(whole_row()));
        upstream.risks.insert(user, risk(vec![event("old", -100)]));
    }
    upstream.pass(3_600);
    upstream.requested.clear();
    for user in 1..=30 {
        upstream.listed.insert(user, whole_row());
    }
    upstream.pass(60);
    assert_eq!((upstream.requested.len(), upstream.pending()), (0, 0));
    let reported = upstream.snapshot().users.expect("a list was read").reported_events;
    assert_eq!(reported, [0, 0, 0, 1_500]);
}

#[test]
fn a_count_that_falls_after_a_reset_counts_from_0_even_if_it_was_unknown() {
    let mut upstream = busy_user(Unsaid::Count.of(whole_row()));
    upstream.pass(600);
    let second = i64::try_from(upstream.now).expect("minutes");
    upstream.risks.insert(
        1,
        UserRisk {
            last_reset: Some(at(second)),
            ..risk((1..=2).map(|number| event(&number.to_string(), second + number)).collect())
        },
    );
    upstream.now += 10;
    upstream.listed.insert(1, fingerprint(2, second + 2, Level::High));
    upstream.pass(4_000);
    assert_eq!((upstream.counted(), upstream.lost(), upstream.snapshot().totals.resets), (2, vec![], 1));
}
