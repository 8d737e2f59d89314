//! The totals of a ledger as they are saved.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{DELAY_BOUNDS, Ledger, Loss, RESET_BOUNDS, Record};
use crate::clock::Timestamp;
use crate::collector::behavior_labels::{LabelId, Labels};
use crate::model::{Histogram, LevelChanges, PerLevel, UserId};
use crate::store::row::Unreadable;

const BAD_KEY: Unreadable = Unreadable("the key of a forgotten user is not a number");

/// Everything counted, without the records of single users.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Since when events are counted.
    pub epoch: Option<Timestamp>,
    /// Events at or before this time are not counted.
    pub floor: Option<Timestamp>,
    /// The key of the hashes: 32 hexadecimal digits.
    pub secret: String,
    /// The floors of forgotten users by [`super::forgotten_key`]: 16 hexadecimal digits.
    pub forgotten: BTreeMap<String, Timestamp>,
    /// The labels of behaviors.
    pub labels: Labels,
    /// Events by label.
    pub events: Vec<PerLevel<u64>>,
    /// Users with a first event by label.
    pub behavior_users: Vec<u64>,
    /// Observed changes of level.
    pub level_changes: LevelChanges,
    /// Distinct resets.
    pub resets: u64,
    /// Events that could not be found, by [`Loss`]. A file of format 1 has no number for the last reason.
    pub losses: Vec<u64>,
    /// Seconds from an event to its first observation.
    pub observation_delay: SavedHistogram,
    /// Seconds from reaching a level to the reset.
    pub time_to_reset: PerLevel<SavedHistogram>,
}

/// A histogram without its bounds, which are constants of the program.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedHistogram {
    counts: Vec<u64>,
    sum: f64,
}

impl From<&Histogram> for SavedHistogram {
    fn from(histogram: &Histogram) -> Self {
        Self { counts: histogram.counts.clone(), sum: histogram.sum }
    }
}

impl SavedHistogram {
    /// The histogram, if it has a count for each of `bounds`.
    fn restore(self, bounds: &'static [f64]) -> Result<Histogram, Unreadable> {
        if self.counts.len() != bounds.len() + 1 {
            return Err(Unreadable("a histogram has other bounds"));
        }
        Ok(Histogram { bounds, counts: self.counts, sum: self.sum })
    }
}

impl Ledger {
    /// The totals, to be saved.
    pub(crate) fn persisted(&self) -> Totals {
        Totals {
            epoch: self.epoch,
            floor: self.floor,
            secret: hex(&self.secret),
            forgotten: self.forgotten.iter().map(|(key, floor)| (format!("{key:016x}"), *floor)).collect(),
            labels: self.labels.clone(),
            events: self.events.clone(),
            behavior_users: self.behavior_users.clone(),
            level_changes: self.level_changes,
            resets: self.resets,
            losses: self.losses.to_vec(),
            observation_delay: (&self.delay).into(),
            time_to_reset: self.time_to_reset.each_ref().map(Into::into),
        }
    }

    /// Restores the ledger of an earlier process.
    ///
    /// # Errors
    /// The totals and records contradict each other.
    pub(crate) fn restore(totals: Totals, records: HashMap<UserId, Record>) -> Result<Self, Unreadable> {
        let Totals {
            epoch,
            floor,
            secret,
            forgotten,
            labels,
            events,
            behavior_users,
            level_changes,
            resets,
            losses,
            observation_delay,
            time_to_reset,
        } = totals;
        let known = labels.names().len();
        let is_known = |label: &LabelId| label.index() < known;
        let fits = labels.is_sound()
            && events.len() <= known
            && behavior_users.len() <= known
            && records.values().all(|record| record.since_reset.iter().all(is_known));
        if !fits {
            return Err(Unreadable("the totals do not match the labels"));
        }
        if losses.len() > Loss::ALL.len() {
            return Err(Unreadable("there are more reasons than this version knows"));
        }
        let [unknown, low, medium, high] = time_to_reset.map(|saved| saved.restore(RESET_BOUNDS));
        Ok(Self {
            secret: from_hex(&secret)?,
            epoch,
            floor,
            forgotten: forgotten
                .into_iter()
                .map(|(key, floor)| Ok((u64::from_str_radix(&key, 16).map_err(|_| BAD_KEY)?, floor)))
                .collect::<Result<_, Unreadable>>()?,
            labels,
            records,
            events,
            behavior_users,
            level_changes,
            resets,
            losses: std::array::from_fn(|reason| losses.get(reason).copied().unwrap_or(0)),
            delay: observation_delay.restore(DELAY_BOUNDS)?,
            time_to_reset: [unknown?, low?, medium?, high?],
        })
    }
}

/// The secret as hexadecimal digits.
pub(crate) fn hex(secret: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*secret))
}

/// Parses what [`hex`] returns.
pub(crate) fn from_hex(text: &str) -> Result<[u8; 16], Unreadable> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
    number.map(u128::to_be_bytes).ok_or(Unreadable("the secret is not 32 hexadecimal digits"))
}
