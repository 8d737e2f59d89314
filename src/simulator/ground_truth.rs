//! What really happened in the simulated world, so that tests can compare it with what the exporter counted.
//!
//! `GET /__truth` returns it as JSON. Totals are always included. Single events, requests and users are
//! included only with `?events=1`, `?requests=1`, `?users=1`, because there may be many. `?since_ms=` leaves
//! out events, resets and removals dated at or before that time, and requests that arrived before it.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::scenario::Level;
use super::summary_cache::as_text;
use crate::clock::Timestamp;

/// How many records of each kind are kept. Totals since a date are computed from them.
const MAX_RECORDS: usize = 1_000_000;

/// What happened since the simulator started, or since a later date. Events that a scenario lists are
/// included; the history of generated users from before the start is not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GroundTruth {
    /// The date on the simulator's clock.
    pub now_ms: i64,
    /// By account id.
    pub accounts: BTreeMap<String, AccountGroundTruth>,
    /// Requests received, by account, endpoint, method and status.
    pub requests_total: Vec<RequestTotal>,
    /// How many records were dropped; if it is not 0, totals may be too low.
    pub forgotten: u64,
    /// Every event, in the order in which they were appended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventRecord>,
    /// Every reset, through the API, the control path or the workload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resets: Vec<ChangeRecord>,
    /// Every removed user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<ChangeRecord>,
    /// Every request, in the order in which they arrived.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestRecord>,
    /// Every user on the list now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserRecord>,
}

/// One account's totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountGroundTruth {
    /// Users on the list now.
    pub listed: u64,
    /// Users on the list now, by highest level.
    pub by_level: BTreeMap<Level, u64>,
    /// Events appended.
    pub events_total: u64,
    /// Events appended, by behavior id and by the event's level.
    pub events_by_behavior: BTreeMap<String, BTreeMap<Level, u64>>,
    /// User resets.
    pub resets: u64,
    /// Removed users.
    pub removals: u64,
}

/// The number of requests with the same account, endpoint, method and status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RequestTotal {
    /// The account in the path, if the path names one.
    pub account: Option<String>,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The HTTP method, such as `GET`.
    pub method: String,
    /// The status of the answer; 0 if the connection was closed or left hanging.
    pub status: u16,
    /// The number of requests.
    pub count: u64,
}

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct EventRecord {
    /// The account's id.
    pub account: String,
    /// The user's id.
    #[serde(serialize_with = "as_text")]
    pub user: Uuid,
    /// The event's id in the API.
    pub id: String,
    /// The behavior's id.
    pub behavior: String,
    /// The event's level.
    pub risk_level: Level,
    /// When the event happened.
    #[serde(rename = "timestamp_ms", serialize_with = "millis")]
    pub timestamp: Timestamp,
    /// When the summary began to include the event.
    #[serde(rename = "appended_ms", serialize_with = "millis")]
    pub appended: Timestamp,
}

/// A reset or a removal.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeRecord {
    /// The account's id.
    pub account: String,
    /// The user's id.
    #[serde(serialize_with = "as_text")]
    pub user: Uuid,
    /// When the user was reset or removed.
    #[serde(rename = "date_ms", serialize_with = "millis")]
    pub date: Timestamp,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct RequestRecord {
    /// When the request's headers had arrived, on the simulator's clock.
    #[serde(rename = "arrived_ms", serialize_with = "millis")]
    pub arrived: Timestamp,
    /// The account in the path, if the path names one.
    pub account: Option<String>,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The HTTP method, such as `GET`.
    pub method: String,
    /// The name of the rate limit that the request was counted against; never the secret.
    pub credential: Option<String>,
    /// The status of the answer; 0 if the connection was closed or left hanging.
    pub status: u16,
}

/// One user on the list.
#[derive(Clone, Debug, Serialize)]
pub struct UserRecord {
    /// The account's id.
    pub account: String,
    /// The user's id.
    #[serde(serialize_with = "as_text")]
    pub user: Uuid,
    /// The highest level since the last reset.
    pub max_risk_level: Level,
    /// The summary's `event_count`.
    pub event_count: u32,
    /// The summary's `last_event`.
    #[serde(rename = "last_event_ms", serialize_with = "millis")]
    pub last_event: Timestamp,
}

/// Which records to include besides the totals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Include {
    pub(super) events: Details,
    pub(super) requests: Details,
    pub(super) users: Details,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Details {
    #[default]
    Totals,
    All,
}

/// The log of everything that happened.
#[derive(Debug, Default)]
pub(super) struct Record {
    events: Log<EventRecord>,
    resets: Log<ChangeRecord>,
    removals: Log<ChangeRecord>,
    requests: Log<RequestRecord>,
}

impl Record {
    pub(super) fn event(&mut self, event: EventRecord) {
        self.events.push(event);
    }

    pub(super) fn reset(&mut self, change: ChangeRecord) {
        self.resets.push(change);
    }

    pub(super) fn removal(&mut self, change: ChangeRecord) {
        self.removals.push(change);
    }

    pub(super) fn request(&mut self, request: RequestRecord) {
        self.requests.push(request);
    }

    /// The truth without the users on the list, which only the accounts know.
    pub(super) fn ground_truth(
        &self,
        now: Timestamp,
        since: Option<Timestamp>,
        include: Include,
    ) -> GroundTruth {
        let later = |date: Timestamp| since.is_none_or(|since| date > since);
        let events = || self.events.kept.iter().filter(|event| later(event.timestamp));
        let resets = || self.resets.kept.iter().filter(|reset| later(reset.date));
        let removals = || self.removals.kept.iter().filter(|removal| later(removal.date));
        let arrived = |request: &&RequestRecord| since.is_none_or(|since| request.arrived >= since);
        let requests = || self.requests.kept.iter().filter(arrived);

        let mut accounts: BTreeMap<String, AccountGroundTruth> = BTreeMap::new();
        for event in events() {
            let account = accounts.entry(event.account.clone()).or_default();
            account.events_total += 1;
            let levels = account.events_by_behavior.entry(event.behavior.clone()).or_default();
            *levels.entry(event.risk_level).or_default() += 1;
        }
        for reset in resets() {
            accounts.entry(reset.account.clone()).or_default().resets += 1;
        }
        for removal in removals() {
            accounts.entry(removal.account.clone()).or_default().removals += 1;
        }
        let mut requests_total: BTreeMap<_, u64> = BTreeMap::new();
        for request in requests() {
            let kind = (&request.account, request.endpoint, &request.method, request.status);
            *requests_total.entry(kind).or_default() += 1;
        }
        let requests_total = requests_total
            .into_iter()
            .map(|((account, endpoint, method, status), count)| RequestTotal {
                account: account.clone(),
                endpoint,
                method: method.clone(),
                status,
                count,
            })
            .collect();
        let mut truth = GroundTruth {
            now_ms: now.millis(),
            accounts,
            requests_total,
            forgotten: self.events.forgotten
                + self.resets.forgotten
                + self.removals.forgotten
                + self.requests.forgotten,
            ..GroundTruth::default()
        };
        if include.events == Details::All {
            truth.events = events().cloned().collect();
            truth.resets = resets().cloned().collect();
            truth.removals = removals().cloned().collect();
        }
        if include.requests == Details::All {
            truth.requests = requests().cloned().collect();
        }
        truth
    }
}

/// The most recent records.
#[derive(Debug)]
struct Log<T> {
    kept: VecDeque<T>,
    forgotten: u64,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new(), forgotten: 0 }
    }
}

impl<T> Log<T> {
    fn push(&mut self, record: T) {
        if self.kept.len() == MAX_RECORDS {
            self.kept.pop_front();
            self.forgotten += 1;
        }
        self.kept.push_back(record);
    }
}

fn millis<S: serde::Serializer>(date: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(date.millis())
}
