//! Divides the accounts among several exporters.
//!
//! Rendezvous hashing: each shard has a pseudorandom number for an account, and the shard with the highest number gets
//! it. All exporters come to the same result without communicating. When a shard is added or removed, only its own
//! accounts move.
//!
//! Accounts with the same credential share one budget, so they stay together. They are hashed by the lowest of their ids
//! and not by the credential: a renewed token must not move its accounts away from their state.

use std::collections::BTreeMap;

use siphasher::sip::SipHasher24;

use super::error::Mistakes;
use super::parse::whole_number;
use super::sources::Layers;
use super::{Account, keys};

/// The largest configuration file has a few thousand accounts, and one exporter can have hundreds.
const MOST: u32 = 1_000;

/// One of the exporters that share the accounts of one configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0 and below `total`.
    pub index: u32,
    /// The number of shards.
    pub total: u32,
}

impl Shard {
    /// The only shard, which has all accounts.
    pub const WHOLE: Self = Self { index: 0, total: 1 };

    pub(super) fn load(layers: &Layers, mistakes: &mut Mistakes) -> Option<Self> {
        let said = layers.get_or_default(keys::SHARD_TOTAL);
        let total = mistakes.note(said.parse(whole_number(1..=MOST)));
        let index = layers.get(keys::SHARD_INDEX).map(|said| match total {
            Some(total) => {
                let wanted = |_| format!("must be a whole number below shard.total, which is {total}");
                said.parse(|text| whole_number(0..=total - 1)(text).map_err(wanted))
            }
            None => said.parse(whole_number(0..=MOST - 1)),
        });
        let (index, total) = (mistakes.note(index.transpose())?, total?);
        match index {
            Some(index) => Some(Self { index, total }),
            // With a default index, all exporters would be the first shard, and none the others.
            None if total > 1 => {
                if !layers.is_misspelled(keys::SHARD_INDEX) {
                    mistakes.add(said.refuse(&format!("is {total}, but shard.index is not set")));
                }
                None
            }
            None => Some(Self::WHOLE),
        }
    }

    /// The accounts of this shard, and those of the others, in the given order.
    pub(super) fn divide(self, accounts: Vec<Account>) -> (Vec<Account>, Vec<Account>) {
        let mut names: BTreeMap<usize, String> = BTreeMap::new();
        for account in &accounts {
            let name = names.entry(account.credential).or_insert_with(|| account.id.clone());
            if account.id < *name {
                name.clone_from(&account.id);
            }
        }
        accounts
            .into_iter()
            .partition(|account| names.get(&account.credential).is_some_and(|name| self.has(name)))
    }

    /// Whether it has the accounts of this name.
    pub(super) fn has(self, name: &str) -> bool {
        // If two numbers are equal, the last shard wins, on all exporters alike.
        (0..self.total).max_by_key(|shard| draw(*shard, name)) == Some(self.index)
    }
}

/// The number of a shard for a name: `SipHash` without a key, because all exporters must get the same number.
fn draw(shard: u32, name: &str) -> u64 {
    SipHasher24::new().hash(&[name.as_bytes(), &shard.to_be_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{AccountOrigin, CredentialSource};
    use super::*;

    fn account(id: &str, credential: usize) -> Account {
        Account {
            id: id.to_owned(),
            alias: id.to_owned(),
            credentials: CredentialSource::Token("token".to_owned().into()),
            credential,
            budget_share: 0.25,
            baseline: None,
            origin: AccountOrigin::Configured,
        }
    }

    /// The accounts of each shard, by id.
    fn split(accounts: &[Account], total: u32) -> Vec<BTreeSet<String>> {
        let pick = |index| Shard { index, total }.divide(accounts.to_vec()).0;
        (0..total).map(|index| pick(index).into_iter().map(|account| account.id).collect()).collect()
    }

    /// Accounts with random ids, up to four to a credential, in random order.
    fn random(draws: &mut fastrand::Rng, count: usize) -> Vec<Account> {
        let mut accounts: Vec<_> = (0..count)
            .map(|_| account(&format!("{:032x}", draws.u128(..)), draws.usize(..=count / 4)))
            .collect();
        draws.shuffle(&mut accounts);
        accounts
    }

    #[test]
    fn each_account_has_its_one_place_in_every_version() {
        // From another implementation of SipHash-2-4: a new version may not move what is in state files.
        let table = [
            ("0123456789abcdef0123456789abcdef", [0, 1, 1, 8]),
            ("fedcba9876543210fedcba9876543210", [0, 0, 0, 5]),
            ("00000000000000000000000000000001", [0, 0, 0, 0]),
            ("11111111111111111111111111111111", [0, 1, 2, 6]),
            ("22222222222222222222222222222222", [0, 0, 0, 7]),
            ("33333333333333333333333333333333", [0, 1, 1, 1]),
            ("55555555555555555555555555555555", [0, 0, 0, 0]),
        ];
        for (id, places) in table {
            let has = |total| (0..total).filter(|index| Shard { index: *index, total }.has(id)).collect();
            let found: Vec<Vec<u32>> = [1, 2, 3, 10].map(has).into();
            assert_eq!(found, places.map(|place| vec![place]), "{id}");
        }
    }

    #[test]
    fn no_account_is_watched_twice_none_is_left_out_and_no_budget_is_split() {
        let mut draws = fastrand::Rng::with_seed(1);
        for round in 0..200 {
            let accounts = random(&mut draws, round);
            let shards = split(&accounts, draws.u32(1..=12));
            let all: BTreeSet<_> = accounts.iter().map(|account| account.id.clone()).collect();
            assert_eq!(shards.iter().map(BTreeSet::len).sum::<usize>(), all.len(), "round {round}");
            assert_eq!(shards.iter().flatten().cloned().collect::<BTreeSet<_>>(), all, "round {round}");
            for one in &accounts {
                let place = |id| shards.iter().position(|shard| shard.contains(id));
                let same = accounts.iter().filter(|other| other.credential == one.credential);
                let places: BTreeSet<_> = same.map(|other| place(&other.id)).collect();
                assert_eq!(places.len(), 1, "round {round}");
            }
        }
    }

    #[test]
    fn neither_the_order_of_the_list_nor_a_new_token_moves_an_account() {
        let mut draws = fastrand::Rng::with_seed(2);
        let accounts = random(&mut draws, 100);
        let mut turned: Vec<_> = accounts.iter().rev().cloned().collect();
        for account in &mut turned {
            account.credential += 1_000;
        }
        assert_eq!(split(&accounts, 7), split(&turned, 7));
    }

    #[test]
    fn a_shard_more_takes_from_the_others_and_moves_nothing_between_them() {
        let mut draws = fastrand::Rng::with_seed(3);
        let accounts = random(&mut draws, 400);
        for total in 1..10 {
            let (before, after) = (split(&accounts, total), split(&accounts, total + 1));
            for (before, after) in before.iter().zip(&after) {
                assert!(after.is_subset(before), "{total} shards and one more");
            }
        }
    }

    #[test]
    fn many_accounts_are_shared_out_about_evenly() {
        let accounts: Vec<_> = (0..1_000).map(|n| account(&format!("{n:032x}"), n)).collect();
        for shard in split(&accounts, 4) {
            // Five standard deviations of a fair draw.
            assert!((182..=318).contains(&shard.len()), "{}", shard.len());
        }
    }
}
