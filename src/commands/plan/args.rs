//! The arguments of `plan`.

use std::time::Duration;

use clap::Args;

use super::{Basis, Load};
use crate::commands::terminal::table::Output;
use crate::config::FileFlags;
use crate::config::parse::{audit_interval, interval, share};
use crate::model::resource::Intervals;

/// Say what watching an account costs, how late changes are counted, and where the budget breaks
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    /// Ask this account for its list; can be left out if there is only one
    #[arg(long, value_name = "ALIAS", conflicts_with = "users")]
    pub(super) account: Option<String>,
    /// Ask nobody, and plan for so many users at risk
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub(super) users: Option<u64>,
    // What is asked for once a list turns out to have pages. Today's documentation knows no pages.
    /// Users on a page of the list
    #[arg(long, value_name = "N", default_value_t = 1_000, requires = "users", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) page_size: u32,
    /// Users who have an event within five minutes; else an estimate
    #[arg(long, value_name = "N", value_parser = changes)]
    pub(super) changes: Option<f64>,
    /// In place of the configured budget_share: a fraction from 0.01 to 1 such as 0.25
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(super) budget_share: Option<f64>,
    /// In place of the configured intervals.summary
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub(super) summary_interval: Option<Duration>,
    /// In place of the configured intervals.behaviors
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub(super) behaviors_interval: Option<Duration>,
    /// In place of the configured intervals.integrations
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub(super) integrations_interval: Option<Duration>,
    /// In place of the configured intervals.audit
    #[arg(long, value_name = "INTERVAL", value_parser = audit_interval)]
    pub(super) audit_interval: Option<Duration>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) file: FileFlags,
}

impl PlanArgs {
    /// The load with what is said here in place of what it says.
    pub(super) fn over(&self, load: Load) -> Load {
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
