//! Checks a user name and a password against the bcrypt hashes of the web configuration.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::turns::Turns;
use crate::http::Caller;

/// How many results of each kind are remembered. Results of wrong passwords never push out those of right ones, or an
/// attacker could make every scrape wait for a comparison.
const REMEMBERED: usize = 100;

/// The cost that an unknown name is compared at if there is no user.
const DEFAULT_COST: u32 = 10;

/// A user name and a password, as a client sent them.
pub(super) struct Login {
    user: Vec<u8>,
    password: SecretSlice<u8>,
}

impl Login {
    /// Reads the value of an `Authorization` header; `None` if it is not a name and a password.
    pub(super) fn from_header(value: &[u8]) -> Option<Self> {
        const SCHEME: &[u8] = b"basic ";
        let (scheme, encoded) = value.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let decoded = BASE64_STANDARD.decode(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = (decoded.get(..colon)?, decoded.get(colon + 1..)?);
        Some(Self { user: user.to_vec(), password: password.to_vec().into() })
    }
}

/// Compares passwords, one at a time, and remembers the results.
pub(super) struct Passwords {
    turns: Turns,
    /// Random, so that what is remembered is of no use outside this process.
    key: hmac::Key,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    right: VecDeque<Tag>,
    wrong: VecDeque<Tag>,
}

/// Stands for a name, a hash and a password.
type Tag = [u8; 32];

/// Whether a login is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the kernel has random bytes once the process runs");
        Self { turns: Turns::new(), key, results: Mutex::default() }
    }

    /// Compares `login` with the hash of its user in `users`. An unknown name takes as long as a known one.
    pub(super) async fn check(
        &self,
        users: &BTreeMap<String, SecretString>,
        login: Login,
        caller: &Caller,
    ) -> Verdict {
        let known = str::from_utf8(&login.user).ok().and_then(|name| users.get(name));
        let hash = match known {
            Some(hash) => hash.clone(),
            None => decoy(users),
        };
        let tag = self.tag(&login, &hash);
        if let Some(verdict) = self.remembered(&tag) {
            return verdict;
        }
        let turn = self.turns.next(caller).await;
        // The same login may have been compared while this one waited.
        if let Some(verdict) = self.remembered(&tag) {
            return verdict;
        }
        let is_known = known.is_some();
        let compared = tokio::task::spawn_blocking(move || {
            // Until the comparison ends, also if nobody waits for its result any more.
            let _turn = turn;
            bcrypt::verify(login.password.expose_secret(), hash.expose_secret()).unwrap_or(false)
        });
        let verdict = match compared.await {
            Ok(true) if is_known => Verdict::Right,
            _ => Verdict::Wrong,
        };
        self.remember(tag, verdict);
        verdict
    }

    fn tag(&self, login: &Login, hash: &SecretString) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [&login.user, hash.expose_secret().as_bytes(), login.password.expose_secret()] {
            // With its length before it, no part can pass for the end of the one before.
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    fn remembered(&self, tag: &Tag) -> Option<Verdict> {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        if results.right.contains(tag) {
            return Some(Verdict::Right);
        }
        results.wrong.contains(tag).then_some(Verdict::Wrong)
    }

    fn remember(&self, tag: Tag, verdict: Verdict) {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let list = match verdict {
            Verdict::Right => &mut results.right,
            Verdict::Wrong => &mut results.wrong,
        };
        if list.len() == REMEMBERED {
            list.pop_front();
        }
        list.push_back(tag);
    }
}

/// A hash that no password has, with the highest cost of the users, so that a comparison with it takes as long.
fn decoy(users: &BTreeMap<String, SecretString>) -> SecretString {
    let cost = |hash: &SecretString| hash.expose_secret().get(4..6)?.parse().ok();
    let cost: u32 = users.values().filter_map(cost).max().unwrap_or(DEFAULT_COST);
    format!("$2b${cost:02}${}", ".".repeat(53)).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::http::{Connections, Limits};

    /// The lowest cost of bcrypt, so that the tests are quick.
    fn users(logins: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
        let hash = |password: &str| bcrypt::hash(password, 4).unwrap().into();
        logins.iter().map(|(name, password)| ((*name).to_owned(), hash(password))).collect()
    }

    fn caller() -> Caller {
        let limits = Limits {
            connections: 1,
            connections_of_one_peer: 1,
            first_header_wait: Duration::ZERO,
            header_wait: Duration::ZERO,
            header_bytes: 8 * 1024,
            answer_wait: Duration::ZERO,
            unsent_bytes: 0,
            drain: Duration::ZERO,
        };
        Connections::new(limits, Arc::default()).caller([127, 0, 0, 1].into())
    }

    fn login(user: &str, password: &str) -> Login {
        let header = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        Login::from_header(header.as_bytes()).unwrap()
    }

    #[test]
    fn only_a_basic_header_with_a_colon_is_a_login() {
        let encoded = BASE64_STANDARD.encode("anna:pass:word");
        for (header, wanted) in [
            (format!("Basic {encoded}"), Some(("anna", "pass:word"))),
            (format!("bAsIc {encoded}"), Some(("anna", "pass:word"))),
            (format!("Basic {}", BASE64_STANDARD.encode(":")), Some(("", ""))),
            (format!("Basic  {encoded}"), None),
            (format!("Bearer {encoded}"), None),
            (format!("Basic {}", BASE64_STANDARD.encode("anna")), None),
            ("Basic".to_owned(), None),
            ("Basic ".to_owned(), None),
            ("Basic ???".to_owned(), None),
            (String::new(), None),
        ] {
            let found = Login::from_header(header.as_bytes());
            let found = found.map(|login| (login.user, login.password.expose_secret().to_vec()));
            let wanted =
                wanted.map(|(user, password)| (user.as_bytes().to_vec(), password.as_bytes().to_vec()));
            assert_eq!(found, wanted, "{header:?}");
        }
    }

    #[tokio::test]
    async fn a_login_is_right_only_with_its_own_password() {
        let users = users(&[("anna", "one"), ("ben", "two"), ("nobody's", "")]);
        let (passwords, caller) = (Passwords::new(), caller());
        // Twice, because the second result is remembered.
        for _ in 0..2 {
            for (user, password, wanted) in [
                ("anna", "one", Verdict::Right),
                ("ben", "two", Verdict::Right),
                ("nobody's", "", Verdict::Right),
                ("anna", "two", Verdict::Wrong),
                ("anna", "", Verdict::Wrong),
                ("ben", "one", Verdict::Wrong),
                ("", "one", Verdict::Wrong),
                ("carl", "one", Verdict::Wrong),
                ("anna\0", "one", Verdict::Wrong),
            ] {
                let verdict = passwords.check(&users, login(user, password), &caller).await;
                assert_eq!(verdict, wanted, "{user}:{password}");
            }
        }
    }

    #[tokio::test]
    async fn a_remembered_login_ends_with_its_hash() {
        let (passwords, caller) = (Passwords::new(), caller());
        for (users, wanted) in [
            (users(&[("anna", "one")]), Verdict::Right),
            (users(&[("anna", "new")]), Verdict::Wrong),
            (BTreeMap::new(), Verdict::Wrong),
        ] {
            assert_eq!(passwords.check(&users, login("anna", "one"), &caller).await, wanted);
        }
    }

    #[test]
    fn parts_that_join_to_the_same_text_have_different_tags() {
        let passwords = Passwords::new();
        let hash = |text: &str| SecretString::from(text.to_owned());
        let tags = [
            passwords.tag(&login("an", "na"), &hash("$2b$")),
            passwords.tag(&login("ann", "a"), &hash("$2b$")),
            passwords.tag(&login("an", "b$na"), &hash("$2")),
            passwords.tag(&login("an", ""), &hash("$2b$na")),
        ];
        for (index, tag) in tags.iter().enumerate() {
            assert!(!tags.iter().skip(index + 1).any(|other| other == tag), "tag {index}");
        }
    }

    #[test]
    fn wrong_logins_push_out_no_right_one_and_both_are_bounded() {
        let passwords = Passwords::new();
        let tag = |number: usize| {
            let mut tag = [0; 32];
            tag[..8].copy_from_slice(&(number as u64).to_le_bytes());
            tag
        };
        passwords.remember(tag(0), Verdict::Right);
        (1..=1_000).for_each(|number| passwords.remember(tag(number), Verdict::Wrong));
        assert_eq!(passwords.remembered(&tag(0)), Some(Verdict::Right));
        assert_eq!(passwords.remembered(&tag(1)), None, "the oldest are forgotten");
        assert_eq!(passwords.remembered(&tag(1_000)), Some(Verdict::Wrong));
        (2_000..3_000).for_each(|number| passwords.remember(tag(number), Verdict::Right));
        let results = passwords.results.lock().unwrap();
        assert_eq!((results.right.len(), results.wrong.len()), (REMEMBERED, REMEMBERED));
    }

    #[test]
    fn an_unknown_name_is_compared_at_the_highest_cost_and_matches_no_password() {
        let mut all = users(&[("anna", "one")]);
        let decoys = [(decoy(&BTreeMap::new()), "10"), (decoy(&all), "04")];
        all.insert("ben".to_owned(), format!("$2y$06${}", ".".repeat(53)).into());
        for (hash, cost) in decoys.into_iter().chain([(decoy(&all), "06")]) {
            let hash = hash.expose_secret();
            assert_eq!(hash.get(4..6), Some(cost));
            assert!(hash.parse::<bcrypt::HashParts>().is_ok(), "{hash}");
        }
        let decoy = decoy(&users(&[("anna", "one")]));
        assert!(!bcrypt::verify("", decoy.expose_secret()).unwrap());
    }
}
