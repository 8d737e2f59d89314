//! What the log says of several accounts that fail and recover.

use super::*;
use crate::clock::testing::at;
use crate::cloudflare::Outcome;

const DOWN: IncidentCause = IncidentCause::Request(Outcome::Unavailable);
const USERS: Resource = Resource::Summary;
const BEHAVIORS: Resource = Resource::Behaviors;

fn member(account: &str, resource: Resource) -> Member {
    let account = AccountName { alias: account.to_owned(), id: format!("id of {account}") };
    Member { account, resource }
}

fn cause(kind: IncidentCause) -> SharedCause {
    SharedCause { kind, text: None }
}

/// What happens to an account at a second.
enum Event {
    Fails(&'static str, Resource, IncidentCause),
    Recovers(&'static str, Resource),
    Leaves(&'static str),
}
use Event::{Fails, Leaves, Recovers};

/// All lines of the log, of accounts and of several accounts, with their seconds.
fn logged(events: &[(u64, Event)]) -> Vec<String> {
    let mut register = Register::default();
    let mut lines = Vec::new();
    let mut summed = |register: &mut Register, until: Instant| {
        while let Some(due) = register.due().filter(|due| *due <= until) {
            for Line { what, accounts, named, resources, .. } in register.take(|other| other <= due) {
                let second = due.since(at(0)).as_secs();
                let what = if what == What::Failed { "failed" } else { "recovered" };
                lines.push(format!("{second}: {accounts} {what}: {named} ({resources})"));
            }
        }
        std::mem::take(&mut lines)
    };
    let mut all = Vec::new();
    for (second, event) in events {
        let now = at(*second);
        all.extend(summed(&mut register, now));
        let (telling, account, what) = match event {
            Fails(account, resource, kind) => {
                (register.failed(member(account, *resource), cause(*kind), "down", now), account, "fails")
            }
            Recovers(account, resource) => {
                (register.recovered(&member(account, *resource), now), account, "recovers")
            }
            Leaves(account) => {
                register.forget(&format!("id of {account}"));
                continue;
            }
        };
        if telling == Telling::Own {
            all.push(format!("{second}: {account} {what}"));
        }
    }
    all.extend(summed(&mut register, at(1_000_000)));
    assert!(register.due().is_none());
    all
}

#[test]
fn one_account_alone_is_logged_as_if_there_were_no_others() {
    let events = [
        (0, Fails("a", USERS, DOWN)),
        (5, Fails("a", BEHAVIORS, DOWN)),
        (9, Fails("a", USERS, DOWN)),
        (90, Recovers("a", USERS)),
        (95, Recovers("a", BEHAVIORS)),
        // Later another one.
        (200, Fails("b", USERS, DOWN)),
        (210, Recovers("b", USERS)),
    ];
    let wanted = [
        "0: a fails",
        "5: a fails",
        "9: a fails",
        "90: a recovers",
        "95: a recovers",
        "200: b fails",
        "210: b recovers",
    ];
    assert_eq!(logged(&events), wanted);
}

#[test]
fn a_shared_cause_is_one_line_of_the_first_account_and_one_of_the_others() {
    let events = [
        (0, Fails("a", USERS, DOWN)),
        (1, Fails("b", USERS, DOWN)),
        (20, Fails("c", USERS, DOWN)),
        (25, Fails("b", BEHAVIORS, DOWN)),
        // It adds nothing to what was said of the account.
        (70, Fails("a", BEHAVIORS, DOWN)),
        (90, Fails("a", USERS, DOWN)),
        (300, Recovers("b", USERS)),
        (301, Recovers("b", BEHAVIORS)),
        (302, Recovers("a", USERS)),
        (303, Recovers("c", USERS)),
        (304, Recovers("a", BEHAVIORS)),
        (500, Fails("c", USERS, DOWN)),
    ];
    let wanted = [
        "0: a fails",
        "61: 2 failed: b, c (summary)",
        "300: b recovers",
        "301: b recovers",
        "362: 2 recovered: a, c (summary, behaviors)",
        "500: c fails",
    ];
    assert_eq!(logged(&events), wanted);
}

#[test]
fn the_list_of_users_is_named_also_after_other_resources() {
    let events = [
        (0, Fails("a", BEHAVIORS, DOWN)),
        (1, Fails("b", BEHAVIORS, DOWN)),
        (100, Fails("b", USERS, DOWN)),
        (110, Fails("b", Resource::Integrations, DOWN)),
    ];
    let wanted = ["0: a fails", "61: 1 failed: b (behaviors)", "160: 1 failed: b (summary)"];
    assert_eq!(logged(&events), wanted);
}

#[test]
fn a_cause_that_differs_has_a_line_of_its_own() {
    let late = IncidentCause::Request(Outcome::Timeout);
    let events = [
        (0, Fails("a", USERS, DOWN)),
        (1, Fails("b", USERS, late)),
        (2, Fails("c", USERS, DOWN)),
        // It is not down any more, but late.
        (3, Fails("a", USERS, late)),
        (100, Recovers("b", USERS)),
        (101, Recovers("a", USERS)),
        (102, Recovers("c", USERS)),
    ];
    let wanted = [
        "0: a fails",
        "1: b fails",
        "62: 1 failed: c (summary)",
        "63: 1 failed: a (summary)",
        "100: b recovers",
        "102: c recovers",
        "161: 1 recovered: a (summary)",
    ];
    assert_eq!(logged(&events), wanted);
    let [forbidden, other] = ["lacks A", "lacks B"].map(|text| SharedCause {
        kind: IncidentCause::Request(Outcome::Forbidden),
        text: Some(text.to_owned()),
    });
    let mut register = Register::default();
    for (account, cause, wanted) in
        [("a", &forbidden, Telling::Own), ("b", &other, Telling::Own), ("c", &forbidden, Telling::Summed)]
    {
        assert_eq!(register.failed(member(account, USERS), cause.clone(), "", at(0)), wanted, "{account}");
    }
}

#[test]
fn a_failure_that_ends_before_its_line_is_in_it_all_the_same() {
    let events = [
        (0, Fails("a", USERS, DOWN)),
        (1, Fails("b", USERS, DOWN)),
        (2, Recovers("a", USERS)),
        (3, Recovers("b", USERS)),
    ];
    let wanted = ["0: a fails", "2: a recovers", "61: 1 failed: b (summary)", "63: 1 recovered: b (summary)"];
    assert_eq!(logged(&events), wanted);
}

#[test]
fn an_account_that_leaves_keeps_nothing_of_the_register() {
    let events =
        [(0, Fails("a", USERS, DOWN)), (1, Leaves("a")), (2, Fails("b", USERS, DOWN)), (3, Leaves("b"))];
    assert_eq!(logged(&events), ["0: a fails", "2: b fails"]);
}

#[test]
fn the_number_of_causes_and_of_names_in_a_line_is_bounded() {
    let mut register = Register::default();
    let numbered = |number: usize| SharedCause { kind: DOWN, text: Some(number.to_string()) };
    for number in 0..MOST + 10 {
        assert_eq!(register.failed(member("a", USERS), numbered(number), "", at(0)), Telling::Own);
    }
    // An account that fails for another cause does not fail for the one before.
    assert_eq!(register.0.len(), 1);
    for number in 0..MOST + 10 {
        register.failed(member(&format!("account {number}"), USERS), numbered(number), "", at(0));
    }
    assert_eq!(register.0.len(), MOST);
    let members: Vec<_> = (0..40).map(|number| member(&number.to_string(), USERS)).collect();
    let line = Line::new(What::Failed, &members, "down");
    assert_eq!((line.accounts, line.named.as_str()), (40, "0, 1, 2, 3, 4 and 35 more"));
}
