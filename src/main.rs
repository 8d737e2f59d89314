//! Parses the command line, runs the command, and returns its exit code; or completes a command line for a shell.

use std::process::ExitCode;

use clap::Parser;
use zt_risk_exporter::internals::commands::Cli;

fn main() -> ExitCode {
    if Cli::complete() {
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(Cli::refuse(&error)),
    };
    ExitCode::from(cli.run())
}
