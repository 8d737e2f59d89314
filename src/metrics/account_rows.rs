//! The rows of a snapshot as samples need them: each series once, and texts from outside made safe.
//!
//! An answer may list a row twice, and two texts may be the same once they are safe. A repeated series would end the whole
//! scrape in some tools.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::label_text::label_text;
use crate::model::{EventTotals, Level, PerLevel, Snapshot, UserSeries};

/// One account.
pub(super) struct AccountRows<'a> {
    pub(super) alias: &'a str,
    pub(super) snapshot: &'a Snapshot,
    pub(super) users: Vec<&'a UserSeries>,
    pub(super) behaviors: Vec<BehaviorRow<'a>>,
    pub(super) integrations: Vec<IntegrationRow<'a>>,
}

pub(super) struct BehaviorRow<'a> {
    pub(super) label: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) enabled: Option<bool>,
    pub(super) level: Level,
}

pub(super) struct IntegrationRow<'a> {
    pub(super) id: String,
    pub(super) kind: Cow<'a, str>,
    pub(super) reference_id: Cow<'a, str>,
    pub(super) tenant_url: Cow<'a, str>,
    pub(super) active: bool,
}

/// The rows of each account. Of rows for the same series, the first one is kept.
pub(super) fn account_rows(snapshots: &[Arc<Snapshot>]) -> Vec<AccountRows<'_>> {
    let mut aliases = BTreeSet::new();
    let accounts = snapshots.iter().filter(|snapshot| aliases.insert(snapshot.account.alias.as_str()));
    accounts.map(|snapshot| AccountRows::new(snapshot)).collect()
}

impl<'a> AccountRows<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            alias: &snapshot.account.alias,
            snapshot,
            users: distinct_users(snapshot.users.iter().flat_map(|users| &users.series).collect()),
            behaviors: behaviors(snapshot),
            integrations: integrations(snapshot),
        }
    }

    /// The events of each behavior; empty before counting started. Behaviors whose labels are the same are added up.
    pub(super) fn events(&self) -> BTreeMap<Cow<'a, str>, PerLevel<u64>> {
        let mut events: BTreeMap<_, PerLevel<u64>> = BTreeMap::new();
        for (label, counts) in self.started_totals().map(|totals| &totals.events).into_iter().flatten() {
            let sums = events.entry(label_text(label)).or_default();
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        events
    }

    /// The users of each behavior, like [`AccountRows::events`].
    pub(super) fn behavior_users(&self) -> BTreeMap<Cow<'a, str>, u64> {
        let mut users = BTreeMap::new();
        for (label, count) in self.started_totals().map(|totals| &totals.behavior_users).into_iter().flatten()
        {
            *users.entry(label_text(label)).or_default() += count;
        }
        users
    }

    fn started_totals(&self) -> Option<&'a EventTotals> {
        Some(&self.snapshot.totals).filter(|totals| totals.started)
    }
}

/// There are many users, and normally no duplicates: finding that out must be cheap.
fn distinct_users(users: Vec<&UserSeries>) -> Vec<&UserSeries> {
    let mut ids: Vec<_> = users.iter().map(|user| user.id).collect();
    ids.sort_unstable();
    if ids.is_sorted_by(|before, after| before < after) {
        return users;
    }
    let mut seen = BTreeSet::new();
    users.into_iter().filter(|user| seen.insert(user.id)).collect()
}

/// Behaviors whose labels are equal share their series, which show the one that counts for more: an enabled one before a disabled
/// one, then the highest level.
fn behaviors(snapshot: &Snapshot) -> Vec<BehaviorRow<'_>> {
    let rows = snapshot.behaviors.iter().flatten().map(|behavior| BehaviorRow {
        label: label_text(&behavior.label),
        name: label_text(&behavior.name),
        enabled: behavior.enabled,
        level: behavior.level,
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|a, b| a.label.cmp(&b.label).then_with(|| (b.enabled, b.level).cmp(&(a.enabled, a.level))));
    rows.dedup_by(|a, b| a.label == b.label);
    rows
}

fn integrations(snapshot: &Snapshot) -> Vec<IntegrationRow<'_>> {
    let mut seen = BTreeSet::new();
    let rows = snapshot.integrations.iter().flatten().filter(|integration| seen.insert(integration.id));
    rows.map(|integration| IntegrationRow {
        id: integration.id.to_string(),
        kind: label_text(&integration.kind),
        reference_id: label_text(&integration.reference_id),
        tenant_url: label_text(&integration.tenant_url),
        active: integration.active,
    })
    .collect()
}
