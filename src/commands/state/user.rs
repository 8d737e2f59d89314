//! Shows what a state file holds about one user, and removes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::collector::ledger::persisted::{Totals, from_hex};
use crate::collector::ledger::{Record, forgotten_key};
use crate::collector::persist::{Document, Saved, write_document};
use crate::collector::roster::{Coverage, User};
use crate::commands::Failure;
use crate::commands::terminal::counted;
use crate::feed::saved as feed;
use crate::model::UserId;
use crate::store;
use crate::store::offline::{Change, Inspected};
use crate::store::row::Table;

/// How far the clock of this machine and Cloudflare's may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(86_400);

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    State(#[from] store::Error),
    #[error("{path} holds nothing about the user {user}")]
    UnknownUser { path: PathBuf, user: UserId },
}

/// A user who is not there was named wrongly.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::State(_) => Self::runtime(error),
            Error::UnknownUser { .. } => Self::Unclear(error.to_string()),
        }
    }
}

/// What `state show --user` prints: everything that the file holds about the user, by account.
///
/// # Errors
/// The file is missing, in use or damaged, or holds nothing about the user. It is not changed.
pub(super) fn render(path: &Path, user: UserId) -> Result<String, Error> {
    let found = Inspected::open(path, Saved::add)?;
    let mut text = String::new();
    for (id, saved) in &found.accounts {
        let held = held(saved, user);
        if !held.is_empty() {
            let _ = writeln!(text, "account {id}: user {user}");
        }
        for (name, value) in held {
            let _ = writeln!(text, "  {name:<16} {value}");
        }
    }
    found.close();
    if text.is_empty() { Err(Error::UnknownUser { path: path.to_owned(), user }) } else { Ok(text) }
}

/// Everything that an account holds about the user: names and values.
fn held(saved: &Saved, user: UserId) -> Vec<(&'static str, String)> {
    let mut held = Vec::new();
    if let Ok(at) = saved.users.binary_search_by_key(&user, |known| known.id) {
        let User { level, since, covered, coverage, .. } = &saved.users[at];
        held.push(("level", format!("{} since {since}", level.as_str())));
        held.push(match saved.gone.get(&user) {
            Some(date) => ("listed", format!("no, since {date}")),
            None => ("listed", "yes".to_owned()),
        });
        let events = counted(covered.count, "event");
        held.push(match coverage {
            Coverage::Covered => ("read up to", format!("{events}, the last at {}", covered.last_event)),
            Coverage::Uncovered => ("read up to", events),
        });
    }
    for (_, entry) in saved.pending.iter().filter(|(pending, _)| *pending == user) {
        let latest = &entry.pending.latest;
        let events = counted(latest.count, "event");
        held.push(("to be read", format!("{events}, the last at {}", latest.last_event)));
    }
    for (selection, _) in saved.series.iter().filter(|(selection, _)| selection.id == user) {
        let row = &selection.fingerprint;
        let (level, events) = (row.level.as_str(), counted(row.count, "event"));
        held.push(("own series", format!("{level}, {events}, the last at {}", row.last_event)));
    }
    if let Some(record) = saved.records.get(&user) {
        let names = saved.totals.as_ref().map_or(&[][..], |totals| totals.labels.names());
        let dates = [("last reset", record.last_reset), ("not counted up to", record.floor)];
        held.extend(dates.into_iter().filter_map(|(name, date)| Some((name, date?.to_string()))));
        let behaviors = record.since_reset.iter().filter_map(|label| names.get(label.index()));
        held.extend(behaviors.map(|behavior| ("behavior", behavior.clone())));
        held.extend(record.keys.iter().map(|event| ("counted event", event.at.to_string())));
    }
    if saved.collector.audited == Some(user) {
        held.push(("audit", "the last user that was read again".to_owned()));
    }
    held.extend(saved.feed.about(user).map(|(_, record)| {
        let (kind, date) = (record.kind.as_str(), record.logged_time);
        ("feed", format!("a record of kind {kind} of {date} that is not written yet"))
    }));
    let forgotten = saved.totals.as_ref().and_then(|totals| {
        let key = key_when_forgotten(totals, user)?;
        totals.forgotten.get(&key).copied()
    });
    held.extend(forgotten.map(|date| ("forgotten", format!("a keyed hash, with the date {date}"))));
    held
}

/// The key of the user in the list of forgotten users.
fn key_when_forgotten(totals: &Totals, user: UserId) -> Option<String> {
    let secret = from_hex(&totals.secret).ok()?;
    Some(format!("{:016x}", forgotten_key(&secret, user)))
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
    let _ = writeln!(
        text,
        "done: {} holds only a keyed hash of the user now; counters stay as they are",
        path.display()
    );
    Ok(text)
}

/// Whether the file holds anything about the user.
fn knows(saved: &Saved, user: UserId) -> bool {
    saved.users.binary_search_by_key(&user, |known| known.id).is_ok()
        || saved.records.contains_key(&user)
        || saved.collector.audited == Some(user)
        || saved.feed.about(user).next().is_some()
}

/// The rows that remove the user from an account that knows it.
fn without(saved: &Saved, user: UserId, date: Timestamp) -> Vec<Change> {
    let removed = [Table::Users, Table::Records, Table::Pending, Table::TopUsers];
    let mut changes: Vec<_> = removed
        .into_iter()
        .map(|table| Change { table, key: user.as_bytes().to_vec(), value: None })
        .collect();
    // A sink may have begun to write it. Its number stays, as a gap.
    changes.extend(saved.feed.about(user).map(|(last, record)| Change {
        table: Table::Feed,
        key: feed::key(last).to_vec(),
        value: Some(record.forgotten().write()),
    }));
    let mut replace = |name: Document, value| {
        let key = name.as_str().as_bytes().to_vec();
        changes.push(Change { table: Table::Documents, key, value: Some(value) });
    };
    if let Some(mut totals) = saved.totals.clone()
        && let Some(key) = key_when_forgotten(&totals, user)
    {
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
