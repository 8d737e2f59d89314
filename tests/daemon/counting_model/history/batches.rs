//! Batches of rows: whether they are handed over, committed or lost, and what the next process finds.

use std::collections::BTreeMap;

use zt_risk_exporter::internals::collector::account::Account;
use zt_risk_exporter::internals::collector::persist::Saved;
use zt_risk_exporter::internals::store::row::Table;
use zt_risk_exporter::model::UserId;

use super::super::world::MINUTE;
use super::History;

/// What happens after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Saved,
    /// The changes are handed over to a commit that has not ended when the next answer comes.
    HandedOver,
    /// The changes are not handed over yet.
    Waiting,
    /// The changes cannot be saved now.
    Unsaved,
    CrashBeforeCommit,
    /// The changes were saved, but not published.
    CrashAfterCommit,
    /// The file was lost: everything is saved to a new one.
    SavedToNewFile,
}

/// The committed rows.
pub(super) type Store = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Rows that are committed together; `None` removes a row.
pub(super) type Rows = Vec<((Table, Vec<u8>), Option<Vec<u8>>)>;

/// What happens to the rows that a commit does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherRows {
    Stay,
    /// They are removed, because the commit has all rows of the account.
    Go,
}

impl History {
    pub(super) fn hand_over(&mut self) {
        let rows = self.collect_changes(Fate::HandedOver);
        if self.account.changes(self.now()).are_everything() {
            self.batch.clear();
            self.other_rows = OtherRows::Go;
        }
        self.batch.extend(rows);
        self.account.handed_over();
        self.handed = Some(self.expected.clone());
    }

    /// The commit of the batch ends, if there is one.
    pub(super) fn commit(&mut self) {
        if self.handed.is_some() {
            self.store_batch();
            self.account.committed();
        }
    }

    pub(super) fn store_batch(&mut self) {
        if std::mem::replace(&mut self.other_rows, OtherRows::Stay) == OtherRows::Go {
            self.store.clear();
        }
        for (row, value) in self.batch.drain(..) {
            match value {
                Some(value) => drop(self.store.insert(row, value)),
                None => drop(self.store.remove(&row)),
            }
        }
        self.committed = self.handed.take();
    }

    /// The rows that were handed over are not committed, so everything must be saved again.
    pub(super) fn lose_batch(&mut self) {
        if self.handed.take().is_some() {
            self.batch.clear();
            self.other_rows = OtherRows::Stay;
            self.account.save_everything();
        }
    }

    pub(super) fn fate(&mut self) -> Fate {
        if self.world.calm {
            self.is_failing = false;
            return Fate::Saved;
        }
        let draw = self.random.u32(0..1_000);
        // Most kinds of rows are saved for the first time at the start.
        self.answers += 1;
        let crashes = if self.answers < 20 { self.crashes * 10 } else { self.crashes };
        if draw < crashes {
            self.is_failing = self.random.bool();
            return if self.is_failing { Fate::CrashBeforeCommit } else { Fate::CrashAfterCommit };
        }
        self.is_failing = if self.is_failing { draw < 900 } else { draw >= 1_000 - self.failures };
        match self.is_failing {
            true => Fate::Unsaved,
            false if draw == 500 => Fate::SavedToNewFile,
            false => {
                [Fate::Saved, Fate::HandedOver, Fate::HandedOver, Fate::Waiting][self.batches.usize(0..4)]
            }
        }
    }

    /// Collects the changes of the account.
    pub(super) fn collect_changes(&mut self, fate: Fate) -> Rows {
        let date = self.dates().earliest();
        let mut rows = Rows::new();
        let handed = self.account.changes(self.now()).each(|put| {
            rows.push(((put.table, put.key.to_vec()), put.value.map(<[u8]>::to_vec)));
            // A disk may become full at any row; the earlier rows of the transaction are not kept either.
            if fate == Fate::Unsaved && put.table == Table::TopUsers { Err(()) } else { Ok(()) }
        });
        assert!(handed.is_ok() || fate == Fate::Unsaved, "an unexpected error");
        let users = rows.iter().filter(|((table, _), _)| *table == Table::Users);
        let id = |key: &[u8]| UserId::from_slice(key).expect("a user's key is its id").as_u128();
        let is_kept: BTreeMap<_, _> = users.map(|((_, key), value)| (id(key), value.is_some())).collect();
        // If all rows are written, those of users who were dropped are not removed one by one.
        let are_all = self.account.changes(self.now()).are_everything();
        let is_dropped = |id: &u128| is_kept.get(id).map_or(are_all, |is_kept| !is_kept);
        for user in self.expected.users().filter(is_dropped).collect::<Vec<_>>() {
            self.expected.dropped(user, date);
        }
        rows
    }

    /// Ends the process, and starts the next one from the committed rows.
    pub(super) fn restart(&mut self) {
        self.world.now += self.random.i64(0..MINUTE);
        self.started = self.world.now;
        if let Some(committed) = self.committed.take() {
            self.expected = committed;
        }
        self.expected.restarted();
        self.read.clear();
        // Each process draws a secret, but must use the one in the state.
        self.random.fill(&mut self.settings.secret);
        self.account = Account::restore(self.settings.clone(), self.saved(), self.now())
            .expect("saved rows can be read");
        self.expected.list_answers = self.account.snapshot().up == Some(true);
        let date = self.world.local_date();
        let saved = self.saved().feed;
        self.feed.restart(&mut self.account, saved, date);
    }

    /// The sink writes what is on disk, and the state file forgets it, unless the process ends before.
    pub(super) fn write_feed(&mut self) {
        if self.batches.u32(0..4) == 0 {
            // The sink waits.
            return;
        }
        let rows = self.feed.write();
        if self.handed.is_none() && self.batches.bool() {
            for (row, value) in rows {
                match value {
                    Some(value) => drop(self.store.insert(row, value)),
                    None => drop(self.store.remove(&row)),
                }
            }
        }
    }

    pub(super) fn saved(&self) -> Saved {
        let mut saved = Saved::default();
        for ((table, key), value) in &self.store {
            saved.add(*table, key, value).expect("saved rows can be read");
        }
        saved
    }
}
