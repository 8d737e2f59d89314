//! Intervals, retries, and how the budget is divided.

use super::*;
use crate::clock::testing::{at, seconds};

/// The resources that are read periodically, in the order in which they are read when all are due.
const PERIODIC: [Resource; 4] =
    [Resource::Summary, Resource::Behaviors, Resource::Integrations, Resource::TokenVerify];

fn schedule(budget: u32) -> Schedule {
    let intervals = Intervals {
        summary: seconds(30),
        behaviors: seconds(300),
        integrations: seconds(300),
        audit: seconds(21_600),
    };
    Schedule::new(intervals, budget, 1)
}

fn read_all(schedule: &mut Schedule, now: Instant) -> Vec<Resource> {
    let mut order = Vec::new();
    while let Some(resource) = schedule.due(now) {
        schedule.read(resource, 1, now);
        order.push(resource);
    }
    order
}

#[test]
fn at_the_start_everything_is_due_the_summary_first() {
    let mut schedule = schedule(300);
    assert_eq!(read_all(&mut schedule, at(0)), PERIODIC);
    assert!(schedule.next_due() >= at(30) && schedule.next_due() <= at(33), "{:?}", schedule.next_due());
}

#[test]
fn the_summary_takes_at_most_half_of_the_budget() {
    for (budget, pages, wanted) in [(300, 1, 30), (300, 15, 30), (300, 16, 32), (300, 100, 200), (6, 1, 100)]
    {
        let mut schedule = schedule(budget);
        schedule.read(Resource::Summary, pages, at(0));
        let interval = schedule.interval(Resource::Summary);
        assert_eq!(interval, Some(seconds(wanted)), "{pages} pages of {budget} requests");
    }
}

#[test]
fn the_rest_of_the_budget_goes_to_users_and_a_tenth_of_it_to_the_audit() {
    // 300 requests, less 10 summaries, 1 reading of behaviors, 1 of integrations, 1 of the token.
    for (purpose, allowed) in [(Purpose::Change, 259), (Purpose::Audit, 28)] {
        let mut schedule = schedule(300);
        let sent = (0..300).take_while(|_| {
            let free = schedule.user_admission(purpose, at(1)) == Admission::Now;
            schedule.spent(purpose, 1, at(1));
            free
        });
        assert_eq!(sent.count(), allowed, "{purpose:?}");
        assert_eq!(schedule.user_admission(purpose, at(301)), Admission::Now, "{purpose:?}, a window later");
    }
}

#[test]
fn a_summary_that_takes_several_windows_leaves_half_of_the_budget_too() {
    let mut schedule = schedule(300);
    schedule.read(Resource::Summary, 1_000, at(0));
    // 300 requests, less 150 for the summary and 3 others; a tenth of the rest is the audit's.
    let sent = (0..300).take_while(|_| {
        let free = schedule.user_admission(Purpose::Change, at(1)) == Admission::Now;
        schedule.spent(Purpose::Change, 1, at(1));
        free
    });
    assert_eq!(sent.count(), 133);
}

#[test]
fn refused_credentials_are_retried_soon_then_every_five_minutes_and_at_once_when_they_change() {
    let mut schedule = schedule(300);
    let mut now = 0;
    for wait in [5, 10, 20, 300, 300] {
        let resource = schedule.due(at(now)).expect("one request tests the credentials");
        schedule.failed(resource, FailureClass::Refused, at(now));
        let next = at(now + wait);
        assert_eq!((schedule.due(at(now + wait - 1)), schedule.next_due()), (None, next));
        assert_eq!(schedule.user_admission(Purpose::Change, at(now + wait - 1)), Admission::At(next));
        now += wait;
    }
    schedule.retry_now(at(now - 100));
    assert_eq!(schedule.due(at(now - 100)), Some(Resource::Summary));
    schedule.failed(Resource::Summary, FailureClass::Refused, at(now));
    assert_eq!(schedule.next_due(), at(now + 5), "the new credentials get their own retries");
}

#[test]
fn new_credentials_read_nothing_twice_within_its_interval_but_what_failed() {
    let mut schedule = schedule(300);
    read_all(&mut schedule, at(0));
    schedule.failed(Resource::Integrations, FailureClass::Denied, at(1));
    let due = schedule.due_at(Resource::Summary);
    schedule.retry_now(at(2));
    assert_eq!(read_all(&mut schedule, at(2)), [Resource::Integrations, Resource::TokenVerify]);
    assert_eq!(schedule.due_at(Resource::Summary), due);
}

#[test]
fn a_shorter_interval_applies_at_once_and_a_longer_one_after_the_next_reading() {
    let intervals = |summary: u64| Intervals {
        summary: seconds(summary),
        behaviors: seconds(300),
        integrations: seconds(300),
        audit: seconds(21_600),
    };
    let mut schedule = schedule(300);
    read_all(&mut schedule, at(0));
    let due = schedule.due_at(Resource::Summary);
    schedule.retune(intervals(600), 300, at(1));
    assert_eq!(schedule.due_at(Resource::Summary), due, "as it was");
    schedule.read(Resource::Summary, 1, at(33));
    assert!(schedule.due_at(Resource::Summary) >= Some(at(633)));
    schedule.retune(intervals(10), 300, at(40));
    assert_eq!(schedule.due_at(Resource::Summary), Some(at(50)));
    // A retry after a failure is neither earlier nor later.
    schedule.failed(Resource::Summary, FailureClass::Refused, at(50));
    let retry = schedule.due_at(Resource::Summary);
    schedule.retune(intervals(1), 300, at(50));
    assert_eq!(schedule.due_at(Resource::Summary), retry);
}

#[test]
fn another_budget_is_divided_at_once() {
    let mut schedule = schedule(300);
    let intervals = Intervals {
        summary: seconds(30),
        behaviors: seconds(300),
        integrations: seconds(300),
        audit: seconds(21_600),
    };
    let before = schedule.allowance(Purpose::Change);
    schedule.retune(intervals, 600, at(0));
    assert_eq!(schedule.allowance(Purpose::Change), before + 270, "nine tenths of what was added");
    schedule.read(Resource::Summary, 30, at(0));
    assert_eq!(schedule.interval(Resource::Summary), Some(seconds(30)));
    schedule.retune(intervals, 60, at(1));
    assert_eq!(schedule.interval(Resource::Summary), Some(seconds(300)), "half of the budget");
}

#[test]
fn a_success_starts_the_retries_of_refusals_again() {
    let mut schedule = schedule(300);
    for second in [0, 100] {
        for failure in [FailureClass::Refused, FailureClass::Denied] {
            schedule.failed(Resource::Summary, failure, at(second));
            assert!(schedule.due_at(Resource::Summary) < Some(at(second + 6)), "{failure:?}");
            read_all(&mut schedule, at(second + 50));
        }
    }
}

#[test]
fn with_2_percent_of_stray_401s_and_403s_the_list_is_never_older_than_three_intervals() {
    let (mut schedule, mut random) = (schedule(300), fastrand::Rng::with_seed(4));
    let (mut now, mut last, mut oldest) = (at(0), at(0), Duration::ZERO);
    for _ in 0..20_000 {
        now = now.max(schedule.next_due());
        let Some(resource) = schedule.due(now) else { continue };
        let request = Duration::from_millis(random.u64(50..2_000));
        now = now + request;
        match random.u32(0..100) {
            0..2 => schedule.failed(resource, FailureClass::Refused, now),
            2..4 => schedule.failed(resource, FailureClass::Denied, now),
            _ => {
                schedule.read(resource, 1, now);
                if resource == Resource::Summary {
                    oldest = oldest.max(now.since(last));
                    last = now;
                }
            }
        }
    }
    assert!(oldest > seconds(40) && oldest <= seconds(90), "{oldest:?}");
}

#[test]
fn no_retry_of_a_refusal_waits_longer_than_the_interval() {
    let intervals = Intervals {
        summary: seconds(1),
        behaviors: seconds(300),
        integrations: seconds(300),
        audit: seconds(3_600),
    };
    let mut schedule = Schedule::new(intervals, 1_200, 1);
    schedule.failed(Resource::Summary, FailureClass::Denied, at(0));
    assert!(schedule.due_at(Resource::Summary) < Some(at(2)));
}

#[test]
fn refused_credentials_are_tried_as_often_as_the_upstream_allows() {
    let mut schedule = schedule(300);
    schedule.retry_refused_every(seconds(5));
    schedule.failed(Resource::Summary, FailureClass::Refused, at(0));
    assert_eq!((schedule.due(at(4)), schedule.due(at(5))), (None, Some(Resource::Behaviors)));
}

#[test]
fn each_resource_has_its_turn_if_every_request_takes_long() {
    let intervals = Intervals {
        summary: seconds(1),
        behaviors: seconds(2),
        integrations: seconds(2),
        audit: seconds(3600),
    };
    let mut schedule = Schedule::new(intervals, 1_200, 1);
    let mut request = Vec::new();
    for turn in 0..8 {
        let now = at(turn * 5);
        request.extend(schedule.due(now));
        schedule.failed(request[request.len() - 1], FailureClass::Transient, now + seconds(5));
    }
    for resource in PERIODIC {
        assert!(request.contains(&resource), "{resource:?} in {request:?}");
    }
}

#[test]
fn a_missing_permission_stops_its_resource_alone() {
    let mut schedule = schedule(300);
    for (wait, longest) in [(5, 6), (10, 12), (20, 23), (300, 331), (300, 331)] {
        schedule.users_denied(at(0));
        let Admission::At(next) = schedule.user_admission(Purpose::Audit, at(0)) else {
            panic!("users are denied")
        };
        assert!((at(wait)..at(longest)).contains(&next), "{next:?}");
    }
    schedule.users_accepted();
    assert_eq!(schedule.user_admission(Purpose::Audit, at(0)), Admission::Now);
    assert_eq!(read_all(&mut schedule, at(0)), PERIODIC);
    for second in [33, 39, 50] {
        assert_eq!(schedule.due(at(second)), Some(Resource::Summary));
        schedule.failed(Resource::Summary, FailureClass::Denied, at(second));
        assert!(!schedule.is_denied(Resource::Summary), "second {second}");
    }
    schedule.failed(Resource::Summary, FailureClass::Denied, at(72));
    assert!(schedule.is_denied(Resource::Summary));
    assert_eq!(schedule.due(at(299)), None);
    assert!(schedule.due_at(Resource::Summary) >= Some(at(372)));
}

#[test]
fn a_resource_that_alone_refuses_the_credentials_delays_no_other() {
    for resource in [Resource::Behaviors, Resource::Integrations] {
        let mut schedule = schedule(300);
        let mut requests = BTreeMap::<Resource, u32>::new();
        let mut now = at(0);
        while now < at(600) {
            while let Some(due) = schedule.due(now) {
                *requests.entry(due).or_default() += 1;
                match due == resource {
                    true => schedule.failed(due, FailureClass::Refused, now),
                    false => schedule.read(due, 1, now),
                }
                assert_eq!(schedule.user_admission(Purpose::Change, now), Admission::Now, "{resource:?}");
            }
            now = schedule.next_due();
        }
        // At 0, 5, 15, 35, 335 and some jitter.
        assert_eq!(requests[&resource], 5, "{requests:?}");
        assert!((18..=21).contains(&requests[&Resource::Summary]), "{requests:?}");
        assert!(schedule.is_denied(resource));
    }
}

#[test]
fn credentials_that_two_resources_refuse_are_refused_by_all() {
    use Resource::{Behaviors, Integrations, Summary};
    // Which resources refuse them, which one reads in between, and whether nothing is sent for a while.
    let table: [(&[Resource], Option<Resource>, Option<u64>); 5] = [
        (&[Summary], None, Some(5)),
        (&[Behaviors, Behaviors], None, None),
        (&[Behaviors, Integrations], None, Some(5)),
        (&[Integrations, Summary], None, Some(5)),
        (&[Behaviors, Integrations], Some(Summary), None),
    ];
    for (refused_by, read, pause) in table {
        let mut schedule = schedule(300);
        for resource in refused_by {
            schedule.failed(*resource, FailureClass::Refused, at(0));
            read.into_iter().for_each(|read| schedule.read(read, 1, at(0)));
        }
        let wanted = pause.map_or(Admission::Now, |pause| Admission::At(at(pause)));
        assert_eq!(schedule.user_admission(Purpose::Change, at(0)), wanted, "{refused_by:?}, {read:?}");
    }
}

#[test]
fn a_transient_failure_is_retried_within_the_summary_interval() {
    let mut schedule = schedule(300);
    schedule.failed(Resource::Behaviors, FailureClass::Transient, at(0));
    read_all(&mut schedule, at(0));
    assert_eq!(schedule.due(at(34)), Some(Resource::Summary));
    schedule.read(Resource::Summary, 1, at(34));
    assert_eq!(schedule.due(at(34)), Some(Resource::Behaviors));
}
