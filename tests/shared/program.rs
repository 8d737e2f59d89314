//! The program that the tests start, signals to it, and other programs that tests need.

use std::io::Write as _;
use std::process::Command;

/// The program, with an empty environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zt-risk-exporter"));
    command.env_clear();
    command
}

/// Sends the process with this id a signal, such as `TERM`.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(sent.expect("kill is installed").success(), "{name} to {process}");
}

/// Whether a program of util-linux is installed.
pub(crate) fn is_installed(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Says what is not tried here. The test passes, and what a passing test prints is not shown: this goes past `print!`.
pub(crate) fn skip(what: &str) {
    writeln!(std::io::stderr(), "skipped: {what}").expect("standard error takes a line");
}
