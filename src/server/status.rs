//! The document at `/api/v1/status`: the state of each account now and in the last hours.
//!
//! Like the exposition, it is built when something changed. A request adds only what changes by itself: the date, the
//! durability of the state, and the budgets. Of single users it contains what `/metrics` does, under the same names.

mod advice;
mod document;
mod health;
mod history;
mod links;
mod query;

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::clock::{Instant, Timestamp};
use crate::metrics::telemetry::Telemetry;
use crate::model::{Resource, Snapshot};
use crate::server::status::history::History;
use document::{Account, Budget, Discovery, Head, State, TokenFiles};
pub use query::Query;
use query::View;

/// Records the history of the accounts and builds the document.
#[derive(Debug)]
pub struct Recorder {
    step: Duration,
    /// The address of Grafana.
    grafana: Option<String>,
    /// By account id.
    histories: BTreeMap<String, History>,
}

/// The cached part of the document.
#[derive(Debug)]
pub struct Status {
    accounts: Vec<CachedAccount>,
    /// How long trends are at most.
    trend: Duration,
    /// The address of a dashboard with all accounts.
    dashboard: Option<String>,
}

#[derive(Debug)]
struct CachedAccount {
    id: String,
    /// An object without its closing brace.
    whole: Vec<u8>,
    /// The same, with less in it.
    overview: Vec<u8>,
}

/// A document, as of a date.
#[derive(Debug)]
pub struct Document {
    /// The text.
    pub json: Vec<u8>,
    /// The hash of everything in it but its date: if it is the same, nothing has changed.
    pub hash: u128,
}

impl Recorder {
    /// Begins with the restored accounts; `step` is the time between two points of a trend.
    pub fn new(step: Duration, snapshots: &[Arc<Snapshot>]) -> Self {
        let mut recorder = Self { step, grafana: None, histories: BTreeMap::new() };
        recorder.follow(snapshots);
        recorder
    }

    /// Links to the dashboards of the Grafana at this address, which has no slash at its end.
    pub fn linking(self, grafana: Option<String>) -> Self {
        Self { grafana, ..self }
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
            let grafana = self.grafana.as_deref();
            let [whole, overview] = [View::Whole, View::Overview]
                .map(|view| unclosed(&Account::new(snapshot, history, &activity, dated, grafana, view)));
            Some(CachedAccount { id: id.clone(), whole, overview })
        });
        Status {
            accounts: accounts.collect(),
            trend: self.step * history::STEPS as u32,
            dashboard: self.grafana.as_deref().map(links::overview),
        }
    }
}

impl Status {
    /// The part of the document that `query` asks for, as of `date`.
    pub fn document(&self, query: &Query, telemetry: &Telemetry, date: Timestamp) -> Document {
        let (durability, size_bytes) = telemetry.durability();
        let state = State { kept: durability.as_str(), size_bytes };
        let version = env!("CARGO_PKG_VERSION");
        let known = telemetry.known_token_files();
        let token_files = known.as_deref().map(TokenFiles::from);
        let discoveries = telemetry.known_discoveries();
        let discovery: Vec<_> =
            discoveries.iter().map(|(label, status)| Discovery::new(label, status)).collect();
        let mut undated = SipHasher13::new();
        undated.write(&to_json(&(version, &state, &token_files, &discovery)));
        let (trend_seconds, dashboard) = (self.trend.as_secs_f64(), self.dashboard.as_deref());
        let now = date.to_string();
        let discovery = discovery.as_slice();
        let head = Head { version, now, state, trend_seconds, dashboard, token_files, discovery };
        let mut json = unclosed(&head);
        let dated = json.len();
        json.extend_from_slice(b",\"accounts\":[");
        let selected = self.accounts.iter().filter(|account| query.selects(&account.id));
        for (index, account) in selected.enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(match query.view {
                View::Whole => &account.whole,
                View::Overview => &account.overview,
            });
            json.extend_from_slice(b",\"budget\":");
            json.extend_from_slice(&to_json(&telemetry.budget(&account.id).map(Budget::from)));
            json.push(b'}');
        }
        json.extend_from_slice(b"]}\n");
        undated.write(json.get(dated..).unwrap_or_default());
        Document { json, hash: undated.finish128().as_u128() }
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
