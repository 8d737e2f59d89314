//! What the answers to periodic requests change: the list of users, the behaviors and the integrations.

use std::cmp::Reverse;
use std::time::Duration;

use super::clocks::disagree;
use super::labels_due::LabelsDue;
use super::{Account, Reachability, Unlabelled};
use crate::clock::{Instant, Timestamp};
use crate::collector::ledger::{CountingStart, UNLISTED};
use crate::collector::persist::Document;
use crate::collector::queue::QueueChange;
use crate::collector::roster::{Comparison, Coverage, Roster};
use crate::collector::schedule::FailureClass;
use crate::model::{
    Behavior, Completeness, EventCount, Found, Integration, LevelChanges, Listing, Resource, Row, Summary,
    UserId,
};
use crate::store::row::Table;

/// The most integrations with series of their own. Cloudflare knows one kind, and a tenant has one or two.
const MAX_INTEGRATIONS: usize = 256;

/// The most users who left the list and whose events are still to be read. Resetting or removing more users at once is a
/// change of the whole account, not of users.
const MAX_DEPARTED: usize = 10_000;

/// How often expired keys and users are looked for. Nothing expires within less than a week.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(3_600);

/// How long a list of users that is null is taken for a mistake: 20 lists at the default interval. An account whose users
/// were really all reset is reported as unreadable for so long. The same holds for a list of behaviors that is empty.
const LONGEST_DOUBT: Duration = Duration::from_secs(600);

impl Account {
    /// Prepares a list of users for [`Account::summary_read`], as far as earlier ones and our own clock say more than it
    /// does.
    pub fn correct_list(&mut self, summary: &mut Summary, now: Instant, local_date: Timestamp) {
        self.doubt_null(summary, now);
        if summary.date.is_some_and(|date| disagree(date, local_date)) {
            summary.odd.add("date", Found::OtherClock, None);
        }
        for row in &mut summary.rows {
            self.keep_unsaid(row);
        }
    }

    /// A row that does not say when the latest event was, or how many there were, says nothing new about that. It does not
    /// mean that the user's events changed or that the count fell to 0.
    fn keep_unsaid(&self, Row { user, tuple }: &mut Row) {
        if tuple.last_event != Timestamp::UNKNOWN && tuple.count != EventCount::UNKNOWN {
            return;
        }
        let covered = || self.roster.get(*user).filter(|user| user.coverage == Coverage::Covered);
        let latest = self.queue.get(*user).map(|pending| pending.latest);
        let Some(known) = latest.or_else(|| covered().map(|user| user.covered)) else { return };
        if tuple.last_event == Timestamp::UNKNOWN {
            tuple.last_event = known.last_event;
        }
        if tuple.count == EventCount::UNKNOWN {
            tuple.count = known.count;
        }
    }

    /// How many users were listed before, if a complete list has none of them any more and no other ones.
    pub fn users_before_empty(&self, summary: &Summary) -> Option<usize> {
        let is_empty = summary.rows.is_empty() && summary.completeness == Completeness::Complete;
        let before = if is_empty { self.roster.listed_after(None).count() } else { 0 };
        (before > 0).then_some(before)
    }

    /// Takes a list of users that is null for a partial one, if users were listed before. Some servers write an empty list
    /// as null, so it counts as empty once there was nothing else for ten minutes.
    fn doubt_null(&mut self, summary: &mut Summary, now: Instant) {
        if !summary.is_null {
            self.null_since = None;
            return;
        }
        let listed = self.roster.listed_after(None).count();
        if listed == 0 {
            self.null_since = None;
            return;
        }
        let since = *self.null_since.get_or_insert(now);
        if now.since(since) < LONGEST_DOUBT && summary.completeness == Completeness::Complete {
            let users = if listed == 1 { "one user was".to_owned() } else { format!("{listed} users were") };
            summary.completeness = Completeness::Partial(format!("it is null, and {users} listed before"));
        }
    }

    /// The summary was read. `local_date` is the date on our own clock.
    pub fn summary_read(&mut self, summary: &Summary, now: Instant, local_date: Timestamp) {
        let date = self.at_date_of_list(summary, now, local_date);
        self.reachability = Reachability::Answered;
        self.reject(Resource::Summary, summary.unreadable.len() as u64 + u64::from(summary.anonymous));
        self.add_unexpected(Resource::Summary, &summary.odd);
        let whole = summary.completeness == Completeness::Complete;
        let before = (self.overview.clone(), self.up, self.schedule.summary_pages());
        self.schedule.read(Resource::Summary, summary.pages, now);
        self.up = Some(whole);
        let comparison = match (whole, self.ledger.epoch()) {
            (true, None) => Roster::baseline(summary, date),
            (true, Some(_)) => self.roster.compare(summary, date),
            (false, Some(_)) => self.roster.compare_partial(summary, date),
            (false, None) => Comparison::default(),
        };
        if whole {
            if self.ledger.start_counting(date) == CountingStart::Now {
                self.clocks.counting_starts(now);
                self.unsaved.document(Document::Totals);
            }
            self.unsaved.users(Table::TopUsers, self.top_users.select(summary, now));
            self.last_success.insert(Resource::Summary, local_date);
        }
        self.apply_comparison(comparison, date);
        if let Some(date) = self.clocks.earlier().filter(|_| whole) {
            self.clean_up(date);
            self.mark_read(Resource::Summary);
        }
        if before != (self.overview.clone(), self.up, self.schedule.summary_pages()) {
            self.unsaved.document(Document::CollectorState);
        }
    }

    /// Prepares a list of behaviors for [`Account::behaviors_read`]. Cloudflare's own behaviors can be disabled, but not removed. So
    /// an empty list after others is taken for a mistake, until there was nothing else for ten minutes.
    pub fn correct_behaviors(&mut self, found: &mut Listing<Behavior>, now: Instant) {
        let known = self.behaviors.as_deref().unwrap_or_default();
        if !found.rows.is_empty() || known.is_empty() {
            self.no_behaviors_since = None;
            return;
        }
        if now.since(*self.no_behaviors_since.get_or_insert(now)) < LONGEST_DOUBT {
            found.rows = known.to_vec();
            found.odd.add("behaviors", Found::Absent, None);
        }
    }

    /// The behaviors were read.
    pub fn behaviors_read(&mut self, found: Listing<Behavior>, now: Instant, local_date: Timestamp) {
        let Listing { rows: mut behaviors, rejected, odd } = found;
        self.reject(Resource::Behaviors, rejected.into());
        self.unreadable_behaviors = rejected;
        self.add_unexpected(Resource::Behaviors, &odd);
        behaviors.sort_by(|a, b| a.id.cmp(&b.id));
        keep_settings(&mut behaviors, self.behaviors.as_deref().unwrap_or_default());
        self.ledger.list_behaviors(&behaviors);
        let waiting = self.end_waits(LabelsDue::end);
        let is_different = self.behaviors.replace(behaviors) != self.behaviors;
        if is_different {
            self.unsaved.document(Document::Totals);
            self.unsaved.document(Document::Behaviors);
        }
        self.mark_read(Resource::Behaviors);
        self.last_success.insert(Resource::Behaviors, local_date);
        self.schedule.read(Resource::Behaviors, 1, now);
        self.count_unlabelled(now);
        waiting.into_iter().for_each(|id| self.resume(id));
    }

    /// The integrations were read.
    pub fn integrations_read(&mut self, found: Listing<Integration>, now: Instant, local_date: Timestamp) {
        let Listing { rows: mut integrations, rejected, odd } = found;
        self.reject(Resource::Integrations, rejected.into());
        self.add_unexpected(Resource::Integrations, &odd);
        integrations.sort_by_key(|integration| integration.id);
        integrations.truncate(MAX_INTEGRATIONS);
        let is_different = self.integrations.replace(integrations) != self.integrations;
        if is_different {
            self.unsaved.document(Document::Integrations);
        }
        self.mark_read(Resource::Integrations);
        self.last_success.insert(Resource::Integrations, local_date);
        self.schedule.read(Resource::Integrations, 1, now);
    }

    /// A resource was read whose content is not kept.
    pub fn read(&mut self, resource: Resource, now: Instant) {
        self.schedule.read(resource, 1, now);
    }

    /// `resource` could not be read. What is known about it stays.
    pub fn failed(&mut self, resource: Resource, failure: FailureClass, now: Instant) {
        if resource == Resource::Summary {
            if self.up != Some(false) {
                self.unsaved.document(Document::CollectorState);
            }
            (self.up, self.reachability) = (Some(false), Reachability::Silent);
        }
        self.schedule.failed(resource, failure, now);
        // While the list of users does not answer either, the failure says nothing about the behaviors.
        if resource == Resource::Behaviors && self.reachability == Reachability::Answered {
            self.behaviors_failed(failure, now);
        }
    }

    fn behaviors_failed(&mut self, failure: FailureClass, now: Instant) {
        let is_final = failure == FailureClass::Unusable || self.schedule.is_denied(Resource::Behaviors);
        let released =
            self.end_waits(|labels| if is_final { Some(labels.end()) } else { labels.failed(now) });
        if let Some(waiting) = released {
            self.count_unlabelled(now);
            waiting.into_iter().for_each(|id| self.resume(id));
        } else if let Some(Unlabelled { request, .. }) = self.unlabelled.take() {
            self.wait_for_behaviors(&request, now);
        }
    }

    /// The user's events need not wait for the behaviors any more.
    fn resume(&mut self, id: UserId) {
        self.queue.hasten(id);
        self.unsaved.user(Table::Pending, id);
    }

    /// The summary could not be requested in time, whatever the reason.
    pub fn list_missed(&mut self) {
        self.up = Some(false);
        self.unsaved.document(Document::CollectorState);
    }

    /// Events may get labels after `end`. Saved soon, so that a process that restarts again and again does not wait each time.
    fn end_waits<T>(&mut self, end: impl FnOnce(&mut LabelsDue) -> T) -> T {
        let were_settled = self.labels.are_settled();
        let ended = end(&mut self.labels);
        if self.labels.are_settled() != were_settled {
            self.unsaved.document(Document::CollectorState);
        }
        ended
    }

    fn apply_comparison(&mut self, comparison: Comparison, date: Timestamp) {
        let Comparison { users, changed, gone, level_changes, overview } = comparison;
        let mut left = gone.iter().filter_map(|id| self.roster.get(*id).copied()).collect::<Vec<_>>();
        self.unsaved.users(Table::Users, users.iter().map(|user| user.id));
        self.roster.apply(users, date);
        if level_changes != LevelChanges::default() {
            self.ledger.count_level_changes(&level_changes);
            self.unsaved.document(Document::Totals);
        }
        for (id, fingerprint, level_before) in changed {
            if self.queue.changed(id, fingerprint, level_before, date) == QueueChange::Changed {
                self.unsaved.user(Table::Pending, id);
            }
        }
        left.sort_by_key(|user| Reverse(user.level));
        for user in left {
            if self.queue.departed() >= MAX_DEPARTED && self.queue.get(user.id).is_none() {
                self.departures_skipped += 1;
                continue;
            }
            self.queue.gone(user.id, user.covered, user.level_since(), date);
            self.unsaved.user(Table::Pending, user.id);
        }
        if overview.is_some() {
            self.overview = overview;
        }
    }

    /// Removes what has expired: keys of events absent for a week, then users gone for 90 days. `date`
    /// is that of the earlier clock: what is removed cannot be read again.
    fn clean_up(&mut self, date: Timestamp) {
        if self.last_cleanup.is_some_and(|last| last <= date && date < last + CLEANUP_INTERVAL) {
            return;
        }
        self.last_cleanup = Some(date);
        let roster = &self.roster;
        let changed = self.ledger.forget_absent(date, |id| roster.gone_since(id));
        self.unsaved.users(Table::Records, changed);
        let mut dropped = self.roster.gone_for(UNLISTED, date);
        dropped.retain(|id| self.queue.get(*id).is_none() && self.ledger.drop_user(*id));
        if self.ledger.merge_forgotten(date) || !dropped.is_empty() {
            self.unsaved.document(Document::Totals);
        }
        for table in [Table::Users, Table::Records] {
            self.unsaved.users(table, dropped.iter().copied());
        }
        self.failing_users.retain(|id| !dropped.contains(id));
        self.refusals.forget(&dropped);
        self.roster.remove(dropped);
    }
}

/// Takes over what a behavior no longer says of whether it is enabled. Both lists are sorted by id.
fn keep_settings(behaviors: &mut [Behavior], before: &[Behavior]) {
    for behavior in behaviors.iter_mut().filter(|behavior| behavior.enabled.is_none()) {
        let earlier = before.binary_search_by(|earlier| earlier.id.cmp(&behavior.id)).ok();
        behavior.enabled = earlier.and_then(|at| before.get(at)).and_then(|earlier| earlier.enabled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Level;

    #[test]
    fn a_behavior_keeps_its_setting_while_the_list_does_not_say_it() {
        let behavior = |id: &str, enabled| Behavior {
            id: id.to_owned(),
            name: String::new(),
            description: String::new(),
            enabled,
            level: Level::Low,
        };
        let before = [behavior("a", Some(true)), behavior("b", Some(false)), behavior("d", None)];
        let mut now = ["a", "b", "c", "d"].map(|id| behavior(id, None)).to_vec();
        now.push(behavior("e", Some(true)));
        keep_settings(&mut now, &before);
        let settings: Vec<_> = now.iter().map(|behavior| behavior.enabled).collect();
        assert_eq!(settings, [Some(true), Some(false), None, None, Some(true)]);
        let mut changed = [behavior("a", Some(false))];
        keep_settings(&mut changed, &before);
        assert_eq!(changed[0].enabled, Some(false), "what the list says is newer");
    }
}
