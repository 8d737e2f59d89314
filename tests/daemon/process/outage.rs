//! Cloudflare fails for forty accounts at once, and then works again: what the log says of it.

use tokio::runtime::Runtime;
use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::simulator::{Fault, FaultRule, Scenario, Simulator};

use crate::durability::process::{Exporter, Home, Scrape};

const ACCOUNTS: usize = 40;
const RESOURCES: [&str; 3] = ["summary", "behaviors", "integrations"];

fn alias(account: usize) -> String {
    format!("account-{account:02}")
}

/// A simulator with forty accounts, each with a token of its own.
fn world() -> (Runtime, Simulator) {
    let permissions = "permissions: [Zero Trust Read, 'Zero Trust: PII Read']";
    let accounts =
        (1..=ACCOUNTS).map(|account| format!("  - {{ id: '{account:032x}', generated_users: 2 }}\n"));
    let tokens = (1..=ACCOUNTS)
        .map(|account| format!("  - {{ token: token-{account}, user: user-{account}, {permissions} }}\n"));
    let text = format!(
        "limit: {{ quota: 1000000 }}\naccounts:\n{}tokens:\n{}",
        accounts.collect::<String>(),
        tokens.collect::<String>()
    );
    let runtime = Runtime::new().expect("a runtime");
    let scenario = Scenario::from_yaml(&text).expect("a scenario");
    let simulator = runtime.block_on(Simulator::start(scenario, Clock::system())).expect("a simulator");
    (runtime, simulator)
}

fn config(simulator: &Simulator) -> String {
    let account = |account| {
        let alias = alias(account);
        format!("- {{ id: '{account:032x}', alias: {alias}, token: token-{account}, budget_share: 1 }}\n")
    };
    format!(
        "cloudflare: {{ base_url: \"{}\" }}\nweb: {{ listen_address: \"127.0.0.1:0\" }}\n\
         intervals: {{ summary: 2s, behaviors: 2s, integrations: 2s }}\naccounts:\n{}",
        simulator.base_url(),
        (1..=ACCOUNTS).map(account).collect::<String>()
    )
}

/// How often the resources of each account ended with this outcome.
fn ended(scrape: &Scrape, outcome: &str) -> Vec<f64> {
    let count = |account, resource| {
        let labels = format!("account=\"{}\",resource=\"{resource}\",outcome=\"{outcome}\"", alias(account));
        scrape.get(&format!("zt_risk_exporter_requests_total{{{labels}}}")).unwrap_or_default()
    };
    (1..=ACCOUNTS).flat_map(|account| RESOURCES.map(|resource| count(account, resource))).collect()
}

/// Waits until each resource of each account has ended with this outcome, and once more than `before`. One request is tried
/// several times, so that a failure is known only after some answers.
fn until_ended(exporter: &mut Exporter, outcome: &str, before: &[f64], more: f64) -> Scrape {
    exporter.until(&format!("{more} more {outcome} of each"), |scrape| {
        let now = ended(scrape, outcome);
        now.len() == before.len() && now.iter().zip(before).all(|(now, before)| *now >= before + more)
    })
}

/// The value of a field of a line.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}"));
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => rest.split(' ').next().unwrap_or_default(),
    }
}

fn sum(lines: &[&str]) -> usize {
    lines.iter().map(|line| field(line, "accounts").parse::<usize>().expect("a number")).sum()
}

#[test]
fn an_outage_of_forty_accounts_is_a_few_lines_that_count_each_account() {
    let (_runtime, simulator) = world();
    let home = Home::empty();
    home.configure(&config(&simulator));
    let mut exporter = home.start();
    until_ended(&mut exporter, "ok", &[0.0; ACCOUNTS * RESOURCES.len()], 1.0);
    let from = exporter.logged().len();
    let status = Fault::Status { status: 503, code: 1000, message: "unavailable".to_owned() };
    simulator.inject(FaultRule::everywhere(status));
    // A request is sent three times before it counts as failed.
    let failed = until_ended(&mut exporter, "unavailable", &[0.0; ACCOUNTS * RESOURCES.len()], 4.0);
    simulator.clear_faults();
    let before = ended(&failed, "ok");
    until_ended(&mut exporter, "ok", &before, 2.0);
    // What was not due yet is logged at the end.
    assert!(exporter.terminate().success());
    let log = exporter.logged();
    let log = log.get(from..).expect("it has become longer");
    let with = |text: &str| log.lines().filter(|line| line.contains(text)).collect::<Vec<_>>();

    let warnings = with(" WARN ");
    let own = with("the request failed ");
    let summed = with("the requests of further accounts failed for the same cause");
    assert_eq!(warnings.len(), own.len() + summed.len(), "{log}");
    // The resources of the first account, before any other account failed.
    assert!((1..=3).contains(&own.len()) && (1..=2).contains(&summed.len()), "{log}");
    let first = field(own[0], "account");
    assert!(own.iter().all(|line| field(line, "account") == first), "{log}");
    let lists: Vec<_> =
        summed.iter().copied().filter(|line| field(line, "resources").contains("summary")).collect();
    let own_list = own.iter().filter(|line| field(line, "resource") == "summary").count();
    assert_eq!(sum(&lists) + own_list, ACCOUNTS, "each account once: {log}");

    let own = with(" requests succeed again ");
    let summed = with("the requests of further accounts succeed again");
    assert!((1..=3).contains(&own.len()) && (1..=2).contains(&summed.len()), "{log}");
    let first = field(own[0], "account");
    assert!(own.iter().all(|line| field(line, "account") == first), "{log}");
    assert!((ACCOUNTS - 1..=ACCOUNTS).contains(&sum(&summed)), "each account once: {log}");
}
