//! A simulated account with known events, and the program that reads it.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tokio::runtime::Runtime;
use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::simulator::{FaultRule, GroundTruth, Scenario, Simulator};

use crate::canned::{Canned, good};

pub(crate) const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ANN: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const BOB: &str = "22222222-2222-4222-8222-222222222222";
pub(crate) const CEM: &str = "33333333-3333-4333-8333-333333333333";
pub(crate) const EVE: &str = "44444444-4444-4444-8444-444444444444";
/// A user who was reset and has no later events.
pub(crate) const DAN: &str = "55555555-5555-4555-8555-555555555555";
pub(crate) const INTEGRATION: &str = "4cfe8442-664b-4915-acd4-b39cd65c4314";

/// Everything in it that must not appear in a log.
pub(crate) const ADDRESSES: [&str; 4] =
    ["ann@example.com", "bob@example.com", "Cem@example.com", "eve@example.com"];

/// Eve's name could harm a terminal or a spreadsheet.
pub(crate) const SCENARIO: &str = r#"
accounts:
  - id: 0123456789abcdef0123456789abcdef
    users:
      - id: 11111111-1111-4111-8111-111111111111
        name: Ann Lee
        email: ann@example.com
        last_reset: "2020-01-01T12:00:00Z"
        events:
          - { id: a-2, behavior: high_dlp, at: "2020-01-02T08:00:00Z" }
          - { id: a-3, behavior: imp_travel, at: "2020-01-03T08:00:00Z" }
      - id: 22222222-2222-4222-8222-222222222222
        name: Bob Ray
        email: bob@example.com
        events: [{ behavior: high_risk_domain, at: -90m }]
      - id: 33333333-3333-4333-8333-333333333333
        name: Cem Lee
        email: Cem@example.com
        events:
          - { behavior: high_dlp, at: "2020-01-01T08:00:00Z" }
          - { behavior: high_dlp, at: "2020-01-01T09:00:00Z" }
          - { behavior: high_dlp, at: "2020-01-01T10:00:00Z" }
      - id: 44444444-4444-4444-8444-444444444444
        name: "=Eve\e[31m\u202e"
        email: eve@example.com
        events: [{ behavior: high_risk_domain, at: "2020-01-02T09:00:00Z" }]
      - id: 55555555-5555-4555-8555-555555555555
        name: Dan
        email: dan@example.com
        last_reset: "2020-02-02T08:00:00Z"
        events: [{ behavior: imp_travel, at: "2020-01-03T08:00:00Z" }]
    integrations:
      - id: 4cfe8442-664b-4915-acd4-b39cd65c4314
        reference_id: hr/1
        tenant_url: https://example.okta.com
        active: true
        created_at: "2020-01-01T00:00:00Z"
  - { id: fedcba9876543210fedcba9876543210, generated_users: 30 }
tokens:
  - { token: everything, permissions: [Zero Trust Read, Zero Trust Write, "Zero Trust: PII Read"] }
  - { token: reader, permissions: [Zero Trust Read, "Zero Trust: PII Read"] }
  - { token: pii, permissions: ["Zero Trust: PII Read"] }
"#;

/// The token of all scripted answers.
const VERIFIED: &str = r#"{"id":"ed17574386854bf78a67040be0a770b0","status":"active"}"#;

/// A simulated Cloudflare and a directory for files.
pub(crate) struct Rig {
    runtime: Runtime,
    simulator: Simulator,
    directory: tempfile::TempDir,
}

/// The exit code and the output of the program.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program with only the base URL and the token in its environment.
pub(crate) fn program(upstream: &str, token: &str, arguments: &[&str]) -> Command {
    let mut command = crate::program::program();
    command
        .env("CLOUDFLARE_BASE_URL", upstream)
        .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", token)
        .stdin(Stdio::null())
        .args(arguments);
    command
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::playing(SCENARIO)
    }

    pub(crate) fn playing(scenario: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let scenario = Scenario::from_yaml(scenario).map_err(|error| error.to_string()).unwrap();
        let simulator = runtime.block_on(Simulator::start(scenario, Clock::system())).unwrap();
        Self { runtime, simulator, directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn upstream(&self) -> String {
        self.simulator.base_url()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_as("everything", arguments)
    }

    pub(crate) fn run_as(&self, token: &str, arguments: &[&str]) -> Ended {
        program(&self.upstream(), token, arguments).output().unwrap().into()
    }

    /// What a command that succeeds writes as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        serde_json::from_str(&ended.out).unwrap()
    }

    /// A file with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    /// The same, which only its owner may read.
    pub(crate) fn secret(&self, name: &str, text: &str) {
        let path = self.file(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn inject(&self, rule: FaultRule) {
        self.simulator.inject(rule);
    }

    pub(crate) fn clear_faults(&self) {
        self.simulator.clear_faults();
    }

    /// Adds an event of a user, now.
    pub(crate) fn append_event(&self, user: &str, behavior: &str) {
        let now = Clock::system().date();
        self.simulator.append_event(ACCOUNT, user.parse().unwrap(), behavior, now).unwrap();
    }

    pub(crate) fn ground_truth(&self) -> GroundTruth {
        self.simulator.ground_truth()
    }

    /// The number of requests with this method.
    pub(crate) fn requests(&self, method: &str) -> usize {
        self.ground_truth().requests.iter().filter(|request| request.method == method).count()
    }

    /// The users who were reset since the start, in that order.
    pub(crate) fn resets(&self) -> Vec<String> {
        self.ground_truth().resets.iter().map(|reset| reset.user.to_string()).collect()
    }

    /// Runs the program against an API that returns these results in order. The verification of the token has its own answer.
    pub(crate) fn scripted(&self, results: &[&str], arguments: &[&str]) -> (Canned, Ended) {
        let mut steps = results.iter().map(|result| good(result)).collect::<Vec<_>>().into_iter();
        let server = self.runtime.block_on(Canned::start(move |_, asked| {
            if asked.line.ends_with("/tokens/verify") { good(VERIFIED) } else { steps.next().unwrap() }
        }));
        let upstream = format!("http://{}/client/v4", server.address);
        let ended = program(&upstream, "everything", arguments).output().unwrap().into();
        (server, ended)
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// The log lines about changes, as the fields of JSON; with `--log.format json`.
    pub(crate) fn changes(&self) -> Vec<Value> {
        let lines = self.err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == "zt_risk_exporter::operator").collect()
    }
}

/// The texts of a field of each row.
pub(crate) fn texts<'a>(rows: &'a Value, field: &str) -> Vec<&'a str> {
    rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap()).collect()
}
