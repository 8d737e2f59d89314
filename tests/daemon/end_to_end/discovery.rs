//! Accounts that are found at Cloudflare: four hundred of them, some of which come, go, are refused, or have no user risk
//! scoring, while the list is empty now and then.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};
use uuid::Uuid;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{AccountState, Endpoint, Fault, FaultRule, LimitSpec, Scenario, Simulator};

use super::rig::{Rig, Scrape, Setup};

/// The accounts at the start. After them come those that are opened later.
const ACCOUNTS: usize = 400;
/// How many of them are closed later, and how many others are opened.
const EXCHANGED: usize = 20;
/// How many have no user risk scoring, or refuse the token.
const UNENTITLED: usize = 5;
const REFUSED: usize = 5;

const USER: Uuid = Uuid::from_u128(1);

fn id(number: usize) -> String {
    format!("{number:032x}")
}

/// What an account is called.
fn name(number: usize) -> String {
    format!("customer-{number}")
}

fn scenario() -> Scenario {
    let mut text = String::from("api: { reset_events: listed }\naccounts:\n");
    for number in 0..ACCOUNTS + EXCHANGED {
        let plan = if number < UNENTITLED { "not_entitled" } else { "enterprise" };
        let state = if number < ACCOUNTS { "open" } else { "closed" };
        let _ = writeln!(
            text,
            "- {{ id: '{}', name: {}, plan: {plan}, state: {state}, users: [{{ id: {USER}, events: [{{ behavior: high_dlp, at: -1h }}] }}] }}",
            id(number),
            name(number)
        );
    }
    text += "tokens: [{ token: user, permissions: [Account Settings Read, Zero Trust Read, 'Zero Trust: PII Read'] }]\n";
    let limit = LimitSpec { quota: 1_000_000, ..LimitSpec::default() };
    Scenario { limit, ..Scenario::from_yaml(&text).expect("a scenario") }
}

fn readings(scrape: &Scrape, outcome: &str) -> f64 {
    scrape.own_sum(&format!("discovery_readings_total{{token_file=\"token\",outcome=\"{outcome}\""))
}

fn watched(scrape: &Scrape) -> usize {
    scrape.own_sum("discovered_accounts{token_file=\"token\",state=\"watched\"") as usize
}

fn is_up(scrape: &Scrape, number: usize) -> bool {
    scrape.get_of(&name(number), "up") == Some(1.0)
}

/// How many requests for the list of an account's users were sent.
fn lists(simulator: &Simulator, number: usize) -> u64 {
    let id = id(number);
    let of_account = |total: &&zt_risk_exporter::simulator::RequestTotal| {
        total.account.as_deref() == Some(&id) && total.endpoint == Endpoint::Summary
    };
    simulator.totals_since(None).requests_total.iter().filter(of_account).map(|total| total.count).sum()
}

/// Makes the next lists of accounts empty, although the token is in order.
fn empty_lists(rig: &Rig, times: u32) {
    for (path, value) in [("/result", json!([])), ("/result_info/total_count", json!(0))] {
        let fault = Fault::Set { path: path.to_owned(), value };
        rig.inject(FaultRule::at(Endpoint::Accounts, fault).times(times));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hundred_accounts_are_found_and_none_is_lost_or_removed_by_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "user\n").expect("a file");
    let config = format!(
        "# accounts: none is listed\n\
         discovery: [{{ token_file: {}, interval: 2m, budget_share: 1 }}]\n\
         intervals: {{ summary: 5m, behaviors: 1h, integrations: 1h }}\n\
         users: {{ limit: 1 }}\nstate: {{ path: {} }}\n",
        token.display(),
        folder.path().join("state.redb").display(),
    );
    let setup = Setup { scenario: scenario(), config: &config, speed: 40.0, tuning: Tuning::default() };
    let mut rig = Rig::start("discovery", setup).await;
    for number in UNENTITLED..UNENTITLED + REFUSED {
        let refused = Fault::Status { status: 401, code: 10_000, message: "Authentication error".to_owned() };
        rig.inject(FaultRule::everywhere(refused).in_account(&id(number)));
    }
    let healthy = UNENTITLED + REFUSED..ACCOUNTS;
    let (goes, stays) = (healthy.clone().take(EXCHANGED), healthy.clone().skip(EXCHANGED));
    let comes = ACCOUNTS..ACCOUNTS + EXCHANGED;
    rig.until("all are found", |scrape| watched(scrape) == ACCOUNTS - UNENTITLED).await;
    rig.until("those that can be read are read", |scrape| {
        healthy.clone().all(|number| is_up(scrape, number))
    })
    .await;
    for number in healthy.clone() {
        let date = rig.clock.date();
        rig.simulator.append_event(&id(number), USER, "imp_travel", date).expect("the account is there");
    }
    let all = healthy.len() as f64;
    let scrape = rig.until("each event is counted", |scrape| scrape.sum("events_total") >= all).await;
    assert_eq!(scrape.sum("events_total"), all);

    // Empty lists, of which the first may be a page of a list that has begun, and a list that fails, remove nobody.
    empty_lists(&rig, 4);
    rig.until("lists are empty", |scrape| readings(scrape, "empty") >= 3.0).await;
    let bad = Fault::Status { status: 500, code: 1, message: "Internal error".to_owned() };
    rig.inject(FaultRule::at(Endpoint::Accounts, bad).times(3));
    let scrape = rig.until("a list fails", |scrape| readings(scrape, "unavailable") >= 1.0).await;
    assert_eq!((watched(&scrape), scrape.sum("events_total")), (ACCOUNTS - UNENTITLED, all));

    // Twenty go, and twenty others come.
    let before = readings(&rig.scrape().await, "ok");
    for number in goes.clone() {
        rig.simulator.set_account_state(&id(number), AccountState::Closed).expect("it is there");
    }
    for number in comes.clone() {
        rig.simulator.set_account_state(&id(number), AccountState::Open).expect("it is there");
    }
    empty_lists(&rig, 1);
    rig.until("the new ones are read", |scrape| comes.clone().all(|number| is_up(scrape, number))).await;
    let gone = |scrape: &Scrape| goes.clone().all(|number| scrape.get_of(&name(number), "up").is_none());
    let scrape = rig.until("the others are gone", gone).await;
    assert!(readings(&scrape, "ok") >= before + 3.0, "three whole lists lacked them");
    assert_eq!(watched(&scrape), ACCOUNTS - UNENTITLED);
    let kept: f64 = stays.clone().map(|number| scrape.sum_of(&name(number), "events_total")).sum();
    assert_eq!(kept, stays.len() as f64, "their counters went on");
    let sent: Vec<u64> = goes.clone().map(|number| lists(&rig.simulator, number)).collect();

    // One comes back, after a restart, and its counter goes on.
    let back = goes.clone().next().expect("twenty");
    rig.simulator.set_account_state(&id(back), AccountState::Open).expect("it is there");
    rig.restart().await;
    let scrape = rig.until("it is back", |scrape| is_up(scrape, back)).await;
    assert_eq!(scrape.sum_of(&name(back), "events_total"), 1.0);
    let later: Vec<u64> = goes.clone().map(|number| lists(&rig.simulator, number)).collect();
    assert_eq!(later[1..], sent[1..], "nothing is sent for those that are gone");

    // Those without user risk scoring were asked once by each process, and are named.
    assert_eq!(scrape.own("discovered_accounts{state=\"not_entitled\"}"), Some(UNENTITLED as f64));
    for number in 0..UNENTITLED {
        assert!((1..=2).contains(&lists(&rig.simulator, number)), "{}", lists(&rig.simulator, number));
    }
    let status: Value = serde_json::from_str(&rig.get("/api/v1/status?view=overview").await.1).expect("JSON");
    let named = status["discovery"][0]["not_entitled"].as_array().expect("a list");
    let named: BTreeSet<&str> = named.iter().filter_map(Value::as_str).collect();
    let wanted: Vec<String> = (0..UNENTITLED).map(name).collect();
    assert_eq!(named, wanted.iter().map(String::as_str).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_finds_nothing_is_said_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, token) in [("of-account", "account"), ("without", "other"), ("unknown", "unknown")] {
        std::fs::write(folder.path().join(file), token).expect("a file");
    }
    let tokens = "tokens:\n- { token: account, permissions: [Account Settings Read], owner: account }\n\
                  - { token: other, permissions: [Zero Trust Read] }\n";
    let scenario =
        Scenario::from_yaml(&format!("accounts: [{{ id: '{}' }}]\n{tokens}", id(1))).expect("a scenario");
    let entry = |file: &str| format!("- {{ token_file: {} }}\n", folder.path().join(file).display());
    let entries = ["of-account", "without", "unknown"].map(entry).concat();
    let config = format!("# accounts: none is listed\ndiscovery:\n{entries}");
    let setup = Setup { scenario, config: &config, speed: 50.0, tuning: Tuning::default() };
    let rig = Rig::start("discovery-fails", setup).await;
    let reading = |token: &str, outcome: &str| {
        let series = format!("discovery_readings_total{{token_file=\"{token}\",outcome=\"{outcome}\"");
        move |scrape: &Scrape| scrape.own_sum(&series) >= 2.0
    };
    for (token, outcome) in [("of-account", "forbidden"), ("without", "empty"), ("unknown", "refused")] {
        rig.until(outcome, reading(token, outcome)).await;
    }
    let status: Value = serde_json::from_str(&rig.get("/api/v1/status").await.1).expect("JSON");
    for (token, problem) in [
        ("of-account", "the token belongs to an account, and only a user's token lists accounts"),
        (
            "without",
            "the list of accounts is empty; does the token have the permission \"Account Settings Read\"?",
        ),
        ("unknown", "the credentials were rejected"),
    ] {
        let all = status["discovery"].as_array().expect("a list");
        let one = all.iter().find(|one| one["token_file"] == token).expect("it is listed");
        assert!(one["problem"].as_str().expect("a reason").starts_with(problem), "{one}");
        assert_eq!(one["last_success"], Value::Null);
    }
    // A token that is in order now.
    std::fs::write(folder.path().join("without"), "unknown").expect("a file");
    rig.until("it is read again", reading("without", "refused")).await;
}
