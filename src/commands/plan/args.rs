//! The arguments of `plan`.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::{Basis, Load};
use crate::commands::candidates::accounts;
use crate::commands::terminal::sheet::Output;
use crate::config::FileFlags;
use crate::config::parse::{audit_interval, decimal, interval, share, whole_number};
use crate::model::resource::Intervals;

/// Compute what watching an account costs, how late changes are counted, and what the budget is enough for
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    /// The account whose list is read once; required if several are configured
    #[arg(long, value_name = "ALIAS", conflicts_with = "users", add = ArgValueCandidates::new(accounts))]
    pub(super) account: Option<String>,
    /// Send no requests, and plan for this number of users at risk
    #[arg(long, value_name = "N", value_parser = whole_number(0..=10_000_000_u64))]
    pub(super) users: Option<u64>,
    /// The number of accounts that share the budget, such as those that are found with one token
    #[arg(long, value_name = "N", value_parser = whole_number(1..=10_000_u32))]
    pub(super) sharing: Option<u32>,
    // The page size that the client requests if a list has pages. The documented API has none.
    /// The number of users per request of the list
    #[arg(long, value_name = "N", default_value_t = 1_000, requires = "users", value_parser = whole_number(1..=u32::MAX))]
    pub(super) page_size: u32,
    /// The number of users who have an event within 5 minutes; estimated if left out
    #[arg(long, value_name = "N", value_parser = changes)]
    pub(super) changes: Option<f64>,
    /// The budget share, instead of the configured one: 0.01 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(super) budget_share: Option<f64>,
    /// The interval of the list, instead of intervals.summary
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub(super) summary_interval: Option<Duration>,
    /// The interval of the behaviors, instead of intervals.behaviors
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub(super) behaviors_interval: Option<Duration>,
    /// The interval of the integrations, instead of intervals.integrations
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub(super) integrations_interval: Option<Duration>,
    /// The interval of the audit, instead of intervals.audit
    #[arg(long, value_name = "INTERVAL", value_parser = audit_interval)]
    pub(super) audit_interval: Option<Duration>,
    /// The format of the result
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) file: FileFlags,
}

impl PlanArgs {
    /// The load with the values that the flags give.
    pub(super) fn with_flags(&self, load: Load) -> Load {
        let Intervals { summary, behaviors, integrations, audit } = load.intervals;
        Load {
            changes: self.changes.unwrap_or(load.changes),
            basis: if self.changes.is_some() { Basis::Given } else { load.basis },
            sharing: self.sharing.unwrap_or(load.sharing),
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

/// Reads a number of changes. The largest planned account has a million users, who can all change in five minutes.
fn changes(text: &str) -> Result<f64, String> {
    let number = decimal(text).filter(|number| (0.0..=1_000_000.0).contains(number));
    number.ok_or_else(|| "must be a number from 0 to 1000000".to_owned())
}
