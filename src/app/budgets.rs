//! The budgets of all credentials. Cloudflare counts requests by credential, so a reload must not begin a new budget for a
//! credential that has spent requests already.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::block_in_place;

use crate::clock::Clock;
use crate::cloudflare::Credentials;
use crate::cloudflare::limit::{Budget, Journal, JournalTurn, Spending, Spent};
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

impl Group {
    fn first(&self) -> &str {
        self.accounts.first().expect("a credential belongs to an account")
    }
}

/// A budget, and the group that uses it, or used it last.
#[derive(Debug)]
struct KnownBudget {
    group: Group,
    budget: Budget,
    journal_account: JournalAccount,
}

/// What a credential had spent when its accounts took its budget to another credential. It still counts if the credential is
/// used again.
#[derive(Debug)]
struct Left {
    credential: Credentials,
    /// The budget that went on with other accounts or another credential counts these requests too.
    spent: Spent,
}

/// The id of the account whose rows contain the spending of a budget. It is locked while they are written.
#[derive(Clone, Debug)]
struct JournalAccount(Arc<Mutex<String>>);

impl JournalAccount {
    fn new(account: &str) -> Self {
        Self(Arc::new(Mutex::new(account.to_owned())))
    }

    fn get(&self) -> String {
        self.lock().clone()
    }

    fn set(&self, account: &str) {
        account.clone_into(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All budgets that are used, or have spent requests that still count.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    known: Vec<KnownBudget>,
    left: Vec<Left>,
    /// All journals are in the state file.
    turn: JournalTurn,
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
    /// Where those budgets are whose spending is added to it.
    added: Vec<usize>,
    /// What else it must count.
    brought: Brought,
}

/// What a group brings to its budget.
#[derive(Debug, Default)]
struct Brought {
    /// What the rows of its accounts have, which an earlier process wrote, each with the account.
    saved: Vec<(String, Spending)>,
    /// What its credential had left.
    left: Option<Spent>,
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
    /// Finds or makes the budget of each group. It continues with the spending that `saved` knows of the group's accounts, and
    /// with what their credential had left. A new one writes its own to `state`. Changes nothing yet.
    pub(super) fn prepare(
        &self,
        groups: Vec<Group>,
        clock: &Clock,
        state: Option<&State>,
        saved: &impl Fn(&str) -> Option<Spending>,
    ) -> Prepared {
        let before: Vec<&Group> = self.known.iter().map(|known| &known.group).collect();
        let continued = continued(&before, &groups);
        let prepare = |(group, continued): (Group, Vec<usize>)| {
            let (known, added) = match continued.as_slice() {
                [] => (None, Vec::new()),
                [own, others @ ..] => (Some(*own), others.to_vec()),
            };
            let brought = self.brought(&group, saved);
            match known.and_then(|index| self.known.get(index)) {
                Some(KnownBudget { group: before, budget, journal_account }) => {
                    let is_same = before.credential == group.credential;
                    let budget = if is_same { budget.clone() } else { budget.for_next_credential() };
                    let journal_account = journal_account.clone();
                    PreparedBudget { group, budget, journal_account, known, added, brought }
                }
                None => {
                    let journal_account = JournalAccount::new(group.first());
                    let journal =
                        state.map(|state| journal(&self.turn, state.clone(), journal_account.clone()));
                    let unspent = Spending::default();
                    let budget = Budget::continued(group.share, clock.clone(), unspent, journal);
                    PreparedBudget { group, budget, journal_account, known: None, added, brought }
                }
            }
        };
        Prepared(groups.into_iter().zip(continued).map(prepare).collect())
    }

    /// What the group brings to its budget.
    fn brought(&self, group: &Group, saved: &impl Fn(&str) -> Option<Spending>) -> Brought {
        let mut brought = Brought::default();
        // What is in the rows for a known budget stays with the credential of that budget.
        let is_known = |id: &String| self.known.iter().any(|known| known.journal_account.get() == *id);
        for id in group.accounts.iter().filter(|id| !is_known(id)) {
            if let Some(saved) = saved(id).filter(|saved| *saved != Spending::default()) {
                brought.saved.push((id.clone(), saved));
            }
        }
        let left = self.left.iter().find(|left| left.credential == group.credential);
        brought.left = left.map(|left| left.spent.clone());
        brought
    }

    /// Uses the prepared budgets from now on, with the shares of their groups. Forgets budgets that nobody uses and that
    /// have spent nothing that still counts. Each spending is in the rows of one account afterwards. Needs a
    /// multi-threaded runtime if there is a state.
    pub(super) fn commit(&mut self, Prepared(prepared): Prepared, clock: &Clock, state: Option<&State>) {
        let mut before: Vec<Option<KnownBudget>> =
            std::mem::take(&mut self.known).into_iter().map(Some).collect();
        // The accounts whose rows have a spending that is in other rows from now on.
        let mut left = BTreeSet::new();
        for PreparedBudget { group, budget, journal_account, known, added, brought } in prepared {
            let from = journal_account.get();
            let Brought { mut saved, left: mut more } = brought;
            let mut is_changed = more.is_some() || saved.iter().any(|(account, _)| *account != from);
            if let Some(known) = known.and_then(|index| before.get_mut(index)?.take()) {
                if known.group.share != group.share {
                    budget.set_share(group.share);
                }
                if known.group.credential == group.credential {
                    // The budget knows best whether its credential is blocked.
                    saved.iter_mut().for_each(|(_, saved)| saved.blocked_until = None);
                    more = more.map(|more| Spent { blocked_until: None, ..more });
                } else {
                    self.leave(known.group.credential, &known.budget);
                    budget.credential_changed();
                }
            }
            let mut rows = Vec::new();
            for (account, saved) in saved {
                budget.add(saved);
                rows.push(account);
            }
            if let Some(more) = more {
                budget.merge(more);
            }
            for other in added {
                let Some(other) = before.get_mut(other).and_then(Option::take) else { continue };
                budget.merge(Spent { blocked_until: None, ..other.budget.spent() });
                left.insert(other.journal_account.get());
                self.leave(other.group.credential, &other.budget);
                is_changed = true;
            }
            if !group.accounts.contains(&from) {
                journal_account.set(group.first());
                left.insert(from);
                is_changed = true;
            }
            if is_changed {
                budget.write_journal();
            }
            let kept = journal_account.get();
            left.extend(rows.into_iter().filter(|account| *account != kept));
            self.known.push(KnownBudget { group, budget, journal_account });
        }
        let (unspent, spent): (Vec<_>, Vec<_>) =
            before.into_iter().flatten().partition(|known| known.budget.is_unspent());
        self.known.extend(spent);
        for forgotten in unspent {
            // Otherwise the next budget of the account would count what this one has reserved for up to an hour.
            forgotten.budget.give_back();
            let account = forgotten.journal_account.get();
            if self.known.iter().any(|known| known.journal_account.get() == account) {
                left.insert(account);
            }
        }
        let known = &self.known;
        self.left.retain_mut(|left| {
            // A budget of the same credential has it in its own spending.
            let is_known = known.iter().any(|known| known.group.credential == left.credential);
            left.spent.expire(clock.now());
            !is_known && left.spent != Spent::default()
        });
        for account in left {
            match (self.known.iter().find(|known| known.journal_account.get() == account), state) {
                (Some(known), _) => known.budget.write_journal(),
                (None, Some(state)) => block_in_place(|| write(state, &account, &Spending::default())),
                (None, None) => {}
            }
        }
    }

    /// Remembers what a credential spent with `budget`, which goes on without it or is added to another one.
    fn leave(&mut self, credential: Credentials, budget: &Budget) {
        self.left.push(Left { credential, spent: budget.spent() });
    }
}

/// Which of the budgets `before` each group continues: the first one, to which the spending of the others is added. A credential
/// keeps its budget. If no group has the credential of a budget any more, and all accounts that used it are in the same group, the
/// budget goes with them: their new credential may belong to the same user, and Cloudflare counts the requests of a user.
fn continued(before: &[&Group], groups: &[Group]) -> Vec<Vec<usize>> {
    let with_credential =
        |credential: &Credentials| before.iter().position(|known| known.credential == *credential);
    let mut found: Vec<Vec<usize>> =
        groups.iter().map(|group| with_credential(&group.credential).into_iter().collect()).collect();
    let is_configured = |id: &String| groups.iter().any(|group| group.accounts.contains(id));
    for (index, known) in before.iter().enumerate() {
        if found.iter().any(|found| found.contains(&index)) {
            continue;
        }
        let mut left = known.accounts.iter().filter(|id| is_configured(id)).peekable();
        let Some(first) = left.peek() else { continue };
        let Some(place) = groups.iter().position(|group| group.accounts.contains(*first)) else { continue };
        let goes_with_all = left.all(|id| groups.get(place).is_some_and(|group| group.accounts.contains(id)));
        if let Some(found) = found.get_mut(place)
            && goes_with_all
        {
            found.push(index);
        }
    }
    found
}

/// Writes the spending of a budget to the rows of its account. Needs a multi-threaded runtime.
fn journal(turn: &JournalTurn, state: State, journal_account: JournalAccount) -> Journal {
    Journal::new(Arc::clone(turn), move |spending| {
        block_in_place(|| write(&state, &journal_account.lock(), spending));
    })
}

fn write(state: &State, account: &str, spending: &Spending) {
    let (key, value) = (Document::Spending.as_str().as_bytes(), persist::write_spending(spending));
    state.put(account, Table::Documents, key, value);
}

#[cfg(test)]
mod tests;
