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
    urgency: Urgency,
}

/// Whether rows must be saved soon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Losing them costs a few requests: dates of readings, and what a reading without a known change has found.
    #[default]
    CanWait,
    /// They have counts, or what counts depend on.
    Soon,
}

impl Unsaved {
    pub(super) fn nothing() -> Self {
        Self::Rows(Rows::default())
    }

    /// Marks a document that must be saved soon.
    pub(super) fn document(&mut self, document: Document) {
        self.mark(document, Urgency::Soon);
    }

    pub(super) fn mark(&mut self, document: Document, urgency: Urgency) {
        if let Self::Rows(rows) = self {
            rows.documents.insert(document);
            rows.hurry(urgency);
        }
    }

    /// Marks the row of a user, which must be saved soon.
    pub(super) fn user(&mut self, table: Table, id: UserId) {
        self.users(table, [id]);
    }

    /// Marks rows of users, which must be saved soon.
    pub(super) fn users(&mut self, table: Table, ids: impl IntoIterator<Item = UserId>) {
        for id in ids {
            self.mark_user(table, id, Urgency::Soon);
        }
    }

    pub(super) fn mark_user(&mut self, table: Table, id: UserId, urgency: Urgency) {
        if let Self::Rows(rows) = self {
            rows.users[table.index()].insert(id);
            rows.hurry(urgency);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Everything => false,
            Self::Rows(rows) => rows.documents.is_empty() && rows.users.iter().all(BTreeSet::is_empty),
        }
    }

    /// Whether nothing must be saved soon.
    pub(super) fn can_wait(&self) -> bool {
        match self {
            Self::Everything => false,
            Self::Rows(rows) => rows.urgency == Urgency::CanWait,
        }
    }
}

impl Rows {
    fn hurry(&mut self, urgency: Urgency) {
        if urgency == Urgency::Soon {
            self.urgency = urgency;
        }
    }
}
