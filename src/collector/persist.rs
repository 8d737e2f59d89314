//! What an account leaves to its next process: rows of bytes, in our own names, and back.
//!
//! Pure. [`crate::store`] keeps the rows on disk; a test may keep them anywhere. A user is a row in up to
//! four tables, so that a change of one user writes one user; what there is once for an account is a
//! document in JSON. The rows hold ids of users, keyed hashes of events, labels, counts and times, and
//! nothing else that Cloudflare says of a person.
//!
//! Integers are little-endian, times are milliseconds since the Unix epoch, and an absent time is the
//! smallest one. [`FORMAT`](crate::store::row::FORMAT) rises when any of it changes its meaning.

mod bytes;
mod rows;

use std::collections::{BTreeMap, HashMap};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::cloudflare::limit::Spending;
use crate::collector::ledger::Record;
use crate::collector::ledger::persisted::Totals;
use crate::collector::roster::{Overview, User};
use crate::collector::top_users::Selection;
use crate::model::{Behavior, Integration, Resource, UserId};
use crate::store::row::{Table, Unreadable};
use bytes::Reader;
pub use rows::Now;
pub(crate) use rows::SavedPending;
pub(crate) use rows::{chosen, pending, record, user};
use rows::{read_pending, read_record, read_tuple, read_user};

/// What there is once for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    /// Everything counted: [`Totals`].
    Counting,
    /// The latest whole summary as a whole, and how it is read: [`CollectorState`].
    CollectorState,
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
        [Self::Counting, Self::CollectorState, Self::Behaviors, Self::Integrations, Self::Spending];

    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::CollectorState => "standings",
            Self::Behaviors => "behaviors",
            Self::Integrations => "integrations",
            Self::Spending => "spending",
        }
    }
}

/// The latest whole summary as a whole, and how the endpoints are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectorState {
    /// Users and their counts.
    pub overview: Option<Overview>,
    /// Whether the latest attempt gave a whole summary.
    pub up: Option<bool>,
    /// When each endpoint was last read whole.
    pub last_success: BTreeMap<Resource, Timestamp>,
    /// How many requests the summary took.
    pub summary_pages: u32,
    /// Whether the behaviors were read or refused once, so that labels may be given.
    pub labels_settled: bool,
    /// The user that the audit's round has come to.
    pub audited: Option<UserId>,
}

/// The spending of a budget as it is saved.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedSpending {
    leases: Vec<(Timestamp, u32)>,
    blocked_until: Option<Timestamp>,
}

impl From<SavedSpending> for Spending {
    fn from(SavedSpending { leases, blocked_until }: SavedSpending) -> Self {
        Self { leases, blocked_until }
    }
}

/// Writes what a budget was spent on: the document [`Document::Spending`].
pub fn spending(Spending { leases, blocked_until }: &Spending) -> Vec<u8> {
    document(&SavedSpending { leases: leases.clone(), blocked_until: *blocked_until })
}

/// Writes a document.
pub(crate) fn document(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content).expect("documents have text as keys, and writing to memory does not fail")
}

/// Everything that an account left, as read from its rows.
#[derive(Debug, Default)]
pub struct Saved {
    /// Everything counted.
    pub totals: Option<Totals>,
    /// The latest whole summary as a whole.
    pub collector: CollectorState,
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
    pub series: Vec<(Selection, Option<Timestamp>)>,
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
            Table::TopUsers => {
                let (tuple, until) = (read_tuple(&mut row)?, row.maybe_time()?);
                self.series.push((Selection { id, tuple, identity: None }, until));
            }
        }
        row.end()
    }

    fn add_document(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        let named = |document: &Document| document.as_str().as_bytes() == key;
        match Document::ALL.into_iter().find(named) {
            Some(Document::Counting) => self.totals = Some(parse(value)?),
            Some(Document::CollectorState) => self.collector = parse(value)?,
            Some(Document::Behaviors) => self.behaviors = Some(parse(value)?),
            Some(Document::Integrations) => self.integrations = Some(parse(value)?),
            Some(Document::Spending) => self.spending = parse::<SavedSpending>(value)?.into(),
            None => return Err(Unreadable("a document has an unknown name")),
        }
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(value).map_err(|_| Unreadable("a document has an unknown form"))
}
