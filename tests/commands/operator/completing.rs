//! What a shell is offered after the words of a line. `tests/shells/run` presses the tab key in real shells.

use std::process::Command;

use super::rig::{ACCOUNT, Rig, program};

/// What the program answers to the completion script of fish: one candidate a line, with its help after a tab.
fn offered(mut command: Command, words: &[&str]) -> Vec<String> {
    command.env("_ZT_RISK_EXPORTER_COMPLETE", "fish").args(["--", "zt-risk-exporter"]).args(words);
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn commands_flags_and_values_are_offered_at_every_depth() {
    let rig = Rig::new();
    for (words, wanted) in [
        (&["heal"][..], &["healthcheck"][..]),
        (&["--log.l"], &["--log.level"]),
        (&["--log.level", "d"], &["debug"]),
        (&["--config.auto-reload=f"], &["--config.auto-reload=false"]),
        (&["behaviors", "a"], &["apply"]),
        (&["integrations", "create", "--ten"], &["--tenant-url"]),
        (&["users", "--level", "h"], &["high"]),
        (&["users", "--level=h"], &["--level=high"]),
        (&["users", "-o", "w"], &["wide"]),
        (&["state", "forget", "x", "--state.p"], &["--state.path"]),
        (&["users", "--level", "high", "--sort", "l"], &["last-event"]),
        (&["users", "--nonsense"], &[]),
    ] {
        let lines = offered(program(&rig.upstream(), "everything", &[]), words);
        let values: Vec<&str> = lines.iter().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(values, wanted, "{words:?}");
    }
    assert!(rig.ground_truth().requests.is_empty(), "they are known without a request");
}

#[test]
fn accounts_are_those_of_the_configuration_that_the_line_names() {
    let rig = Rig::new();
    let account = |digit: &str, alias: &str| {
        format!("  - {{ id: {}, alias: {alias}, token_file: /none }}\n", digit.repeat(32))
    };
    let file = rig.file("zt.yaml", &format!("accounts:\n{}{}", account("1", "alpha"), account("2", "beta")));
    let file = file.to_str().unwrap();
    let equals = format!("--config.file={file}");
    for (words, wanted) in [
        (&["users", "--account", ""][..], &[ACCOUNT][..]),
        (&["users", "--config.file", file, "--account", ""], &["alpha", "beta", "all\tall accounts"]),
        (&["behaviors", "--config.file", file, "--account", ""], &["alpha", "beta"]),
        (&["state", "forget", "x", "--config.file", file, "--account", "a"], &["alpha", "all\tall accounts"]),
        (&["check", &equals, "--account", "b"], &["beta"]),
        (&["users", "--config.file", "/none/such", "--account", ""], &[]),
    ] {
        assert_eq!(offered(program(&rig.upstream(), "everything", &[]), words), wanted, "{words:?}");
    }
    assert!(rig.ground_truth().requests.is_empty());
}

#[test]
fn behaviors_are_those_of_the_account_and_none_if_they_cannot_be_read() {
    let rig = Rig::new();
    let command = || program(&rig.upstream(), "everything", &[]);
    assert_eq!(offered(command(), &["behaviors", "set", "imp"]), ["imp_travel\tImpossible Travel"]);
    let wanted = "high_dlp\tHigh Number of DLP Policies Triggered";
    assert_eq!(offered(command(), &["users", "--behavior", "high_d"]), [wanted]);
    assert_eq!(rig.requests("GET"), 2, "one request each");
    let other = ["behaviors", "--account", "other", "set", "imp"];
    assert_eq!(offered(command(), &other), [""; 0]);
    assert_eq!(offered(program("http://127.0.0.1:1/client/v4", "everything", &[]), &other[..1]).len(), 1);
    assert_eq!(
        offered(program("http://127.0.0.1:1/client/v4", "everything", &[]), &["behaviors", "set", "imp"]),
        [""; 0]
    );
}
