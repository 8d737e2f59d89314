//! The budgets of all credentials. Cloudflare counts requests by credential, so a reload must not begin a new budget for a
//! credential that has spent requests already.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::block_in_place;

use crate::clock::Clock;
use crate::cloudflare::Credentials;
use crate::cloudflare::limit::{Budget, Journal, Spending};
use crate::collector::persist::{self, Document};
use crate::store::State;
use crate::store::row::Table;

/// The accounts with the same credential.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) credential: Credentials,
    /// The share of the request limit, multiplied by the pace.
    pub(super) share: f64,
    /// Their ids; at least one.
    pub(super) accounts: Vec<String>,
}

impl Group {
    fn first(&self) -> &str {
        self.accounts.first().expect("a credential belongs to an account")
    }
}

/// A budget, and the group that uses it, or used it last.
#[derive(Debug)]
struct Known {
    group: Group,
    budget: Budget,
    home: Home,
}

/// The id of the account whose rows contain the spending of a budget.
#[derive(Clone, Debug)]
struct Home(Arc<Mutex<String>>);

impl Home {
    fn new(account: &str) -> Self {
        Self(Arc::new(Mutex::new(account.to_owned())))
    }

    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, account: &str) {
        account.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// All budgets that are used, or have spent requests that still count.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    known: Vec<Known>,
}

/// The budgets of the next configuration, one for each group. Nothing uses them yet.
#[derive(Debug)]
pub(super) struct Prepared(Vec<PreparedBudget>);

/// The budget of a group.
#[derive(Debug)]
pub(super) struct PreparedBudget {
    group: Group,
    pub(super) budget: Budget,
    home: Home,
    /// Where it is in [`Budgets::known`], if it is.
    known: Option<usize>,
    /// The accounts whose saved spending a new budget continues.
    sources: Vec<String>,
}

impl PreparedBudget {
    /// How many requests each account of the group may send in five minutes.
    pub(super) fn requests_of_one(&self) -> u32 {
        Budget::requests(self.group.share) / u32::try_from(self.group.accounts.len()).unwrap_or(u32::MAX)
    }
}

impl Prepared {
    /// The budget of this account.
    pub(super) fn of(&self, account: &str) -> Option<&PreparedBudget> {
        self.0.iter().find(|prepared| prepared.group.accounts.iter().any(|id| id == account))
    }
}

impl Budgets {
    /// Finds or makes the budget of each group. A new one continues with the spending that `saved` knows of the group's
    /// accounts, and writes its own to `state`. Changes nothing yet.
    pub(super) fn prepare(
        &self,
        groups: Vec<Group>,
        clock: &Clock,
        state: Option<&State>,
        saved: impl Fn(&str) -> Option<Spending>,
    ) -> Prepared {
        let before: Vec<&Group> = self.known.iter().map(|known| &known.group).collect();
        let continued = continued(&before, &groups);
        let prepare = |(group, known): (Group, Option<usize>)| {
            if let Some(Known { budget, home, .. }) = known.and_then(|index| self.known.get(index)) {
                let (budget, home) = (budget.clone(), home.clone());
                return PreparedBudget { group, budget, home, known, sources: Vec::new() };
            }
            let home = Home::new(group.first());
            let (mut spending, mut sources) = (Spending::default(), Vec::new());
            for id in &group.accounts {
                if let Some(saved) = saved(id).filter(|saved| *saved != Spending::default()) {
                    spending.add(saved);
                    sources.push(id.clone());
                }
            }
            let budget = match state.cloned() {
                None => Budget::new(group.share, clock.clone()),
                Some(state) => {
                    Budget::durable(group.share, clock.clone(), spending, journal(state, home.clone()))
                }
            };
            PreparedBudget { group, budget, home, known: None, sources }
        };
        Prepared(groups.into_iter().zip(continued).map(prepare).collect())
    }

    /// Uses the prepared budgets from now on, with the shares of their groups. Forgets budgets that nobody uses and that
    /// have spent nothing that still counts. Each spending is in the rows of one account afterwards. Needs a
    /// multi-threaded runtime if there is a state.
    pub(super) fn commit(&mut self, Prepared(prepared): Prepared, state: Option<&State>) {
        let mut before: Vec<Option<Known>> = std::mem::take(&mut self.known).into_iter().map(Some).collect();
        // The accounts whose rows have a spending that is in other rows from now on.
        let mut left = BTreeSet::new();
        for PreparedBudget { group, budget, home, known, sources } in prepared {
            let known = known.and_then(|index| before.get_mut(index)?.take());
            if let Some(known) = known
                && known.group.share != group.share
            {
                budget.set_share(group.share);
            }
            let from = home.get();
            if !group.accounts.contains(&from) {
                home.set(group.first());
                budget.write_journal();
                left.insert(from);
            } else if sources.iter().any(|source| *source != from) {
                budget.write_journal();
                left.extend(sources.into_iter().filter(|source| *source != from));
            }
            self.known.push(Known { group, budget, home });
        }
        self.known.extend(before.into_iter().flatten().filter(|known| !known.budget.is_unspent()));
        for account in left {
            match (self.known.iter().find(|known| known.home.get() == account), state) {
                (Some(known), _) => known.budget.write_journal(),
                (None, Some(state)) => write(state, &account, &Spending::default()),
                (None, None) => {}
            }
        }
    }
}

/// Which of the budgets `before` each group continues. It is the one of the same credential. If there is none, and all
/// accounts that used a credential have the same new one, the budget goes with them: the new credential may belong to the
/// same user, and Cloudflare counts the requests of a user.
fn continued(before: &[&Group], groups: &[Group]) -> Vec<Option<usize>> {
    let with_credential =
        |credential: &Credentials| before.iter().position(|known| known.credential == *credential);
    let mut found: Vec<_> = groups.iter().map(|group| with_credential(&group.credential)).collect();
    let is_configured = |id: &String| groups.iter().any(|group| group.accounts.contains(id));
    for (index, known) in before.iter().enumerate() {
        if found.contains(&Some(index)) {
            continue;
        }
        let mut left = known.accounts.iter().filter(|id| is_configured(id)).peekable();
        let Some(first) = left.peek() else { continue };
        let Some(place) = groups.iter().position(|group| group.accounts.contains(*first)) else { continue };
        let goes_with_all = left.all(|id| groups.get(place).is_some_and(|group| group.accounts.contains(id)));
        if let Some(found @ None) = found.get_mut(place)
            && goes_with_all
        {
            *found = Some(index);
        }
    }
    found
}

/// Writes the spending of a budget to the rows of the account that is its home. Needs a multi-threaded runtime.
fn journal(state: State, home: Home) -> Journal {
    Journal::new(move |spending| write(&state, &home.get(), spending))
}

fn write(state: &State, account: &str, spending: &Spending) {
    let (key, value) = (Document::Spending.as_str().as_bytes(), persist::write_spending(spending));
    block_in_place(|| state.put(account, Table::Documents, key, value));
}

#[cfg(test)]
mod tests;
