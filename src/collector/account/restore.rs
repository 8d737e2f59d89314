//! Restores an account from what an earlier process saved.

use super::dirty::Unsaved;
use super::{Account, Reachability, Settings};
use crate::clock::Timestamp;
use crate::cloudflare::limit::WINDOW;
use crate::collector::ledger::Ledger;
use crate::collector::persist::{Now, Saved};
use crate::collector::queue::{LONGEST_BACKOFF, Queue};
use crate::collector::roster::Roster;
use crate::collector::top_users::{MINIMUM_LIFETIME, TopUsers};
use crate::collector::user_label::UserLabel;
use crate::model::Resource;
use crate::store::row::{Table, Unreadable};

impl Account {
    /// The account as an earlier process saved it. Resources that were read recently are not due at once, so a process
    /// that restarts again and again sends no more requests than one that keeps running.
    ///
    /// # Errors
    /// The saved rows contradict each other.
    pub fn restore(settings: Settings, saved: Saved, now: Now) -> Result<Self, Unreadable> {
        let mut account = Self::new(settings);
        let Saved {
            totals,
            collector,
            behaviors,
            integrations,
            spending: _,
            users,
            gone,
            records,
            pending,
            series,
            feed: _,
        } = saved;
        let Some(totals) = totals else {
            let is_empty = users.is_empty() && records.is_empty() && pending.is_empty();
            return if is_empty { Ok(account) } else { Err(Unreadable("there are users without totals")) };
        };
        account.ledger = Ledger::restore(totals, records)?;
        account.roster = Roster::restore(users, gone);
        if pending.iter().any(|(id, _)| account.roster.get(*id).is_none()) {
            return Err(Unreadable("a queued user is unknown"));
        }
        account.queue = Queue::restore(pending.into_iter().map(|(id, saved)| {
            (id, saved.pending, saved.due.map(|due| now.instant_of(due, LONGEST_BACKOFF)))
        }));
        account.unsaved = Unsaved::nothing();
        account.unsaved.users(Table::TopUsers, series.iter().map(|(user, _)| user.id));
        let protected = |until: Option<Timestamp>| {
            until.map_or(now.instant, |until| now.instant_of(until, MINIMUM_LIFETIME))
        };
        let series = series.into_iter().map(|(user, until)| (user, protected(until))).collect();
        account.top_users = TopUsers::restore(account.top_users.limit(), series);
        account.overview = collector.overview;
        (account.behaviors, account.integrations) = (behaviors, integrations);
        if collector.labels_settled {
            account.labels.settle();
        }
        account.audit.resume(collector.audited);
        let last = collector.last_success.values().max().copied().unwrap_or_default();
        let audits_free = now.instant_of(last + WINDOW, WINDOW);
        account.schedule.resume(collector.summary_pages, audits_free, now.instant);
        for (&resource, &read) in &collector.last_success {
            // E-mail addresses and names are not saved, so the list must be read again.
            let lacks_names = matches!(account.user_label, UserLabel::Email) && resource == Resource::Summary;
            let is_fresh = resource != Resource::Summary || collector.up == Some(true);
            if is_fresh && let Some(interval) = account.schedule.interval(resource) {
                let due = now.instant_of(read + interval, interval);
                if !lacks_names {
                    account.schedule.resume_at(resource, due);
                }
                if resource == Resource::Summary && due > now.instant {
                    (account.up, account.reachability) = (Some(true), Reachability::Answered);
                }
            }
        }
        account.last_success = collector.last_success;
        account.at_local_date(now.date);
        account.published = account.totals();
        Ok(account)
    }
}
