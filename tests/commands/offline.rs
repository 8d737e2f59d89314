//! `check --offline` through the real program: every error at once, and only the configuration file is read.

mod beside;
mod token_files;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::program;

/// Fifteen different errors on fifteen lines.
const FIFTEEN: &str = "\
interval: {summary: 30s}
log: {level: loud}
users: {limit: many, identity: id}
web: {listen-address: ':1'}
state: [state.redb]
shard: {index: 3, total: 3}
log: {level: info}
cloudflare: {base_url: 'ftp://example.com'}
intervals: {summary: 30}
accounts:
- {id: 00000000000000000000000000000001, alias: acme, tokn: s3cr3t}
- {id: 00000000000000000000000000000001, alias: same, token: s3cr3t}
- {id: 00000000000000000000000000000002, alias: acme, token: s3cr3t}
- {id: acme, token: s3cr3t}
- {id: 00000000000000000000000000000003}
- s3cr3t
";

const MISTAKES: [(usize, &str); 15] = [
    (1, "interval is not a known key; did you mean intervals?"),
    (
        2,
        "log.level is \"loud\", but must be off, error, warn, info, debug, trace, or directives such as info,hyper=warn",
    ),
    (3, "users.limit is \"many\", but must be a whole number from 0 to 100000"),
    (4, "web.listen-address is not a known key; did you mean web.listen_address?"),
    (5, "state is a list, but must be a map"),
    (6, "shard.index is \"3\", but must be a whole number below shard.total, which is 3"),
    (7, "log is given twice, first on line 2"),
    (
        8,
        "cloudflare.base_url must be an https URL such as https://api.cloudflare.com/client/v4, or an http one on loopback",
    ),
    (9, "intervals.summary is \"30\", but must be a duration from 1s to 1d, written like 30s, 5m or 1h30m"),
    (11, "accounts[0].tokn is not a known key; did you mean accounts[0].token?"),
    (
        12,
        "accounts[1] has the id 00000000000000000000000000000001 of accounts[0]; an account may be listed only once",
    ),
    (13, "accounts[2] has the alias \"acme\" of accounts[0]; aliases must differ"),
    (14, "accounts[3].id must be 32 hexadecimal digits, as in the address of the dashboard"),
    (15, "accounts[4] has no credential: give it token_file, token, or email with api_key_file or api_key"),
    (16, "accounts[5] is a single value, but must be a map with an id and a credential"),
];

/// The files that it names do not exist.
const GOOD: &str = "\
accounts:
- {id: 00000000000000000000000000000001, alias: acme, token_file: none/token}
- {id: 00000000000000000000000000000002, alias: subsidiary, token: s3cr3t}
users: {identity: hash, hash_key_file: none/key}
state: {path: none/state.redb}
";

/// A directory with a configuration `zt.yaml`.
struct Place(TempDir);

impl Place {
    fn new(configuration: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.file(), configuration).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("zt.yaml")
    }

    /// The program with the file named in the environment, and these arguments.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut program = program();
        program.args(arguments).env("ZT_RISK_EXPORTER__CONFIG__FILE", self.file());
        program
    }

    /// Exit code, standard output and standard error, without the directory.
    fn outcome(&self, command: &mut Command) -> (Option<i32>, String, String) {
        let output = command.output().unwrap();
        let directory = format!("{}/", self.0.path().display());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&directory, "");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn check(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        self.outcome(&mut self.program(&[&["check", "--offline"], arguments].concat()))
    }

    fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let (code, output, _) = self.check(&[arguments, &["--output", "json"]].concat());
        (code, serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}")))
    }
}

/// Each of them alone would be valid.
const CONTRADICTIONS: &str = "\
accounts:
- {id: 00000000000000000000000000000001, token_file: none/token}
web:
  listen_address: ['127.0.0.1:5', '127.0.0.1:6', ':6', '127.0.0.1:5']
  health_address: '[::]:5'
  telemetry_path: /page.js
";

#[test]
fn what_would_end_the_start_or_hide_a_file_is_found() {
    let wanted = "\
        zt.yaml:4: web.listen_address has \"127.0.0.1:6\" and \":6\", which cannot be open at the same time\n\
        zt.yaml:4: web.listen_address has \"127.0.0.1:5\" twice\n\
        zt.yaml:5: web.health_address is \"[::]:5\", but web.listen_address has \"127.0.0.1:5\"; both cannot be open at the same \
        time\n\
        zt.yaml:6: web.telemetry_path is \"/page.js\", but must be another path, because the live page has a file there\n";
    let place = Place::new(CONTRADICTIONS);
    let (code, output, errors) = place.check(&[]);
    assert!(output.starts_with(wanted), "{output}");
    assert_eq!((code, &*errors), (Some(2), "zt-risk-exporter: the configuration has 4 errors\n"));
    // Nothing listens on these addresses.
    let mut check = place.program(&["check", "--offline"]);
    check
        .env("ZT_RISK_EXPORTER__WEB__TELEMETRY_PATH", "/metrics")
        .env("ZT_RISK_EXPORTER__WEB__SYSTEMD_SOCKET", "true");
    let (code, output, _) = place.outcome(&mut check);
    assert_eq!(code, Some(0), "{output}");
}

fn lines() -> String {
    MISTAKES.map(|(line, problem)| format!("zt.yaml:{line}: {problem}\n")).concat()
}

#[test]
fn the_fifteen_errors_of_a_file_are_reported_in_the_order_of_their_lines() {
    let wanted = (
        Some(2),
        format!("{}1 check: 1 failed with 15 errors\n", lines()),
        "zt-risk-exporter: the configuration has 15 errors\n".to_owned(),
    );
    let place = Place::new(FIFTEEN);
    assert_eq!(place.check(&[]), wanted);
    // With the network it is the same, because no request is sent before.
    assert_eq!(place.outcome(&mut place.program(&["check"])), wanted);
}

#[test]
fn the_start_reports_all_errors_too() {
    let place = Place::new(FIFTEEN);
    let wanted = format!("zt-risk-exporter: the configuration has 15 errors:\n{}", lines());
    assert_eq!(place.outcome(&mut place.program(&[])), (Some(2), String::new(), wanted));
}

#[test]
fn the_document_has_each_error_with_its_place() {
    let place = Place::new("log: {level: loud}\nusers: {limit: [1]}\n");
    let mut program = place.program(&["check", "--offline", "--output", "json", "--log.format", "xml"]);
    program.env("ZT_RISK_EXPORTER__INTERVALS__AUDIT", "never").env("CLOUDFLARE_ACCOUNT_ID", "acme");
    let (code, output, errors) = place.outcome(&mut program);
    let document: Value = serde_json::from_str(&output).unwrap();
    let places = document["errors"].as_array().unwrap().iter().map(|mistake| {
        let place = ["file", "line", "column", "variable", "flag"].map(|field| mistake[field].clone());
        let message = mistake["message"].as_str().unwrap();
        (json!(place), message.split(' ').next().unwrap().to_owned())
    });
    let places: Vec<_> = places.collect();
    let wanted = [
        (json!(["zt.yaml", 1, null, null, null]), "log.level"),
        (json!(["zt.yaml", 2, null, null, null]), "users.limit"),
        (json!([null, null, null, "ZT_RISK_EXPORTER__INTERVALS__AUDIT", null]), "intervals.audit"),
        (json!([null, null, null, null, "log.format"]), "log.format"),
        (json!([null, null, null, null, null]), "CLOUDFLARE_ACCOUNT_ID"),
    ];
    assert_eq!(places, wanted.map(|(place, word)| (place, word.to_owned())));
    assert_eq!((code, &document["omitted"]), (Some(2), &json!(0)));
    assert_eq!(errors, "zt-risk-exporter: the configuration has 5 errors\n");
}

#[test]
fn the_baselines_are_judged_if_they_are_here_also_beside_other_mistakes() {
    let account = |id: u32, rest: &str| format!("- {{id: {id:032x}, token_file: none/token{rest}}}\n");
    let accounts = account(1, "") + &account(2, "") + &account(3, ", behaviors_baseline: own.json");
    let place = Place::new(&format!("behaviors: {{baseline: all.yaml}}\naccounts:\n{accounts}"));
    let (code, output, _) = place.check(&[]);
    assert_eq!(code, Some(0), "{output}");
    for file in ["all.yaml", "own.json"] {
        assert!(output.contains(&format!("{file} was not checked")), "{output}");
    }
    let write = |name: &str, text: &str| fs::write(place.file().with_file_name(name), text).unwrap();
    write(
        "all.yaml",
        "imp_travel: {enabled: true, risk_level: high}\nhigh_dlp: {enabled: true, risk_level: low}\n",
    );
    write(
        "own.json",
        r#"{"account":"a","behaviors":[{"id":"a","name":"A","description":"","enabled":true,"risk_level":"low"}]}"#,
    );
    let (code, output, _) = place.check(&[]);
    let rows: Vec<&str> = output.lines().filter(|line| line.starts_with("baseline")).collect();
    assert_eq!(code, Some(0), "{output}");
    assert!(
        rows.len() == 2
            && rows[0].ends_with("all.yaml: 2 behaviors")
            && rows[1].ends_with("own.json: 1 behavior"),
        "{output}"
    );
    write(
        "all.yaml",
        "imp_travel: {enabled: on, risk_level: high}\nhigh_dlp: {enabled: true, risk_level: severe}\n",
    );
    write("own.json", "{\"behaviors\":[\n{\"enabled\":true}]}");
    fs::write(
        place.file(),
        format!("behaviors: {{baseline: all.yaml}}\nlog: {{level: loud}}\naccounts:\n{accounts}"),
    )
    .unwrap();
    let wanted = "\
        all.yaml:1: imp_travel.enabled is \"on\", but must be true or false\n\
        all.yaml:2: high_dlp.risk_level is \"severe\", but must be low, medium or high\n\
        own.json:2: behaviors[0] has no id\n\
        own.json:2: behaviors[0] has no risk_level\n\
        zt.yaml:2: log.level is ";
    let (code, output, errors) = place.check(&[]);
    assert!(output.starts_with(wanted), "{output}");
    assert_eq!((code, errors.as_str()), (Some(2), "zt-risk-exporter: the configuration has 5 errors\n"));
}

#[test]
fn a_syntax_error_ends_the_list_with_its_line_and_column() {
    let place = Place::new("interval: {}\nlog: {level: loud}\nusers:\n\tlimit: 1\n");
    let message = "not valid YAML: tabs disallowed within this context (block indentation)";
    let (code, output, errors) = place.check(&[]);
    assert_eq!(
        (code, output),
        (Some(2), format!("zt.yaml:4:2: {message}\n1 check: 1 failed with 1 error\n"))
    );
    assert_eq!(errors, "zt-risk-exporter: the configuration has 1 error\n");
    let (_, document) = place.json(&[]);
    let wanted = json!({
        "mode": "offline",
        "errors": [{
            "file": place.file(), "line": 4, "column": 2, "variable": null, "flag": null, "message": message,
        }],
        "omitted": 0,
        "checks": [{
            "account": null, "check": "configuration", "result": "failed", "answer": "1 error", "remark": null,
            "permission": null, "seconds": null,
        }],
        "totals": {"accounts": 0, "checks": 1, "passed": 0, "warning": 0, "failed": 1, "skipped": 0, "errors": 1},
        "web": null,
    });
    let mut found = document;
    found["errors"][0]["file"] = json!(place.file());
    assert_eq!(found, wanted);
}

#[test]
fn at_most_a_hundred_errors_are_printed() {
    let place = Place::new(&(0..103).map(|number| format!("key_{number}: x\n")).collect::<String>());
    let (code, output, errors) = place.check(&[]);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!((code, lines.len()), (Some(2), 102));
    assert!(lines[99].starts_with("zt.yaml:100: key_99 is not a known key; "), "{}", lines[99]);
    assert_eq!(lines[100..], ["and 3 more", "1 check: 1 failed with 103 errors"]);
    assert_eq!(errors, "zt-risk-exporter: the configuration has 103 errors\n");
    let (_, document) = place.json(&[]);
    assert_eq!((document["errors"].as_array().unwrap().len(), &document["omitted"]), (100, &json!(3)));
}

#[test]
fn a_good_file_needs_no_secret_no_network_and_no_port() {
    let place = Place::new(GOOD);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    api.set_nonblocking(true).unwrap();
    let mut program = place.program(&["check", "--offline", "--output", "json"]);
    program
        .env("ZT_RISK_EXPORTER__WEB__LISTEN_ADDRESS", taken.local_addr().unwrap().to_string())
        .env("ZT_RISK_EXPORTER__CLOUDFLARE__BASE_URL", format!("http://{}", api.local_addr().unwrap()));
    let (code, output, errors) = place.outcome(&mut program);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let document: Value = serde_json::from_str(&output).unwrap();
    let rows: Vec<_> = document["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ["account", "check", "result", "answer"].map(|field| row[field].clone()))
        .collect();
    let wanted = [
        [json!(null), json!("configuration"), json!("passed"), json!("2 accounts")],
        [
            json!("subsidiary"),
            json!("credential"),
            json!("passed"),
            json!("subsidiary: is in the configuration"),
        ],
        [json!("acme"), json!("credential"), json!("skipped"), json!("acme: none/token was not checked")],
        [json!(null), json!("hash_key"), json!("skipped"), json!("none/key was not checked")],
        [json!(null), json!("state"), json!("skipped"), json!("none/state.redb was not checked")],
    ];
    assert_eq!(rows, wanted);
    assert_eq!(
        document["totals"],
        json!({"accounts": 2, "checks": 5, "passed": 2, "warning": 0, "failed": 0, "skipped": 3, "errors": 0})
    );
    assert!(api.accept().is_err(), "nothing asked for a connection");
    let files: Vec<_> =
        fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["zt.yaml"], "no file was made");
}

#[test]
fn the_totals_are_the_last_line_and_count_skipped_checks() {
    let (code, output, errors) = Place::new(GOOD).check(&["--log.level", "trace"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(output.lines().last(), Some("5 checks of 2 accounts: 2 passed, 3 skipped"));
    assert!(output.contains("acme: none/token was not checked"), "{output}");
    assert!(!output.contains("s3cr3t"), "{output}");
}

#[test]
fn a_warning_of_the_configuration_is_a_finding() {
    let place = Place::new("accounts: [{id: 00000000000000000000000000000002, alias: acme, token: x}]\n");
    let mut program = place.program(&["check", "--offline"]);
    program.env("ZT_RISK_EXPORTER_LOG_LEVEL", "info");
    let (code, output, errors) = place.outcome(&mut program);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let remark = "configuration: environment variable ZT_RISK_EXPORTER_LOG_LEVEL is not used; did you mean \
                  ZT_RISK_EXPORTER__LOG__LEVEL?";
    assert!(output.lines().any(|line| line == remark), "{output}");
    assert_eq!(output.lines().last(), Some("2 checks of 1 account: 1 passed, 1 warning"));
}

#[test]
fn the_variables_of_an_account_may_be_set_elsewhere() {
    let file = Place::new("log: {level: info}\n");
    const ID: (&str, &str) = ("CLOUDFLARE_ACCOUNT_ID", "00000000000000000000000000000001");
    let elsewhere = "it must be set where the exporter runs";
    type Variables = &'static [(&'static str, &'static str)];
    let table: [(Variables, i32, String); 5] = [
        (
            &[],
            0,
            "configuration: zt.yaml lists no accounts, so CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN must be set where \
             the exporter runs"
                .to_owned(),
        ),
        (&[ID], 0, format!("configuration: CLOUDFLARE_API_TOKEN is not set here; {elsewhere}")),
        (
            &[ID, ("CLOUDFLARE_EMAIL", "a@b")],
            0,
            format!("configuration: CLOUDFLARE_API_KEY is not set here; {elsewhere}"),
        ),
        (
            &[ID, ("CLOUDFLARE_API_KEY", "s3cr3t")],
            2,
            "CLOUDFLARE_API_KEY is set, but CLOUDFLARE_EMAIL is not".to_owned(),
        ),
        (
            &[("CLOUDFLARE_ACCOUNT_ID", "acme")],
            2,
            "environment: CLOUDFLARE_ACCOUNT_ID must be 32 hexadecimal digits, as in the address of the dashboard"
                .to_owned(),
        ),
    ];
    for (variables, wanted, message) in table {
        let mut program = file.program(&["check", "--offline"]);
        let (code, output, _) = file.outcome(program.envs(variables.iter().copied()));
        assert_eq!(code, Some(wanted), "{variables:?}: {output}");
        assert!(output.lines().any(|line| line == message), "{message} in {output}");
        assert!(!output.contains("s3cr3t"), "{output}");
    }
    let nothing = program().args(["check", "--offline"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2), "without a file and without variables nothing is configured");
}

#[test]
fn a_misspelled_key_is_not_reported_as_missing_too() {
    let account = "accounts: [{id: 00000000000000000000000000000001, token: s3cr3t}]\n";
    let entry = |fields: &str| format!("accounts: [{{{fields}}}]\n");
    let id = "id: 00000000000000000000000000000001";
    for (file, message) in [
        (account.replace("accounts", "acounts"), "acounts is not a known key; did you mean accounts?"),
        (
            format!("users: {{identity: hash, hash_key_fil: key}}\n{account}"),
            "users.hash_key_fil is not a known key; did you mean users.hash_key_file?",
        ),
        (
            format!("user: {{identity: hash, hash_key_file: key}}\n{account}"),
            "user is not a known key; did you mean users?",
        ),
        (
            format!("shard: {{total: 3, indx: 1}}\n{account}"),
            "shard.indx is not a known key; did you mean shard.index?",
        ),
        (
            entry("Id: 00000000000000000000000000000001, token: s3cr3t"),
            "accounts[0].Id is not a known key; did you mean accounts[0].id?",
        ),
        (
            entry(&format!("{id}, token-file: token")),
            "accounts[0].token-file is not a known key; did you mean accounts[0].token_file?",
        ),
        (
            entry(&format!("{id}, emial: a@b, api_key: s3cr3t")),
            "accounts[0].emial is not a known key; did you mean accounts[0].email?",
        ),
        (
            entry(&format!("{id}, email: a@b, apikey: s3cr3t")),
            "accounts[0].apikey is not a known key; did you mean accounts[0].api_key?",
        ),
    ] {
        let place = Place::new(&file);
        let (_, output, _) = place.check(&[]);
        assert_eq!(output, format!("zt.yaml:1: {message}\n1 check: 1 failed with 1 error\n"), "{file}");
    }
}

#[test]
fn the_settings_of_reloads_are_checked() {
    let settings = "web: {enable_lifecycle: yes}\nconfig: {auto_reload: 30s, auto_reload_interval: 2d, auto_relod: true}\n";
    let place = Place::new(&format!("{GOOD}{settings}"));
    let (code, document) = place.json(&[]);
    let mistakes = document["errors"].as_array().unwrap().iter().map(|mistake| {
        let message = mistake["message"].as_str().unwrap();
        (mistake["line"].as_u64().unwrap(), message.split_once(',').map_or(message, |(start, _)| start))
    });
    let mistakes: Vec<_> = mistakes.collect();
    let wanted = [
        (6, "web.enable_lifecycle is \"yes\""),
        (7, "config.auto_relod is not a known key; did you mean config.auto_reload?"),
        (7, "config.auto_reload_interval is \"2d\""),
        (7, "config.auto_reload is \"30s\""),
    ];
    assert_eq!((code, mistakes.as_slice()), (Some(2), &wanted[..]));
    let valid = settings.replace("yes", "true").replace("30s", "true").replace("2d, auto_relod: true", "1d");
    assert_eq!(Place::new(&format!("{GOOD}{valid}")).check(&[]).0, Some(0), "{valid}");
}

#[test]
fn accounts_are_selected_by_alias_or_id_and_a_wrong_name_is_refused() {
    let place = Place::new(GOOD);
    let second = "00000000000000000000000000000002";
    for (arguments, wanted) in [
        (&["--account", "acme"][..], &["acme"][..]),
        (&["--account", second], &["subsidiary"]),
        (&["--account", second, "--account", "acme", "--account", "subsidiary"], &["subsidiary", "acme"]),
    ] {
        let (code, document) = place.json(arguments);
        let rows = document["checks"].as_array().unwrap().iter();
        let accounts: Vec<_> = rows.filter_map(|row| row["account"].as_str()).collect();
        assert_eq!((code, accounts.as_slice()), (Some(0), wanted), "{arguments:?}");
    }
    let refusal =
        "zt-risk-exporter: no account \"other\" is configured; the accounts are: acme, subsidiary\n";
    let found = place.check(&["--account", "acme", "--account", "other"]);
    assert_eq!(found, (Some(2), String::new(), refusal.to_owned()));
}

#[test]
fn accounts_whose_credentials_are_in_one_file_share_one_budget() {
    let place = Place::new(
        "accounts:\n\
         - {id: 00000000000000000000000000000001, alias: a, token_file: none}\n\
         - {id: 00000000000000000000000000000002, alias: b, token_file: other, budget_share: 1}\n\
         - {id: 00000000000000000000000000000003, alias: c, token_file: none, budget_share: 0.5}\n",
    );
    let (code, output, _) = place.check(&[]);
    let wanted = "zt.yaml:4: accounts[2] has budget_share 0.5, but \"a\" has 0.25 with the same credential, and they share \
                  one budget\n1 check: 1 failed with 1 error\n";
    assert_eq!((code, output.as_str()), (Some(2), wanted));
}

#[test]
fn every_configuration_file_of_the_deployments_passes() {
    for name in [
        "kubernetes/base/config.yaml",
        "kubernetes/example/config.yaml",
        "kubernetes/example-sharded/config.yaml",
        "kubernetes/example-sidecar/config.yaml",
        "systemd/config.yaml",
        "zt-risk-exporter.example.yaml",
    ] {
        let path = format!("{}/deploy/{name}", env!("CARGO_MANIFEST_DIR"));
        let output = program().args(["check", "--offline", "--config.file", &path]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!((output.status.code(), text.contains("warning")), (Some(0), false), "{name}: {text}");
    }
}

/// The output in the manual: the fenced block after the command.
fn example() -> &'static str {
    const COMMANDS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md"));
    let (_, after) = COMMANDS.split_once("check --offline --config.file zt.yaml\n```\n\n```text\n").unwrap();
    after.split_once("```").unwrap().0
}

#[test]
fn the_output_in_the_manual_is_that_of_the_program() {
    let place = Place::new(
        "accounts:\n\
         - id: 0123456789abcdef0123456789abcdef\n  tokn_file: token\n  alias: acme\n\
         - id: 0123456789abcdef0123456789abcdef\n  token_file: token\n\
         users: { limit: many }\n",
    );
    let (code, output, errors) = place.check(&[]);
    assert_eq!((code, format!("{output}{errors}").as_str()), (Some(2), example()));
}

#[test]
fn the_manual_lists_the_fields_of_the_document() {
    const COMMANDS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md"));
    let (_, table) = COMMANDS.split_once("| Field | Content |\n|---|---|\n").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let rows: Vec<(&str, &str)> =
        table.lines().map(|row| row.trim_matches(['|', ' ']).split_once(" | ").unwrap()).collect();
    let (_, document) = Place::new("log: {level: loud}\nx: 1\n").json(&[]);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for name in names(&document) {
        let (_, content) = rows
            .iter()
            .find(|(field, _)| *field == format!("`{name}`"))
            .unwrap_or_else(|| panic!("{name} is not in the manual"));
        let fields = match &document[&name] {
            Value::Array(items) => names(&items[0]),
            Value::Object(_) => names(&document[&name]),
            _ => Vec::new(),
        };
        for field in fields {
            assert!(content.contains(&format!("`{field}`")), "{name}.{field} is not in the manual");
        }
    }
    assert_eq!(rows.len(), names(&document).len());
}
