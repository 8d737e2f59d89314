//! The outbox of an account as the state file has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::RecordKind;
use super::sink_kind::SinkKind;
use crate::clock::Timestamp;
use crate::model::UserId;
use crate::store::row::Unreadable;

/// The names of the documents.
pub(crate) const PLACE: &str = "feed";
pub(crate) const POSITIONS: &str = "feed_sinks";

const UNKNOWN_DOCUMENT: Unreadable = Unreadable("a document of the feed has an unknown format");

/// The document [`PLACE`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    epochs: Vec<Epoch>,
    next: u64,
}

/// A part of the feed whose sequences begin with 1: what one process counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Epoch {
    /// Its name in the ids of its records.
    pub(crate) epoch: u64,
    /// The number of its first record. Numbers continue from epoch to epoch.
    pub(crate) first: u64,
}

/// Everything that an earlier process saved of an account's feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedFeed {
    /// The number of the next record, unless nothing was saved.
    pub(crate) next: Option<u64>,
    /// The epochs of the records that wait, and the latest one, by their first number.
    pub(crate) epochs: Vec<Epoch>,
    /// The first number that each sink has not written.
    pub(crate) positions: BTreeMap<String, u64>,
    /// The records that some sink has not written, by their last number.
    pub(crate) records: Vec<(u64, SavedRecord)>,
}

/// A record as it is saved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SavedRecord {
    /// The first number that it stands for.
    pub(crate) first: u64,
    pub(crate) kind: RecordKind,
    /// The user that it concerns.
    pub(crate) subject: Option<UserId>,
    pub(crate) logged_time: Timestamp,
    /// The line with its newline; `None` if it was forgotten.
    pub(crate) line: Option<String>,
}

impl SavedFeed {
    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the document [`PLACE`].
    pub(crate) fn read_place(&mut self, document: &[u8]) -> Result<(), Unreadable> {
        let Place { epochs, next } = serde_json::from_slice(document).map_err(|_| UNKNOWN_DOCUMENT)?;
        (self.epochs, self.next) = (epochs, Some(next));
        Ok(())
    }

    /// Reads the document [`POSITIONS`].
    pub(crate) fn read_positions(&mut self, document: &[u8]) -> Result<(), Unreadable> {
        self.positions = serde_json::from_slice(document).map_err(|_| UNKNOWN_DOCUMENT)?;
        Ok(())
    }

    /// Adds a row. They come sorted by key.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        let key =
            key.try_into().map_err(|_| Unreadable("the key of a record of the feed is not a number"))?;
        let (last, record) = (u64::from_be_bytes(key), SavedRecord::read(value)?);
        let before = self.records.last().map_or(0, |(last, _)| *last);
        if record.first > last || record.first <= before {
            return Err(Unreadable("the records of the feed are not in order"));
        }
        self.records.push((last, record));
        Ok(())
    }

    /// The records about this user, with their keys.
    pub(crate) fn about(&self, user: UserId) -> impl Iterator<Item = (u64, &SavedRecord)> {
        let records = self.records.iter().filter(move |(_, record)| record.subject == Some(user));
        records.map(|(last, record)| (*last, record))
    }
}

/// Writes the document [`PLACE`].
pub(super) fn write_place(epochs: &[Epoch], next: u64) -> Vec<u8> {
    document(&Place { epochs: epochs.to_vec(), next })
}

/// Writes the document [`POSITIONS`].
pub(super) fn write_positions(positions: impl Iterator<Item = (SinkKind, u64)>) -> Vec<u8> {
    document(&positions.map(|(sink, next)| (sink.as_str(), next)).collect::<BTreeMap<_, _>>())
}

fn document(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content).expect("the keys are strings, and writing to memory does not fail")
}

/// The key of the row of the record with this last number.
pub fn key(last: u64) -> [u8; 8] {
    last.to_be_bytes()
}

impl SavedRecord {
    /// What is left of the record when its user is forgotten: its number.
    pub(crate) fn forgotten(&self) -> Self {
        Self { kind: RecordKind::Gap, subject: None, line: None, ..self.clone() }
    }

    /// The row. Integers are little-endian.
    pub(crate) fn write(&self) -> Vec<u8> {
        let Self { first, kind, subject, logged_time, line } = self;
        let mut row = Vec::with_capacity(40 + line.as_ref().map_or(0, String::len));
        row.extend_from_slice(&first.to_le_bytes());
        row.extend_from_slice(&logged_time.millis().to_le_bytes());
        row.push(*kind as u8);
        row.extend_from_slice(subject.unwrap_or_default().as_bytes());
        row.push(u8::from(subject.is_some()));
        row.push(u8::from(line.is_some()));
        row.extend_from_slice(line.as_deref().unwrap_or_default().as_bytes());
        row
    }

    fn read(row: &[u8]) -> Result<Self, Unreadable> {
        const SHORT: Unreadable = Unreadable("a record of the feed is too short");
        let (first, rest) = row.split_first_chunk().ok_or(SHORT)?;
        let (logged_time, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (&[kind], rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (subject, rest) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
        let (&[has_subject, has_line], line) = rest.split_first_chunk().ok_or(SHORT)?;
        let kind = RecordKind::ALL.get(usize::from(kind)).copied();
        let line = str::from_utf8(line).map_err(|_| Unreadable("a record of the feed is not UTF-8 text"))?;
        Ok(Self {
            first: u64::from_le_bytes(*first),
            kind: kind.ok_or(Unreadable("a record of the feed has an unknown kind"))?,
            subject: (has_subject == 1).then(|| UserId::from_bytes(*subject)),
            logged_time: Timestamp::from_millis(i64::from_le_bytes(*logged_time)),
            line: (has_line == 1).then(|| line.to_owned()),
        })
    }
}
