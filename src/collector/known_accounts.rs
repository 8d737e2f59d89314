//! Which accounts a token is known to have, from one list to the next.
//!
//! An account is forgotten only after several whole, non-empty lists without it: a list may lack accounts for a moment, and a
//! token that lost its permission gets an empty list and no error.

use std::collections::BTreeMap;

use crate::cloudflare::ListedAccount;
use crate::config::FoundAccount;

/// An account is forgotten when this many lists in a row lack it.
const MISSING_LISTS: u32 = 3;

/// The accounts of one token.
#[derive(Debug, Default)]
pub(crate) struct KnownAccounts(BTreeMap<String, Known>);

#[derive(Debug)]
struct Known {
    name: String,
    /// How many lists in a row lack it.
    missing: u32,
}

impl KnownAccounts {
    /// Takes up a whole list that is not empty.
    pub(crate) fn listed(&mut self, list: Vec<ListedAccount>) {
        for known in self.0.values_mut() {
            known.missing += 1;
        }
        for ListedAccount { id, name } in list {
            self.0.insert(id, Known { name, missing: 0 });
        }
        self.0.retain(|_, known| known.missing < MISSING_LISTS);
    }

    /// Sorted by id.
    pub(crate) fn all(&self) -> Vec<FoundAccount> {
        let found =
            |(id, known): (&String, &Known)| FoundAccount { id: id.clone(), name: known.name.clone() };
        self.0.iter().map(found).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_forgotten_after_three_lists_in_a_row_without_it() {
        let mut known = KnownAccounts::default();
        for (list, wanted) in [
            ("ab", "ab"),
            ("a", "ab"),
            ("a", "ab"),
            ("ab", "ab"),
            ("b", "ab"),
            ("bc", "abc"),
            ("bc", "bc"),
            ("c", "bc"),
            ("c", "bc"),
            ("c", "c"),
            ("cb", "bc"),
        ] {
            let account = |id: char| ListedAccount { id: id.to_string(), name: String::new() };
            known.listed(list.chars().map(account).collect());
            let found: String = known.all().into_iter().map(|account| account.id).collect();
            assert_eq!(found, wanted, "after {list}");
        }
    }

    #[test]
    fn the_latest_name_counts() {
        let mut known = KnownAccounts::default();
        for name in ["Acme", "Acme Inc"] {
            known.listed(vec![ListedAccount { id: "a".to_owned(), name: name.to_owned() }]);
            assert_eq!(known.all(), [FoundAccount { id: "a".to_owned(), name: name.to_owned() }]);
        }
    }
}
