//! What survives a restart: one file, a [redb](https://docs.rs/redb) database of rows of bytes, by account.
//!
//! A commit is all or nothing, and what it wrote is on disk when it returns. Trouble with the file never
//! ends the process once it runs: accounts go on in memory, what they counted is not shown, and when the
//! file can be written again everything unsaved is. A damaged file is set aside and a new one begun.

mod database;
mod error;
pub(crate) mod offline;
mod overlay;
pub(crate) mod row;
mod stats;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Instant};
pub use database::Settings;
pub(crate) use database::{Before, RowError, Sink};
use database::{Damage, Opened, Origin, Problem};
pub use error::Error;
use row::{Put, Table, Unreadable};
pub use stats::{Recovery, StoreStats};

/// A file that could not be written is opened again after this long: to check a large one takes a second.
const RETRY: Duration = Duration::from_secs(10);

/// The state of all accounts; cloned handles write to the same file.
#[derive(Clone, Debug)]
pub struct State {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    accounts: Vec<String>,
    clock: Clock,
    meter: Arc<StoreStats>,
    store: Mutex<Store>,
}

#[derive(Debug)]
struct Store {
    /// `None` while it cannot be used.
    opened: Option<Opened>,
    /// Rises whenever the file is opened, which may then hold anything.
    generation: Generation,
    /// The rows that were written with [`State::put`], by account: a new file lacks them.
    single: BTreeMap<String, Rows>,
    /// What is wrong, as it was last logged.
    trouble: Option<String>,
    /// When a file that cannot be used is tried again.
    retry_at: Instant,
}

/// Values by table and key.
type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Which file is written: another one has none of the rows that were written before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// All rows are on disk.
    Written,
    /// None is; [`State`] has logged why.
    Failed,
    /// None is: the rows were meant for a file that is no longer the one that is written.
    OtherFile,
}

impl State {
    /// Opens the file, or makes it, and hands the rows of each of `accounts` (ids) to `add`, sorted by table
    /// and key. A file that is damaged, or has a row that `add` cannot read, is set aside and a new one made.
    ///
    /// # Errors
    /// The file cannot be used, and was left as it was.
    pub fn open<T: Default>(
        settings: &Settings,
        accounts: Vec<String>,
        clock: &Clock,
        add: impl Fn(&mut T, Table, &[u8], &[u8]) -> Result<(), Unreadable>,
    ) -> Result<(Self, BTreeMap<String, T>), Error> {
        let (opened, saved, recovery) = match restore(settings, &accounts, add) {
            Ok(restored) => restored,
            Err(Problem::Refused(error)) => return Err(error),
            Err(Problem::Damaged(damage)) => {
                let opened = begin_anew(settings, &accounts, damage, clock)?;
                (opened, BTreeMap::new(), Recovery::Damaged)
            }
        };
        let path = settings.path.display();
        match recovery {
            Recovery::Restored => tracing::info!(%path, "counting goes on from the state file"),
            Recovery::Fresh => tracing::info!(%path, "a new state file: counting begins"),
            // It was told when the file was set aside.
            Recovery::Damaged => {}
        }
        let meter = StoreStats::default();
        meter.recovered(recovery, opened.size());
        let store = Store {
            opened: Some(opened),
            generation: Generation(0),
            single: BTreeMap::new(),
            trouble: None,
            retry_at: clock.now(),
        };
        let inner = Inner {
            settings: settings.clone(),
            accounts,
            clock: clock.clone(),
            meter: Arc::new(meter),
            store: Mutex::new(store),
        };
        Ok((Self { inner: Arc::new(inner) }, saved))
    }

    /// What was read from the file does not fit together: it is set aside, and a new one made.
    ///
    /// # Errors
    /// That cannot be done.
    pub fn reject(&self, why: &str) -> Result<(), Error> {
        let inner = &self.inner;
        let mut store = self.store();
        let damage = Damage { why: why.to_owned(), lock: store.opened.as_ref().map(Opened::lock) };
        database::close(store.opened.take());
        let opened = begin_anew(&inner.settings, &inner.accounts, damage, &inner.clock)?;
        inner.meter.recovered(Recovery::Damaged, opened.size());
        store.opened = Some(opened);
        store.generation.0 += 1;
        Ok(())
    }

    /// How the file is doing.
    pub fn meter(&self) -> Arc<StoreStats> {
        Arc::clone(&self.inner.meter)
    }

    /// Which file is written now.
    pub fn generation(&self) -> Generation {
        self.store().generation
    }

    /// The file that is written now, opened again if need be; `None` while no file can be used.
    pub fn usable(&self) -> Option<Generation> {
        let mut store = self.store();
        self.inner.is_open(&mut store).then_some(store.generation)
    }

    /// Writes the rows of an account that `each` hands out, all or none, to the file of `generation`.
    ///
    /// Blocks until the disk has them.
    pub fn commit(
        &self,
        account: &str,
        generation: Generation,
        before: Before,
        each: impl Fn(&mut Sink<'_>) -> Result<(), RowError>,
    ) -> Commit {
        let mut store = self.store();
        if store.generation != generation {
            return Commit::OtherFile;
        }
        let single = store.single.get(account).filter(|_| before == Before::Clear).cloned();
        let written = self.inner.write(&mut store, account, before, |sink| {
            each(sink)?;
            for ((table, key), value) in single.iter().flatten() {
                sink(Put { table: *table, key, value: Some(value) })?;
            }
            Ok(())
        });
        if written { Commit::Written } else { Commit::Failed }
    }

    /// Writes a row that belongs to no commit: it stays when the other rows of the account are cleared, and is
    /// written again to a new file. Trouble is logged, and no reason to wait.
    ///
    /// Blocks until the disk has it.
    pub fn put(&self, account: &str, table: Table, key: &[u8], value: Vec<u8>) {
        let inner = &self.inner;
        let mut store = self.store();
        if inner.is_open(&mut store) {
            let put = Put { table, key, value: Some(&value) };
            inner.write(&mut store, account, Before::Keep, |sink| sink(put));
        }
        store.single.entry(account.to_owned()).or_default().insert((table, key.to_vec()), value);
    }

    /// Closes the file; nothing can be saved any more.
    pub fn close(&self) {
        let mut store = self.store();
        store.retry_at = Instant::after_start(Duration::MAX);
        database::close(store.opened.take());
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // A panic elsewhere cannot leave half of anything here: each change is one assignment.
        self.inner.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether the file is open, and the one at its path.
    fn is_open(&self, store: &mut Store) -> bool {
        if let Some(opened) = &store.opened {
            if opened.is_at(&self.settings.path) {
                return true;
            }
            // Somebody removed or replaced it.
            database::close(store.opened.take());
        }
        let now = self.clock.now();
        if now < store.retry_at {
            return false;
        }
        store.retry_at = now + RETRY;
        match self.open_again() {
            Ok(opened) => {
                // An older copy, put there in the meantime, looks like the file that was written last.
                store.generation.0 += 1;
                store.opened = Some(opened);
            }
            Err(Error::Io { source, .. }) => self.tell(store, &source.to_string()),
            Err(error) => self.tell(store, &error.to_string()),
        }
        store.opened.is_some()
    }

    fn open_again(&self) -> Result<Opened, Error> {
        let Self { settings, accounts, clock, .. } = self;
        match enter(settings, accounts).and_then(|found| accept(found, accounts)) {
            Ok((opened, Origin::Found)) => Ok(opened),
            Ok((opened, Origin::Made)) => {
                let path = settings.path.display();
                tracing::warn!(%path, "the state file was gone; everything is written to a new one");
                Ok(opened)
            }
            Err(Problem::Refused(error)) => Err(error),
            Err(Problem::Damaged(damage)) => begin_anew(settings, accounts, damage, clock),
        }
    }

    /// Whether the rows were written.
    fn write(
        &self,
        store: &mut Store,
        account: &str,
        before: Before,
        each: impl Fn(&mut Sink<'_>) -> Result<(), RowError>,
    ) -> bool {
        let Some(opened) = &store.opened else { return false };
        match opened.commit(account, before, each) {
            Ok(()) => {
                self.meter.kept(opened.size());
                if store.trouble.take().is_some() {
                    tracing::info!("the state is written again, and the counters go on");
                }
                true
            }
            Err(why) => {
                // After an error the database is of no more use.
                database::close(store.opened.take());
                store.retry_at = self.clock.now() + RETRY;
                self.tell(store, &why);
                false
            }
        }
    }

    fn tell(&self, store: &mut Store, why: &str) {
        self.meter.failed();
        // The database puts this before what the system says.
        let why = why.strip_prefix("I/O error: ").unwrap_or(why);
        if store.trouble.as_deref() != Some(why) {
            let path = self.settings.path.display();
            tracing::warn!(%path, why, "the state cannot be written; counters stand still until it can");
            store.trouble = Some(why.to_owned());
        }
    }
}

/// Opens the file for these accounts, and reads what they left.
fn restore<T: Default>(
    settings: &Settings,
    accounts: &[String],
    add: impl Fn(&mut T, Table, &[u8], &[u8]) -> Result<(), Unreadable>,
) -> Result<(Opened, BTreeMap<String, T>, Recovery), Problem> {
    let (opened, origin) = enter(settings, accounts)?;
    let mut saved = BTreeMap::new();
    for id in accounts {
        match opened.read(id, &add) {
            Ok(rows) => drop(saved.insert(id.clone(), rows)),
            Err(why) => {
                let lock = Some(opened.lock());
                database::close(Some(opened));
                return Err(Problem::Damaged(Damage { why, lock }));
            }
        }
    }
    let (opened, origin) = accept((opened, origin), accounts)?;
    Ok((opened, saved, if origin == Origin::Found { Recovery::Restored } else { Recovery::Fresh }))
}

/// Opens the file on trial, for these accounts.
fn enter(settings: &Settings, accounts: &[String]) -> Result<(Opened, Origin), Problem> {
    let (opened, origin) = database::open(settings)?;
    let found: Vec<_> = opened.accounts().map(str::to_owned).collect();
    // Who watches nobody, as a shard may, takes nothing from anybody.
    if accounts.is_empty() || found.is_empty() || accounts.iter().any(|id| found.contains(id)) {
        return Ok((opened, origin));
    }
    database::close(Some(opened));
    let (path, found) = (settings.path.clone(), found.join(", "));
    Err(Problem::Refused(Error::OtherAccounts { path, found }))
}

/// Ends the trial.
fn accept(entered: (Opened, Origin), accounts: &[String]) -> Result<(Opened, Origin), Problem> {
    let (mut opened, origin) = entered;
    match opened.accept(accounts) {
        Ok(()) => Ok((opened, origin)),
        Err(error) => {
            if origin == Origin::Made {
                opened.empty();
            }
            database::close(Some(opened));
            Err(Problem::Refused(error))
        }
    }
}

/// Sets a damaged file aside and makes a new one.
fn begin_anew(
    settings: &Settings,
    accounts: &[String],
    damage: Damage,
    clock: &Clock,
) -> Result<Opened, Error> {
    let Damage { why, lock } = damage;
    let aside = database::set_aside(&settings.path, clock.date())?;
    // Nobody else could set aside what is at the path by now.
    drop(lock);
    let path = settings.path.display();
    let aside = aside.display();
    tracing::warn!(%path, %aside, why, "the state file is damaged; it was set aside, and a new one begins");
    match enter(settings, accounts).and_then(|entered| accept(entered, accounts)) {
        Ok((opened, _)) => Ok(opened),
        Err(Problem::Refused(error)) => Err(error),
        Err(Problem::Damaged(Damage { why, .. })) => Err(Error::Damaged { path: settings.path.clone(), why }),
    }
}
