//! The commands: one file per command, with its arguments and its code.
//!
//! A new command is a file here, its `mod` line, its variant of `Command`, and its line in `Cli::run`; the compiler reports
//! a missing line in `run`. Several commands share `args` (arguments), `setup` (configuration, logs, runtime), `session` (the client for
//! an account), `each_account` (several accounts at a time), `terminal` (output and questions) and `outcome`
//! (results and exit codes), and `input_file` (bounded reads).

mod admin;
mod args;
pub(crate) mod backfill;
mod candidates;
pub(crate) mod check;
mod completions;
mod demo;
mod each_account;
mod feed;
mod found_accounts;
mod healthcheck;
mod input_file;
mod man;
mod outcome;
pub(crate) mod plan;
mod serve;
mod session;
mod setup;
mod simulate;
mod state;
mod terminal;

use clap::{Parser, Subcommand};

use crate::app::logging;
pub(crate) use outcome::{Failure, Outcome};

/// Prometheus exporter and monitoring daemon for Cloudflare Zero Trust user risk.
///
/// The default command is serve. Two environment variables are enough to start: CLOUDFLARE_ACCOUNT_ID and
/// CLOUDFLARE_API_TOKEN.
#[derive(Debug, Parser)]
#[command(name = "zt-risk-exporter", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Simulate(simulate::Simulate),
    Check(check::Check),
    Plan(plan::PlanArgs),
    Backfill(backfill::Backfill),
    Healthcheck(healthcheck::Healthcheck),
    #[command(flatten)]
    Admin(admin::Admin),
    #[command(subcommand)]
    Feed(feed::Feed),
    #[command(subcommand)]
    State(state::State),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Cli {
    /// Answers the completion script of a shell, if one runs this program; returns whether it does.
    pub fn complete() -> bool {
        completions::answer()
    }

    /// Says what is wrong with the command line, or prints the help or the version that it asks for: to clap they are errors
    /// too. Returns the exit code.
    pub fn refuse(error: &clap::Error) -> u8 {
        terminal::refusal(error);
        if error.use_stderr() { 2 } else { 0 }
    }

    /// Runs the command, `serve` if none is given, says on standard error why it failed, and returns the exit code.
    pub fn run(self) -> u8 {
        let outcome = match self.command.unwrap_or(Command::Serve(self.serve)) {
            Command::Serve(serve) => serve.run(),
            Command::Demo(demo) => demo.run(),
            Command::Simulate(simulate) => simulate.run(),
            Command::Check(check) => check.run(),
            Command::Plan(plan) => plan.run(),
            Command::Backfill(backfill) => backfill.run(),
            Command::Healthcheck(healthcheck) => healthcheck.run(),
            Command::Admin(admin) => admin.run(),
            Command::Feed(feed) => feed.run(),
            Command::State(state) => state.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
        };
        logging::finish();
        match outcome {
            Ok(()) => 0,
            Err(failure) => {
                terminal::remark(&failure.to_string());
                failure.exit_code()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, String> {
        let words = std::iter::once("zt-risk-exporter").chain(words.iter().copied());
        Cli::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn every_flag_reads_a_time_in_the_same_way() {
        let flags: [&[&str]; 3] = [
            &["users", "--since"],
            &["backfill", "--file", "past.om", "--since"],
            &["backfill", "--file", "past.om", "--until"],
        ];
        for (text, taken) in [
            ("90m", true),
            ("1d12h", true),
            ("2026-11-20T08:00:00Z", true),
            ("1795219200", true),
            ("2026-11-20", true),
            ("yesterday", true),
            ("tomorrow", false),
        ] {
            for flag in flags {
                let parsed = parse(&[flag, &[text]].concat());
                assert_eq!(parsed.is_ok(), taken, "{flag:?} {text}: {parsed:?}");
                let refused = parsed.err().unwrap_or_default();
                assert!(taken || refused.contains("must be a duration before now such as 90m"), "{refused}");
            }
        }
    }

    #[test]
    fn every_flag_reads_a_share_in_the_same_way() {
        let flags: [&[&str]; 2] =
            [&["plan", "--budget-share"], &["backfill", "--file", "x", "--budget-share"]];
        for (text, taken) in [("0.1", true), ("1", true), ("1e-1", false), ("+0.1", false), ("0.009", false)]
        {
            for flag in flags {
                let parsed = parse(&[flag, &[text]].concat());
                assert_eq!(parsed.is_ok(), taken, "{flag:?} {text}: {parsed:?}");
                let refused = parsed.err().unwrap_or_default();
                assert!(taken || refused.contains("must be a fraction from 0.01 to 1 of the"), "{refused}");
            }
        }
    }

    #[test]
    fn every_flag_reads_a_duration_in_the_same_way() {
        let flags: [&[&str]; 3] = [
            &["plan", "--summary-interval"],
            &["plan", "--audit-interval"],
            &["backfill", "--file", "past.om", "--step"],
        ];
        for (text, taken) in
            [("1m30s", true), ("300s", true), ("90", false), ("1.5m", false), ("30s1m", false)]
        {
            for flag in flags {
                let parsed = parse(&[flag, &[text]].concat());
                assert_eq!(parsed.is_ok(), taken, "{flag:?} {text}: {parsed:?}");
                let refused = parsed.err().unwrap_or_default();
                assert!(taken || refused.contains("written like 30s, 5m or 1h30m"), "{refused}");
            }
        }
    }
}
