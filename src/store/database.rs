//! Opens, reads and writes the database file, and tells damage from other problems.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
    WriteTransaction,
};

use super::error::Error;
use super::file::{Identity, check_header, is_missing, sync_directory, unfinished_name};
use super::overlay::Backend;
use super::panics::catch_panics;
use super::row::{FORMAT, Put, Table, Unreadable};

/// Facts about the file itself: `format`, and `twin` (see [`Opened::commit`]).
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
/// The accounts by id, with the number that is the prefix of the keys of their rows.
const ACCOUNTS: TableDefinition<'_, &str, u16> = TableDefinition::new("accounts");

/// Where the state file is, and how much memory it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file; its directory exists.
    pub path: PathBuf,
    /// The size of the cache in bytes.
    pub cache_bytes: usize,
}

/// Why a file was not opened.
#[derive(Debug)]
pub(super) enum Problem {
    /// A person must act. The file was not changed.
    Refused(Error),
    /// The file is damaged.
    Damaged(Damage),
}

/// What is wrong with a file.
#[derive(Debug)]
pub(super) struct Damage {
    /// A description.
    pub(super) why: String,
    /// Keeps other processes from the file until it is renamed.
    pub(super) lock: Option<Backend>,
}

impl Problem {
    fn damaged(why: impl Into<String>) -> Self {
        Self::Damaged(Damage { why: why.into(), lock: None })
    }

    fn locked(self, backend: &Backend) -> Self {
        match self {
            Self::Damaged(damage) => Self::Damaged(Damage { lock: Some(backend.clone()), ..damage }),
            refused @ Self::Refused(_) => refused,
        }
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    /// Where the file is until its first commit, if it is new.
    unfinished: Option<PathBuf>,
    backend: Backend,
    /// The rows that were written since the last commit. It must be dropped before the database.
    batch: Option<Transaction>,
    database: Database,
    format: u64,
    accounts: BTreeMap<String, u16>,
}

/// A transaction that has not ended.
struct Transaction(WriteTransaction);

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transaction")
    }
}

/// Opens or creates the file. It is not changed before [`Opened::accept`].
pub(super) fn open(settings: &Settings) -> Result<(Opened, Origin), Problem> {
    let path = &settings.path;
    let failed = |source| Problem::Refused(Error::Io { path: path.clone(), source });
    let unfinished = is_missing(path).then(|| unfinished_name(path));
    let place = unfinished.as_deref().unwrap_or(path);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(place);
    let backend = Backend::lock(file.map_err(failed)?)
        .map_err(failed)?
        .ok_or_else(|| Problem::Refused(Error::InUse { path: path.clone() }))?;
    let metadata = backend.file().metadata().map_err(failed)?;
    let is_there = fs::metadata(place).is_ok_and(|there| Identity::of(&there) == Identity::of(&metadata));
    if !is_there || (unfinished.is_some() && !is_missing(path)) {
        // Another process renamed it while this one waited for the lock.
        return Err(Problem::Refused(Error::InUse { path: path.clone() }));
    }
    if unfinished.is_some() {
        // What a process left that ended before its first commit.
        backend.empty().map_err(failed)?;
    }
    let length = backend.file().metadata().map_err(failed)?.len();
    check_header(backend.file(), path).map_err(Problem::Refused)?;
    let of_database = |error| match error {
        DatabaseError::Storage(error) => of_storage(error, path),
        error => Problem::damaged(error.to_string()),
    };
    let open = || {
        let mut builder = Database::builder();
        builder.set_cache_size(settings.cache_bytes);
        let mut database = builder.create_with_backend(backend.clone()).map_err(of_database)?;
        if length > 0 {
            database.check_integrity().map_err(of_database)?;
        }
        let (format, accounts) =
            if length > 0 { read_about(&database, path)? } else { (FORMAT.into(), BTreeMap::new()) };
        let (path, unfinished, backend) = (path.clone(), unfinished.clone(), backend.clone());
        Ok(Opened { path, unfinished, backend, batch: None, database, format, accounts })
    };
    let opened = catch_panics(open).map_err(Problem::damaged).and_then(|opened| opened);
    let opened = opened.map_err(|problem| problem.locked(&backend))?;
    Ok((opened, if length > 0 { Origin::Existing } else { Origin::Created }))
}

/// Whether the file existed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Existing,
    /// It was created, or was empty.
    Created,
}

/// The file's format and its accounts.
fn read_about(database: &Database, path: &Path) -> Result<(u64, BTreeMap<String, u16>), Problem> {
    let read = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        let format = transaction.open_table(ABOUT)?.get("format")?.map(|format| format.value());
        let accounts = transaction
            .open_table(ACCOUNTS)?
            .iter()?
            .map(|row| row.map(|(id, number)| (id.value().to_owned(), number.value())))
            .collect::<Result<_, _>>()?;
        Ok((format, accounts))
    };
    let (format, accounts) = read().map_err(|error| Problem::damaged(error.to_string()))?;
    match format {
        Some(format) if (1..=u64::from(FORMAT)).contains(&format) => Ok((format, accounts)),
        Some(format) if format > u64::from(FORMAT) => {
            Err(Problem::Refused(Error::Newer { path: path.to_owned() }))
        }
        _ => Err(Problem::damaged("its format is unknown")),
    }
}

impl Opened {
    /// The format in which the file was written.
    pub(super) fn format(&self) -> u64 {
        self.format
    }

    /// The accounts in the file.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &str> {
        self.accounts.keys().map(String::as_str)
    }

    /// Whether the account has rows in the file, or may have them.
    pub(super) fn knows(&self, account: &str) -> bool {
        self.accounts.contains_key(account)
    }

    /// Whether the path still leads to this file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let there = fs::metadata(path).ok().as_ref().map(Identity::of);
        there.is_some() && there == self.identity()
    }

    /// A handle that keeps other processes from the file while it lives.
    pub(super) fn lock(&self) -> Backend {
        self.backend.clone()
    }

    /// Empties a new file that could not be completed, and removes it if it has not got its name yet.
    pub(super) fn discard(&self) {
        // If this fails too, the next start finds an incomplete file.
        let _ = self.backend.file().set_len(0);
        let _ = self.unfinished.as_ref().map(fs::remove_file);
    }

    /// The identity of the open file, if the operating system returns it.
    fn identity(&self) -> Option<Identity> {
        self.backend.file().metadata().ok().as_ref().map(Identity::of)
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.backend.file().metadata().map_or(0, |metadata| metadata.len())
    }

    /// The mode of the file, if every user of the machine may read or change it.
    pub(super) fn open_to_all(&self) -> Option<u32> {
        const OTHERS: u32 = 0o006;
        let mode = self.backend.file().metadata().ok()?.permissions().mode() & 0o777;
        (mode & OTHERS != 0).then_some(mode)
    }

    /// Passes all rows of the account to `add`, and returns the result.
    pub(super) fn read<T: Default>(
        &self,
        account: &str,
        add: impl Fn(&mut T, Table, &[u8], &[u8]) -> Result<(), Unreadable>,
    ) -> Result<T, String> {
        let mut saved = T::default();
        let Some(number) = self.accounts.get(account) else { return Ok(saved) };
        let first = number.to_be_bytes();
        let mut read = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_read()?;
            for table in Table::ALL {
                let rows = match transaction.open_table(definition(table)) {
                    Ok(rows) => rows,
                    Err(TableError::TableDoesNotExist(_)) => continue,
                    Err(error) => return Err(error.into()),
                };
                for row in rows.range(first.as_slice()..)? {
                    let (key, value) = row?;
                    let Some(key) = key.value().strip_prefix(&first) else { break };
                    let added = add(&mut saved, table, key, value.value());
                    let table = table.as_str();
                    added.map_err(|why| {
                        redb::Error::Corrupted(format!("{table} of account {account}: {why}"))
                    })?;
                }
            }
            Ok(())
        };
        catch_panics(&mut read).and_then(|read| read.map_err(|error| error.to_string()))?;
        Ok(saved)
    }

    /// Lets the file be changed from now on, and adds missing accounts. No rows may be waiting for a commit.
    pub(super) fn accept(&mut self, accounts: &[String]) -> Result<(), Error> {
        let path = self.path.clone();
        let failed = |source| Error::Io { path: path.clone(), source };
        self.backend.accept().map_err(failed)?;
        let mut accepted = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                transaction.open_table(ABOUT)?.insert("format", u64::from(FORMAT))?;
                let mut known = transaction.open_table(ACCOUNTS)?;
                for id in accounts {
                    if !self.accounts.contains_key(id) {
                        let highest = self.accounts.values().max();
                        let number = highest.map_or(0, |highest| highest.saturating_add(1));
                        known.insert(id.as_str(), number)?;
                        self.accounts.insert(id.clone(), number);
                    }
                }
            }
            transaction.commit()?;
            Ok(())
        };
        let accepted =
            catch_panics(&mut accepted).and_then(|accepted| accepted.map_err(|error| error.to_string()));
        accepted.map_err(|why| failed(io::Error::other(why)))?;
        if let Some(unfinished) = self.unfinished.take() {
            let renamed = fs::rename(&unfinished, &self.path);
            renamed.inspect_err(|_| self.unfinished = Some(unfinished)).map_err(failed)?;
        }
        // Some file systems cannot sync a directory; there is nothing more to do on them.
        let _ = sync_directory(&self.path);
        Ok(())
    }

    /// Adds rows of an account to those that are committed next: all of them, or none. After an error nothing can be
    /// written to this file any more.
    pub(super) fn write(
        &mut self,
        account: &str,
        before: ExistingRows,
        each: impl Fn(&mut Sink<'_>) -> Result<(), RowError>,
    ) -> Result<(), String> {
        let Some(number) = self.accounts.get(account) else {
            return Err("the account is unknown".to_owned());
        };
        let (batch, database) = (&mut self.batch, &self.database);
        let write = || -> Result<(), redb::Error> {
            let Transaction(transaction) = match batch {
                Some(transaction) => transaction,
                None => batch.insert(Transaction(database.begin_write()?)),
            };
            let [documents, users, records, pending, series, feed] =
                Table::ALL.map(|table| transaction.open_table(definition(table)));
            let mut tables = [documents?, users?, records?, pending?, series?, feed?];
            if before == ExistingRows::Clear {
                let prefix = number.to_be_bytes();
                for table in &mut tables {
                    table.retain(|key, _| !key.starts_with(&prefix))?;
                }
            }
            let mut key = Vec::with_capacity(18);
            each(&mut |put| {
                key.clear();
                key.extend_from_slice(&number.to_be_bytes());
                key.extend_from_slice(put.key);
                let table = &mut tables[put.table.index()];
                match put.value {
                    Some(value) => drop(table.insert(key.as_slice(), value).map_err(RowError::new)?),
                    None => drop(table.remove(key.as_slice()).map_err(RowError::new)?),
                }
                Ok(())
            })
            .map_err(|RowError(error)| error)
        };
        catch_panics(write).and_then(|written| written.map_err(|error| error.to_string()))
    }

    /// Commits the rows that were written since the last commit, in one transaction: all of them, or none.
    ///
    /// The file keeps the latest two transactions, and redb silently replaces a damaged one by the one before. That would
    /// make counters fall, which is worse than counting from 0. So each transaction is followed by a second one that only
    /// changes a number: if either is lost, no count is.
    pub(super) fn commit(&mut self) -> Result<(), String> {
        let Some(Transaction(transaction)) = self.batch.take() else { return Ok(()) };
        let commit = || -> Result<(), redb::Error> {
            transaction.commit()?;
            let twin = self.database.begin_write()?;
            {
                let mut about = twin.open_table(ABOUT)?;
                let number = about.get("twin")?.map_or(0, |number| number.value());
                about.insert("twin", number.wrapping_add(1))?;
            }
            twin.commit()?;
            Ok(())
        };
        catch_panics(commit).and_then(|committed| committed.map_err(|error| error.to_string()))
    }
}

/// What happens to the existing rows of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingRows {
    /// They stay, unless they are overwritten.
    Keep,
    /// They are removed, because all rows are written.
    Clear,
}

/// Closes the file. If it was not accepted, what the database writes while it closes is lost.
pub(super) fn close(opened: Option<Opened>) {
    let _ = catch_panics(|| drop(opened));
}

/// Receives the rows of a commit one by one.
pub(crate) type Sink<'a> = dyn FnMut(Put<'_>) -> Result<(), RowError> + 'a;

/// A row could not be written, so the commit fails.
#[derive(Debug)]
pub struct RowError(redb::Error);

impl RowError {
    fn new(error: StorageError) -> Self {
        Self(error.into())
    }
}

const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.as_str())
}

fn of_storage(error: StorageError, path: &Path) -> Problem {
    match error {
        // A file that ends too early is damaged. Other errors of reading may be temporary.
        StorageError::Io(source)
            if !matches!(
                source.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            ) =>
        {
            Problem::Refused(Error::Io { path: path.to_owned(), source })
        }
        error => Problem::damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
