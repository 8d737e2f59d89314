//! `check` of many accounts: a line for each that is well, and details of the others.

use std::fmt::Write as _;

use serde_json::Value;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule};

use crate::operator::rig::{Ended, Rig};
use crate::program::program;

const MANY: usize = 40;

fn id(at: usize) -> String {
    format!("{at:032x}")
}

/// So many accounts, of which each has a token of its own, and the path of their configuration.
fn accounts(number: usize) -> (Rig, String) {
    let (mut scenario, mut config) = ("accounts:\n".to_owned(), "accounts:\n".to_owned());
    for at in 1..=number {
        let _ = writeln!(scenario, "- {{ id: '{}', generated_users: {at} }}", id(at));
        let _ = writeln!(config, "- {{ id: '{}', alias: account-{at}, token_file: token-{at} }}", id(at));
    }
    scenario.push_str("tokens:\n");
    for at in 1..=number {
        let permissions = r#"[Zero Trust Read, "Zero Trust: PII Read"]"#;
        let _ = writeln!(scenario, "- {{ token: secret-{at}, permissions: {permissions} }}");
    }
    let rig = Rig::playing(&scenario);
    for at in 1..=number {
        rig.secret(&format!("token-{at}"), &format!("secret-{at}"));
    }
    let _ = writeln!(config, "cloudflare: {{ base_url: '{}' }}", rig.upstream());
    let config = rig.file("zt.yaml", &config).display().to_string();
    (rig, config)
}

fn check(config: &str, arguments: &[&str]) -> Ended {
    program().args(["check", "--config.file", config]).args(arguments).output().unwrap().into()
}

/// From now on this endpoint of an account answers so.
fn inject(rig: &Rig, account: usize, endpoint: Endpoint, status: u16) {
    let fault = Fault::Status { status, code: 10000, message: "Authentication error".to_owned() };
    rig.inject(FaultRule { account: Some(id(account)), ..FaultRule::at(endpoint, fault) });
}

#[test]
fn the_accounts_of_a_directory_of_tokens_are_tried_and_a_file_that_cannot_be_used_fails() {
    let (rig, config) = accounts(2);
    let directory = std::path::Path::new(&config).with_file_name("tokens");
    std::fs::create_dir(&directory).expect("a directory");
    for (file, token) in [(format!("{}.one", id(1)), "secret-1"), (id(2), ""), ("notes".to_owned(), "x")] {
        std::fs::write(directory.join(file), token).expect("a file");
    }
    let text = format!(
        "accounts_from: {{ tokens_dir: tokens }}\ncloudflare: {{ base_url: '{}' }}\n",
        rig.upstream()
    );
    let config = rig.file("found.yaml", &text).display().to_string();
    let ended = check(&config, &["-o", "json"]);
    let document: Value = serde_json::from_str(&ended.out).expect("JSON");
    let checks = document["checks"].as_array().expect("a list");
    let failed: Vec<_> = checks.iter().filter(|check| check["result"] == "failed").collect();
    let words = failed.iter().map(|check| (check["check"].as_str(), check["answer"].as_str()));
    let wanted = [(Some("token_files"), Some("unusable")), (Some("token_files"), Some("bad name"))];
    assert_eq!((ended.code, words.collect::<Vec<_>>()), (Some(1), wanted.to_vec()), "{}", ended.out);
    let tried = checks.iter().filter(|check| check["account"] == "one").count();
    assert_eq!((tried, rig.requests("GET")), (5, 5), "{}", ended.out);
}

#[test]
fn accounts_that_are_well_have_one_line_each() {
    let (rig, config) = accounts(MANY);
    let ended = check(&config, &[]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    let (_, table) =
        ended.out.split_once("\n40 accounts are well\n").unwrap_or_else(|| panic!("{}", ended.out));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 1 + MANY + 2, "titles, the accounts, and the totals: {table}");
    for (at, line) in lines.iter().enumerate().skip(1).take(MANY) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..2], [&format!("account-{at}"), "passed"], "in the order of the configuration");
        assert!(words[2].parse::<f64>().is_ok() && words[3] == "s", "{line}");
        assert_eq!(words[4..6], ["5", "checks:"], "{line}");
    }
    assert!(table.ends_with("\n\n201 checks of 40 accounts: 201 passed\n"), "{table}");
    assert_eq!(rig.requests("GET"), 5 * MANY, "each resource is still tried once");

    let wide = check(&config, &["-o", "wide"]).out;
    assert_eq!(wide.matches("\naccount account-").count(), MANY, "{wide}");
    assert_eq!(wide.matches("\ntoken_verify  ").count(), MANY, "{wide}");
}

#[test]
fn accounts_in_trouble_have_details_and_those_with_the_same_trouble_share_them() {
    let (rig, config) = accounts(MANY);
    for account in [3, 7, 9] {
        inject(&rig, account, Endpoint::Integrations, 403);
    }
    inject(&rig, 12, Endpoint::Behaviors, 500);
    let ended = check(&config, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let parts: Vec<&str> = ended.out.split("\n\n").collect();
    let titles: Vec<&str> = parts.iter().filter_map(|part| part.lines().next()).collect();
    let wanted = [
        "3 accounts: account-3, account-7, account-9",
        "account account-12",
        "configuration",
        "36 accounts are well",
        "201 checks of 40 accounts: 197 passed, 4 failed",
    ];
    assert_eq!(titles, wanted, "{}", ended.out);
    let shared: Vec<&str> = parts[0].lines().collect();
    assert_eq!(shared.len(), 5, "what works is not said of each: {}", parts[0]);
    assert!(shared[2].starts_with("integrations  failed  "), "{}", parts[0]);
    assert_eq!(shared[4], "add to the token: \"Zero Trust Read\" (or \"Zero Trust Write\")");
    assert!(
        parts[1].contains("\nbehaviors     failed  ") && parts[1].contains("\nsummary       passed  "),
        "{}",
        parts[1]
    );
    assert!(!parts[3].contains("account-3 ") && parts[3].contains("account-4 "), "{}", parts[3]);

    let json = check(&config, &["-o", "json"]).out;
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["checks"].as_array().unwrap().len(), 201, "a program gets every check");
}

#[test]
fn one_account_has_all_its_checks_also_if_many_are_configured() {
    let (_rig, config) = accounts(3);
    let ended = check(&config, &["--account", "account-2"]);
    assert!(
        ended.out.contains("\naccount account-2\nCHECK  ") && ended.out.contains("\nuser  "),
        "{}",
        ended.out
    );
    let ended = check(&config, &["--account", "account-2", "--account", "account-3"]);
    assert!(ended.out.contains("\n2 accounts are well\nACCOUNT  "), "{}", ended.out);
}

#[test]
fn what_is_said_of_accounts_that_are_well_is_said_once() {
    let (rig, _) = accounts(2);
    let keys: String = (1..=2)
        .map(|at| format!("- {{ id: '{}', email: a@example.com, api_key: none }}\n", id(at)))
        .collect();
    // An API that gives empty lists to everyone.
    let server = rig.runtime().block_on(crate::canned::Canned::start(|_, asked| {
        crate::canned::good(match asked.line.rsplit_once('/') {
            Some((_, "behaviors")) => r#"{"behaviors":{}}"#,
            Some((_, "integrations")) => "[]",
            _ => r#"{"users":[]}"#,
        })
    }));
    let config = format!("accounts:\n{keys}cloudflare: {{ base_url: 'http://{}' }}\n", server.address);
    let config = rig.file("keys.yaml", &config).display().to_string();
    let ended = check(&config, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("  5 checks, 2 skipped: 0 users in 1 request\n"), "{}", ended.out);
    let remark = "token_verify: an API key can do everything; a token with two permissions is safer\n";
    assert_eq!(ended.out.matches(remark).count(), 1, "{}", ended.out);
}
