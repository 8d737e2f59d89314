//! Which failures several accounts have in common, so that one cause makes one line in the log, however many accounts it hits.
//!
//! The first account that fails for a cause is logged at once, and as long as it is the only one, all of its lines are. What
//! further accounts say about the same cause is summed up in one line, a minute after the first of them. Once the list of users of
//! an account is in such a line, its other resources add nothing to it. The ends of these failures are logged in the same way.
//! What differs in its cause is never summed up.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Instant};
use crate::metrics::telemetry::IncidentCause;
use crate::model::{AccountName, Resource};

/// How long further accounts are collected: two readings of the list of users, at the default interval.
const WINDOW: Duration = Duration::from_secs(60);

/// The most causes at a time. Accounts whose cause finds no place are logged each.
const MOST: usize = 64;

/// How many accounts a line names.
const NAMED: usize = 5;

/// Who logs a failure, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// The account itself, now.
    Own,
    /// A line about several accounts, later.
    Summed,
}

/// Why requests fail. Two failures with equal causes are removed in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SharedCause {
    /// The kind of failure.
    pub kind: IncidentCause,
    /// What is particular about it; `None` if failures of this kind have one remedy, whatever their texts.
    pub text: Option<String>,
}

/// A resource of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    account: AccountName,
    resource: Resource,
}

impl Member {
    fn is(&self, id: &str, resource: Resource) -> bool {
        self.account.id == id && self.resource == resource
    }
}

/// Members that are summed up in one line.
#[derive(Debug, Default)]
struct Collected {
    /// In the order in which they came.
    members: Vec<Member>,
    due: Option<Instant>,
}

/// The accounts that fail for one cause.
#[derive(Debug)]
struct Group {
    /// The message of the first failure.
    error: String,
    /// Who fails and was logged.
    logged: Vec<Member>,
    /// Who failed since the last line.
    failed: Collected,
    /// The account whose end was logged; `None` if none was since the last line.
    recovered_first: Option<String>,
    /// Whose failures ended since then.
    recovered: Collected,
    /// Whether more than one account failed.
    is_shared: bool,
}

/// A line about several accounts.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    what: What,
    /// How many accounts.
    accounts: usize,
    /// The first of them, by time.
    named: String,
    resources: String,
    error: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Failed,
    Recovered,
}

/// The failures of all accounts. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedFailures(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    register: Mutex<Register>,
    /// A line may be due earlier than before.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Register(BTreeMap<SharedCause, Group>);

impl SharedFailures {
    /// A request of an account failed, which is news about this account.
    pub(crate) fn failed(
        &self,
        account: &AccountName,
        resource: Resource,
        cause: SharedCause,
        error: &str,
        now: Instant,
    ) -> Telling {
        let member = Member { account: account.clone(), resource };
        self.changing(|register| register.failed(member, cause, error, now))
    }

    /// The failures of an account ended, which is news about this account.
    pub(crate) fn recovered(&self, account: &AccountName, resource: Resource, now: Instant) -> Telling {
        let member = Member { account: account.clone(), resource };
        self.changing(|register| register.recovered(&member, now))
    }

    /// The account is no longer polled.
    pub(crate) fn forget(&self, id: &str) {
        self.register().forget(id);
    }

    /// Logs each line when it is due.
    pub(crate) async fn log(self, clock: Clock) -> Infallible {
        loop {
            let due = self.register().due();
            let line_is_due = async {
                match due {
                    Some(due) => clock.sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = line_is_due => {
                    let lines = self.register().take(|due| due <= clock.now());
                    lines.iter().for_each(Line::log);
                }
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// Logs all lines now, because the process ends.
    pub(crate) fn log_all(&self) {
        let lines = self.register().take(|_| true);
        lines.iter().for_each(Line::log);
    }

    fn changing(&self, change: impl FnOnce(&mut Register) -> Telling) -> Telling {
        let telling = change(&mut self.register());
        if telling == Telling::Summed {
            self.0.changed.notify_one();
        }
        telling
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        // A failure that is in one group or in none is no damage.
        self.0.register.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Register {
    fn failed(&mut self, member: Member, cause: SharedCause, error: &str, now: Instant) -> Telling {
        let (id, resource) = (member.account.id.clone(), member.resource);
        for (other, group) in &mut self.0 {
            if *other != cause {
                group.logged.retain(|known| !known.is(&id, resource));
            }
        }
        self.drop_ended();
        let is_full = self.0.len() >= MOST;
        let Some(group) = self.0.get_mut(&cause) else {
            if !is_full {
                self.0.insert(cause, Group::of(member, error));
            }
            return Telling::Own;
        };
        let is_logged = group.logged.iter().any(|known| known.is(&id, resource));
        if !group.is_shared && group.logged.iter().all(|known| known.account.id == id) {
            if !is_logged {
                group.logged.push(member);
            }
            return Telling::Own;
        }
        if is_logged {
            return Telling::Summed;
        }
        group.is_shared = true;
        group.recovered.members.retain(|known| !known.is(&id, resource));
        let mut known = group.logged.iter().chain(&group.failed.members);
        if known.any(|known| known.is(&id, Resource::Summary)) {
            group.logged.push(member);
        } else {
            group.failed.add(member, now);
        }
        Telling::Summed
    }

    /// It may have failed for several causes, one after the other. The end is that of all of them.
    fn recovered(&mut self, member: &Member, now: Instant) -> Telling {
        let (id, resource) = (&member.account.id, member.resource);
        let mut telling = Telling::Own;
        for group in self.0.values_mut() {
            let before = group.logged.len();
            group.logged.retain(|known| !known.is(id, resource));
            let was_logged = group.logged.len() < before;
            let is_member = was_logged || group.failed.members.iter().any(|known| known.is(id, resource));
            if !is_member || !group.is_shared {
                continue;
            }
            match &group.recovered_first {
                None => group.recovered_first = Some(id.clone()),
                Some(first) if first == id && group.recovered.members.is_empty() => {}
                Some(_) => {
                    group.recovered.add(member.clone(), now);
                    telling = Telling::Summed;
                }
            }
        }
        self.drop_ended();
        telling
    }

    fn forget(&mut self, id: &str) {
        for group in self.0.values_mut() {
            group.logged.retain(|member| member.account.id != id);
        }
        self.drop_ended();
    }

    /// When the next line is due.
    fn due(&self) -> Option<Instant> {
        self.0.values().flat_map(|group| [group.failed.due, group.recovered.due]).flatten().min()
    }

    /// The lines that are due.
    fn take(&mut self, is_due: impl Fn(Instant) -> bool) -> Vec<Line> {
        let mut lines = Vec::new();
        for group in self.0.values_mut() {
            if let Some(failed) = group.failed.take(&is_due) {
                lines.push(Line::new(What::Failed, &failed, &group.error));
                // Those that recovered meanwhile are not failing any more.
                let has_recovered = |member: &Member| group.recovered.members.contains(member);
                group.logged.extend(failed.into_iter().filter(|member| !has_recovered(member)));
            }
            if let Some(recovered) = group.recovered.take(&is_due) {
                lines.push(Line::new(What::Recovered, &recovered, &group.error));
                group.recovered_first = None;
            }
        }
        self.drop_ended();
        lines
    }

    /// Drops the causes for which nobody fails, and about which no line is due.
    fn drop_ended(&mut self) {
        self.0.retain(|_, group| {
            !(group.logged.is_empty()
                && group.failed.members.is_empty()
                && group.recovered.members.is_empty())
        });
    }
}

impl Group {
    fn of(first: Member, error: &str) -> Self {
        Self {
            error: error.to_owned(),
            logged: vec![first],
            failed: Collected::default(),
            recovered_first: None,
            recovered: Collected::default(),
            is_shared: false,
        }
    }
}

impl Collected {
    fn add(&mut self, member: Member, now: Instant) {
        if self.members.iter().all(|known| !known.is(&member.account.id, member.resource)) {
            self.members.push(member);
        }
        self.due.get_or_insert(now + WINDOW);
    }

    fn take(&mut self, is_due: impl Fn(Instant) -> bool) -> Option<Vec<Member>> {
        self.due.take_if(|due| is_due(*due))?;
        Some(std::mem::take(&mut self.members)).filter(|members| !members.is_empty())
    }
}

impl Line {
    fn new(what: What, members: &[Member], error: &str) -> Self {
        let mut aliases: Vec<&str> = Vec::new();
        for Member { account, .. } in members {
            if !aliases.contains(&account.alias.as_str()) {
                aliases.push(&account.alias);
            }
        }
        let resources: BTreeSet<Resource> = members.iter().map(|member| member.resource).collect();
        let resources: Vec<&str> = resources.into_iter().map(Resource::as_str).collect();
        let others = aliases.len().saturating_sub(NAMED);
        let named = aliases.get(..NAMED).unwrap_or(&aliases).join(", ");
        Self {
            what,
            accounts: aliases.len(),
            named: if others > 0 { format!("{named} and {others} more") } else { named },
            resources: resources.join(", "),
            error: error.to_owned(),
        }
    }

    fn log(&self) {
        let Self { what, accounts, named, resources, error } = self;
        match what {
            What::Failed => tracing::warn!(
                accounts,
                named,
                resources,
                error,
                "the requests of further accounts failed for the same cause"
            ),
            What::Recovered => tracing::info!(
                accounts,
                named,
                resources,
                error,
                "the requests of further accounts succeed again"
            ),
        }
    }
}
