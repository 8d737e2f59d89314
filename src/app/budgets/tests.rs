//! Which budget a credential continues, and where its spending is saved.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::cloudflare::limit::{Lease, Owner, WINDOW};
use crate::collector::persist::Saved;
use crate::store::Settings;

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
    let table: [(Groups<'_>, Groups<'_>, &[&[usize]]); 11] = [
        (&[], &[("t", &["a"])], &[&[]]),
        (&[("t", &["a"])], &[("t", &["a", "b"])], &[&[0]]),
        // Another account with the same credential, even if the first one is gone.
        (&[("t", &["a"])], &[("t", &["b"])], &[&[0]]),
        // All accounts have a new credential.
        (&[("t", &["a", "b"])], &[("u", &["a", "b"])], &[&[0]]),
        (&[("t", &["a", "b"])], &[("u", &["b", "c"])], &[&[0]]),
        // Only some of them.
        (&[("t", &["a", "b"])], &[("u", &["a"]), ("t", &["b"])], &[&[], &[0]]),
        (&[("t", &["a", "b"])], &[("u", &["a"]), ("v", &["b"])], &[&[], &[]]),
        // The credentials were exchanged.
        (&[("t", &["a"]), ("u", &["b"])], &[("t", &["b"]), ("u", &["a"])], &[&[0], &[1]]),
        // Two credentials become one: a new one, or one of the two.
        (&[("t", &["a"]), ("u", &["b"])], &[("v", &["a", "b"])], &[&[0, 1]]),
        (&[("t", &["a"]), ("u", &["b"])], &[("t", &["a", "b"])], &[&[0, 1]]),
        // Another account still has the second one.
        (&[("t", &["a"]), ("u", &["b", "c"])], &[("t", &["a", "b"]), ("u", &["c"])], &[&[0], &[1]]),
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

/// Sends so many requests, which all end well.
async fn spend(budget: &Budget, requests: usize) {
    for _ in 0..requests {
        drop(budget.acquire(Duration::ZERO).await.unwrap());
    }
}

/// Sends a request that Cloudflare answers with a block.
async fn block(budget: &Budget) {
    budget.acquire(Duration::ZERO).await.unwrap().limited(Duration::from_secs(300));
}

/// Uses the budgets of these groups from now on, and returns them.
fn commit(budgets: &mut Budgets, groups: Vec<Group>) -> Vec<Budget> {
    commit_saved(budgets, groups, None)
}

/// The same with a state in which the spending is saved.
fn commit_saved(budgets: &mut Budgets, groups: Vec<Group>, state: Option<&State>) -> Vec<Budget> {
    let prepared = budgets.prepare(groups, &Clock::system(), state, &|_| None);
    let used = prepared.0.iter().map(|prepared| prepared.budget.clone()).collect();
    budgets.commit(prepared, &Clock::system(), state);
    used
}

#[tokio::test]
async fn a_budget_is_kept_without_accounts_as_long_as_its_requests_count() {
    let mut budgets = Budgets::default();
    let spent = commit(&mut budgets, vec![group("t", &["a"]), group("unused", &["b"])]).remove(0);
    spend(&spent, 1).await;
    commit(&mut budgets, vec![group("other", &["c"])]);
    assert_eq!(budgets.known.len(), 2, "the other budget, and the one that has spent a request");
    let again = Group { share: 0.5, ..group("t", &["a"]) };
    let again = commit(&mut budgets, vec![again, group("unused", &["b"])]);
    let remaining = again.iter().map(|budget| budget.status().remaining).collect::<Vec<_>>();
    assert_eq!(remaining, [599, 300], "of 600 and 300");
}

#[tokio::test]
async fn a_credential_that_is_used_again_has_spent_what_it_spent_before_its_accounts_left_it() {
    let mut budgets = Budgets::default();
    let moved = commit(&mut budgets, vec![group("t", &["a"])]).remove(0);
    spend(&moved, 3).await;
    let in_flight = moved.acquire(Duration::ZERO).await.unwrap();
    let renewed = commit(&mut budgets, vec![group("u", &["a"])]).remove(0);
    drop(in_flight);
    block(&renewed).await;
    let both = commit(&mut budgets, vec![group("u", &["a"]), group("t", &["b"])]);
    assert_eq!(shown(&both), [(295, true), (296, false)], "of 300 each");
    // A block stays with the credential too, even while its accounts use another one.
    block(&both[1]).await;
    commit(&mut budgets, vec![group("u", &["a"]), group("v", &["b"])]);
    let all = commit(&mut budgets, vec![group("u", &["a"]), group("v", &["b"]), group("t", &["c"])]);
    assert_eq!(shown(&all), [(295, true), (295, false), (295, true)]);
    // No credential has two spendings.
    commit(&mut budgets, vec![group("u", &["a"]), group("t", &["b"])]);
    assert_eq!((budgets.known.len(), budgets.left.len()), (2, 1), "u and t, and what v has spent");
}

/// What is left of each budget, and whether it is blocked.
fn shown(budgets: &[Budget]) -> Vec<(u32, bool)> {
    let statuses = budgets.iter().map(Budget::status);
    statuses.map(|status| (status.remaining, status.blocked_until.is_some())).collect()
}

#[tokio::test]
async fn a_known_budget_takes_over_what_its_next_credential_has_spent() {
    let mut budgets = Budgets::default();
    let first = commit(&mut budgets, vec![group("t", &["a"])]).remove(0);
    spend(&first, 7).await;
    block(&first).await;
    let renewed = commit(&mut budgets, vec![group("u", &["a"])]);
    assert_eq!(shown(&renewed), [(292, false)], "of 300");
    let other = commit(&mut budgets, vec![group("u", &["a"]), group("x", &["b"])]).remove(1);
    spend(&other, 6).await;
    // The budget of x goes with its account to t, and t has spent 8 requests and is blocked.
    let next = commit(&mut budgets, vec![group("u", &["a"]), group("t", &["b"])]);
    assert!(next[1].is_same(&other));
    assert_eq!(shown(&next), [(292, false), (300 - 6 - 8, true)]);
    assert_eq!(budgets.left.len(), 1, "what x has spent");
    // Both go back.
    let back = commit(&mut budgets, vec![group("u", &["a"]), group("x", &["b"])]);
    assert_eq!(shown(&back), [(292, false), (286, false)], "x has spent nothing more, and is not blocked");
}

#[tokio::test]
async fn a_credential_that_comes_back_to_its_budget_is_counted_once_and_as_blocked_as_before() {
    let mut budgets = Budgets::default();
    let first = commit(&mut budgets, vec![group("t", &["a"]), group("x", &["b"])]);
    for budget in &first {
        spend(budget, 1).await;
    }
    let late = first[0].acquire(Duration::ZERO).await.unwrap();
    block(&first[0]).await;
    for _ in 0..3 {
        let renewed = commit(&mut budgets, vec![group("u", &["a"]), group("x", &["b"])]);
        assert_eq!(shown(&renewed), [(297, false), (299, false)]);
        let back = commit(&mut budgets, vec![group("t", &["a"]), group("x", &["b"])]);
        assert_eq!(shown(&back), [(297, true), (299, false)]);
    }
    // It comes back to a budget to which its own was added.
    commit(&mut budgets, vec![group("u", &["a"]), group("x", &["b"])]);
    let all = commit(&mut budgets, vec![group("x", &["a", "b"])]);
    late.limited(Duration::from_secs(300));
    assert_eq!(shown(&all), [(296, false)]);
    let back = commit(&mut budgets, vec![group("t", &["a", "b"])]);
    assert_eq!(shown(&back), [(296, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_join_and_part_again_and_again_count_each_request_once() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), &["a", "b"]);
    let mut budgets = Budgets::default();
    let mut assign = |groups: Vec<Group>| commit_saved(&mut budgets, groups, Some(&state));
    let (mut apart_sent, mut together_sent) = (0, 0);
    for round in 1..=20 {
        let apart = assign(vec![group("t", &["a"]), group("u", &["b"])]);
        spend(&apart[0], 2).await;
        spend(&apart[1], 1).await;
        // One of u is in flight while the accounts join, and ends then.
        let in_flight = apart[1].acquire(Duration::ZERO).await.unwrap();
        apart_sent += 4;
        let shared = assign(vec![group("t", &["a", "b"])]).remove(0);
        drop(in_flight);
        spend(&shared, 1).await;
        together_sent += 1;
        let sent = apart_sent + together_sent;
        assert_eq!(shared.status().remaining, 300 - sent, "round {round}: t");
        let rows = spent(&state, "a");
        assert!((sent..=sent + 30).contains(&rows) && spent(&state, "b") == 0, "round {round}: {rows} saved");
    }
    // u has spent what it spent while it had a budget of its own.
    let apart = assign(vec![group("t", &["a"]), group("u", &["b"])]);
    assert_eq!(shown(&apart), [(300 - 100, false), (300 - 40, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_join_and_part_between_restarts_count_each_request_once() {
    const IDS: [&str; 2] = ["a", "b"];
    let folder = tempfile::tempdir().unwrap();
    let counts = |budget: &Budget| 300 - budget.status().remaining;
    // How many were sent with t and with u, and what the file has of both together.
    let (mut with_t, mut with_u, mut saved) = (0, 0, 0);
    for process in 1..=20 {
        let state = state(folder.path(), &IDS);
        let mut budgets = Budgets::default();
        let read = |id: &str| Some(state.read(id, Saved::add).unwrap().0.spending);
        let mut sent = 0;
        for (number, tokens) in ["tu", "tt", "tu", "uu", "tu"].into_iter().enumerate() {
            let what = format!("process {process}, {tokens}");
            let groups = match tokens {
                "tu" => vec![group("t", &["a"]), group("u", &["b"])],
                shared => vec![group(&shared[1..], &IDS)],
            };
            // Only accounts that are not known are read.
            let of_rows = |id: &str| if number == 0 { read(id) } else { None };
            let prepared = budgets.prepare(groups, &Clock::system(), Some(&state), &of_rows);
            let used: Vec<_> = prepared.0.iter().map(|prepared| prepared.budget.clone()).collect();
            budgets.commit(prepared, &Clock::system(), Some(&state));
            if let [shared] = used.as_slice() {
                assert_eq!(counts(shared), saved + sent, "{what}");
                assert!(counts(shared) >= with_t + with_u, "{what}");
            } else {
                assert!(counts(&used[0]) >= with_t && counts(&used[1]) >= with_u, "{what}");
                assert!(used.iter().all(|budget| counts(budget) <= saved + sent), "{what}");
            }
            for (budget, token) in used.iter().zip(tokens.chars()) {
                spend(budget, 1).await;
                sent += 1;
                *if token == 't' { &mut with_t } else { &mut with_u } += 1;
            }
        }
        let before = saved;
        saved = apart_from_copies(IDS.iter().filter_map(|id| read(id)));
        // A lease has at most twice the requests that were sent.
        assert!((before + sent..=before + 2 * sent).contains(&saved), "process {process}: {before} {saved}");
        state.close();
    }
    assert!(with_t + with_u == 160 && saved <= 290, "{saved} of 300");
}

/// How many requests these spendings have if those of the same owner are the same ones.
fn apart_from_copies(spendings: impl Iterator<Item = Spending>) -> u32 {
    let mut all: BTreeMap<Owner, u32> = BTreeMap::new();
    for spending in spendings {
        let mut its_own: BTreeMap<Owner, u32> = BTreeMap::new();
        for lease in spending.leases {
            *its_own.entry(lease.owner).or_default() += lease.requests;
        }
        for (owner, requests) in its_own {
            let known = all.entry(owner).or_default();
            *known = requests.max(*known);
        }
    }
    all.values().sum()
}

/// A state file with these accounts.
fn state(folder: &std::path::Path, accounts: &[&str]) -> State {
    let settings = Settings { path: folder.join("state.redb"), cache_bytes: 1 << 20 };
    let ids = accounts.iter().map(|id| (*id).to_owned()).collect();
    State::open(&settings, ids, &Clock::system(), Saved::add).unwrap().0
}

/// How many requests the rows of an account have as spent.
fn spent(state: &State, account: &str) -> u32 {
    let (saved, _) = state.read(account, Saved::add).unwrap();
    saved.spending.leases.iter().map(|lease| lease.requests).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_spending_is_saved_once_wherever_its_account_goes() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), &["a", "b", "c"]);
    let mut budgets = Budgets::default();
    let mut assign = |groups: Vec<Group>| commit_saved(&mut budgets, groups, Some(&state));
    let saved = || ["a", "b", "c"].map(|id| spent(&state, id));
    let shared = assign(vec![group("t", &["a", "b"])]).remove(0);
    spend(&shared, 5).await;
    let leased = spent(&state, "a");
    assert!(leased >= 5 && saved() == [leased, 0, 0], "{:?}", saved());
    // The spending follows the credential, and the account that it leaves has spent nothing with its new one.
    assign(vec![group("t", &["b"]), group("u", &["a"])]);
    assert_eq!(saved(), [0, leased, 0]);
    // Its new home was the home of another budget.
    let other = assign(vec![group("t", &["a"]), group("u", &["b"])]).remove(1);
    assert_eq!(saved(), [leased, 0, 0]);
    spend(&other, 1).await;
    assert_eq!(saved(), [leased, 1, 0]);
    // The next process finds the spending of both in the rows of accounts with the same credential.
    let mut budgets = Budgets::default();
    let read = |id: &str| Some(state.read(id, Saved::add).unwrap().0.spending);
    let prepared = budgets.prepare(vec![group("w", &["a", "b"])], &Clock::system(), Some(&state), &read);
    budgets.commit(prepared, &Clock::system(), Some(&state));
    assert_eq!(saved(), [leased + 1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_credential_spent_is_added_to_the_one_that_all_its_accounts_get() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), &["a", "b"]);
    let mut budgets = Budgets::default();
    let mut assign = |groups: Vec<Group>| commit_saved(&mut budgets, groups, Some(&state));
    let apart = assign(vec![group("t", &["a"]), group("u", &["b"])]);
    for (budget, requests) in apart.iter().zip([3, 2]) {
        spend(budget, requests).await;
    }
    block(&apart[1]).await;
    let leased = spent(&state, "a");
    for _ in 0..2 {
        let shared = assign(vec![group("t", &["a", "b"])]).remove(0);
        let status = shared.status();
        assert_eq!(
            (status.remaining, status.blocked_until),
            (300 - 3 - 3, None),
            "added once, without the block"
        );
        assert_eq!([spent(&state, "a"), spent(&state, "b")], [leased + 3, 0], "saved once");
    }
    // Both have what they spent, whichever account uses them.
    let apart = assign(vec![group("t", &["a"]), group("u", &["b"])]);
    assert_eq!(shown(&apart), [(294, false), (297, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_joins_a_known_budget_brings_what_its_rows_have_once() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), &["a", "b"]);
    let earlier = Spending {
        leases: vec![Lease { owner: Owner(1), until: Clock::system().date(), requests: 20 }],
        blocked_until: None,
    };
    write(&state, "b", &earlier);
    let mut budgets = Budgets::default();
    let read = |id: &str| Some(state.read(id, Saved::add).unwrap().0.spending);
    let mut assign = |accounts: &[&str], joining: &str| {
        let saved = |id: &str| read(id).filter(|_| id == joining);
        let groups = vec![group("t", accounts)];
        let prepared = budgets.prepare(groups, &Clock::system(), Some(&state), &saved);
        let budget = prepared.0[0].budget.clone();
        budgets.commit(prepared, &Clock::system(), Some(&state));
        budget
    };
    let known = assign(&["a"], "a");
    spend(&known, 1).await;
    let joined = assign(&["a", "b"], "b");
    assert_eq!((joined.is_same(&known), joined.status().remaining), (true, 300 - 1 - 20));
    assert_eq!(["a", "b"].map(|id| spent(&state, id)), [21, 0]);
    // The rows of its own account are in the budget already.
    assign(&["b"], "");
    assert_eq!(["a", "b"].map(|id| spent(&state, id)), [0, 21]);
    assign(&["a"], "a");
    assign(&["a", "b"], "b");
    assert_eq!(known.status().remaining, 279);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_forgotten_leaves_nothing_reserved_and_the_rows_of_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), &["a", "b", "c"]);
    // A window takes a second.
    let clock = Clock::scaled(Clock::system().date(), 300.0);
    let mut budgets = Budgets::default();
    let mut assign = |groups: Vec<Group>| {
        let prepared = budgets.prepare(groups, &clock, Some(&state), &|_| None);
        let used: Vec<_> = prepared.0.iter().map(|prepared| prepared.budget.clone()).collect();
        budgets.commit(prepared, &clock, Some(&state));
        used
    };
    let saved = || ["a", "b", "c"].map(|id| spent(&state, id));
    let shared = assign(vec![group("t", &["a", "b"])]).remove(0);
    drop(shared.acquire(Duration::ZERO).await.unwrap());
    // Its accounts leave it for different ones. The rows that it used are those of another budget then.
    let next = assign(vec![group("u", &["a"]), group("v", &["b"])]).remove(0);
    clock.sleep(WINDOW).await;
    drop(next.acquire(Duration::ZERO).await.unwrap());
    assert_eq!(saved(), [1, 0, 0]);
    assign(vec![group("u", &["a"]), group("v", &["b"]), group("w", &["c"])]);
    assert_eq!(saved(), [1, 0, 0]);
    clock.sleep(WINDOW).await;
    assign(vec![group("w", &["c"])]);
    assert_eq!(saved(), [0, 0, 0]);
}
