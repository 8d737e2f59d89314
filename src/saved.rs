//! What an account leaves to its next process: rows of bytes, in our own names, and back.
//!
//! Pure. [`crate::state`] keeps the rows on disk; a test may keep them anywhere. A user is a row in up to
//! four tables, so that a change of one user writes one user; what there is once for an account is a
//! document in JSON. The rows hold ids of users, keyed hashes of events, labels, counts and times, and
//! nothing else that Cloudflare says of a person.
//!
//! Integers are little-endian, times are milliseconds since the Unix epoch, and an absent time is the
//! smallest one. [`FORMAT`] rises when any of it changes its meaning.

mod bytes;
mod rows;

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::clock::{Moment, Timestamp};
use crate::labels::Labels;
use crate::ledger::{Loss, Record};
use crate::model::{Behavior, Endpoint, Histogram, Integration, LevelChanges, PerLevel, UserId};
use crate::queue::Pending;
use crate::rate_limit::WINDOW;
use crate::roster::{Overview, User};
use crate::series::Chosen;
use bytes::Reader;
pub(crate) use rows::{chosen, pending, record, user};
use rows::{read_pending, read_record, read_tuple, read_user};

/// The version of everything here.
pub const FORMAT: u32 = 1;

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// What there is once: [`Document`]s, by name.
    Documents,
    /// Who is on the list, by user: [`User`].
    Users,
    /// Which events were counted, by user: [`Record`].
    Records,
    /// Whose events are still to be read, by user: [`Pending`].
    Pending,
    /// Who has series, by user.
    Series,
}

impl Table {
    /// All tables, in the order of [`Table::index`].
    pub const ALL: [Self; 5] = [Self::Documents, Self::Users, Self::Records, Self::Pending, Self::Series];

    /// The position of this table in [`Table::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Users => "users",
            Self::Records => "records",
            Self::Pending => "pending",
            Self::Series => "series",
        }
    }
}

/// What there is once for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    /// Everything counted: [`Counting`].
    Counting,
    /// The latest whole summary as a whole, and how it is read: [`Standings`].
    Standings,
    /// The behaviors, once read.
    Behaviors,
    /// The integrations, once read.
    Integrations,
    /// What its credential's budget was spent on: [`Spending`].
    Spending,
}

impl Document {
    /// All documents.
    pub const ALL: [Self; 5] =
        [Self::Counting, Self::Standings, Self::Behaviors, Self::Integrations, Self::Spending];

    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::Standings => "standings",
            Self::Behaviors => "behaviors",
            Self::Integrations => "integrations",
            Self::Spending => "spending",
        }
    }
}

/// A row of an account, or that there is none any more.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Where it stands.
    pub table: Table,
    /// Under what.
    pub key: &'a [u8],
    /// What it says; `None` if it is to be removed.
    pub value: Option<&'a [u8]>,
}

/// A row does not say what this program writes: why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);

/// Everything counted, but for the records of single users.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counting {
    /// Since when events are counted.
    pub epoch: Option<Timestamp>,
    /// Events at or before it are not counted.
    pub floor: Option<Timestamp>,
    /// Keys the hashes of events: 32 hexadecimal digits.
    pub secret: String,
    /// The floors of forgotten users by [`forgotten_key`]: 16 hexadecimal digits.
    pub forgotten: BTreeMap<String, Timestamp>,
    /// The labels given so far.
    pub labels: Labels,
    /// Events by label.
    pub events: Vec<PerLevel<u64>>,
    /// Users with a first event by label.
    pub behavior_users: Vec<u64>,
    /// Moves between levels.
    pub level_changes: LevelChanges,
    /// Distinct resets.
    pub resets: u64,
    /// Events that could not be found, by [`Loss`].
    pub losses: [u64; Loss::ALL.len()],
    /// From an event to its first sight.
    pub observation_delay: SavedHistogram,
    /// From reaching a level to the reset.
    pub time_to_reset: PerLevel<SavedHistogram>,
}

/// The latest whole summary as a whole, and how the endpoints are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standings {
    /// Users and their counts.
    pub overview: Option<Overview>,
    /// Whether the latest attempt gave a whole summary.
    pub up: Option<bool>,
    /// When each endpoint was last read whole.
    pub last_success: BTreeMap<Endpoint, Timestamp>,
    /// How many requests the summary took.
    pub summary_pages: u32,
    /// Whether the behaviors were read or refused once, so that labels may be given.
    pub labels_settled: bool,
    /// The user that the audit's round has come to.
    pub audited: Option<UserId>,
}

/// Requests that still weigh on a budget, and until when nothing may go at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spending {
    /// How many requests were sent by when, at the latest.
    pub leases: Vec<(Timestamp, u32)>,
    /// The end of a block by Cloudflare.
    pub blocked_until: Option<Timestamp>,
}

impl Spending {
    /// Adds what another account of the same budget spent.
    pub fn add(&mut self, other: Self) {
        self.leases.extend(other.leases);
        self.blocked_until = self.blocked_until.max(other.blocked_until);
    }

    /// Forgets what weighs no more at `date`, and what a clock that was ahead has written.
    pub fn forget(&mut self, date: Timestamp) {
        self.leases.retain(|(until, _)| *until + WINDOW > date && *until <= date + WINDOW);
        self.blocked_until = self.blocked_until.filter(|until| *until > date);
    }
}

/// A histogram without its bounds, which belong to the program.
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
    pub(crate) fn restore(self, bounds: &'static [f64]) -> Result<Histogram, Unreadable> {
        if self.counts.len() != bounds.len() + 1 {
            return Err(Unreadable("a histogram has other bounds"));
        }
        Ok(Histogram { bounds, counts: self.counts, sum: self.sum })
    }
}

/// Both clocks at one instant. Moments mean nothing to another process, so they are saved as dates.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On the clock of this process.
    pub moment: Moment,
    /// On the wall.
    pub date: Timestamp,
}

impl Now {
    fn date_of(self, moment: Moment) -> Timestamp {
        self.date + moment.since(self.moment)
    }

    /// The moment of a saved date. One that is further off than `most` is a clock that was set back.
    pub(crate) fn moment_of(self, date: Timestamp, most: Duration) -> Moment {
        self.moment + date.since(self.date).min(most)
    }
}

/// Writes a document.
pub(crate) fn document(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content).expect("documents have text as keys, and writing to memory does not fail")
}

/// Whose turn is still to come, as saved.
#[derive(Clone, Copy, Debug)]
pub struct SavedPending {
    /// All but its place in the queue.
    pub pending: Pending,
    /// Before when the user is not to be read.
    pub due: Option<Timestamp>,
}

/// Everything that an account left, as read from its rows.
#[derive(Debug, Default)]
pub struct Saved {
    /// Everything counted.
    pub counting: Option<Counting>,
    /// The latest whole summary as a whole.
    pub standings: Standings,
    /// The behaviors, if they were read.
    pub behaviors: Option<Vec<Behavior>>,
    /// The integrations, if they were read.
    pub integrations: Option<Vec<Integration>>,
    /// What was spent on requests.
    pub spending: Spending,
    /// All users ever listed, sorted by id.
    pub users: Vec<User>,
    /// Since when users are gone.
    pub gone: HashMap<UserId, Timestamp>,
    /// What is kept of users' events.
    pub records: HashMap<UserId, Record>,
    /// Who waits to be read.
    pub pending: Vec<(UserId, SavedPending)>,
    /// Who has series, and until when at least.
    pub series: Vec<(Chosen, Option<Timestamp>)>,
}

impl Saved {
    /// Takes in a row. The rows of a table come sorted by key.
    ///
    /// # Errors
    /// This program does not write such a row.
    pub fn add(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        if table == Table::Documents {
            return self.add_document(key, value);
        }
        let id = UserId::from_slice(key).map_err(|_| Unreadable("the key of a row is no user"))?;
        let mut row = Reader::new(value);
        match table {
            Table::Documents => unreachable!("documents were added above"),
            Table::Users => {
                let (user, gone) = read_user(id, &mut row)?;
                if self.users.last().is_some_and(|last| last.id >= id) {
                    return Err(Unreadable("the users are not in order"));
                }
                self.users.push(user);
                self.gone.extend(gone.map(|gone| (id, gone)));
            }
            Table::Records => drop(self.records.insert(id, read_record(&mut row)?)),
            Table::Pending => self.pending.push((id, read_pending(&mut row)?)),
            Table::Series => {
                let (tuple, until) = (read_tuple(&mut row)?, row.maybe_time()?);
                self.series.push((Chosen { id, tuple, identity: None }, until));
            }
        }
        row.end()
    }

    fn add_document(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        let named = |document: &Document| document.as_str().as_bytes() == key;
        match Document::ALL.into_iter().find(named) {
            Some(Document::Counting) => self.counting = Some(parse(value)?),
            Some(Document::Standings) => self.standings = parse(value)?,
            Some(Document::Behaviors) => self.behaviors = Some(parse(value)?),
            Some(Document::Integrations) => self.integrations = Some(parse(value)?),
            Some(Document::Spending) => self.spending = parse(value)?,
            None => return Err(Unreadable("a document has an unknown name")),
        }
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(value).map_err(|_| Unreadable("a document has an unknown form"))
}

/// Under what the floor of a forgotten user is kept: a keyed hash, which says nothing of who it was to
/// somebody who has not the id already.
pub fn forgotten_key(secret: &[u8; 16], id: UserId) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(b"forgotten");
    hasher.write(id.as_bytes());
    hasher.finish()
}

/// The secret as text.
pub(crate) fn hex(secret: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*secret))
}

/// The secret from its text.
pub(crate) fn from_hex(text: &str) -> Result<[u8; 16], Unreadable> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
    number.map(u128::to_be_bytes).ok_or(Unreadable("the secret is not 32 hexadecimal digits"))
}
