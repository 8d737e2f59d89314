//! The list of the accounts that a token may read.

use std::fmt::Write as _;

use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::cloudflare::{
    AccountsClient, Credentials, Endpoint, Kind, ListedAccount, MissingGrant, Options,
};
use zt_risk_exporter::simulator::{AccountState, Scenario, Simulator};

use crate::canned::{Canned, Step, answer, bad, budget};

fn at(base_url: &str, token: &str) -> AccountsClient {
    let options = Options { base_url: base_url.to_owned(), ..Options::default() };
    let endpoint = Endpoint::new(base_url, options.connect_timeout).unwrap();
    AccountsClient::sharing(&endpoint, Credentials::Token(token.into()), budget(), options).unwrap()
}

fn id(number: usize) -> String {
    format!("{number:032x}")
}

/// So many accounts, and tokens: of a user, of an account, and without the permission.
fn scenario(accounts: usize) -> Scenario {
    let mut text = String::from("limit: { quota: 1000000 }\naccounts:\n");
    for number in 0..accounts {
        let _ = writeln!(text, "- {{ id: '{}', name: 'Customer {number}' }}", id(number));
    }
    text += "tokens:\n\
             - { token: user, permissions: [Account Settings Read] }\n\
             - { token: account, permissions: [Account Settings Read], owner: account }\n\
             - { token: other, permissions: [Zero Trust Read] }\n";
    Scenario::from_yaml(&text).unwrap()
}

#[tokio::test]
async fn all_pages_are_read() {
    for (accounts, requests) in [(1, 1), (49, 1), (50, 1), (51, 2), (400, 8)] {
        let simulator = Simulator::start(scenario(accounts), Clock::system()).await.unwrap();
        let list = at(&simulator.base_url(), "user").list().await.unwrap();
        let wanted: Vec<_> = (0..accounts)
            .map(|number| ListedAccount { id: id(number), name: format!("Customer {number}") })
            .collect();
        assert_eq!(list, wanted);
        assert_eq!(simulator.ground_truth().requests.len(), requests, "{accounts}");
    }
}

#[tokio::test]
async fn a_closed_account_is_not_listed_and_refuses_requests() {
    let simulator = Simulator::start(scenario(3), Clock::system()).await.unwrap();
    simulator.set_account_state(&id(1), AccountState::Closed).unwrap();
    let list = at(&simulator.base_url(), "user").list().await.unwrap();
    let ids: Vec<String> = list.into_iter().map(|account| account.id).collect();
    assert_eq!(ids, [id(0), id(2)]);
    assert!(simulator.set_account_state("unknown", AccountState::Open).is_err());
}

#[tokio::test]
async fn a_token_of_an_account_is_told_from_one_without_the_permission() {
    let simulator = Simulator::start(scenario(3), Clock::system()).await.unwrap();
    let error = at(&simulator.base_url(), "account").list().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Forbidden(MissingGrant::User));
    let response = error.response().unwrap();
    assert_eq!((response.status, response.errors[0].code), (400, 1001));
    assert!(
        error.to_string().starts_with("the token belongs to an account, and only a user's token"),
        "{error}"
    );
    // Success, and nothing: it does not mean that there are no accounts.
    assert_eq!(at(&simulator.base_url(), "other").list().await, Ok(Vec::new()));
    let error = at(&simulator.base_url(), "unknown").list().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
}

/// An account as Cloudflare lists it.
fn row(id: &str, name: &str) -> String {
    format!(r#"{{"id":"{id}","name":"{name}","type":"standard","settings":{{"enforce_twofactor":false}}}}"#)
}

fn page(rows: &[String], info: &str) -> Step {
    let result = rows.join(",");
    let body = format!(
        r#"{{"success":true,"errors":[],"messages":[],"result":[{result}],"result_info":{{{info}}}}}"#
    );
    answer(200, &[], body)
}

#[tokio::test]
async fn a_list_is_whole_or_an_error() {
    let [a, b] = ["a", "b"].map(|digit| digit.repeat(32));
    let one = || vec![row(&a, "Acme")];
    let full: Vec<String> = (0..50).map(|number| row(&id(number), "x")).collect();
    let cases: Vec<(&str, Vec<Step>, Result<usize, &str>)> = vec![
        ("the total is reached", vec![page(&one(), r#""total_count":1"#)], Ok(1)),
        ("no total, and a page that is not full", vec![page(&one(), "")], Ok(1)),
        (
            "no total, and a full page",
            vec![page(&full, r#""per_page":50"#), page(&[], r#""per_page":50"#)],
            Ok(50),
        ),
        (
            "an account comes twice",
            vec![
                page(&one(), r#""total_count":2"#),
                page(&[row(&a, "Acme"), row(&b, "B")], r#""total_count":2"#),
            ],
            Ok(2),
        ),
        (
            "accounts are missing",
            vec![page(&one(), r#""total_count":2"#), page(&[], r#""total_count":2"#)],
            Err("page 2 has no further accounts, after 1 of 2"),
        ),
        (
            "a page repeats",
            vec![page(&one(), r#""total_count":2"#), page(&one(), r#""total_count":2"#)],
            Err("page 2 has no further accounts, after 1 of 2"),
        ),
        (
            "the total shrinks",
            vec![page(&one(), r#""total_count":2"#), page(&[], r#""total_count":0"#)],
            Err("page 2 has no further accounts, after 1 of 2"),
        ),
        (
            "an id is missing",
            vec![page(&[r#"{"name":"x"}"#.to_owned()], r#""total_count":1"#)],
            Err("row 1 has no id"),
        ),
        (
            "an id is none",
            vec![page(&[row(&a, "x"), row("../x", "x")], r#""total_count":2"#)],
            Err("the id of row 2 has not 32 hexadecimal digits"),
        ),
        (
            "the list is null",
            vec![answer(200, &[], r#"{"success":true,"errors":[],"messages":[],"result":null}"#)],
            Err("it has no result"),
        ),
        ("it is empty", vec![page(&[], r#""total_count":0"#)], Ok(0)),
    ];
    for (what, answers, wanted) in cases {
        let server = Canned::script(answers).await;
        let found = at(&server.options().base_url, "t").list().await;
        match (found, wanted) {
            (Ok(list), Ok(count)) => assert_eq!(list.len(), count, "{what}"),
            (Err(error), Err(reason)) => {
                assert_eq!(error.kind(), Kind::Shape, "{what}");
                assert!(error.to_string().contains(reason), "{what}: {error}");
            }
            (found, wanted) => panic!("{what}: {found:?}, but wanted {wanted:?}"),
        }
    }
}

#[tokio::test]
async fn a_page_that_fails_leaves_no_part_of_the_list() {
    let first = page(&[row(&"a".repeat(32), "Acme")], r#""total_count":2"#);
    let server = Canned::script([first, bad(403, 10_000, "Authentication error")]).await;
    let error = at(&server.options().base_url, "t").list().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Forbidden(MissingGrant::Permission));
    assert!(error.to_string().contains("add \"Account Settings Read\" to the token"), "{error}");
}

#[tokio::test]
async fn names_are_made_showable_and_short() {
    let names = [
        ("Acme", "Acme".to_owned()),
        ("  Acme Inc ", "Acme Inc".to_owned()),
        (r"a\u0000b\u202ec\n", "abc".to_owned()),
        ("x@example.com's Account", "[address] Account".to_owned()),
        (&"y".repeat(100), format!("{}…", "y".repeat(63))),
    ];
    for (name, wanted) in names {
        let server = Canned::script([page(&[row(&"A".repeat(32), name)], r#""total_count":1"#)]).await;
        let list = at(&server.options().base_url, "t").list().await.unwrap();
        assert_eq!(list, [ListedAccount { id: "a".repeat(32), name: wanted }], "{name}");
    }
}
