//! Checks a user name and a password against the bcrypt hashes of the web configuration.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::turns::{NoTurn, Tag, Turns};
use crate::http::Caller;

/// How many results of each kind are remembered. Results of wrong passwords never push out those of right ones, or an
/// attacker could make every scrape wait for a comparison.
const REMEMBERED: usize = 100;

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
        Self { turns: Turns::default(), key, results: Mutex::default() }
    }

    /// Compares `login`, which `caller` sent, with the hash of its user in `users`.
    ///
    /// # Errors
    /// It is not compared, because too many other logins of the same peer wait for this, or because the server stops.
    pub(super) async fn check(
        &self,
        users: &BTreeMap<String, SecretString>,
        login: Login,
        caller: &Caller,
    ) -> Result<Verdict, NoTurn> {
        let hash = str::from_utf8(&login.user).ok().and_then(|name| users.get(name)).cloned();
        let tag = self.tag(&login, hash.as_ref());
        if let Some(verdict) = self.remembered(&tag) {
            return Ok(verdict);
        }
        let turn = self.turns.next(caller, tag).await?;
        // The same login may have been compared while this one waited.
        if let Some(verdict) = self.remembered(&tag) {
            return Ok(verdict);
        }
        let costs = users.values().filter_map(cost).collect();
        let caller = caller.clone();
        let compared = tokio::task::spawn_blocking(move || {
            let verdict = compare(&login.password, hash.as_ref(), &costs);
            match verdict {
                Verdict::Right => turn.right(&caller),
                Verdict::Wrong => turn.wrong(&caller),
            }
            // The turn lasts until the comparison ends, even if nobody waits for its result any more.
            (verdict, turn)
        });
        let Ok((verdict, _turn)) = compared.await else { return Ok(Verdict::Wrong) };
        self.remember(tag, verdict);
        Ok(verdict)
    }

    /// Compares no password any more. One may be compared at this moment; what is remembered stays valid.
    pub(super) fn close(&self) {
        self.turns.close();
    }

    /// `hash` is that of the user; `None` if there is no such user.
    fn tag(&self, login: &Login, hash: Option<&SecretString>) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        let hash = hash.map_or("", SecretString::expose_secret);
        for part in [&login.user, hash.as_bytes(), login.password.expose_secret()] {
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

/// Compares a password with the hash of its user, if there is one. Each login is compared once at each of `costs`, with a hash
/// that no password has where it is not the user's. So the time tells neither whether the name exists, nor the cost of its hash.
fn compare(password: &SecretSlice<u8>, hash: Option<&SecretString>, costs: &BTreeSet<u32>) -> Verdict {
    let mut verdict = Verdict::Wrong;
    for each in costs {
        let own = hash.filter(|hash| cost(hash) == Some(*each));
        let compared = own.cloned().unwrap_or_else(|| decoy(*each));
        let is_same = bcrypt::verify(password.expose_secret(), compared.expose_secret()).unwrap_or(false);
        if is_same && own.is_some() {
            verdict = Verdict::Right;
        }
    }
    verdict
}

/// The cost in a bcrypt hash.
fn cost(hash: &SecretString) -> Option<u32> {
    hash.expose_secret().get(4..6)?.parse().ok()
}

/// A hash of this cost that no password has.
fn decoy(cost: u32) -> SecretString {
    format!("$2b${cost:02}${}", ".".repeat(53)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lowest cost of bcrypt, so that the tests are quick.
    fn users(logins: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
        let hash = |password: &str| bcrypt::hash(password, 4).unwrap().into();
        logins.iter().map(|(name, password)| ((*name).to_owned(), hash(password))).collect()
    }

    fn caller() -> Caller {
        let [caller] = Caller::from_addresses(["127.0.0.1"]);
        caller
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
                assert_eq!(verdict, Ok(wanted), "{user}:{password}");
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
            assert_eq!(passwords.check(&users, login("anna", "one"), &caller).await, Ok(wanted));
        }
    }

    #[test]
    fn parts_that_join_to_the_same_text_have_different_tags() {
        let passwords = Passwords::new();
        let hash = |text: &str| SecretString::from(text.to_owned());
        let tags = [
            passwords.tag(&login("an", "na"), Some(&hash("$2b$"))),
            passwords.tag(&login("ann", "a"), Some(&hash("$2b$"))),
            passwords.tag(&login("an", "b$na"), Some(&hash("$2"))),
            passwords.tag(&login("an", ""), Some(&hash("$2b$na"))),
            passwords.tag(&login("an", "na"), None),
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
    fn a_login_is_right_at_its_own_cost_and_no_password_is_that_of_a_decoy() {
        let hash = |cost: u32| SecretString::from(bcrypt::hash("one", cost).unwrap());
        let password = |text: &str| SecretSlice::from(text.as_bytes().to_vec());
        let costs = BTreeSet::from([4, 5, 6]);
        for (text, hash, wanted) in [
            ("one", Some(hash(4)), Verdict::Right),
            ("one", Some(hash(5)), Verdict::Right),
            ("one", Some(hash(6)), Verdict::Right),
            ("two", Some(hash(5)), Verdict::Wrong),
            ("one", None, Verdict::Wrong),
            ("", None, Verdict::Wrong),
        ] {
            assert_eq!(compare(&password(text), hash.as_ref(), &costs), wanted, "{text}");
        }
        // The decoys are hashes, or a comparison with them would end at once.
        for each in costs {
            let decoy = decoy(each);
            assert_eq!(cost(&decoy), Some(each));
            assert!(decoy.expose_secret().parse::<bcrypt::HashParts>().is_ok());
            assert!(!bcrypt::verify("", decoy.expose_secret()).unwrap());
        }
    }
}
