//! Adds the accounts that were found at Cloudflare to a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::accounts::ending_with;
use super::{Account, AccountOrigin, Config, CredentialSource, Discovery, FoundAlias};
use crate::cloudflare::Credentials;

/// How many digits of the id follow a name that several accounts have.
const DISTINGUISHING_DIGITS: usize = 8;

/// An account on a list of Cloudflare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundAccount {
    /// 32 hexadecimal digits, in lower case.
    pub(crate) id: String,
    /// At most 64 characters; may be empty.
    pub(crate) name: String,
}

/// The accounts that a token may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundList {
    /// The file with the token.
    pub(crate) token_file: PathBuf,
    /// The token with which they were listed, or that their pollers have read since.
    pub(crate) credential: Credentials,
    /// Sorted by id.
    pub(crate) accounts: Vec<FoundAccount>,
}

impl Config {
    /// The same configuration with these found accounts in place of those before. Left out are accounts that are configured, that
    /// their entry does not select, that an entry before it has found, that belong to other shards, or whose id is in `without`.
    pub(crate) fn with_found(&self, lists: &[FoundList], without: &BTreeSet<String>) -> Self {
        let mut new = self.clone();
        new.accounts.retain(|account| account.origin == AccountOrigin::Configured);
        let mut ids: BTreeSet<String> = self.named.keys().cloned().collect();
        let mut found: Vec<(usize, &FoundAccount)> = Vec::new();
        for (index, discovery) in self.discovery.iter().enumerate() {
            let list = lists.iter().find(|list| list.token_file == discovery.token_file);
            for account in list.iter().flat_map(|list| &list.accounts) {
                if discovery.selects(&account.id, &account.name) && ids.insert(account.id.clone()) {
                    found.push((index, account));
                }
            }
        }
        let aliases = self.aliases_of(&found);
        for (index, discovery) in self.discovery.iter().enumerate() {
            let Some(list) = lists.iter().find(|list| list.token_file == discovery.token_file) else {
                continue;
            };
            let own = || found.iter().zip(&aliases).filter(|((other, _), _)| *other == index);
            // All of them share the budget of the token, so they stay together.
            let group = discovery.group.as_ref().or_else(|| own().map(|((_, account), _)| &account.id).min());
            if !group.is_some_and(|name| self.shard.has(name)) {
                continue;
            }
            for ((_, account), alias) in own().filter(|((_, account), _)| !without.contains(&account.id)) {
                let credential = number(&mut new.credentials, &list.credential);
                let same = |other: &&Account| {
                    other.origin == AccountOrigin::Configured && other.credential == credential
                };
                let share = new.accounts.iter().find(same).map(|other| other.budget_share);
                new.accounts.push(Account {
                    id: account.id.clone(),
                    alias: alias.clone(),
                    credentials: CredentialSource::TokenFile(list.token_file.clone()),
                    credential,
                    budget_share: share.unwrap_or(discovery.budget_share),
                    baseline: discovery.baseline.clone(),
                    origin: AccountOrigin::Discovered,
                });
            }
        }
        new.forget_unused_credentials();
        new
    }

    /// What these accounts are called. Each that has the name of another one, or no name, is called by its id, too.
    fn aliases_of(&self, found: &[(usize, &FoundAccount)]) -> Vec<String> {
        let wanted: Vec<&str> = found
            .iter()
            .map(|(index, account)| match self.discovery.get(*index).map(|one| one.alias) {
                Some(FoundAlias::Name) if !account.name.is_empty() => account.name.as_str(),
                _ => account.id.as_str(),
            })
            .collect();
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        for alias in self.named.values().map(String::as_str).chain(wanted.iter().copied()) {
            *uses.entry(alias).or_default() += 1;
        }
        let mut taken: BTreeSet<String> = uses.keys().map(|alias| (*alias).to_owned()).collect();
        let mut distinct = |(alias, (_, account)): (&&str, &(usize, &FoundAccount))| {
            if uses.get(alias) == Some(&1) {
                return (*alias).to_owned();
            }
            let short = account.id.get(..DISTINGUISHING_DIGITS).unwrap_or(&account.id);
            let new = [short, &account.id].map(|digits| ending_with(alias, digits));
            let new = new.into_iter().find(|new| !taken.contains(new)).unwrap_or_else(|| account.id.clone());
            taken.insert(new.clone());
            new
        };
        wanted.iter().zip(found).map(&mut distinct).collect()
    }

    /// Removes the credentials that no account has any more, and renumbers the others.
    fn forget_unused_credentials(&mut self) {
        let before = std::mem::take(&mut self.credentials);
        for account in self.accounts.iter_mut().chain(&mut self.others) {
            let own = before.get(account.credential).expect("every account has a credential");
            account.credential = number(&mut self.credentials, own);
        }
    }
}

/// The number of a credential, which is added if it is new.
fn number(known: &mut Vec<Credentials>, credential: &Credentials) -> usize {
    known.iter().position(|other| other == credential).unwrap_or_else(|| {
        known.push(credential.clone());
        known.len() - 1
    })
}

impl Discovery {
    /// The name by which this token's accounts are assigned to a shard, if accounts that are configured have the same token: the
    /// lowest of their ids.
    pub(super) fn grouped(self, accounts: &[Account], credentials: &[Credentials]) -> Self {
        let same = |account: &&Account| credentials.get(account.credential) == self.credential.as_ref();
        let group = match self.credential {
            Some(_) => accounts.iter().filter(same).map(|account| account.id.clone()).min(),
            None => None,
        };
        Self { group, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    const LISTED: &str = "11111111111111111111111111111111";

    /// A configuration with this text beside two tokens.
    fn load(text: &str) -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        for (file, token) in [("one", "1"), ("two", "2")] {
            std::fs::write(folder.path().join(file), token).unwrap();
        }
        let path = folder.path().join("zt.yaml");
        std::fs::write(&path, text).unwrap();
        let flags = Flags { config_file: Some(path), ..Flags::default() };
        let config = Config::load(&flags, []).unwrap_or_else(|error| panic!("{error}"));
        (folder, config)
    }

    fn list(folder: &tempfile::TempDir, file: &str, token: &str, accounts: &[(&str, &str)]) -> FoundList {
        FoundList {
            token_file: folder.path().join(file),
            credential: Credentials::Token(token.into()),
            accounts: accounts
                .iter()
                .map(|(id, name)| FoundAccount { id: (*id).to_owned(), name: (*name).to_owned() })
                .collect(),
        }
    }

    /// Alias, number of the credential, and share of each account.
    fn shown(config: &Config) -> Vec<(&str, usize, f64)> {
        let mut shown = Vec::new();
        for Account { alias, credential, budget_share, .. } in &config.accounts {
            shown.push((alias.as_str(), *credential, *budget_share));
        }
        shown
    }

    fn all(config: &Config, lists: &[FoundList]) -> Config {
        config.with_found(lists, &BTreeSet::new())
    }

    #[test]
    fn found_accounts_join_those_that_are_configured_which_win() {
        let (folder, config) = load(&format!(
            "accounts: [{{ id: {LISTED}, alias: acme, token: x }}]\n\
             discovery:\n- {{ token_file: one, exclude: 'no*' }}\n- {{ token_file: two, alias: id, budget_share: 0.5 }}\n"
        ));
        let (a, b, c) = ("a".repeat(32), "b".repeat(32), "c".repeat(32));
        let one = list(&folder, "one", "1", &[(LISTED, "Acme"), (&a, "Branch"), (&b, "not this")]);
        let two = list(&folder, "two", "2", &[(&a, "Branch"), (&b, "not this"), (&c, "")]);
        let found = all(&config, &[one.clone(), two.clone()]);
        let wanted = [("acme", 0, 0.25), ("Branch", 1, 0.25), (&*b, 2, 0.5), (&*c, 2, 0.5)];
        assert_eq!(shown(&found), wanted);
        assert!(found.credentials == ["x", "1", "2"].map(|token| Credentials::Token(token.into())));
        // The next list replaces the one before, and a token that nobody has any more is forgotten.
        let less = list(&folder, "two", "2", &[(&c, "")]);
        let found = all(&found, &[less]);
        assert_eq!(shown(&found), [("acme", 0, 0.25), (&*c, 1, 0.5)]);
        let without = found.with_found(&[one, two], &BTreeSet::from([c, a]));
        assert_eq!(shown(&without), [("acme", 0, 0.25), (&*b, 1, 0.5)]);
        assert_eq!(shown(&all(&without, &[])), [("acme", 0, 0.25)]);
    }

    #[test]
    fn names_that_collide_get_part_of_the_id_and_missing_ones_are_the_id() {
        let (folder, config) = load(&format!(
            "accounts: [{{ id: {LISTED}, alias: Listed, token: x }}]\ndiscovery: [{{ token_file: one }}]\n"
        ));
        let same = "b".repeat(8);
        let ids: Vec<String> =
            ["a", "c", "d", "e", "f"].map(|digit| format!("{same}{}", digit.repeat(24))).into();
        let names = ["Acme", "Acme", "Listed", "Own", ""];
        let accounts: Vec<(&str, &str)> = ids.iter().map(String::as_str).zip(names).collect();
        let found = all(&config, &[list(&folder, "one", "1", &accounts)]);
        let aliases: Vec<&str> = found.accounts.iter().map(|account| account.alias.as_str()).collect();
        let second = format!("Acme-{}", ids[1]);
        assert_eq!(aliases, ["Listed", "Acme-bbbbbbbb", &second, "Listed-bbbbbbbb", "Own", &ids[4]]);
    }

    #[test]
    fn accounts_with_the_token_of_a_configured_one_share_its_budget_and_its_shard() {
        let text = |index| {
            format!(
                "accounts: [{{ id: {LISTED}, alias: acme, token_file: one, budget_share: 0.75 }}]\n\
                 discovery: [{{ token_file: one }}]\nshard: {{ index: {index}, total: 2 }}\n"
            )
        };
        // Both would be the lowest id of the group.
        for id in ["0".repeat(32), "f".repeat(32)] {
            let found: Vec<_> = (0..2)
                .map(|index| {
                    let (folder, config) = load(&text(index));
                    let found = all(&config, &[list(&folder, "one", "1", &[(&id, "Branch")])]);
                    let shown: Vec<_> = shown(&found)
                        .into_iter()
                        .map(|(alias, number, share)| (alias.to_owned(), number, share))
                        .collect();
                    shown
                })
                .collect();
            let together = vec![("acme".to_owned(), 0, 0.75), ("Branch".to_owned(), 0, 0.75)];
            assert!(found.contains(&together) && found.contains(&Vec::new()), "{found:?}");
        }
    }

    #[test]
    fn the_accounts_of_a_token_are_in_one_shard_and_none_is_in_two() {
        let text = |index| {
            format!(
                "discovery: [{{ token_file: one }}, {{ token_file: two }}]\nshard: {{ index: {index}, total: 3 }}"
            )
        };
        let ids: Vec<String> = (0..40).map(|number| format!("{number:032x}")).collect();
        let accounts: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "")).collect();
        let mut seen = Vec::new();
        for index in 0..3 {
            let (folder, config) = load(&text(index));
            let (one, two) = accounts.split_at(20);
            let found = all(&config, &[list(&folder, "one", "1", one), list(&folder, "two", "2", two)]);
            assert_eq!(found.accounts.len() % 20, 0, "{index}");
            seen.extend(found.accounts.into_iter().map(|account| account.id));
        }
        seen.sort_unstable();
        assert_eq!(seen, ids);
    }
}
