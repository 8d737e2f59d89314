//! The document at `/api/v1/status`: the state of each account now and in the last hours.
//!
//! Like the exposition, it is built when something changed. A request adds only what changes by itself: the date, the
//! durability of the state, and the budgets. The document contains nothing about single users.

mod advice;
mod document;
mod history;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::clock::{Instant, Timestamp};
use crate::metrics::telemetry::Telemetry;
use crate::model::{Resource, Snapshot};
use crate::server::status::history::History;
use document::{Account, Budget, Head, State};

/// Records the history of the accounts and builds the document.
#[derive(Debug)]
pub struct Recorder {
    step: Duration,
    /// By account id.
    histories: BTreeMap<String, History>,
}

/// The cached part of the document.
#[derive(Debug)]
pub struct Status {
    accounts: Vec<CachedAccount>,
}

#[derive(Debug)]
struct CachedAccount {
    id: String,
    /// An object without its closing brace.
    json: Vec<u8>,
}

impl Recorder {
    /// Begins with the restored accounts; `step` is the time between two points of a trend.
    pub fn new(step: Duration, snapshots: &[Arc<Snapshot>]) -> Self {
        let mut recorder = Self { step, histories: BTreeMap::new() };
        recorder.follow(snapshots);
        recorder
    }

    /// Begins a history for each new account, and drops those of accounts that are gone.
    fn follow(&mut self, snapshots: &[Arc<Snapshot>]) {
        let mut before = std::mem::take(&mut self.histories);
        self.histories.extend(snapshots.iter().map(|snapshot| {
            let id = &snapshot.account.id;
            let history = before.remove(id).unwrap_or_else(|| History::new(self.step, snapshot));
            (id.clone(), history)
        }));
    }

    /// Records `snapshots` and builds the document. `now` and `date` are the same instant.
    pub fn prepare(
        &mut self,
        snapshots: &[Arc<Snapshot>],
        telemetry: &Telemetry,
        now: Instant,
        date: Timestamp,
    ) -> Status {
        self.follow(snapshots);
        let accounts = snapshots.iter().filter_map(|snapshot| {
            let id = &snapshot.account.id;
            let history = self.histories.get_mut(id)?;
            let activity = telemetry.activity(id);
            let interval = activity.poll_intervals.get(&Resource::Summary).copied().unwrap_or_default();
            history.record(snapshot, interval, now);
            let dated =
                |instant: Instant| document::whole_seconds(date + instant.since(now) - now.since(instant));
            let account = Account::new(snapshot, history, &activity, dated);
            Some(CachedAccount { id: id.clone(), json: unclosed(&account) })
        });
        Status { accounts: accounts.collect() }
    }
}

impl Status {
    /// The whole document in JSON, as of `date`.
    pub fn document(&self, telemetry: &Telemetry, date: Timestamp) -> Vec<u8> {
        let (durability, size_bytes) = telemetry.durability();
        let state = State { kept: durability.as_str(), size_bytes };
        let mut json = unclosed(&Head { version: env!("CARGO_PKG_VERSION"), now: date.to_string(), state });
        json.extend_from_slice(b",\"accounts\":[");
        for (index, account) in self.accounts.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&account.json);
            json.extend_from_slice(b",\"budget\":");
            json.extend_from_slice(&to_json(&telemetry.budget(&account.id).map(Budget::from)));
            json.push(b'}');
        }
        json.extend_from_slice(b"]}\n");
        json
    }
}

/// An object without its closing brace, so that more fields can follow.
fn unclosed(object: &impl Serialize) -> Vec<u8> {
    let mut json = to_json(object);
    json.pop();
    json
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers can be serialized as JSON")
}
