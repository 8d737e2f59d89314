//! The words of `plan`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Flags, LogFlags, Output};
use crate::config::{parse_audit_interval, parse_interval};
use crate::plan::{Basis, Load};
use crate::schedule::Intervals;

/// `plan`
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// The configuration file (YAML)
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Ask this account for its list; can be left out if there is only one
    #[arg(long, value_name = "ALIAS", conflicts_with = "users")]
    pub account: Option<String>,
    /// Ask nobody, and plan for so many users at risk
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub users: Option<u64>,
    // What is asked for once a list turns out to have pages. Today's documentation knows no pages.
    /// Users on a page of the list
    #[arg(long, value_name = "N", default_value_t = 1_000, requires = "users", value_parser = clap::value_parser!(u32).range(1..))]
    pub page_size: u32,
    /// Users who have an event within five minutes; else an estimate
    #[arg(long, value_name = "N", value_parser = changes)]
    pub changes: Option<f64>,
    /// In place of the configured budget_share, 0.01 to 1
    #[arg(long, value_name = "SHARE", value_parser = budget_share)]
    pub budget_share: Option<f64>,
    /// In place of the configured intervals.summary
    #[arg(long, value_name = "INTERVAL", value_parser = parse_interval)]
    pub summary_interval: Option<Duration>,
    /// In place of the configured intervals.behaviors
    #[arg(long, value_name = "INTERVAL", value_parser = parse_interval)]
    pub behaviors_interval: Option<Duration>,
    /// In place of the configured intervals.integrations
    #[arg(long, value_name = "INTERVAL", value_parser = parse_interval)]
    pub integrations_interval: Option<Duration>,
    /// In place of the configured intervals.audit
    #[arg(long, value_name = "INTERVAL", value_parser = parse_audit_interval)]
    pub audit_interval: Option<Duration>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
    /// What is logged.
    #[command(flatten)]
    pub log: LogFlags,
}

impl Plan {
    /// What is said of the configuration.
    pub fn flags(&self) -> Flags {
        Flags { config_file: self.config_file.clone(), ..self.log.flags() }
    }

    /// The load with what is said here in place of what it says.
    pub fn over(&self, load: Load) -> Load {
        let Intervals { summary, behaviors, integrations, audit } = load.intervals;
        Load {
            changes: self.changes.unwrap_or(load.changes),
            basis: if self.changes.is_some() { Basis::Given } else { load.basis },
            budget_share: self.budget_share.unwrap_or(load.budget_share),
            intervals: Intervals {
                summary: self.summary_interval.unwrap_or(summary),
                behaviors: self.behaviors_interval.unwrap_or(behaviors),
                integrations: self.integrations_interval.unwrap_or(integrations),
                audit: self.audit_interval.unwrap_or(audit),
            },
            ..load
        }
    }
}

/// More than a change of everybody in five minutes is none; a million users are the largest account.
fn changes(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1_000_000.0).contains(number));
    number.ok_or_else(|| "must be a number from 0 to 1000000".to_owned())
}

/// As the configuration takes it.
pub(super) fn budget_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.01..=1.0).contains(share));
    share.ok_or_else(|| "must be a number from 0.01 to 1".to_owned())
}
