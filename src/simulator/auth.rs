//! Credentials, their permissions and their rate limits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::endpoint::Permission;
use super::scenario::{KeySpec, LimitSpec, TokenOwner, TokenSpec};
use crate::clock::{Instant, Timestamp};

/// All credentials, and how much of its limit each one has used.
#[derive(Debug)]
pub(super) struct Auth {
    tokens: BTreeMap<String, Credential>,
    keys: BTreeMap<(String, String), Credential>,
    token_state: TokenState,
    limits: BTreeMap<String, Limit>,
    spec: LimitSpec,
}

/// Whether tokens are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenState {
    /// Tokens are valid until they expire.
    Valid,
    /// All tokens are revoked.
    Revoked,
}

/// The owner and the rights of a credential.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    /// The name of the rate limit that it is counted against; never the secret.
    pub(super) user: String,
    /// `None` for every account.
    accounts: Option<Vec<String>>,
    permissions: BTreeSet<Permission>,
    pub(super) owner: TokenOwner,
    pub(super) expires_on: Option<Timestamp>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Token,
    GlobalKey,
}

/// Why a request's credentials are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No credentials, or an e-mail address without a key.
    Missing,
    /// The `Authorization` header is not a bearer token.
    Malformed,
    /// The token or key is unknown, expired or revoked.
    Invalid,
}

/// What is left of a limit, for the headers of each response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) remaining: u32,
    pub(super) resets_in: Duration,
    pub(super) policy: LimitSpec,
}

/// Whether a request is within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted(Quota),
    /// Blocked for this long.
    Blocked(Quota, Duration),
}

/// The requests within one window, and the block after too many.
#[derive(Debug, Default)]
struct Limit {
    admitted: VecDeque<Instant>,
    blocked_until: Option<Instant>,
}

impl Credential {
    pub(super) fn may_use(&self, account: &str) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.iter().any(|known| known == account))
    }

    /// Whether the credential has at least one of these permissions.
    pub(super) fn has_any(&self, permissions: &[Permission]) -> bool {
        permissions.iter().any(|wanted| self.permissions.contains(wanted))
    }
}

impl Auth {
    pub(super) fn new(tokens: &[TokenSpec], keys: &[KeySpec], spec: LimitSpec, start: Timestamp) -> Self {
        let token = |(index, spec): (usize, &TokenSpec)| {
            let credential = Credential {
                user: spec.user.clone().unwrap_or_else(|| format!("tokens[{index}]")),
                accounts: spec.accounts.clone(),
                permissions: spec.permissions.clone(),
                owner: spec.owner,
                expires_on: spec.expires_on.map(|when| when.date(start)),
                kind: Kind::Token,
            };
            (spec.token.clone(), credential)
        };
        let key = |(index, spec): (usize, &KeySpec)| {
            let credential = Credential {
                user: spec.user.clone().unwrap_or_else(|| format!("keys[{index}]")),
                accounts: None,
                permissions: BTreeSet::from(Permission::ALL),
                owner: TokenOwner::User,
                expires_on: None,
                kind: Kind::GlobalKey,
            };
            ((spec.email.clone(), spec.key.clone()), credential)
        };
        Self {
            tokens: tokens.iter().enumerate().map(token).collect(),
            keys: keys.iter().enumerate().map(key).collect(),
            token_state: TokenState::Valid,
            limits: BTreeMap::new(),
            spec,
        }
    }

    /// The credential of a request. If a client sends a token and a key, the token counts.
    pub(super) fn identify(&self, headers: &HeaderMap, now: Timestamp) -> Result<Credential, Refusal> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            let text = value.to_str().map_err(|_| Refusal::Malformed)?;
            let token = bearer(text).ok_or(Refusal::Malformed)?;
            let credential = self.tokens.get(token).ok_or(Refusal::Invalid)?;
            if self.token_state == TokenState::Revoked
                || credential.expires_on.is_some_and(|expiry| expiry <= now)
            {
                return Err(Refusal::Invalid);
            }
            return Ok(credential.clone());
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(email), Some(key)) = (header("x-auth-email"), header("x-auth-key")) else {
            return Err(Refusal::Missing);
        };
        let pair = (email.to_owned(), key.to_owned());
        self.keys.get(&pair).cloned().ok_or(Refusal::Invalid)
    }

    /// Revokes all tokens, or makes them valid again.
    pub(super) fn set_token_state(&mut self, token_state: TokenState) {
        self.token_state = token_state;
    }

    /// Counts a request. Beyond the quota all requests are blocked; requests during a block do not prolong it.
    pub(super) fn admit(&mut self, credential: &Credential, now: Instant) -> Admission {
        let window = Duration::from_secs(self.spec.window_seconds);
        let limit = self.limits.entry(credential.user.clone()).or_default();
        let quota = |remaining, resets_in| Quota { remaining, resets_in, policy: self.spec };
        if let Some(until) = limit.blocked_until {
            if now < until {
                let wait = until.since(now);
                return Admission::Blocked(quota(0, wait), wait);
            }
            limit.blocked_until = None;
            limit.admitted.clear();
        }
        while limit.admitted.front().is_some_and(|at| *at + window <= now) {
            limit.admitted.pop_front();
        }
        let used = u32::try_from(limit.admitted.len()).unwrap_or(u32::MAX);
        if used >= self.spec.quota {
            let wait = Duration::from_secs(self.spec.block_seconds);
            limit.blocked_until = Some(now + wait);
            return Admission::Blocked(quota(0, wait), wait);
        }
        limit.admitted.push_back(now);
        let oldest = limit.admitted.front().copied().unwrap_or(now);
        Admission::Admitted(quota(self.spec.quota - used - 1, (oldest + window).since(now)))
    }
}

/// The token of a well-formed `Authorization` header (RFC 6750).
fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    let token68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(token68))
        .then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Instant {
        Instant::after_start(Duration::from_secs(count))
    }

    fn auth() -> Auth {
        let token = |token: &str, user: Option<&str>| TokenSpec {
            token: token.to_owned(),
            permissions: BTreeSet::from([Permission::Read]),
            accounts: None,
            user: user.map(str::to_owned),
            owner: TokenOwner::User,
            expires_on: None,
        };
        let tokens = [token("a", Some("ann")), token("b", Some("ann")), token("c", None)];
        let spec = LimitSpec { quota: 2, window_seconds: 300, block_seconds: 300 };
        Auth::new(&tokens, &[], spec, Timestamp::default())
    }

    #[test]
    fn beyond_the_quota_a_user_is_blocked_for_five_minutes() {
        let mut auth = auth();
        for (at, token, blocked) in [
            (0, "a", None),
            (10, "b", None),
            (299, "a", Some(300)),
            (300, "b", Some(299)),
            (300, "c", None),
            (598, "a", Some(1)),
            (599, "a", None),
        ] {
            let credential = auth.tokens.get(token).unwrap().clone();
            let wait = match auth.admit(&credential, seconds(at)) {
                Admission::Admitted(_) => None,
                Admission::Blocked(_, wait) => Some(wait.as_secs()),
            };
            assert_eq!(wait, blocked, "{token} at second {at}");
        }
    }

    #[test]
    fn revoked_tokens_are_refused_until_they_are_valid_again() {
        let mut auth = auth();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, "Bearer a".parse().unwrap())]);
        for (token_state, refusal) in
            [(TokenState::Revoked, Some(Refusal::Invalid)), (TokenState::Valid, None)]
        {
            auth.set_token_state(token_state);
            assert_eq!(auth.identify(&headers, Timestamp::default()).err(), refusal, "{token_state:?}");
        }
    }

    #[test]
    fn the_quota_slides() {
        let mut auth = auth();
        let credential = auth.tokens.get("c").unwrap().clone();
        for (at, remaining, resets_in) in [(0, 1, 300), (200, 0, 100), (300, 0, 200), (500, 0, 100)] {
            let Admission::Admitted(quota) = auth.admit(&credential, seconds(at)) else {
                panic!("blocked at second {at}");
            };
            let seen = (quota.remaining, quota.resets_in.as_secs());
            assert_eq!(seen, (remaining, resets_in), "at second {at}");
        }
    }

    #[test]
    fn a_header_without_a_bearer_token_is_malformed() {
        for (text, wanted) in [
            ("Bearer abc", Some("abc")),
            ("bearer a.b_c-d~e+f/g=", Some("a.b_c-d~e+f/g=")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Bearer a b", None),
            ("Basic abc", None),
            ("", None),
        ] {
            assert_eq!(bearer(text), wanted, "{text:?}");
        }
    }
}
