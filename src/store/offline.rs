//! Inspects and edits a state file that no exporter uses.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::database::{self, ExistingRows, Opened, Origin, Problem, Settings};
use super::error::Error;
use super::row::{Put, Table, Unreadable};

/// Enough for one pass over the file.
const CACHE: usize = 32 << 20;

/// Writes or removes a row.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The table of the row.
    pub table: Table,
    /// The key of the row.
    pub key: Vec<u8>,
    /// The new value; `None` removes the row.
    pub value: Option<Vec<u8>>,
}

/// A state file that was read completely. Reading changes nothing in it.
#[derive(Debug)]
pub(crate) struct Inspected<T> {
    path: PathBuf,
    opened: Opened,
    /// The content of each account, by id.
    pub accounts: BTreeMap<String, T>,
}

impl<T: Default> Inspected<T> {
    /// Opens the file, and passes the rows of each account in it to `add`, sorted by table and key.
    ///
    /// # Errors
    /// The file does not exist, is in use, or is damaged. It was not changed.
    pub(crate) fn open(
        path: &Path,
        add: impl Fn(&mut T, Table, &[u8], &[u8]) -> Result<(), Unreadable>,
    ) -> Result<Self, Error> {
        if !path.exists() {
            return Err(Error::Missing { path: path.to_owned() });
        }
        let damaged = |why| Error::Damaged { path: path.to_owned(), why };
        let settings = Settings { path: path.to_owned(), cache_bytes: CACHE };
        let opened = match database::open(&settings) {
            Ok((opened, Origin::Existing)) => opened,
            Ok((opened, Origin::Created)) => {
                database::close(Some(opened));
                return Err(damaged("it is empty".to_owned()));
            }
            Err(Problem::Refused(error)) => return Err(error),
            Err(Problem::Damaged(damage)) => return Err(damaged(damage.why)),
        };
        let ids: Vec<String> = opened.accounts().map(str::to_owned).collect();
        let mut accounts = BTreeMap::new();
        for id in ids {
            match opened.read(&id, &add) {
                Ok(rows) => drop(accounts.insert(id, rows)),
                Err(why) => {
                    database::close(Some(opened));
                    return Err(damaged(why));
                }
            }
        }
        Ok(Self { path: path.to_owned(), opened, accounts })
    }

    /// The format in which the file was written.
    pub(crate) fn format(&self) -> u64 {
        self.opened.format()
    }

    /// The file's size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.opened.size()
    }

    /// Closes the file without changes.
    pub(crate) fn close(self) {
        database::close(Some(self.opened));
    }

    /// Changes rows of accounts (by id), each account in one transaction, and closes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn change(self, changes: &BTreeMap<String, Vec<Change>>) -> Result<(), Error> {
        let Self { path, mut opened, accounts } = self;
        let accounts: Vec<String> = accounts.into_keys().collect();
        let changed = opened.accept(&accounts).and_then(|()| {
            changes.iter().try_for_each(|(account, changes)| {
                let written = opened.write(account, ExistingRows::Keep, |sink| {
                    changes.iter().try_for_each(|Change { table, key, value }| {
                        sink(Put { table: *table, key, value: value.as_deref() })
                    })
                });
                let committed = written.and_then(|()| opened.commit());
                committed.map_err(|why| Error::Io { path: path.clone(), source: io::Error::other(why) })
            })
        });
        database::close(Some(opened));
        changed
    }
}
