//! Paths and methods: which operation a request selects, and which permissions it needs.
//!
//! Literal paths are matched before `/{user_id}`, which would match them too.

use std::borrow::Cow;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::endpoint::{Endpoint, Permission};

/// The path prefix of Cloudflare's API.
pub(super) const BASE: &str = "/client/v4";

/// The endpoint of a path, with the ids in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) account: Option<String>,
    /// The user, integration or reference in the path, or empty.
    pub(super) subject: String,
}

/// One of these permissions is enough. An empty list means that every valid token is allowed.
pub(super) type Allowed = &'static [Permission];

impl Route {
    /// The route of a percent-encoded path; `None` if it is not a path of the API.
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix(BASE)?.strip_prefix('/')?;
        let parts: Vec<String> = path.split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (endpoint, account, subject) = match parts.as_slice() {
            ["accounts"] => (Endpoint::Accounts, None, ""),
            ["user", "tokens", "verify"] => (Endpoint::TokenVerify, None, ""),
            ["accounts", account, "zt_risk_scoring", rest @ ..] => {
                let (endpoint, subject) = match rest {
                    ["behaviors"] => (Endpoint::Behaviors, ""),
                    ["summary"] => (Endpoint::Summary, ""),
                    ["integrations"] => (Endpoint::Integrations, ""),
                    ["integrations", "reference_id", reference] => (Endpoint::Reference, *reference),
                    ["integrations", integration] => (Endpoint::Integration, *integration),
                    [user] => (Endpoint::User, *user),
                    [user, "reset"] => (Endpoint::Reset, *user),
                    _ => return None,
                };
                (endpoint, Some(*account), subject)
            }
            _ => return None,
        };
        Some(Self { endpoint, account: account.map(str::to_owned), subject: subject.to_owned() })
    }
}

/// The methods of an endpoint, each with the permissions of which one is needed.
pub(super) fn methods(endpoint: Endpoint) -> &'static [(Method, Allowed)] {
    const READ: Allowed = &[Permission::Read, Permission::Write];
    const WRITE: Allowed = &[Permission::Write];
    const PII: Allowed = &[Permission::PiiRead];
    match endpoint {
        Endpoint::Behaviors => &[(Method::GET, READ), (Method::PUT, WRITE)],
        Endpoint::Summary | Endpoint::User => &[(Method::GET, PII)],
        Endpoint::Reset => &[(Method::POST, WRITE)],
        Endpoint::Integrations => &[(Method::GET, READ), (Method::POST, WRITE)],
        Endpoint::Integration => &[(Method::GET, READ), (Method::PUT, WRITE), (Method::DELETE, WRITE)],
        Endpoint::Reference => &[(Method::GET, READ)],
        // Without the permission, the list is empty.
        Endpoint::TokenVerify | Endpoint::Accounts => &[(Method::GET, &[])],
        Endpoint::Unrouted => &[],
    }
}

/// The first value of a query parameter.
pub(super) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy())
}

fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_paths_are_matched_before_users() {
        for (path, wanted) in [
            ("behaviors", Some((Endpoint::Behaviors, ""))),
            ("summary", Some((Endpoint::Summary, ""))),
            ("integrations", Some((Endpoint::Integrations, ""))),
            ("u", Some((Endpoint::User, "u"))),
            ("u/reset", Some((Endpoint::Reset, "u"))),
            ("integrations/i", Some((Endpoint::Integration, "i"))),
            ("integrations/reference_id/a%2Fb", Some((Endpoint::Reference, "a/b"))),
            ("integrations/reference_id", Some((Endpoint::Integration, "reference_id"))),
            ("u/other", None),
            ("integrations/i/j/k", None),
        ] {
            let route = Route::of(&format!("{BASE}/accounts/a/zt_risk_scoring/{path}"));
            let wanted = wanted.map(|(endpoint, subject)| Route {
                endpoint,
                account: Some("a".to_owned()),
                subject: subject.to_owned(),
            });
            assert_eq!(route, wanted, "{path}");
        }
        for path in ["/", "/client/v4", "/client/v4/accounts/a", "/accounts/a/zt_risk_scoring/summary"] {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }

    #[test]
    fn parameters_are_found_by_name_and_decoded() {
        for (query, wanted) in [
            (None, None),
            (Some("page=2"), Some("2")),
            (Some("a=1&page=%33&page=4"), Some("3")),
            (Some("per_page=2&page"), None),
        ] {
            assert_eq!(parameter(query, "page").as_deref(), wanted, "{query:?}");
        }
    }
}
