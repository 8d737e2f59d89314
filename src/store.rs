//! The state file: a [redb](https://docs.rs/redb) database of rows of bytes, grouped by an id that it
//! does not interpret.
//!
//! All accounts of the process write their rows to the same batch, which is committed a second after its first row. A commit
//! is atomic, and its rows are on disk when it has ended. Once the process runs, problems with the file never end
//! it: the accounts continue in memory without publishing new counts, and everything unsaved is written as soon as the
//! file can be written again. A damaged file is renamed, and a new one is created.

mod batch;
mod database;
mod error;
mod file;
pub(crate) mod offline;
mod opening;
mod overlay;
mod panics;
pub(crate) mod row;
mod stats;
#[cfg(test)]
mod tests;
mod watchdog;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::block_in_place;

use crate::clock::{Clock, Instant};
use batch::Deadline;
pub use batch::{Batch, Generation, Written};
pub use database::Settings;
use database::{Damage, Opened, Problem};
pub(crate) use database::{ExistingRows, RowError, Sink};
pub use error::Error;
use opening::{open_again, replace_damaged, restore};
use row::{Put, Table, Unreadable};
pub use stats::{Recovery, StoreStats};
use watchdog::Watchdog;

/// How long to wait before an unusable file is opened again. Checking a large file takes a second.
const RETRY: Duration = Duration::from_secs(10);

/// The state file of all accounts; cloned handles write to the same file.
#[derive(Clone, Debug)]
pub struct State {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    clock: Clock,
    stats: Arc<StoreStats>,
    watchdog: Watchdog,
    store: Mutex<Store>,
    deadline: Deadline,
    committed: watch::Sender<Batch>,
}

#[derive(Debug)]
struct Store {
    /// The open file; `None` while it cannot be used.
    opened: Option<Opened>,
    /// The ids (of accounts) whose rows this process writes.
    accounts: Vec<String>,
    /// The batch that takes rows now.
    batch: Batch,
    /// The rows that were written with [`State::put`], by account. They must be written again to a new file.
    standalone: BTreeMap<String, Rows>,
    /// The problem that was logged last, until it is over.
    logged_problem: Option<String>,
    /// When an unusable file may be opened again.
    retry_at: Instant,
}

/// Values by table and key.
type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

impl State {
    /// Opens or creates the file, and passes the rows of each of `accounts` (ids) to `add`, sorted by table and key. If the
    /// file is damaged, or has a row that `add` cannot read, it is renamed and a new one is created.
    ///
    /// # Errors
    /// The file cannot be used. It was not changed.
    pub fn open<T: Default>(
        settings: &Settings,
        accounts: Vec<String>,
        clock: &Clock,
        add: impl Fn(&mut T, Table, &[u8], &[u8]) -> Result<(), Unreadable>,
    ) -> Result<(Self, BTreeMap<String, T>), Error> {
        let stats = Arc::new(StoreStats::default());
        let watchdog = Watchdog::start(&settings.path, Arc::clone(&stats), watchdog::LIMIT);
        let operation = watchdog.begin();
        let (opened, saved, recovery) = match restore(settings, &accounts, add) {
            Ok(restored) => restored,
            Err(Problem::Refused(error)) => return Err(error),
            Err(Problem::Damaged(damage)) => {
                let opened = replace_damaged(settings, &accounts, damage, clock)?;
                (opened, BTreeMap::new(), Recovery::Damaged)
            }
        };
        drop(operation);
        let path = settings.path.display();
        match recovery {
            Recovery::Restored => tracing::info!(%path, "counting continues from the state file"),
            Recovery::Fresh => tracing::info!(%path, "created a new state file; counting starts"),
            // This was logged when the file was renamed.
            Recovery::Damaged => {}
        }
        stats.recovered(recovery, opened.size());
        let store = Store {
            opened: Some(opened),
            accounts,
            batch: Batch { generation: Generation::default(), number: 1 },
            standalone: BTreeMap::new(),
            logged_problem: None,
            retry_at: clock.now(),
        };
        let inner = Inner {
            settings: settings.clone(),
            clock: clock.clone(),
            stats,
            watchdog,
            store: Mutex::new(store),
            deadline: Deadline::default(),
            committed: watch::Sender::new(Batch::default()),
        };
        Ok((Self { inner: Arc::new(inner) }, saved))
    }

    /// The rows of the file contradict each other: renames it, and creates a new one.
    ///
    /// # Errors
    /// The file cannot be renamed, or no new one can be created.
    pub fn reject(&self, why: &str) -> Result<(), Error> {
        let inner = &self.inner;
        let mut store = self.store();
        let damage = Damage { why: why.to_owned(), lock: store.opened.as_ref().map(Opened::lock) };
        inner.close(&mut store);
        let opened = replace_damaged(&inner.settings, &store.accounts, damage, &inner.clock)?;
        inner.stats.recovered(Recovery::Damaged, opened.size());
        inner.use_file(&mut store, opened);
        Ok(())
    }

    /// Passes the rows of an account that joins a running process to `add`, sorted by table and key. Commits the batch before,
    /// which may have the last rows of that account. Also returns the file that has them.
    ///
    /// # Errors
    /// The file cannot be used now, or has a row that `add` cannot read.
    pub fn read<T: Default>(
        &self,
        account: &str,
        add: impl Fn(&mut T, Table, &[u8], &[u8]) -> Result<(), Unreadable>,
    ) -> Result<(T, Generation), Error> {
        let mut store = self.store();
        let _operation = self.inner.watchdog.begin();
        let path = || self.inner.settings.path.clone();
        self.inner.commit(&mut store);
        if !self.inner.is_open(&mut store) {
            return Err(Error::Unusable { path: path() });
        }
        let opened = store.opened.as_ref().ok_or_else(|| Error::Unusable { path: path() })?;
        let rows = opened.read(account, add).map_err(|why| Error::Damaged { path: path(), why })?;
        Ok((rows, store.batch.generation))
    }

    /// Lets commits write rows of these accounts from now on. If that fails, the file is opened again later, as after any
    /// failure, and has them then.
    pub fn join(&self, accounts: &[String]) {
        let mut store = self.store();
        let _operation = self.inner.watchdog.begin();
        let added: Vec<_> = accounts.iter().filter(|id| !store.accounts.contains(*id)).cloned().collect();
        store.accounts.extend(added);
        self.inner.commit(&mut store);
        let Store { opened: Some(opened), accounts, .. } = &mut *store else { return };
        if let Err(error) = opened.accept(accounts) {
            self.inner.give_up(&mut store, &error.to_string());
        }
    }

    /// No more rows of this account will be written. Its rows stay in the file.
    pub fn leave(&self, account: &str) {
        let mut store = self.store();
        store.accounts.retain(|id| id != account);
        store.standalone.remove(account);
    }

    /// The health of the file, for metrics.
    pub fn stats(&self) -> Arc<StoreStats> {
        Arc::clone(&self.inner.stats)
    }

    /// Identifies the file that is written now.
    pub fn generation(&self) -> Generation {
        self.store().batch.generation
    }

    /// Identifies the file that is written now, after opening it again if necessary; `None` while it cannot be used.
    pub fn usable(&self) -> Option<Generation> {
        let mut store = self.store();
        let _operation = self.inner.watchdog.begin();
        self.inner.is_open(&mut store).then_some(store.batch.generation)
    }

    /// Adds the rows of an account that `each` passes on, all or none, to the batch that is committed next, if the file is
    /// still `generation`.
    pub fn write(
        &self,
        account: &str,
        generation: Generation,
        before: ExistingRows,
        each: impl Fn(&mut Sink<'_>) -> Result<(), RowError>,
    ) -> Written {
        let mut store = self.store();
        let _operation = self.inner.watchdog.begin();
        if store.batch.generation != generation {
            return Written::OtherFile;
        }
        let standalone = store.standalone.get(account).filter(|_| before == ExistingRows::Clear).cloned();
        let written = self.inner.write(&mut store, account, before, |sink| {
            each(sink)?;
            for ((table, key), value) in standalone.iter().flatten() {
                sink(Put { table: *table, key, value: Some(value) })?;
            }
            Ok(())
        });
        if written { Written::To(store.batch) } else { Written::Failed }
    }

    /// Writes a row outside of the batches: it stays when the other rows of the account are cleared, and is written again
    /// to a new file, unless the account has left. A row of an account that the file does not know is not written.
    /// Failures are logged.
    ///
    /// Blocks until the row is on disk, with all rows that were written before, or cannot be written.
    pub fn put(&self, account: &str, table: Table, key: &[u8], value: Vec<u8>) {
        let inner = &self.inner;
        let mut store = self.store();
        let _operation = inner.watchdog.begin();
        if inner.is_open(&mut store) && store.opened.as_ref().is_some_and(|opened| opened.knows(account)) {
            let put = Put { table, key, value: Some(&value) };
            inner.write(&mut store, account, ExistingRows::Keep, |sink| sink(put));
            inner.commit(&mut store);
        }
        if store.accounts.iter().any(|id| id == account) {
            store.standalone.entry(account.to_owned()).or_default().insert((table, key.to_vec()), value);
        }
    }

    /// Commits the batch that has rows now.
    ///
    /// Blocks until it is on disk, or cannot be written.
    pub fn commit(&self) {
        let mut store = self.store();
        let _operation = self.inner.watchdog.begin();
        self.inner.commit(&mut store);
    }

    /// The last batch that was committed.
    pub fn committed(&self) -> watch::Receiver<Batch> {
        self.inner.committed.subscribe()
    }

    /// Commits each batch within a second. Needs a multi-threaded runtime.
    pub async fn commit_batches(self) -> Infallible {
        let Inner { deadline, clock, .. } = &*self.inner;
        loop {
            let due = deadline.next().await;
            clock.sleep_until(due).await;
            // A row that could not wait may have ended the batch.
            if deadline.due() == Some(due) {
                block_in_place(|| self.commit());
            }
        }
    }

    /// Commits what was written, and closes the file for good.
    pub fn close(&self) {
        let mut store = self.store();
        self.inner.commit(&mut store);
        store.retry_at = Instant::after_start(Duration::MAX);
        self.inner.close(&mut store);
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // A panic elsewhere cannot leave the store inconsistent, because each change is one assignment.
        self.inner.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether the file is open and still at its path. Opens it again if necessary.
    fn is_open(&self, store: &mut Store) -> bool {
        if let Some(opened) = &store.opened {
            if opened.is_at(&self.settings.path) {
                return true;
            }
            // The file was removed or replaced.
            self.close(store);
        }
        let now = self.clock.now();
        if now < store.retry_at {
            return false;
        }
        store.retry_at = now + RETRY;
        match open_again(&self.settings, &store.accounts, &self.clock) {
            Ok(opened) => {
                // This may be an older copy that was put there meanwhile, so everything is written again.
                self.use_file(store, opened);
            }
            Err(Error::Io { source, .. }) => self.report(store, &source.to_string()),
            Err(error) => self.report(store, &error.to_string()),
        }
        store.opened.is_some()
    }

    fn use_file(&self, store: &mut Store, opened: Opened) {
        store.batch.generation.0 += 1;
        store.opened = Some(opened);
    }

    /// Closes the file. A batch that is not committed yet is lost.
    fn close(&self, store: &mut Store) {
        database::close(store.opened.take());
        self.end_batch(store);
    }

    /// Adds the rows to the batch. Returns whether that succeeded.
    fn write(
        &self,
        store: &mut Store,
        account: &str,
        before: ExistingRows,
        each: impl Fn(&mut Sink<'_>) -> Result<(), RowError>,
    ) -> bool {
        let Some(opened) = &mut store.opened else { return false };
        match opened.write(account, before, each) {
            Ok(()) => {
                self.deadline.row(self.clock.now());
                true
            }
            Err(why) => {
                self.give_up(store, &why);
                false
            }
        }
    }

    /// Commits the batch, if it has rows.
    fn commit(&self, store: &mut Store) {
        let generation = store.batch.generation;
        // If the file was removed or replaced, the batch is lost, and the accounts write everything again.
        if self.deadline.due().is_none() || !self.is_open(store) || store.batch.generation != generation {
            return;
        }
        let Some(opened) = &mut store.opened else { return };
        match opened.commit() {
            Ok(()) => {
                self.stats.committed(opened.size());
                if store.logged_problem.take().is_some() {
                    tracing::info!("the state file can be written again; the counters continue");
                }
                self.committed.send_replace(store.batch);
                self.end_batch(store);
            }
            Err(why) => self.give_up(store, &why),
        }
    }

    /// The next row begins another batch.
    fn end_batch(&self, store: &mut Store) {
        store.batch.number += 1;
        self.deadline.end();
    }

    /// Closes the file until the next attempt: after an error the database refuses all further writes.
    fn give_up(&self, store: &mut Store, why: &str) {
        self.close(store);
        store.retry_at = self.clock.now() + RETRY;
        self.report(store, why);
    }

    fn report(&self, store: &mut Store, why: &str) {
        self.stats.failed();
        // redb adds this prefix to the message of the operating system.
        let why = why.strip_prefix("I/O error: ").unwrap_or(why);
        if store.logged_problem.as_deref() != Some(why) {
            let path = self.settings.path.display();
            tracing::warn!(%path, why, "the state file cannot be written; the counters stand still until it can");
            store.logged_problem = Some(why.to_owned());
        }
    }
}
