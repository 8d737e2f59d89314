//! The budgets of all credentials. Cloudflare counts requests by credential, so a reload must not begin a new budget for a
//! credential that has spent requests already.

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
    /// The share of the request limit, multiplied by the speed.
    pub(super) share: f64,
    /// Their ids; at least one.
    pub(super) accounts: Vec<String>,
}

/// A budget, and the group that uses it, or used it last.
#[derive(Debug)]
struct KnownBudget {
    group: Group,
    budget: Budget,
    journal_account: JournalAccount,
}

/// The id of the account whose rows contain the spending of a budget.
#[derive(Clone, Debug)]
struct JournalAccount(Arc<Mutex<String>>);

impl JournalAccount {
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
    known: Vec<KnownBudget>,
}

/// The budgets of the next configuration, one for each group. Nothing uses them yet.
#[derive(Debug)]
pub(super) struct Prepared(Vec<PreparedBudget>);

/// The budget of a group.
#[derive(Debug)]
pub(super) struct PreparedBudget {
    group: Group,
    pub(super) budget: Budget,
    journal_account: JournalAccount,
    /// Where it is in [`Budgets::known`], if it is.
    known: Option<usize>,
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
            if let Some(KnownBudget { budget, journal_account, .. }) =
                known.and_then(|index| self.known.get(index))
            {
                return PreparedBudget {
                    group,
                    budget: budget.clone(),
                    journal_account: journal_account.clone(),
                    known,
                };
            }
            let journal_account =
                JournalAccount::new(group.accounts.first().expect("a credential belongs to an account"));
            let budget = match state.cloned() {
                None => Budget::new(group.share, clock.clone()),
                Some(state) => {
                    let mut spending = Spending::default();
                    group.accounts.iter().filter_map(|id| saved(id)).for_each(|saved| spending.add(saved));
                    Budget::durable(
                        group.share,
                        clock.clone(),
                        spending,
                        journal(state, journal_account.clone()),
                    )
                }
            };
            PreparedBudget { group, budget, journal_account, known: None }
        };
        Prepared(groups.into_iter().zip(continued).map(prepare).collect())
    }

    /// Uses the prepared budgets from now on, with the shares of their groups. Forgets budgets that nobody uses and that
    /// have spent nothing that still counts. Needs a multi-threaded runtime if there is a state.
    pub(super) fn commit(&mut self, Prepared(prepared): Prepared) {
        let mut before: Vec<Option<KnownBudget>> =
            std::mem::take(&mut self.known).into_iter().map(Some).collect();
        for PreparedBudget { group, budget, journal_account, known } in prepared {
            let known = known.and_then(|index| before.get_mut(index)?.take());
            if let Some(known) = known
                && known.group.share != group.share
            {
                budget.set_share(group.share);
            }
            if !group.accounts.contains(&journal_account.get()) {
                journal_account.set(group.accounts.first().expect("a credential belongs to an account"));
                budget.write_journal();
            }
            self.known.push(KnownBudget { group, budget, journal_account });
        }
        self.known.extend(before.into_iter().flatten().filter(|known| !known.budget.is_unspent()));
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

/// Writes the spending of a budget to the rows of the account that is its journal_account. Needs a multi-threaded runtime.
fn journal(state: State, journal_account: JournalAccount) -> Journal {
    Journal::new(move |spending| {
        let (key, value) = (Document::Spending.as_str().as_bytes(), persist::write_spending(spending));
        block_in_place(|| state.put(&journal_account.get(), Table::Documents, key, value));
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn group(token: &str, accounts: &[&str]) -> Group {
        Group {
            credential: Credentials::Token(token.into()),
            share: 0.25,
            accounts: accounts.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    #[test]
    fn a_budget_stays_with_its_credential_or_goes_with_all_of_its_accounts() {
        type Groups<'a> = &'a [(&'a str, &'a [&'a str])];
        let table: [(Groups<'_>, Groups<'_>, &[Option<usize>]); 9] = [
            (&[], &[("t", &["a"])], &[None]),
            (&[("t", &["a"])], &[("t", &["a", "b"])], &[Some(0)]),
            // Another account with the same credential, even if the first one is gone.
            (&[("t", &["a"])], &[("t", &["b"])], &[Some(0)]),
            // All accounts have a new credential.
            (&[("t", &["a", "b"])], &[("u", &["a", "b"])], &[Some(0)]),
            (&[("t", &["a", "b"])], &[("u", &["b", "c"])], &[Some(0)]),
            // Only some of them.
            (&[("t", &["a", "b"])], &[("u", &["a"]), ("t", &["b"])], &[None, Some(0)]),
            (&[("t", &["a", "b"])], &[("u", &["a"]), ("v", &["b"])], &[None, None]),
            // The credentials were exchanged.
            (&[("t", &["a"]), ("u", &["b"])], &[("t", &["b"]), ("u", &["a"])], &[Some(0), Some(1)]),
            // Two credentials become one.
            (&[("t", &["a"]), ("u", &["b"])], &[("v", &["a", "b"])], &[Some(0)]),
        ];
        for (before, after, wanted) in table {
            let groups = |groups: Groups<'_>| -> Vec<Group> {
                groups.iter().map(|(token, accounts)| group(token, accounts)).collect()
            };
            let (known, next) = (groups(before), groups(after));
            let known: Vec<&Group> = known.iter().collect();
            assert_eq!(continued(&known, &next), wanted, "{before:?} {after:?}");
        }
    }

    /// Uses the budgets of these groups from now on, and returns them.
    fn commit(budgets: &mut Budgets, groups: Vec<Group>) -> Vec<Budget> {
        let prepared = budgets.prepare(groups, &Clock::system(), None, |_| None);
        let used = prepared.0.iter().map(|prepared| prepared.budget.clone()).collect();
        budgets.commit(prepared);
        used
    }

    #[tokio::test]
    async fn a_budget_is_kept_without_accounts_as_long_as_its_requests_count() {
        let mut budgets = Budgets::default();
        let spent = commit(&mut budgets, vec![group("t", &["a"]), group("unused", &["b"])]).remove(0);
        drop(spent.acquire(Duration::ZERO).await.unwrap());
        commit(&mut budgets, vec![group("other", &["c"])]);
        assert_eq!(budgets.known.len(), 2, "the other budget, and the one that has spent a request");
        let again = Group { share: 0.5, ..group("t", &["a"]) };
        let again = commit(&mut budgets, vec![again, group("unused", &["b"])]);
        let remaining = again.iter().map(|budget| budget.status().remaining).collect::<Vec<_>>();
        assert_eq!(remaining, [599, 300], "of 600 and 300");
    }
}
