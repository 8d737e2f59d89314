//! What `/api/v1/status` says: how each account is doing now, and how it did in the last hours.
//!
//! Prepared like the page for Prometheus, when something changed. At a request only the date, how the state is
//! kept and what is left of the budgets are added, which change by themselves. There is nothing of single users in it.

mod advice;
mod document;
mod history;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::clock::{Instant, Timestamp};
use crate::metrics::telemetry::Telemetry;
use crate::model::{Resource, Snapshot};
use crate::server::status::history::History;
use document::{Account, Budget, Head, State};

/// Keeps what accounts were like, and writes what they are like.
#[derive(Debug)]
pub struct Recorder {
    histories: Vec<History>,
}

/// The prepared part of the document.
#[derive(Debug)]
pub struct Status {
    accounts: Vec<Prepared>,
}

#[derive(Debug)]
struct Prepared {
    alias: String,
    /// An object that is still open.
    json: Vec<u8>,
}

impl Recorder {
    /// Begins with what is known of the accounts; `step` is the time between two points of a trend.
    pub fn new(step: Duration, snapshots: &[Arc<Snapshot>]) -> Self {
        Self { histories: snapshots.iter().map(|snapshot| History::new(step, snapshot)).collect() }
    }

    /// Takes over what is new in `snapshots`, which come in the order of those at the beginning, and writes
    /// what they say. `now` and `date` are the same instant.
    pub fn prepare(
        &mut self,
        snapshots: &[Arc<Snapshot>],
        telemetry: &Telemetry,
        now: Instant,
        date: Timestamp,
    ) -> Status {
        let prepared = self.histories.iter_mut().zip(snapshots).map(|(history, snapshot)| {
            let alias = &snapshot.account.alias;
            let activity = telemetry.activity(alias);
            let interval = activity.poll_intervals.get(&Resource::Summary).copied().unwrap_or_default();
            history.record(snapshot, interval, now);
            let dated =
                |moment: Instant| document::whole_seconds(date + moment.since(now) - now.since(moment));
            let account = Account::new(snapshot, history, &activity, dated);
            Prepared { alias: alias.clone(), json: open(&account) }
        });
        Status { accounts: prepared.collect() }
    }
}

impl Status {
    /// The whole document in JSON, as of `date`.
    pub fn document(&self, telemetry: &Telemetry, date: Timestamp) -> Vec<u8> {
        let (durability, size_bytes) = telemetry.durability();
        let state = State { kept: durability.as_str(), size_bytes };
        let mut json = open(&Head { version: env!("CARGO_PKG_VERSION"), now: date.to_string(), state });
        json.extend_from_slice(b",\"accounts\":[");
        for (index, account) in self.accounts.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&account.json);
            json.extend_from_slice(b",\"budget\":");
            json.extend_from_slice(&to_json(&telemetry.budget(&account.alias).map(Budget::from)));
            json.push(b'}');
        }
        json.extend_from_slice(b"]}\n");
        json
    }
}

/// An object without the brace at its end, so that more can follow.
fn open(object: &impl Serialize) -> Vec<u8> {
    let mut json = to_json(object);
    json.pop();
    json
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers can be written as JSON")
}
