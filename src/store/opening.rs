//! Opens the file for the accounts of this process, and replaces a damaged one.

use std::collections::BTreeMap;

use super::database::{self, Damage, Opened, Origin, Problem};
use super::file;
use super::row::{Table, Unreadable};
use super::{Error, Recovery, Settings};
use crate::clock::Clock;

/// Opens the file for these accounts, and reads their rows.
pub(super) fn restore<T: Default>(
    settings: &Settings,
    accounts: &[String],
    add: impl Fn(&mut T, Table, &[u8], &[u8]) -> Result<(), Unreadable>,
) -> Result<(Opened, BTreeMap<String, T>, Recovery), Problem> {
    let (opened, origin) = open_for(settings, accounts)?;
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
    Ok((opened, saved, if origin == Origin::Existing { Recovery::Restored } else { Recovery::Fresh }))
}

/// Opens the file for these accounts, without changing it yet.
fn open_for(settings: &Settings, accounts: &[String]) -> Result<(Opened, Origin), Problem> {
    let (opened, origin) = database::open(settings)?;
    let found: Vec<_> = opened.accounts().map(str::to_owned).collect();
    // A shard may have no accounts.
    if accounts.is_empty() || found.is_empty() || accounts.iter().any(|id| found.contains(id)) {
        return Ok((opened, origin));
    }
    database::close(Some(opened));
    let (path, found) = (settings.path.clone(), found.join(", "));
    Err(Problem::Refused(Error::OtherAccounts { path, found }))
}

/// Lets the file be changed from now on. A file that is too open is used nevertheless.
fn accept(opened: (Opened, Origin), accounts: &[String]) -> Result<(Opened, Origin), Problem> {
    let (mut opened, origin) = opened;
    match opened.accept(accounts) {
        Ok(()) => {
            if let Some(mode) = opened.open_to_all() {
                let mode = format!("{mode:04o}");
                tracing::warn!(
                    path = %opened.path().display(),
                    mode,
                    "every user of this machine may read or change the state file, which has the ids of users; run chmod o= on it"
                );
            }
            Ok((opened, origin))
        }
        Err(error) => {
            if origin == Origin::Created {
                opened.discard();
            }
            database::close(Some(opened));
            Err(Problem::Refused(error))
        }
    }
}

/// Opens the file after it was closed, or creates it if it was removed or is damaged.
pub(super) fn open_again(settings: &Settings, accounts: &[String], clock: &Clock) -> Result<Opened, Error> {
    match open_for(settings, accounts).and_then(|opened| accept(opened, accounts)) {
        Ok((opened, Origin::Existing)) => Ok(opened),
        Ok((opened, Origin::Created)) => {
            let path = settings.path.display();
            tracing::warn!(%path, "the state file was removed; everything is written to a new one");
            Ok(opened)
        }
        Err(Problem::Refused(error)) => Err(error),
        Err(Problem::Damaged(damage)) => replace_damaged(settings, accounts, damage, clock),
    }
}

/// Renames a damaged file, and creates a new one.
pub(super) fn replace_damaged(
    settings: &Settings,
    accounts: &[String],
    damage: Damage,
    clock: &Clock,
) -> Result<Opened, Error> {
    let Damage { why, lock } = damage;
    let renamed = file::rename_damaged(&settings.path, clock.date())?;
    // The damaged file is out of the way, so its lock is no longer needed.
    drop(lock);
    let path = settings.path.display();
    let renamed = renamed.display();
    tracing::warn!(%path, %renamed, why, "the state file is damaged; it was renamed, and a new one was created");
    match open_for(settings, accounts).and_then(|opened| accept(opened, accounts)) {
        Ok((opened, _)) => Ok(opened),
        Err(Problem::Refused(error)) => Err(error),
        Err(Problem::Damaged(Damage { why, .. })) => Err(Error::Damaged { path: settings.path.clone(), why }),
    }
}
