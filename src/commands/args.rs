//! Arguments that several commands take, and the parsers of their values.
//!
//! Durations, shares and numbers use the parsers of the configuration (`config::parse`), so that a value means the
//! same in the file, in the environment and as a flag.

use std::str::FromStr;

use clap::Args;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::clock::moment::Moment;
use crate::config::parse::{decimal, whole_number};
use crate::simulator::Scenario;

/// The size and the seed of a generated world.
#[derive(Debug, Clone, Args)]
pub(crate) struct World {
    /// The number of users, 1 to 1000000
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = whole_number(1..=1_000_000_u32))]
    pub(crate) users: u32,
    /// The seed of the random numbers: the same seed at the same time gives the same users and events
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole_number(0..=u64::MAX))]
    pub(crate) seed: u64,
}

impl World {
    /// The scenario of this world, in which events come `speed` times as often as in a real account.
    pub(crate) fn scenario(&self, speed: f64) -> Scenario {
        Scenario { speed, ..Scenario::generated(self.users, self.seed) }
    }
}

/// Reads the factor by which events come more often. Below 0.1 almost nothing happens; above 3600, when an hour passes
/// in a second, all events of a campaign come at once.
///
/// # Errors
/// The text is not a number from 0.1 to 3600.
pub(crate) fn speed(text: &str) -> Result<f64, String> {
    let speed = decimal(text).filter(|speed| (0.1..=3_600.0).contains(speed));
    speed.ok_or_else(|| "must be a number from 0.1 to 3600".to_owned())
}

/// Reads the id of an integration.
///
/// # Errors
/// The text is not a UUID.
pub(crate) fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text)
        .map_err(|_| "must be a UUID such as 4cfe8442-664b-4915-acd4-b39cd65c4314".to_owned())
}

/// A point in time, as a user writes it: how long before now, a day, a date, or seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeArg {
    text: String,
    moment: Moment,
}

impl TimeArg {
    /// The text as the user wrote it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The date that it means at the time `now`.
    pub(crate) fn date(&self, now: Timestamp) -> Timestamp {
        self.moment.date(now)
    }
}

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let moment = Moment::parse(text).ok_or_else(|| {
            "must be a duration before now such as 90m or 30d, today, yesterday, a date such as 2026-11-20 or \
             2026-11-20T08:00:00Z, or seconds since 1970"
                .to_owned()
        })?;
        Ok(Self { text: text.to_owned(), moment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_and_a_refusal_says_so_in_our_words() {
        assert!(uuid("4cfe8442-664b-4915-acd4-b39cd65c4314").is_ok());
        for text in ["", "ann@example.com", "4cfe8442"] {
            assert_eq!(
                uuid(text).unwrap_err(),
                "must be a UUID such as 4cfe8442-664b-4915-acd4-b39cd65c4314"
            );
        }
    }

    #[test]
    fn a_speed_is_a_number_within_its_bounds() {
        for (text, wanted) in [
            ("0.1", Some(0.1)),
            ("60", Some(60.0)),
            ("3600", Some(3_600.0)),
            ("0.09", None),
            ("3601", None),
            ("-1", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(speed(text).ok(), wanted, "{text}");
        }
    }
}
