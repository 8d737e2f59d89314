//! The words of `backfill`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::plan::budget_share;
use super::{Flags, LogFlags};
use crate::clock::Timestamp;
use crate::config::duration;

/// `backfill`
#[derive(Debug, Clone, Args)]
pub struct Backfill {
    /// The configuration file (YAML)
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Whose past; can be left out if there is only one account
    #[arg(long, value_name = "ALIAS")]
    pub account: Option<String>,
    /// Where the past is written, in OpenMetrics; how far it is read is kept beside it, in FILE.progress
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// From when on: a span before now such as 30d, an RFC 3339 date, or seconds since 1970
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub since: When,
    /// Up to when, best when the exporter began to count; now, if left out
    #[arg(long, value_name = "WHEN")]
    pub until: Option<When>,
    /// The time between two samples, 15s to 5m
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = step)]
    pub step: Duration,
    /// In place of the configured budget_share, 0.01 to 1
    #[arg(long, value_name = "SHARE", value_parser = budget_share)]
    pub budget_share: Option<f64>,
    /// What is logged.
    #[command(flatten)]
    pub log: LogFlags,
}

/// A date, as people say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    text: String,
    moment: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Ago(Duration),
    At(Timestamp),
}

impl When {
    /// As it was said.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The date that is meant, said at `now`.
    pub fn from(&self, now: Timestamp) -> Timestamp {
        match self.moment {
            Moment::Ago(span) => now - span,
            Moment::At(date) => date,
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ago = || duration::parse(text).map(Moment::Ago);
        let date = || text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
        // As a metric has it. What a Timestamp holds is far beyond any date that is meant.
        let seconds = || text.parse::<f64>().ok().filter(|date| (0.0..1e11).contains(date));
        let millis = || date().or_else(|| seconds().map(|seconds| (seconds * 1_000.0).round() as i64));
        let moment = ago().or_else(|| millis().map(|millis| Moment::At(Timestamp::from_millis(millis))));
        let moment = moment.ok_or_else(|| {
            "must be a span such as 30d, a date such as 2026-11-01T00:00:00Z, or seconds since 1970"
                .to_owned()
        })?;
        Ok(Self { text: text.to_owned(), moment })
    }
}

impl Backfill {
    /// What is said of the configuration.
    pub fn flags(&self) -> Flags {
        Flags { config_file: self.config_file.clone(), ..self.log.flags() }
    }
}

/// Prometheus looks back 5 minutes for the latest sample; a longer step would leave gaps.
fn step(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(15)..=Duration::from_secs(300);
    let span = duration::parse(text).filter(|span| bounds.contains(span));
    span.ok_or_else(|| "must be a duration from 15s to 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_may_be_a_span_before_now_a_date_or_seconds() {
        let now = Timestamp::from_seconds(2_000_000_000);
        for (text, wanted) in [
            ("1d", Some(1_999_913_600_000)),
            ("1h30m", Some(1_999_994_600_000)),
            ("2026-11-01T00:00:00Z", Some(1_793_491_200_000)),
            ("2026-11-01T01:00:00+01:00", Some(1_793_491_200_000)),
            ("1793491200", Some(1_793_491_200_000)),
            ("1793491200.25", Some(1_793_491_200_250)),
            ("1.7934912e9", Some(1_793_491_200_000)),
            ("yesterday", None),
            ("-1", None),
            ("", None),
        ] {
            let date = text.parse::<When>().ok().map(|when| when.from(now).millis());
            assert_eq!(date, wanted, "{text}");
        }
    }
}
