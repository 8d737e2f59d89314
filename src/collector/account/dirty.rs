//! Which rows of the durable copy of an account are out of date.
//!
//! A change only marks its rows. Their content is taken from the account when they are saved, so a failed commit
//! loses nothing, and many changes of one user are one row.

use std::collections::BTreeSet;

use crate::collector::persist::Document;
use crate::model::UserId;
use crate::store::row::Table;

/// What changed since the last commit.
#[derive(Debug)]
pub(super) enum Unsaved {
    /// Nothing was ever committed.
    Everything,
    /// These rows.
    Rows(Rows),
}

/// Rows that changed or were removed.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) documents: BTreeSet<Document>,
    pub(super) users: [BTreeSet<UserId>; Table::ALL.len()],
}

impl Unsaved {
    pub(super) fn nothing() -> Self {
        Self::Rows(Rows::default())
    }

    pub(super) fn document(&mut self, document: Document) {
        if let Self::Rows(rows) = self {
            rows.documents.insert(document);
        }
    }

    pub(super) fn user(&mut self, table: Table, id: UserId) {
        self.users(table, [id]);
    }

    pub(super) fn users(&mut self, table: Table, ids: impl IntoIterator<Item = UserId>) {
        if let Self::Rows(rows) = self {
            rows.users[table.index()].extend(ids);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Everything => false,
            Self::Rows(rows) => rows.documents.is_empty() && rows.users.iter().all(BTreeSet::is_empty),
        }
    }
}
