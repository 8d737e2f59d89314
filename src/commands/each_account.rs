//! Asks several accounts at a time, each within its own budget.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::terminal::progress::Progress;
use crate::clock::Clock;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::without_ray;
use crate::config::Account;

/// The value of `--account` for all accounts. An account with this alias takes precedence.
pub(crate) const ALL: &str = "all";

/// How many accounts are asked at a time. Each waits mostly for the network, has a connection of its own, and holds one
/// list of users in memory.
const AT_ONCE: usize = 8;

/// The budgets of accounts. Those with the same credential share one, as they do at Cloudflare.
pub(crate) struct Budgets(BTreeMap<usize, Budget>);

impl Budgets {
    pub(crate) fn of<'a>(accounts: impl IntoIterator<Item = &'a Account>, clock: &Clock) -> Self {
        let mut budgets = BTreeMap::new();
        for account in accounts {
            budgets
                .entry(account.credential)
                .or_insert_with(|| Budget::new(account.budget_share, clock.clone()));
        }
        Self(budgets)
    }

    /// The budget of an account that [`Budgets::of`] was given.
    pub(crate) fn get(&self, account: &Account) -> Budget {
        self.0.get(&account.credential).cloned().expect("each of the accounts has a budget")
    }
}

/// The results of `work` for each of the accounts, or of what is known of them, in the same order. A terminal shows how many are
/// done of `what`.
pub(crate) async fn each<A, T>(
    what: &'static str,
    accounts: impl IntoIterator<Item = A, IntoIter: ExactSizeIterator>,
    clock: &Clock,
    work: impl AsyncFn(A) -> T,
) -> Vec<T> {
    let accounts = accounts.into_iter();
    let mut progress = Progress::at_terminal(what, accounts.len());
    let work = &work;
    let asked = accounts.enumerate().map(async |(at, account)| (at, work(account).await));
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut done = BTreeMap::new();
    while let Some((at, answer)) = answers.next().await {
        done.insert(at, answer);
        progress.set(done.len(), None, clock.now());
    }
    done.into_values().collect()
}

/// Puts what is said of several accounts together: each text once, in the order in which it came first, with the accounts
/// that it is about.
pub(crate) fn by_text(said: impl IntoIterator<Item = (String, String)>) -> Vec<(Vec<String>, String)> {
    let mut groups: Vec<(Vec<String>, String)> = Vec::new();
    for (account, text) in said {
        match groups.iter_mut().find(|(_, known)| without_ray(known) == without_ray(&text)) {
            Some((accounts, _)) => accounts.push(account),
            None => groups.push((vec![account], text)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::config::{AccountOrigin, CredentialSource};

    fn account(alias: &str, credential: usize, budget_share: f64) -> Account {
        let credentials = CredentialSource::TokenFile("none".into());
        Account {
            id: "0".repeat(32),
            alias: alias.to_owned(),
            credentials,
            credential,
            budget_share,
            baseline: None,
            origin: AccountOrigin::Configured,
        }
    }

    #[tokio::test]
    async fn accounts_are_asked_several_at_a_time_with_a_bound_and_answer_in_their_order() {
        let accounts: Vec<Account> = (0..20).map(|at| account(&at.to_string(), at, 0.25)).collect();
        let (running, most) = (Cell::new(0), Cell::new(0));
        let work = async |account: &Account| {
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            // The later ones of those that run end first.
            for _ in account.credential..20 {
                tokio::task::yield_now().await;
            }
            running.set(running.get() - 1);
            account.alias.clone()
        };
        let answers = each("reading account", &accounts, &Clock::system(), work).await;
        let wanted: Vec<String> = (0..20).map(|at| at.to_string()).collect();
        assert_eq!((answers, most.get()), (wanted, AT_ONCE));
    }

    #[test]
    fn accounts_with_the_same_credential_share_a_budget() {
        let accounts = [account("a", 0, 0.25), account("b", 1, 0.5), account("c", 0, 0.25)];
        let budgets = Budgets::of(&accounts, &Clock::system());
        let limits = accounts.each_ref().map(|account| budgets.get(account).status().limit);
        assert_eq!((budgets.0.len(), limits), (2, [300, 600, 300]));
    }

    #[test]
    fn the_same_cause_is_said_once_with_all_its_accounts() {
        let said = [
            ("a", "refused (HTTP 401, CF-Ray 1-AMS)"),
            ("b", "timeout"),
            ("c", "refused (HTTP 401, CF-Ray 2-AMS)"),
            ("d", "refused (HTTP 403, CF-Ray 3-AMS)"),
        ];
        let groups = by_text(said.map(|(account, text)| (account.to_owned(), text.to_owned())));
        let shown: Vec<_> =
            groups.iter().map(|(accounts, text)| (accounts.join(" "), text.as_str())).collect();
        let wanted =
            [("a c".to_owned(), said[0].1), ("b".to_owned(), said[1].1), ("d".to_owned(), said[3].1)];
        assert_eq!(shown, wanted);
    }
}
