//! An account as an earlier process left it.

use super::dirty::Unsaved;
use super::{Account, LabelsReady, Reachability, Settings};
use crate::clock::Timestamp;
use crate::cloudflare::limit::WINDOW;
use crate::collector::ledger::Ledger;
use crate::collector::persist::{Now, Saved};
use crate::collector::queue::{LONGEST_BACKOFF, Queue};
use crate::collector::roster::Roster;
use crate::collector::top_users::{STAY, TopUsers};
use crate::model::Resource;
use crate::store::row::{Table, Unreadable};

impl Account {
    /// The account as an earlier process left it. What was read lately is not read again at once: a process
    /// that is started over and over spends no more than one that runs.
    ///
    /// # Errors
    /// What was left does not fit together.
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
        } = saved;
        let Some(totals) = totals else {
            let is_empty = users.is_empty() && records.is_empty() && pending.is_empty();
            return if is_empty { Ok(account) } else { Err(Unreadable("there are users without counts")) };
        };
        account.ledger = Ledger::restore(totals, records)?;
        account.roster = Roster::restore(users, gone);
        if pending.iter().any(|(id, _)| account.roster.get(*id).is_none()) {
            return Err(Unreadable("somebody waits who is unknown"));
        }
        account.queue = Queue::restore(pending.into_iter().map(|(id, saved)| {
            (id, saved.pending, saved.due.map(|due| now.moment_of(due, LONGEST_BACKOFF)))
        }));
        account.unsaved = Unsaved::nothing();
        account.unsaved.users(Table::TopUsers, series.iter().map(|(chosen, _)| chosen.id));
        let stay = |until: Option<Timestamp>| until.map_or(now.moment, |until| now.moment_of(until, STAY));
        let series = series.into_iter().map(|(chosen, until)| (chosen, stay(until))).collect();
        account.series = TopUsers::restore(account.series.limit(), series);
        account.overview = collector.overview;
        (account.behaviors, account.integrations) = (behaviors, integrations);
        account.labels = if collector.labels_settled { LabelsReady::Yes } else { LabelsReady::NotYet };
        account.audit.resume(collector.audited);
        let last = collector.last_success.values().max().copied().unwrap_or_default();
        let audits_free = now.moment_of(last + WINDOW, WINDOW);
        account.schedule.resume(collector.summary_pages, audits_free, now.moment);
        for (&endpoint, &read) in &collector.last_success {
            let is_good = endpoint != Resource::Summary || collector.up == Some(true);
            if is_good && let Some(interval) = account.schedule.interval(endpoint) {
                let due = now.moment_of(read + interval, interval);
                account.schedule.resume_at(endpoint, due);
                if endpoint == Resource::Summary && due > now.moment {
                    (account.up, account.reach) = (Some(true), Reachability::Answered);
                }
            }
        }
        account.last_success = collector.last_success;
        account.publish();
        Ok(account)
    }
}
