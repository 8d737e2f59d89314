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
        // To clap, help and version are errors too; their exit code is 0. A closed stream has no reader to tell.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    ExitCode::from(cli.run())
}
