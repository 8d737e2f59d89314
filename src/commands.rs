//! The commands: one file for each, with its arguments beside what it does.
//!
//! A new command is a file of its own and an entry in [`Command`] and [`Cli::run`], which the compiler holds against
//! each other. What several commands need stands in `args` (arguments), `setup` (configuration, logs, runtime),
//! `session` (the client for an account), `terminal` (what is shown and asked), and `outcome` (how a command ends).

mod admin;
mod args;
pub(crate) mod backfill;
pub(crate) mod check;
mod completions;
mod demo;
mod healthcheck;
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
/// Without a command it serves. Two environment variables are enough to start: CLOUDFLARE_ACCOUNT_ID and
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
    State(state::State),
    Completions(completions::Completions),
}

impl Cli {
    /// Runs the command; without one, the exporter serves.
    ///
    /// # Errors
    /// The command did not do what it was asked to do.
    pub fn run(self) -> Outcome {
        let outcome = match self.command.unwrap_or(Command::Serve(self.serve)) {
            Command::Serve(serve) => serve.run(),
            Command::Demo(demo) => demo.run(),
            Command::Simulate(simulate) => simulate.run(),
            Command::Check(check) => check.run(),
            Command::Plan(plan) => plan.run(),
            Command::Backfill(backfill) => backfill.run(),
            Command::Healthcheck(healthcheck) => healthcheck.run(),
            Command::Admin(admin) => admin.run(),
            Command::State(state) => state.run(),
            Command::Completions(completions) => completions.run(),
        };
        logging::finish();
        outcome
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
    fn a_time_means_the_same_behind_each_flag() {
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
            ("2026-11-20", false),
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
    fn a_share_means_the_same_behind_each_flag() {
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
    fn a_duration_means_the_same_behind_each_flag() {
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
