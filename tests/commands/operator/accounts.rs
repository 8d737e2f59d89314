//! Finding a person over all accounts: in one list, by name, and where an account cannot be read.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule};

use super::rig::{Ended, Rig, texts};
use crate::program::program;

const ACME: &str = "00000000000000000000000000000001";
const BRANCH: &str = "00000000000000000000000000000002";
const CORP: &str = "00000000000000000000000000000003";

const ANN: &str = "11111111-1111-4111-8111-111111111111";
const BOB: &str = "22222222-2222-4222-8222-222222222222";
/// Ann in another account.
const ANN_OF_BRANCH: &str = "33333333-3333-4333-8333-333333333333";
const CEM: &str = "44444444-4444-4444-8444-444444444444";
/// A user of `branch` who was reset and has no later events.
const DAN: &str = "55555555-5555-4555-8555-555555555555";
const BOBBY: &str = "66666666-6666-4666-8666-666666666666";
/// A user of `branch` and of `corp`.
const EVE: &str = "77777777-7777-4777-8777-777777777777";

const SCENARIO: &str = r#"
accounts:
  - id: 00000000000000000000000000000001
    users:
      - id: 11111111-1111-4111-8111-111111111111
        name: Ann Lee
        email: ann@example.com
        events: [{ behavior: imp_travel, at: "2020-01-03T08:00:00Z" }]
      - id: 22222222-2222-4222-8222-222222222222
        name: Bob
        email: bob@example.com
        events: [{ behavior: high_risk_domain, at: "2020-01-02T08:00:00Z" }]
  - id: 00000000000000000000000000000002
    users:
      - id: 33333333-3333-4333-8333-333333333333
        name: Ann Lee
        email: ann@example.com
        events: [{ behavior: imp_travel, at: "2020-01-05T08:00:00Z" }]
      - id: 44444444-4444-4444-8444-444444444444
        name: Cem Ray
        email: cem@example.com
        events: [{ behavior: high_dlp, at: "2020-01-04T08:00:00Z" }]
      - id: 55555555-5555-4555-8555-555555555555
        name: Dan
        email: dan@example.com
        last_reset: "2020-02-02T08:00:00Z"
        events: [{ behavior: imp_travel, at: "2020-01-03T08:00:00Z" }]
      - id: 77777777-7777-4777-8777-777777777777
        name: Eve
        email: eve@example.com
        events: [{ behavior: high_risk_domain, at: "2020-01-01T08:00:00Z" }]
  - id: 00000000000000000000000000000003
    users:
      - id: 66666666-6666-4666-8666-666666666666
        name: Bobby Ray
        email: bobby@example.com
        events: [{ behavior: imp_travel, at: "2020-01-04T08:00:00Z" }]
      - id: 77777777-7777-4777-8777-777777777777
        name: Eve
        email: eve@example.com
        events: [{ behavior: high_risk_domain, at: "2020-01-01T09:00:00Z" }]
tokens:
  - { token: everything, permissions: [Zero Trust Read, Zero Trust Write, "Zero Trust: PII Read"] }
"#;

/// Three accounts with one token, and the program that is configured for them.
struct Accounts {
    rig: Rig,
    config: PathBuf,
}

impl Accounts {
    fn new() -> Self {
        Self::with(SCENARIO, "", ["acme", "branch", "corp"])
    }

    /// With `more` for each account.
    fn with(scenario: &str, more: &str, aliases: [&str; 3]) -> Self {
        let rig = Rig::playing(scenario);
        rig.secret("token", "everything");
        let accounts = [ACME, BRANCH, CORP].iter().zip(aliases);
        let accounts = accounts
            .map(|(id, alias)| format!("- {{ id: '{id}', alias: {alias}, token_file: token{more} }}\n"));
        let accounts: String = accounts.collect();
        let upstream = rig.upstream();
        let config =
            rig.file("zt.yaml", &format!("accounts:\n{accounts}cloudflare: {{ base_url: '{upstream}' }}\n"));
        Self { rig, config }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        // The variables of a single account would be warned of.
        let mut command = program();
        command.stdin(Stdio::null()).args(arguments).arg("--config.file").arg(&self.config);
        command.output().unwrap().into()
    }

    /// The exit code and what is written as JSON.
    fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let ended = self.run(&[arguments, &["--output", "json"]].concat());
        let found = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        (ended.code, found)
    }

    /// From now on nothing of this account can be read.
    fn lose(&self, account: &str) {
        let fault = Fault::Status { status: 401, code: 10000, message: "Authentication error".to_owned() };
        self.rig.inject(FaultRule { account: Some(account.to_owned()), ..FaultRule::everywhere(fault) });
    }
}

/// The account and the id of each user.
fn who(rows: &Value) -> Vec<(&str, &str)> {
    texts(rows, "account").into_iter().zip(texts(rows, "id")).collect()
}

#[test]
fn the_users_of_all_accounts_are_one_list() {
    let accounts = Accounts::new();
    let everyone = [
        ("branch", ANN_OF_BRANCH),
        ("corp", BOBBY),
        ("acme", ANN),
        ("branch", CEM),
        ("acme", BOB),
        ("corp", EVE),
        ("branch", EVE),
    ];
    /// Users with their accounts.
    type Found<'a> = &'a [(&'a str, &'a str)];
    let table: [(&[&str], Found<'_>); 9] = [
        (&[], &everyone),
        (&["--account", "all"], &everyone),
        (&["--level", "high"], &everyone[..3]),
        (&["--limit", "2"], &everyone[..2]),
        (&["bob"], &[("corp", BOBBY), ("acme", BOB)]),
        (&["--account", "branch", "ann"], &[("branch", ANN_OF_BRANCH)]),
        (&["--account", BRANCH, "ann"], &[("branch", ANN_OF_BRANCH)]),
        (&["--behavior", "imp_travel"], &everyone[..3]),
        (
            &["--sort", "name", "--since", "2020-01-04"],
            &[("branch", ANN_OF_BRANCH), ("corp", BOBBY), ("branch", CEM)],
        ),
    ];
    for (arguments, wanted) in table {
        let (code, found) = accounts.json(&[&["users"], arguments].concat());
        assert_eq!((code, who(&found["users"])), (Some(0), wanted.to_vec()), "{arguments:?}");
        let account = arguments.contains(&"branch") || arguments.contains(&BRANCH);
        let account = if account { json!("branch") } else { Value::Null };
        assert_eq!((&found["account"], &found["unread_accounts"]), (&account, &json!([])), "{arguments:?}");
    }
    let (_, found) = accounts.json(&["users", "--limit", "2"]);
    assert_eq!((&found["omitted"], &found["whole"]), (&json!(5), &json!(true)));
    let (_, found) = accounts.json(&["users", "--behavior", "imp_travel", "--limit", "1"]);
    assert_eq!((who(&found["users"]), &found["omitted"]), (everyone[..1].to_vec(), &json!(2)));
}

#[test]
fn tables_and_csv_say_the_account_if_several_are_shown() {
    let accounts = Accounts::new();
    let ended = accounts.run(&["users", "--sort", "name", "--limit", "3"]);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[..2], ["3 accounts", "ACCOUNT  LEVEL  EVENTS  LAST    NAME     EMAIL"]);
    assert!(lines[2].starts_with("acme     high        1  "), "{}", ended.out);
    assert!(lines[2].ends_with("  Ann Lee  ann@example.com"), "{}", ended.out);
    assert_eq!((lines.len(), ended.code), (5, Some(0)));
    assert_eq!(ended.err, "zt-risk-exporter: showing 3 of 7 users; raise --limit to see more\n");
    let one = accounts.run(&["users", "bobby"]).out;
    assert!(one.starts_with("account corp\nLEVEL  EVENTS  "), "{one}");
    let none = accounts.run(&["users", "nobody"]).out;
    assert_eq!(none, "3 accounts\nnone\n");
    let csv = accounts.run(&["users", "bob", "--output", "csv"]).out;
    let wanted = format!(
        "id,name,email,risk_level,event_count,last_event,behavior_events,account\n\
         {BOBBY},Bobby Ray,bobby@example.com,high,1,2020-01-04T08:00:00Z,,corp\n\
         {BOB},Bob,bob@example.com,low,1,2020-01-02T08:00:00Z,,acme\n"
    );
    assert_eq!(csv, wanted);
    let csv = accounts.run(&["user", "cem", "--output", "csv"]).out;
    assert!(csv.starts_with("timestamp,behavior,name,risk_level,id,details,account\n"), "{csv}");
    assert!(csv.ends_with(",branch\n"), "{csv}");
}

#[test]
fn a_user_of_one_account_is_found_without_naming_the_account() {
    let accounts = Accounts::new();
    for (text, account, id) in [
        ("cem", "branch", CEM),
        ("cem@example.com", "branch", CEM),
        (CEM, "branch", CEM),
        (&CEM.replace('-', ""), "branch", CEM),
        // The whole name of one is a part of the name of another.
        ("bob", "acme", BOB),
        ("bobb", "corp", BOBBY),
        // On no list.
        (DAN, "branch", DAN),
        (&DAN.replace('-', ""), "branch", DAN),
    ] {
        for all in [&[][..], &["--account", "all"]] {
            let (code, found) = accounts.json(&[&["user", text], all].concat());
            let seen = (code, &found["account"], &found["id"]);
            assert_eq!(seen, (Some(0), &json!(account), &json!(id)), "{text}");
        }
    }
    let table = accounts.run(&["user", "cem"]).out;
    assert!(
        table.starts_with(&format!("account branch\nuser {CEM}\nCem Ray <cem@example.com>\n")),
        "{table}"
    );
    let ended = accounts.run(&["reset", "cem", "--yes"]);
    assert_eq!((ended.code, accounts.rig.resets()), (Some(0), vec![CEM.to_owned()]), "{ended:?}");
    assert!(ended.out.starts_with("account branch\nOUTCOME  BEFORE  "), "{}", ended.out);
    let config = accounts.config.display();
    let done = format!("see it with `zt-risk-exporter user {CEM} --account branch --config.file {config}`\n");
    assert!(ended.err.ends_with(&done), "{}", ended.err);
}

#[test]
fn a_name_that_several_accounts_have_is_listed_and_refused() {
    let accounts = Accounts::new();
    let by_name = "2 users of 2 accounts; name one by id, or choose the account with --account\n";
    for (text, said, ids) in [
        ("ann@example.com", format!("the e-mail address given matches {by_name}"), [ANN, ANN_OF_BRANCH]),
        ("ann lee", format!("\"ann lee\" matches {by_name}"), [ANN, ANN_OF_BRANCH]),
        ("ann", format!("\"ann\" matches {by_name}"), [ANN, ANN_OF_BRANCH]),
        (
            &EVE.replace('-', ""),
            format!("\"{}\" matches users of 2 accounts; choose one with --account\n", EVE.replace('-', "")),
            [EVE, EVE],
        ),
    ] {
        for command in [&["user", text][..], &["reset", "--yes", "cem", text]] {
            let ended = accounts.run(command);
            let wanted = format!("zt-risk-exporter: {said}");
            assert_eq!((ended.code, ended.err.as_str()), (Some(4), wanted.as_str()), "{command:?}");
            assert!(ended.out.starts_with("3 accounts\nACCOUNT  ID "), "{}", ended.out);
            assert!(ids.iter().all(|id| ended.out.contains(id)), "{}", ended.out);
            let (_, found) = accounts.json(command);
            assert_eq!(texts(&found["users"], "id"), ids, "{command:?}");
        }
    }
    let ended = accounts.run(&["user", EVE]);
    let said = format!(
        "zt-risk-exporter: several accounts have the user {EVE}; choose one with --account: branch, corp\n"
    );
    assert_eq!((ended.code, ended.err), (Some(4), said));
    assert!(accounts.rig.resets().is_empty(), "one that is unclear holds all of them up");
    let (code, found) = accounts.json(&["user", EVE, "--account", "corp"]);
    assert_eq!((code, &found["account"]), (Some(0), &json!("corp")));
}

#[test]
fn a_user_of_no_account_is_said_to_be_in_none() {
    let accounts = Accounts::new();
    let stranger = "99999999-9999-4999-8999-999999999999";
    for (command, said) in [
        (&["user", "nobody"][..], "no user on the risk lists of 3 accounts matches \"nobody\"".to_owned()),
        (&["user", stranger], format!("none of the 3 accounts has the user {stranger}")),
        (&["reset", "--yes", DAN], format!("the user {DAN} is not on the risk lists of 3 accounts")),
    ] {
        let ended = accounts.run(command);
        let said = format!("zt-risk-exporter: {said}\n");
        assert_eq!((ended.code, ended.out.as_str(), ended.err), (Some(4), "", said), "{command:?}");
    }
    let ended = accounts.run(&["users", "--behavior", "no_such"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(4), ""));
    assert!(ended.err.contains("accounts acme, branch, corp: no such behavior"), "{}", ended.err);
}

#[test]
fn an_account_that_cannot_be_read_is_named_and_hides_no_other() {
    let accounts = Accounts::new();
    accounts.lose(CORP);
    let cause = "zt-risk-exporter: account corp: summary: the credentials were rejected";
    let incomplete =
        "zt-risk-exporter: the answer is incomplete: 1 of 3 accounts could not be read in full\n";
    for (command, ids) in
        [(&["users", "--level", "medium"][..], &[CEM][..]), (&["users", "lee"], &[ANN_OF_BRANCH, ANN])]
    {
        let ended = accounts.run(command);
        assert_eq!(ended.code, Some(6), "{ended:?}");
        assert!(ended.err.starts_with(cause) && ended.err.ends_with(incomplete), "{}", ended.err);
        let (_, found) = accounts.json(command);
        assert_eq!((texts(&found["users"], "id"), &found["whole"]), (ids.to_vec(), &json!(false)));
        let unread = &found["unread_accounts"];
        assert_eq!(texts(unread, "account"), ["corp"]);
        assert!(texts(unread, "error")[0].contains("the credentials were rejected"), "{unread}");
    }
    let ended = accounts.run(&["user", "bob"]);
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.out.starts_with(&format!("account acme\nuser {BOB}\n")), "{}", ended.out);
    assert!(ended.err.starts_with(cause) && ended.err.ends_with(incomplete), "{}", ended.err);
    let ended = accounts.run(&["user", BOB]);
    assert_eq!(ended.code, Some(0), "no other account has a user of this id: {ended:?}");
    assert!(ended.err.starts_with("zt-risk-exporter: account corp: user: the cred"), "{}", ended.err);
    for (text, said) in [
        ("bobby", "no user on the risk lists that could be read matches \"bobby\""),
        (BOBBY, "no account that could be read has the user 66666666-6666-4666-8666-666666666666"),
    ] {
        let ended = accounts.run(&["user", text]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(6), ""), "{ended:?}");
        assert!(ended.err.ends_with(&format!("zt-risk-exporter: {said}\n")), "{}", ended.err);
    }

    let ended = accounts.run(&["reset", "--yes", BOB, "cem"]);
    assert_eq!((ended.code, accounts.rig.resets().len()), (Some(4), 0), "{ended:?}");
    let said = "zt-risk-exporter: nothing was reset: another account may have a user of the same name; name the user by \
                id, or choose the account with --account\n";
    assert!(ended.err.starts_with(cause) && ended.err.ends_with(said), "{}", ended.err);
    let ended = accounts.run(&["reset", "--yes", BOBBY]);
    let said = format!("zt-risk-exporter: the user {BOBBY} is not on the risk lists that could be read\n");
    assert!(ended.code == Some(6) && ended.err.ends_with(&said), "{ended:?}");
    let ended = accounts.run(&["reset", "--yes", BOB]);
    assert_eq!((ended.code, accounts.rig.resets()), (Some(0), vec![BOB.to_owned()]), "{ended:?}");
    let ended = accounts.run(&["reset", "--yes", "cem", "--account", "branch"]);
    assert_eq!((ended.code, accounts.rig.resets().len()), (Some(0), 2), "{ended:?}");
}

#[test]
fn an_incomplete_list_may_hide_another_user_of_the_name() {
    let accounts = Accounts::new();
    let rule = FaultRule::at(Endpoint::Summary, Fault::LyingTotals { by: 3 });
    accounts.rig.inject(FaultRule { account: Some(BRANCH.to_owned()), ..rule });
    let why = "account branch: the list of users is incomplete: page 2 repeats earlier pages";
    for (command, code) in [
        (&["users"][..], 0),
        (&["user", "bob"], 6),
        (&["user", "cem"], 4),
        (&["user", "cem@example.com"], 6),
        (&["reset", "--yes", "bob"], 4),
    ] {
        let ended = accounts.run(command);
        assert_eq!(ended.code, Some(code), "{command:?}: {ended:?}");
        assert!(ended.err.contains(why), "{command:?}: {}", ended.err);
    }
    assert_eq!(accounts.json(&["users"]).1["whole"], false);
    assert!(accounts.rig.resets().is_empty());
}

#[test]
fn a_cause_that_all_accounts_share_is_said_once() {
    let accounts = Accounts::new();
    for account in [ACME, BRANCH, CORP] {
        accounts.lose(account);
    }
    for command in [&["users"][..], &["user", "cem"], &["user", CEM], &["reset", "--yes", "cem"]] {
        let ended = accounts.run(command);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{command:?}: {ended:?}");
        let said = "zt-risk-exporter: no account could be read: accounts acme, branch, corp: ";
        assert!(ended.err.starts_with(said) && ended.err.lines().count() == 1, "{}", ended.err);
    }
}

#[test]
fn a_behavior_that_no_account_has_is_not_said_to_be_unreadable() {
    let accounts = Accounts::new();
    let ended = accounts.run(&["users", "--behavior", "nonsense"]);
    let said = "zt-risk-exporter: not found in any account: accounts acme, branch, corp: no such behavior: nonsense; the";
    assert_eq!((ended.code, ended.out.as_str()), (Some(4), ""), "{ended:?}");
    assert!(ended.err.starts_with(said), "{}", ended.err);
}

#[test]
fn users_of_several_accounts_are_reset_by_one_command() {
    let accounts = Accounts::new();
    let saved = accounts.config.with_file_name("saved.json");
    let saved = saved.to_str().unwrap();
    let command = ["reset", "--yes", "bobby", "cem", BOB, "--save", saved, "--log.format", "json"];
    let ended = accounts.run(&[&command[..], &["--output", "json"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let wanted = [("corp", BOBBY), ("branch", CEM), ("acme", BOB)];
    let found: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&found["account"], who(&found["resets"])), (&Value::Null, wanted.to_vec()));
    assert_eq!(texts(&found["resets"], "risk_level_after"), ["none"; 3]);
    assert_eq!(accounts.rig.resets(), wanted.map(|(_, id)| id));
    let changes = ended.changes();
    let logged: Vec<_> = changes.iter().map(|line| (&line["account"], &line["subject"])).collect();
    assert_eq!(
        logged,
        wanted.map(|(account, id)| (json!(account), json!(id))).each_ref().map(|(a, b)| (a, b))
    );
    let document: Value = serde_json::from_str(&std::fs::read_to_string(saved).unwrap()).unwrap();
    assert_eq!((&document["account"], who(&document["users"])), (&Value::Null, wanted.to_vec()));

    let accounts = Accounts::new();
    let table = accounts.run(&["reset", "--yes", "bobby", "cem"]).out;
    let wanted = "3 accounts\n\
                  ACCOUNT  OUTCOME  BEFORE  AFTER  EVENTS  NAME       EMAIL\n\
                  corp     done     high    none        1  Bobby Ray  bobby@example.com\n\
                  branch   done     medium  none        1  Cem Ray    cem@example.com\n";
    assert_eq!(table, wanted);
    let csv = accounts.run(&["reset", "--yes", "bob", "--output", "csv"]).out;
    assert!(csv.lines().next().unwrap().ends_with(",risk_level_after,account"), "{csv}");
    assert!(csv.ends_with(",none,acme\n"), "{csv}");
}

#[test]
fn accounts_with_one_credential_share_the_budget_of_a_command() {
    let generated = "\
limit: { quota: 1200 }
accounts:
  - { id: '00000000000000000000000000000001', generated_users: 30 }
  - { id: '00000000000000000000000000000002', generated_users: 30 }
  - { id: '00000000000000000000000000000003', generated_users: 30 }
tokens:
  - { token: everything, permissions: [Zero Trust Read, Zero Trust Write, \"Zero Trust: PII Read\"] }
";
    let accounts = Accounts::with(generated, ", budget_share: 0.01", ["acme", "branch", "corp"]);
    let ended = accounts.run(&["users", "--behavior", "imp_travel", "--output", "json"]);
    let found: Value = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    // The behaviors and the lists are read before the first user.
    let truth = accounts.rig.ground_truth();
    let listed: u64 = truth.accounts.values().map(|account| account.listed).sum();
    assert_eq!((accounts.rig.requests("GET"), found["unread"].as_u64()), (12, Some(listed - 6)), "{ended:?}");
    let said = format!("{} users were not checked: the request budget is spent", listed - 6);
    let line = ended.err.lines().find(|line| line.contains(&said)).unwrap_or_else(|| panic!("{}", ended.err));
    assert!(line.contains("account") && ended.code == Some(0), "{ended:?}");

    let accounts = Accounts::with(SCENARIO, "", ["acme", "branch", "corp"]);
    accounts.run(&["users"]);
    assert_eq!(accounts.rig.requests("GET"), 3, "a list that fits one page is one request");
}

#[test]
fn an_account_that_is_called_all_can_be_chosen() {
    let accounts = Accounts::with(SCENARIO, "", ["acme", "branch", "all"]);
    for (arguments, wanted) in [(&["--account", "all"][..], 2), (&[], 7)] {
        let (_, found) = accounts.json(&[&["users"], arguments].concat());
        assert_eq!(found["users"].as_array().unwrap().len(), wanted, "{arguments:?}");
    }
}

#[test]
fn a_change_of_one_account_still_wants_its_name() {
    let accounts = Accounts::new();
    let choose = "several accounts are configured; choose one with --account: acme, branch, corp\n";
    let unknown = "no account \"all\" is configured; the accounts are: acme, branch, corp\n";
    for (arguments, said) in [
        (&["behaviors", "list"][..], choose),
        (&["integrations", "list"], choose),
        (&["behaviors", "list", "--account", "all"], unknown),
    ] {
        let ended = accounts.run(arguments);
        assert_eq!((ended.code, ended.err), (Some(2), format!("zt-risk-exporter: {said}")), "{arguments:?}");
    }
    assert!(accounts.rig.ground_truth().requests.is_empty());
}
