//! The operations of the `state` command: show a file, check it, and remove a user from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::collector::ledger::persisted::from_hex;
use crate::collector::ledger::{Ledger, Record, forgotten_key};
use crate::collector::persist::{Document, Saved, write_document};
use crate::collector::roster::Presence;
use crate::commands::terminal::counted;
use crate::model::{EventTotals, Resource, UserId};
use crate::store;
use crate::store::offline::{Change, Inspected};
use crate::store::row::Table;

/// How far the clock of this machine and Cloudflare's may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(86_400);

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    State(#[from] store::Error),
    #[error("no user in {path} has the id {user}")]
    UnknownUser { path: PathBuf, user: UserId },
}

/// What `state show` prints.
///
/// # Errors
/// The file is missing, in use, or damaged. It is not changed.
pub(super) fn show(path: &Path) -> Result<String, Error> {
    let found = Inspected::open(path, Saved::add)?;
    let mut text = format!(
        "{}: format {}, {} bytes, {}\n",
        path.display(),
        found.format(),
        found.size(),
        counted(found.accounts.len(), "account")
    );
    for (id, saved) in &found.accounts {
        describe(&mut text, id, saved, &totals(path, saved)?);
    }
    found.close();
    Ok(text)
}

/// What `state check` prints about an intact file.
///
/// # Errors
/// The file is missing, in use, or damaged. It is not changed.
pub(super) fn check(path: &Path) -> Result<String, Error> {
    let found = Inspected::open(path, Saved::add)?;
    for saved in found.accounts.values() {
        totals(path, saved)?;
    }
    let accounts = counted(found.accounts.len(), "account");
    found.close();
    Ok(format!("{} is intact: {accounts}\n", path.display()))
}

/// Removes everything about a user from all accounts, and stores a keyed hash of the user, so that no event up to `date`
/// is counted again. Totals stay. Returns the text to print.
///
/// # Errors
/// The file is missing, in use or damaged, or cannot be written; or no user in it has that id.
pub(super) fn forget(path: &Path, user: UserId, date: Timestamp) -> Result<String, Error> {
    let found = Inspected::open(path, Saved::add)?;
    let (mut text, mut changes) = (String::new(), BTreeMap::new());
    for (id, saved) in found.accounts.iter().filter(|(_, saved)| knows(saved, user)) {
        changes.insert(id.clone(), without(saved, user, date));
        let events = saved.records.get(&user).map_or(0, |record| record.keys.len());
        let _ = writeln!(text, "account {id}: forgot user {user} and {}", counted(events, "event key"));
    }
    if changes.is_empty() {
        found.close();
        return Err(Error::UnknownUser { path: path.to_owned(), user });
    }
    found.change(&changes)?;
    Ok(text)
}

/// Whether the file holds anything about the user.
fn knows(saved: &Saved, user: UserId) -> bool {
    saved.users.binary_search_by_key(&user, |known| known.id).is_ok()
        || saved.records.contains_key(&user)
        || saved.collector.audited == Some(user)
}

/// The rows that remove the user from an account that knows it.
fn without(saved: &Saved, user: UserId, date: Timestamp) -> Vec<Change> {
    let removed = [Table::Users, Table::Records, Table::Pending, Table::TopUsers];
    let mut changes: Vec<_> = removed
        .into_iter()
        .map(|table| Change { table, key: user.as_bytes().to_vec(), value: None })
        .collect();
    let mut replace = |name: Document, value| {
        let key = name.as_str().as_bytes().to_vec();
        changes.push(Change { table: Table::Documents, key, value: Some(value) });
    };
    if let Some(mut totals) = saved.totals.clone()
        && let Ok(secret) = from_hex(&totals.secret)
    {
        let key = format!("{:016x}", forgotten_key(&secret, user));
        totals.forgotten.insert(key, floor(saved.records.get(&user), date));
        replace(Document::Totals, write_document(&totals));
    }
    if saved.collector.audited == Some(user) {
        let mut collector = saved.collector.clone();
        collector.audited = None;
        replace(Document::CollectorState, write_document(&collector));
    }
    changes
}

/// The date up to which no event or reset of a removed user is counted again: at least that of the latest counted one.
/// Dates further in the future than [`CLOCK_SKEW`] do not count.
fn floor(record: Option<&Record>, date: Timestamp) -> Timestamp {
    let Some(record) = record else { return date };
    let counted = record.keys.iter().map(|counted| counted.at).filter(|at| *at <= date + CLOCK_SKEW);
    counted.chain(record.floor).chain(record.last_reset).fold(date, Timestamp::max)
}

/// The totals; an error if the rows contradict each other.
fn totals(path: &Path, saved: &Saved) -> Result<EventTotals, store::Error> {
    let Some(totals) = saved.totals.clone() else { return Ok(EventTotals::default()) };
    let ledger = Ledger::restore(totals, saved.records.clone())
        .map_err(|why| store::Error::Damaged { path: path.to_owned(), why: why.to_string() })?;
    Ok(ledger.totals())
}

fn describe(text: &mut String, id: &str, saved: &Saved, totals: &EventTotals) {
    let date = |date: Option<Timestamp>| date.map_or_else(|| "never".to_owned(), |date| date.to_string());
    let gone = saved.users.iter().filter(|user| user.presence == Presence::Gone).count();
    let keys: usize = saved.records.values().map(|record| record.keys.len()).sum();
    let epoch = saved.totals.as_ref().and_then(|totals| totals.epoch);
    let last = saved.collector.last_success.get(&Resource::Summary).copied();
    let events: u64 = totals.events.values().flatten().sum();
    let lost: u64 = totals.unattributed.values().sum();
    let changes: u64 = totals.level_changes.iter().flatten().sum();
    let requests: u32 = saved.spending.leases.iter().map(|(_, requests)| requests).sum();
    let _ = write!(
        text,
        "\naccount {id}\n  \
         counting since   {}\n  \
         last whole list  {}\n  \
         users            {} listed, {gone} gone, {} still to be read\n  \
         events           {events} counted, {lost} not found\n  \
         resets           {}\n  \
         level changes    {changes}\n  \
         keys             {keys} of {}\n  \
         requests         {requests} leased in the last minutes\n",
        date(epoch),
        date(last),
        saved.users.len() - gone,
        saved.pending.len(),
        totals.resets,
        counted(saved.records.len(), "user"),
    );
    for (behavior, levels) in &totals.events {
        let _ = writeln!(text, "  events of {behavior}: {}", levels.iter().sum::<u64>());
    }
}
