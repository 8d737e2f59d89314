//! Shows and checks a state file as a whole.

use std::fmt::Write as _;
use std::path::Path;

use crate::clock::Timestamp;
use crate::collector::ledger::Ledger;
use crate::collector::persist::Saved;
use crate::collector::roster::Presence;
use crate::commands::terminal::counted;
use crate::model::{EventTotals, Resource};
use crate::store;
use crate::store::offline::Inspected;

/// What `state show` prints.
///
/// # Errors
/// The file is missing, in use, or damaged. It is not changed.
pub(super) fn render(path: &Path) -> Result<String, store::Error> {
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
pub(super) fn check(path: &Path) -> Result<String, store::Error> {
    let found = Inspected::open(path, Saved::add)?;
    for saved in found.accounts.values() {
        totals(path, saved)?;
    }
    let accounts = counted(found.accounts.len(), "account");
    found.close();
    Ok(format!("{} is intact: {accounts}\n", path.display()))
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
    let requests: u32 = saved.spending.leases.iter().map(|lease| lease.requests).sum();
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
