//! Command line in, exit code out.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use zt_risk_exporter::internals::commands::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // The help and the version are "errors" too, with exit code 0. If standard error is closed, nobody reads them.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "zt-risk-exporter: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
