//! The program that the tests start, and signals to it.

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
