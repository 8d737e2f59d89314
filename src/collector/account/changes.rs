//! The rows that bring the durable copy of an account up to date.

use std::collections::HashMap;

use super::Account;
use super::dirty::Unsaved;
use crate::collector::persist::{self, CollectorState, Document, Now};
use crate::collector::top_users::Selection;
use crate::feed::outbox::{Extent, Outbox};
use crate::feed::saved as feed;
use crate::model::UserId;
use crate::store::row::{Put, Table};

/// The rows that make the durable copy equal to the account again.
#[derive(Debug)]
pub struct Changes<'a> {
    account: &'a Account,
    now: Now,
}

impl Account {
    /// The changes that are not saved yet.
    pub fn changes(&self, now: Now) -> Changes<'_> {
        Changes { account: self, now }
    }
}

impl Changes<'_> {
    /// Whether there is nothing to save.
    pub fn is_empty(&self) -> bool {
        self.account.unsaved.is_empty() && !self.have_records()
    }

    /// Whether losing them would cost a few requests and no counts.
    pub fn can_wait(&self) -> bool {
        self.account.unsaved.can_wait() && !self.have_records()
    }

    /// Whether the feed has something to save.
    fn have_records(&self) -> bool {
        self.account.outbox().is_some_and(Outbox::is_unsaved)
    }

    /// Whether these are all rows of the account, so that any other row in its copy is obsolete.
    pub fn are_everything(&self) -> bool {
        matches!(self.account.unsaved, Unsaved::Everything)
    }

    /// Calls `put` with each row once, in the order of tables and keys.
    ///
    /// # Errors
    /// The first error of `put`.
    pub fn each<E>(&self, mut put: impl FnMut(Put<'_>) -> Result<(), E>) -> Result<(), E> {
        let account = self.account;
        for document in Document::ALL {
            if self.includes(document)
                && let Some(value) = self.document(document)
            {
                let key = document.as_str().as_bytes();
                put(Put { table: Table::Documents, key, value: Some(&value) })?;
            }
        }
        let mut row = |table, id: UserId, value: Option<Vec<u8>>| {
            put(Put { table, key: id.as_bytes(), value: value.as_deref() })
        };
        match self.rows(Table::Users) {
            None => account.roster.users().iter().try_for_each(|user| {
                row(
                    Table::Users,
                    user.id,
                    Some(persist::write_user(user, account.roster.gone_since(user.id))),
                )
            })?,
            Some(ids) => ids.into_iter().try_for_each(|id| {
                let gone = account.roster.gone_since(id);
                row(Table::Users, id, account.roster.get(id).map(|user| persist::write_user(user, gone)))
            })?,
        }
        for id in self.rows(Table::Records).unwrap_or_else(|| sorted(account.ledger.recorded())) {
            row(Table::Records, id, account.ledger.record(id).map(persist::write_record))?;
        }
        for id in self.rows(Table::Pending).unwrap_or_else(|| sorted(account.queue.users())) {
            let pending = account.queue.get(id);
            let due = account.queue.due(id);
            row(Table::Pending, id, pending.map(|pending| persist::write_pending(pending, due, self.now)))?;
        }
        let selected: HashMap<UserId, &Selection> =
            account.top_users.selected().iter().map(|user| (user.id, user)).collect();
        for id in self.rows(Table::TopUsers).unwrap_or_else(|| sorted(selected.keys().copied())) {
            let until = account.top_users.protected_until(id);
            row(
                Table::TopUsers,
                id,
                selected.get(&id).map(|user| persist::write_selection(user, until, self.now)),
            )?;
        }
        let records = account.outbox().map(|outbox| outbox.unsaved_rows(self.extent()));
        records.into_iter().flatten().try_for_each(|(last, value)| {
            put(Put { table: Table::Feed, key: &feed::key(last), value: value.as_deref() })
        })
    }

    /// The users whose rows of `table` changed; `None` for all of them.
    fn rows(&self, table: Table) -> Option<Vec<UserId>> {
        match &self.account.unsaved {
            Unsaved::Everything => None,
            Unsaved::Rows(rows) => Some(rows.users[table.index()].iter().copied().collect()),
        }
    }

    fn extent(&self) -> Extent {
        if self.are_everything() { Extent::All } else { Extent::Changed }
    }

    fn includes(&self, document: Document) -> bool {
        if matches!(document, Document::Feed | Document::FeedPositions) && self.have_records() {
            return true;
        }
        match &self.account.unsaved {
            Unsaved::Everything => true,
            Unsaved::Rows(rows) => rows.documents.contains(&document),
        }
    }

    fn document(&self, document: Document) -> Option<Vec<u8>> {
        let account = self.account;
        match document {
            Document::Totals => Some(persist::write_document(&account.ledger.persisted())),
            Document::CollectorState => Some(persist::write_document(&CollectorState {
                overview: account.overview.clone(),
                up: account.up,
                last_success: account.last_success.clone(),
                summary_pages: account.schedule.summary_pages(),
                labels_settled: account.labels.are_settled(),
                audited: account.audit.position(),
            })),
            Document::Behaviors => account.behaviors.as_ref().map(persist::write_document),
            Document::Integrations => account.integrations.as_ref().map(persist::write_document),
            // The budget's journal writes it.
            Document::Spending => None,
            Document::Feed => account.outbox().map(Outbox::place),
            Document::FeedPositions => account.outbox().map(Outbox::positions),
        }
    }
}

fn sorted(ids: impl Iterator<Item = UserId>) -> Vec<UserId> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids
}
