//! Converts an account to rows of bytes, and back.
//!
//! Pure. [`crate::store`] keeps the rows on disk; a test may keep them anywhere. A user is a row in up to four tables,
//! so that a change of one user writes only the rows of that user. What exists once for an account is a JSON document.
//! The rows hold ids of users, keyed hashes of events, labels, counts and times, and nothing else about a person.
//!
//! Integers are little-endian, times are milliseconds since the Unix epoch, and an absent time is the
//! smallest one. [`FORMAT`](crate::store::row::FORMAT) rises when the meaning of any of it changes.

mod bytes;
mod rows;

use std::collections::{BTreeMap, HashMap};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::cloudflare::limit::{Lease, Owner, Spending};
use crate::collector::ledger::Record;
use crate::collector::ledger::persisted::Totals;
use crate::collector::roster::{Overview, User};
use crate::collector::top_users::Selection;
use crate::feed::saved::{self as feed, SavedFeed};
use crate::model::{Behavior, Integration, Resource, UserId};
use crate::store::row::{Table, Unreadable};
use bytes::RowReader;
pub use rows::Now;
pub(crate) use rows::SavedPending;
use rows::{read_fingerprint, read_pending, read_record, read_user};
pub(crate) use rows::{write_pending, write_record, write_selection, write_user};

/// A document: what exists once for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    /// Everything counted: [`Totals`].
    Totals,
    /// Totals over the latest complete summary, and when each resource was read: [`CollectorState`].
    CollectorState,
    /// The behaviors, once read.
    Behaviors,
    /// The integrations, once read.
    Integrations,
    /// The requests charged to the budget of its credential: [`Spending`].
    Spending,
    /// Where the feed is.
    Feed,
    /// How far each sink of the feed is.
    FeedPositions,
}

impl Document {
    /// All documents.
    pub const ALL: [Self; 7] = [
        Self::Totals,
        Self::CollectorState,
        Self::Behaviors,
        Self::Integrations,
        Self::Spending,
        Self::Feed,
        Self::FeedPositions,
    ];

    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totals => "counting",
            Self::CollectorState => "standings",
            Self::Behaviors => "behaviors",
            Self::Integrations => "integrations",
            Self::Spending => "spending",
            Self::Feed => feed::PLACE,
            Self::FeedPositions => feed::POSITIONS,
        }
    }
}

/// Totals over the latest complete summary, and when each resource was read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectorState {
    /// Users and their counts.
    pub overview: Option<Overview>,
    /// Whether the latest request gave a complete summary.
    pub up: Option<bool>,
    /// When each resource was last read completely.
    pub last_success: BTreeMap<Resource, Timestamp>,
    /// How many requests the summary took.
    pub summary_pages: u32,
    /// Whether the behaviors were read or refused once, so that labels may be given.
    pub labels_settled: bool,
    /// The user that was audited last.
    pub audited: Option<UserId>,
}

/// [`Spending`] as it is saved.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedSpending {
    leases: Vec<SavedLease>,
    blocked_until: Option<Timestamp>,
}

/// [`Lease`] as it is saved.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum SavedLease {
    /// The owner, the latest time and the number of requests.
    Owned(u64, Timestamp, u32),
    /// The same in format 3 and before, which had no owners.
    Unowned(Timestamp, u32),
}

impl From<SavedSpending> for Spending {
    fn from(SavedSpending { leases, blocked_until }: SavedSpending) -> Self {
        // Nothing says that the rows of another account have the same requests.
        let unknown = Owner::random();
        let lease = |saved| match saved {
            SavedLease::Owned(owner, until, requests) => Lease { owner: Owner(owner), until, requests },
            SavedLease::Unowned(until, requests) => Lease { owner: unknown, until, requests },
        };
        Self { leases: leases.into_iter().map(lease).collect(), blocked_until }
    }
}

/// Writes the document [`Document::Spending`].
pub fn write_spending(Spending { leases, blocked_until }: &Spending) -> Vec<u8> {
    let leases =
        leases.iter().map(|Lease { owner, until, requests }| SavedLease::Owned(owner.0, *until, *requests));
    write_document(&SavedSpending { leases: leases.collect(), blocked_until: *blocked_until })
}

/// Writes a document.
pub(crate) fn write_document(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content)
        .expect("the keys of documents are strings, and writing to memory does not fail")
}

/// Everything that an earlier process saved of an account.
#[derive(Debug, Default)]
pub struct Saved {
    /// Everything counted.
    pub totals: Option<Totals>,
    /// Totals over the latest complete summary.
    pub collector: CollectorState,
    /// The behaviors, if they were read.
    pub behaviors: Option<Vec<Behavior>>,
    /// The integrations, if they were read.
    pub integrations: Option<Vec<Integration>>,
    /// Requests charged to the budget.
    pub spending: Spending,
    /// All users ever listed, sorted by id.
    pub users: Vec<User>,
    /// When users who are gone left the list.
    pub gone: HashMap<UserId, Timestamp>,
    /// What is kept about users' events.
    pub records: HashMap<UserId, Record>,
    /// The queue.
    pub pending: Vec<(UserId, SavedPending)>,
    /// The users with series of their own, and until when each keeps them.
    pub series: Vec<(Selection, Option<Timestamp>)>,
    /// The records of the feed that wait to be written.
    pub feed: SavedFeed,
}

impl Saved {
    /// Adds a row. The rows of a table must come sorted by key.
    ///
    /// # Errors
    /// This program does not write such a row.
    pub fn add(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        match table {
            Table::Documents => return self.add_document(key, value),
            Table::Feed => return self.feed.add(key, value),
            Table::Users | Table::Records | Table::Pending | Table::TopUsers => {}
        }
        let id = UserId::from_slice(key).map_err(|_| Unreadable("the key of a row is not a user id"))?;
        let mut row = RowReader::new(value);
        match table {
            Table::Documents | Table::Feed => unreachable!("these were added above"),
            Table::Users => {
                let (user, gone) = read_user(id, &mut row)?;
                if self.users.last().is_some_and(|last| last.id >= id) {
                    return Err(Unreadable("the users are not sorted"));
                }
                self.users.push(user);
                self.gone.extend(gone.map(|gone| (id, gone)));
            }
            Table::Records => drop(self.records.insert(id, read_record(&mut row)?)),
            Table::Pending => self.pending.push((id, read_pending(&mut row)?)),
            Table::TopUsers => {
                let (fingerprint, until) = (read_fingerprint(&mut row)?, row.maybe_time()?);
                self.series.push((Selection { id, fingerprint, identity: None }, until));
            }
        }
        row.end()
    }

    fn add_document(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        let named = |document: &Document| document.as_str().as_bytes() == key;
        match Document::ALL.into_iter().find(named) {
            Some(Document::Totals) => self.totals = Some(parse(value)?),
            Some(Document::CollectorState) => self.collector = parse(value)?,
            Some(Document::Behaviors) => self.behaviors = Some(parse(value)?),
            Some(Document::Integrations) => self.integrations = Some(parse(value)?),
            Some(Document::Spending) => self.spending = parse::<SavedSpending>(value)?.into(),
            Some(Document::Feed) => self.feed.read_place(value)?,
            Some(Document::FeedPositions) => self.feed.read_positions(value)?,
            None => return Err(Unreadable("a document has an unknown name")),
        }
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(value).map_err(|_| Unreadable("a document has an unknown format"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &[u8]) -> Result<Spending, Unreadable> {
        let mut saved = Saved::default();
        saved.add(Table::Documents, Document::Spending.as_str().as_bytes(), document)?;
        Ok(saved.spending)
    }

    #[test]
    fn a_spending_is_read_as_it_was_written() {
        let lease = |owner, second, requests| Lease {
            owner: Owner(owner),
            until: Timestamp::from_seconds(second),
            requests,
        };
        let leases =
            vec![lease(u64::MAX, 1_900_000_000, 15), lease(0, 1_900_000_030, 2), lease(0, -1, u32::MAX)];
        for blocked_until in [None, Some(Timestamp::from_seconds(1_900_000_300))] {
            let spending = Spending { leases: leases.clone(), blocked_until };
            assert_eq!(read(&write_spending(&spending)).unwrap(), spending);
        }
        for refused in [r#"{"leases":[[1,2,3,4]]}"#, r#"{"leases":[[-1,2,3]]}"#, r#"{"leases":[[1]]}"#] {
            assert!(read(refused.as_bytes()).is_err(), "{refused}");
        }
    }

    #[test]
    fn the_leases_of_a_row_without_owners_have_one_of_their_own() {
        let row = br#"{"leases":[[1900000000000,15],[1900000030000,2]],"blocked_until":1900000300000}"#;
        let [spending, other] = [(); 2].map(|()| read(row).unwrap());
        let [first, second] = spending.leases.as_slice() else { panic!("{spending:?}") };
        assert_eq!((first.until, first.requests), (Timestamp::from_seconds(1_900_000_000), 15));
        assert_eq!((second.until, second.requests), (Timestamp::from_seconds(1_900_000_030), 2));
        assert_eq!(spending.blocked_until, Some(Timestamp::from_seconds(1_900_000_300)));
        assert_eq!(first.owner, second.owner);
        assert_ne!(first.owner, other.leases[0].owner, "another row may have other requests");
    }
}
