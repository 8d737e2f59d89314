//! What is published of an account.

use super::Account;
use crate::clock::Instant;
use crate::collector::roster::Overview;
use crate::model::{Behavior, BehaviorStatus, Drift, EventTotals, Resource, Snapshot, UserSeries, Users};

impl Account {
    /// An immutable copy of what is published.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            account: self.name.clone(),
            up: self.up,
            up_until: self.up_until(),
            last_success: self.last_success.clone(),
            users: self.overview.as_ref().map(|overview| self.users(overview)),
            counting_since: self.published.since.map(|since| self.clocks.until_now(since)),
            behaviors: self.behaviors.as_ref().map(|behaviors| self.behavior_statuses(behaviors)),
            drift: self.drift(),
            integrations: self.integrations.clone(),
            totals: EventTotals {
                started: self.published.since.is_some() && self.labels.are_settled(),
                ..self.published.totals.clone()
            },
            rejected_rows: self.rejected.clone(),
            unexpected_fields: self.unexpected.clone(),
        }
    }

    /// An interval after the summary is overdue. A poller that does not hang has said so by then.
    fn up_until(&self) -> Option<Instant> {
        let interval = self.interval(Resource::Summary)?;
        self.list_overdue_at().map(|overdue| overdue + interval)
    }

    fn users(&self, overview: &Overview) -> Users {
        let clocks = self.clocks;
        let series: Vec<_> = self
            .top_users
            .selected()
            .iter()
            .filter_map(|selected| {
                let user = self.roster.get(selected.id)?;
                Some(UserSeries {
                    id: selected.id,
                    label: self.user_label.label(selected.id)?,
                    reported_events: selected.fingerprint.count.known(),
                    level: selected.fingerprint.level,
                    since: clocks.until_now(user.since),
                    last_event: clocks.of_event(selected.fingerprint.last_event),
                    last_reset: self.ledger.last_reset(selected.id).map(|reset| clocks.until_now(reset)),
                    identity: selected.identity.clone(),
                })
            })
            .collect();
        let Overview { count, reported_events, oldest } = overview.clone();
        Users {
            omitted: count.iter().sum::<u64>().saturating_sub(series.len() as u64),
            count,
            reported_events,
            oldest: oldest.map(|since| since.map(|since| clocks.until_now(since))),
            series,
            pending: self.queue.len() as u64,
            oldest_pending: self.queue.oldest().map(|since| clocks.until_now(since)),
            departures_skipped: self.departures_skipped,
        }
    }

    fn drift(&self) -> Option<Drift> {
        let (baseline, behaviors) = (self.baseline.as_ref()?, self.behaviors.as_ref()?);
        Some(baseline.drift(behaviors, self.unreadable_behaviors))
    }

    fn behavior_statuses(&self, behaviors: &[Behavior]) -> Vec<BehaviorStatus> {
        let status = |behavior: &Behavior| {
            let label = self.ledger.label_of(&behavior.id)?;
            // A behavior beyond the limit has the label `other`, and no series of its own.
            (label == behavior.id).then(|| BehaviorStatus {
                label: label.to_owned(),
                name: behavior.name.clone(),
                enabled: behavior.enabled,
                level: behavior.level,
            })
        };
        behaviors.iter().filter_map(status).collect()
    }
}
