//! The arguments of `backfill`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use crate::commands::args::TimeArg;
use crate::commands::candidates::accounts;
use crate::config::FileFlags;
use crate::config::parse::{duration_within, share};

/// Write past events that Cloudflare still lists, for `promtool tsdb create-blocks-from openmetrics`
#[derive(Debug, Clone, Args)]
pub struct Backfill {
    /// The account, by alias or id; required if several are configured
    #[arg(long, value_name = "ALIAS", add = ArgValueCandidates::new(accounts))]
    pub account: Option<String>,
    /// The file to write, in OpenMetrics; the progress is saved in FILE.progress
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// The start: a duration before now such as 90m or 30d, today, yesterday, a date such as 2026-11-20 (UTC), an RFC
    /// 3339 time, or seconds since 1970
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub since: TimeArg,
    /// The end, ideally when the exporter began counting [default: now]
    #[arg(long, value_name = "WHEN")]
    pub until: Option<TimeArg>,
    /// The time between two samples, 15s to 5m
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = step)]
    pub step: Duration,
    /// The budget share, instead of the configured one: 0.01 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub budget_share: Option<f64>,
    /// The configuration file and the log.
    #[command(flatten)]
    pub file_flags: FileFlags,
}

/// Prometheus looks back 5 minutes for the latest sample, so a longer step would leave gaps.
const STEP: RangeInclusive<Duration> = Duration::from_secs(15)..=Duration::from_secs(300);

fn step(text: &str) -> Result<Duration, String> {
    duration_within(text, &STEP)
}
