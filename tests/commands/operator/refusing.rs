//! What is refused before a request is sent, and what a token may not do.

use clap::CommandFactory as _;
use zt_risk_exporter::internals::commands::Cli;

use super::rig::{ACCOUNT, ADDRESSES, ANN, DAN, INTEGRATION, Rig};

/// Every command that changes something.
fn changes(baseline: &str) -> Vec<(Vec<&str>, &'static str)> {
    vec![
        (vec!["reset", ANN], "reset_user"),
        (vec!["behaviors", "set", "imp_travel", "--disable"], "set_behavior"),
        (vec!["behaviors", "apply", baseline], "set_behavior"),
        (vec!["integrations", "create", "--tenant-url", "https://new.okta.com"], "create_integration"),
        (vec!["integrations", "update", INTEGRATION, "--deactivate"], "update_integration"),
        (vec!["integrations", "delete", INTEGRATION], "delete_integration"),
    ]
}

#[test]
fn conflicting_flags_are_refused() {
    Cli::command().debug_assert();
}

#[test]
fn without_a_terminal_and_without_yes_no_request_is_sent() {
    let rig = Rig::new();
    let baseline = rig.file("baseline.yaml", "imp_travel: { enabled: false, risk_level: low }\n");
    for (arguments, _) in changes(baseline.to_str().unwrap()) {
        let ended = rig.run(&arguments);
        let wanted = "zt-risk-exporter: nothing was done: there is no terminal to confirm it; give --yes\n";
        assert_eq!(
            (ended.code, ended.out.as_str(), ended.err.as_str()),
            (Some(5), "", wanted),
            "{arguments:?}"
        );
    }
    assert!(rig.ground_truth().requests.is_empty());
}

#[test]
fn a_read_only_token_is_refused_with_the_missing_permission_also_in_the_log() {
    let rig = Rig::new();
    let baseline = rig.file("baseline.yaml", "imp_travel: { enabled: false, risk_level: low }\n");
    for (arguments, operation) in changes(baseline.to_str().unwrap()) {
        let arguments = [&arguments[..], &["--yes", "--log.format", "json"]].concat();
        let ended = rig.run_as("reader", &arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        let last = ended.err.lines().last().unwrap();
        assert!(
            last.contains("the credentials lack a permission; add \"Zero Trust Write\" to the token"),
            "{last}"
        );
        assert!(!last.contains("may have happened"), "{last}");
        let lines = ended.changes();
        assert_eq!(lines.len(), 1, "{arguments:?}");
        let line = &lines[0];
        assert_eq!(
            (line["operation"].as_str(), line["outcome"].as_str()),
            (Some(operation), Some("not_done"))
        );
        assert!(line["cf_ray"].as_str().is_some_and(|ray| last.contains(ray)), "{line}");
        assert!(
            !ended.err.contains("reader") && !ADDRESSES.iter().any(|address| ended.err.contains(address))
        );
    }
}

#[test]
fn an_account_that_is_named_must_exist_in_any_shard() {
    let rig = Rig::new();
    rig.file("token", "everything");
    let upstream = rig.upstream();
    let both = format!(
        "accounts:\n- {{ id: {ACCOUNT}, alias: acme, token_file: token }}\n\
         - {{ id: fedcba9876543210fedcba9876543210, alias: branch, token_file: token }}\n\
         cloudflare: {{ base_url: '{upstream}' }}\n"
    );
    let config = rig.file("config.yaml", &both);
    let config = config.to_str().unwrap();
    for (account, code, said) in [
        (None, 0, "showing 1 of "),
        (Some("nobody"), 2, "no account \"nobody\" is configured; the accounts are: acme, branch"),
        (Some("acme"), 0, "account acme"),
        (Some("branch"), 0, "account branch"),
        (Some(ACCOUNT), 0, "account acme"),
    ] {
        let account: Vec<&str> = account.into_iter().flat_map(|name| ["--account", name]).collect();
        let ended = rig.run(&[&["users", "--limit", "1", "--config.file", config], &account[..]].concat());
        assert_eq!(ended.code, Some(code), "{account:?}: {ended:?}");
        assert!((ended.out + &ended.err).contains(said), "{account:?}");
    }
    // A serving process may have a part of the accounts; commands have them all.
    let mut command = super::rig::program(&upstream, "everything", &["users", "--config.file", config]);
    command.args(["--account", "acme"]).env("ZT_RISK_EXPORTER__SHARD__TOTAL", "2");
    for index in ["0", "1"] {
        let output = command.env("ZT_RISK_EXPORTER__SHARD__INDEX", index).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_user_who_is_not_on_the_list_is_not_reset() {
    let rig = Rig::new();
    for (users, said) in [
        (&[ANN, DAN][..], format!("the user {DAN} is not on the risk list of {ACCOUNT}")),
        (&[ANN, "dan"], format!("no user on the risk list of {ACCOUNT} matches \"dan\"")),
        (&[ANN, "lee"], "\"lee\" matches 2 users; name one by id".to_owned()),
    ] {
        let ended = rig.run(&[&["reset", "--yes"], users].concat());
        assert_eq!((ended.code, ended.err), (Some(4), format!("zt-risk-exporter: {said}\n")));
    }
    assert!(rig.resets().is_empty(), "one that is unclear holds all of them up");
}

#[test]
fn an_invalid_command_line_exits_with_2_and_sends_no_request() {
    let rig = Rig::new();
    let table: [&[&str]; 21] = [
        &["users", ""],
        &["users", "--level", "severe"],
        &["users", "--limit", "0"],
        &["users", "--sort", "luck"],
        &["users", "--since", "tomorrow"],
        &["users", "--output", "xml"],
        &["user"],
        &["user", ""],
        &["reset", "--yes"],
        &["behaviors", "set", "imp_travel"],
        &["behaviors", "set", "imp_travel", "--enable", "--disable"],
        &["behaviors", "set", "imp_travel", "--level", "unknown"],
        &["behaviors", "--output", "json", "list"],
        &["integrations", "get", "no-uuid"],
        &["integrations", "create"],
        &["integrations", "create", "--tenant-url", "http://new.okta.com"],
        &["integrations", "create", "--tenant-url", "new.okta.com"],
        &["integrations", "update", INTEGRATION],
        &["integrations", "update", INTEGRATION, "--tenant-url", "http://new.okta.com"],
        &["integrations", "update", INTEGRATION, "--activate", "--deactivate"],
        &["integrations", "delete"],
    ];
    for arguments in table {
        let ended = rig.run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ended.err.starts_with("error: "), "{arguments:?}: {}", ended.err);
        assert!(!ended.err.contains("invalid character"), "a library's words: {}", ended.err);
    }
    assert!(rig.ground_truth().requests.is_empty());
}
