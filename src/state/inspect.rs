//! The commands about a state file that nobody uses: show it, check it, forget a user in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::file::{self, Before, Opened, Origin, Problem};
use super::{Error, Settings};
use crate::clock::Timestamp;
use crate::ledger::{Ledger, Record};
use crate::model::{EventTotals, UserId};
use crate::roster::Presence;
use crate::saved::{Document, FORMAT, Put, Saved, Table, document, forgotten_key, from_hex};

/// The clock here and Cloudflare's may differ by so much.
const CLOCK_SKEW: Duration = Duration::from_secs(86_400);

/// What is looked at needs no more than this.
const CACHE: usize = 32 << 20;

/// What `state show` prints.
///
/// # Errors
/// The file is not there, in use, or damaged; it is as it was.
pub fn show(path: &Path) -> Result<String, Error> {
    let found = Found::open(path)?;
    let mut text = format!(
        "{}: format {FORMAT}, {} bytes, {}\n",
        path.display(),
        found.opened.size(),
        counted(found.saved.len(), "account")
    );
    for (id, saved) in &found.saved {
        describe(&mut text, id, saved, &totals(path, saved)?);
    }
    found.close();
    Ok(text)
}

/// What `state check` prints about a file that is whole.
///
/// # Errors
/// The file is not there, in use, or damaged; it is as it was.
pub fn check(path: &Path) -> Result<String, Error> {
    let found = Found::open(path)?;
    for saved in found.saved.values() {
        totals(path, saved)?;
    }
    let accounts = counted(found.saved.len(), "account");
    found.close();
    Ok(format!("{} is whole: {accounts}\n", path.display()))
}

/// Removes everything kept of a user from all accounts, and remembers by a keyed hash that none of its events
/// up to `date` may be counted again. Totals stay. Returns what to print.
///
/// # Errors
/// The file is not there, in use, or damaged, or it cannot be written; or nobody in it has that id.
pub fn forget(path: &Path, user: UserId, date: Timestamp) -> Result<String, Error> {
    let mut found = Found::open(path)?;
    let accounts: Vec<String> = found.saved.keys().cloned().collect();
    let knows = |saved: &Saved| {
        saved.users.binary_search_by_key(&user, |known| known.id).is_ok()
            || saved.records.contains_key(&user)
            || saved.standings.audited == Some(user)
    };
    let knowing: Vec<String> =
        found.saved.iter().filter(|(_, saved)| knows(saved)).map(|(id, _)| id.clone()).collect();
    if knowing.is_empty() {
        found.close();
        return Err(Error::UnknownUser { path: path.to_owned(), user });
    }
    found.opened.accept(&accounts)?;
    let mut text = String::new();
    for id in knowing {
        let Some(saved) = found.saved.remove(&id) else { continue };
        let events = saved.records.get(&user).map_or(0, |record| record.keys.len());
        let forgotten = found.opened.commit(&id, Before::Keep, |put| {
            for table in [Table::Users, Table::Records, Table::Pending, Table::Series] {
                put(Put { table, key: user.as_bytes(), value: None })?;
            }
            for (document, value) in without(&saved, user, date) {
                put(Put { table: Table::Documents, key: document.as_str().as_bytes(), value: Some(&value) })?;
            }
            Ok(())
        });
        forgotten.map_err(|why| Error::Io { path: path.to_owned(), source: io::Error::other(why) })?;
        let _ = writeln!(text, "account {id}: forgot user {user} and {}", counted(events, "key of events"));
    }
    found.close();
    Ok(text)
}

/// The documents of an account that knows the user no more.
fn without(saved: &Saved, user: UserId, date: Timestamp) -> Vec<(Document, Vec<u8>)> {
    let mut documents = Vec::new();
    if let Some(mut counting) = saved.counting.clone()
        && let Ok(secret) = from_hex(&counting.secret)
    {
        let key = format!("{:016x}", forgotten_key(&secret, user));
        counting.forgotten.insert(key, floor(saved.records.get(&user), date));
        documents.push((Document::Counting, document(&counting)));
    }
    if saved.standings.audited == Some(user) {
        let mut standings = saved.standings.clone();
        standings.audited = None;
        documents.push((Document::Standings, document(&standings)));
    }
    documents
}

/// Up to when the events and resets of a forgotten user are not counted: at least up to the latest that was,
/// but for those dated so far ahead that no clock is that wrong.
fn floor(record: Option<&Record>, date: Timestamp) -> Timestamp {
    let Some(record) = record else { return date };
    let counted = record.keys.iter().map(|counted| counted.at).filter(|at| *at <= date + CLOCK_SKEW);
    counted.chain(record.floor).chain(record.last_reset).fold(date, Timestamp::max)
}

/// A whole file, on trial: looking changes nothing.
struct Found {
    opened: Opened,
    saved: BTreeMap<String, Saved>,
}

impl Found {
    fn open(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            return Err(Error::Missing { path: path.to_owned() });
        }
        let damaged = |why| Error::Damaged { path: path.to_owned(), why };
        let settings = Settings { path: path.to_owned(), cache_bytes: CACHE };
        let opened = match file::open(&settings) {
            Ok((opened, Origin::Found)) => opened,
            Ok((opened, Origin::Made)) => {
                file::close(Some(opened));
                return Err(damaged("it is empty".to_owned()));
            }
            Err(Problem::Refused(error)) => return Err(error),
            Err(Problem::Damaged(damage)) => return Err(damaged(damage.why)),
        };
        let ids: Vec<String> = opened.accounts().map(str::to_owned).collect();
        let mut saved = BTreeMap::new();
        for id in ids {
            match opened.read(&id) {
                Ok(rows) => drop(saved.insert(id, rows)),
                Err(why) => {
                    file::close(Some(opened));
                    return Err(damaged(why));
                }
            }
        }
        Ok(Self { opened, saved })
    }

    fn close(self) {
        file::close(Some(self.opened));
    }
}

/// What was counted; an error if the rows do not fit together.
fn totals(path: &Path, saved: &Saved) -> Result<EventTotals, Error> {
    let Some(counting) = saved.counting.clone() else { return Ok(EventTotals::default()) };
    let ledger = Ledger::restore(counting, saved.records.clone())
        .map_err(|why| Error::Damaged { path: path.to_owned(), why: why.to_string() })?;
    Ok(ledger.totals())
}

fn describe(text: &mut String, id: &str, saved: &Saved, totals: &EventTotals) {
    let date = |date: Option<Timestamp>| date.map_or_else(|| "never".to_owned(), |date| date.to_string());
    let gone = saved.users.iter().filter(|user| user.presence == Presence::Gone).count();
    let keys: usize = saved.records.values().map(|record| record.keys.len()).sum();
    let epoch = saved.counting.as_ref().and_then(|counting| counting.epoch);
    let last = saved.standings.last_success.get(&crate::model::Endpoint::Summary).copied();
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

fn counted(number: usize, noun: &str) -> String {
    match (number, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "key of events") => format!("{number} keys of events"),
        _ => format!("{number} {noun}s"),
    }
}
