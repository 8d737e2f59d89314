//! The program that the tests start.

use std::process::Command;

/// The program, with an empty environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zt-risk-exporter"));
    command.env_clear();
    command
}
