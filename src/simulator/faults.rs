//! Faults: what goes wrong, for which requests, and how often.

use serde::{Deserialize, Serialize};

/// The endpoints of the API, for fault rules and for the log of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/behaviors`
    Behaviors,
    /// `/summary`
    Summary,
    /// `/{user_id}`
    User,
    /// `/{user_id}/reset`
    Reset,
    /// `/integrations`
    Integrations,
    /// `/integrations/{integration_id}`
    Integration,
    /// `/integrations/reference_id/{reference_id}`
    Reference,
    /// `/user/tokens/verify`
    TokenVerify,
    /// Not a path of the API.
    Unrouted,
}

/// A fault and the requests that it affects.
///
/// A rule affects only requests with valid credentials within the rate limit. If several rules match a
/// request, the oldest one applies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// The endpoint; without it, all endpoints.
    pub endpoint: Option<Endpoint>,
    /// The account; without it, all accounts.
    pub account: Option<String>,
    /// How many requests are affected; without it, all until the rule is removed.
    pub count: Option<u32>,
}

impl FaultRule {
    /// `fault` at `endpoint` in all accounts, until the rule is removed.
    pub const fn at(endpoint: Endpoint, fault: Fault) -> Self {
        Self { fault, endpoint: Some(endpoint), account: None, count: None }
    }

    /// Affects only the next `count` requests.
    #[must_use]
    pub const fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }
}

/// What goes wrong.
///
/// The first group replaces the answer, the second changes a good answer, the third changes how it is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// 429 with code 971, although the rate limit is not exceeded.
    Limited {
        /// The value of `Retry-After`. Without it, the answer has neither this header nor `Ratelimit` headers.
        retry_after: Option<String>,
    },
    /// This status with an error envelope.
    Status {
        /// 400 or above; other values mean 500.
        status: u16,
        /// The error's code.
        code: u32,
        /// The error's message.
        message: String,
    },
    /// 502 with an HTML page.
    BadGateway,
    /// 200 with `success: false`.
    Unsuccessful {
        /// The error's code.
        code: u32,
        /// The error's message.
        message: String,
    },
    /// 200 without `result`.
    MissingResult,
    /// 200 with `result: null`.
    NullResult,
    /// 302 to another address.
    Redirect {
        /// The value of `Location`.
        location: String,
    },
    /// The connection is closed without an answer.
    Reset,
    /// The request is never answered.
    Hang,

    /// Every level is null.
    NullLevels,
    /// Every level is an unknown word.
    UnknownLevels,
    /// An unknown behavior is listed, and every event belongs to it.
    UnknownBehaviors,
    /// The last row of a page is repeated on the next page. In a list without pages the first row is repeated at the end.
    DuplicatedRows,
    /// Rows move up between pages, so that each page except the first lacks one. A list without pages lacks its first row.
    ShiftedRows,
    /// `total_count` is wrong.
    LyingTotals {
        /// Added to the true number.
        by: i64,
    },
    /// JSON with the content type of HTML.
    WrongContentType,
    /// The `Date` header is wrong.
    ClockSkew {
        /// Added to the true time.
        seconds: i64,
    },

    /// The connection is closed in the middle of the body.
    TruncatedBody,
    /// The body is sent in small parts.
    SlowBody {
        /// The size of a part, in bytes.
        bytes: u32,
        /// Wall time between parts, in milliseconds.
        pause_ms: u64,
    },
    /// The answer starts late.
    Late {
        /// Wall time, in milliseconds.
        by_ms: u64,
    },
    /// A body without end, of valid rows.
    EndlessBody,
    /// A small gzip body that decompresses to JSON with much white space.
    CompressedBomb {
        /// The decompressed size in mebibytes.
        mebibytes: u32,
    },
}

/// The active fault rules.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
}

impl Faults {
    pub(super) fn new(rules: Vec<FaultRule>) -> Self {
        Self { rules }
    }

    pub(super) fn add(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault for this request, if a rule matches.
    pub(super) fn take(&mut self, endpoint: Endpoint, account: Option<&str>) -> Option<Fault> {
        let matches = |rule: &FaultRule| {
            rule.endpoint.is_none_or(|at| at == endpoint)
                && (rule.account.is_none() || rule.account.as_deref() == account)
        };
        self.rules.retain(|rule| rule.count != Some(0));
        let rule = self.rules.iter_mut().find(|rule| matches(rule))?;
        if let Some(count) = &mut rule.count {
            *count -= 1;
        }
        Some(rule.fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_affects_matching_requests_as_often_as_its_count_says() {
        let mut rule = FaultRule::at(Endpoint::Summary, Fault::Hang).times(1);
        rule.account = Some("a".to_owned());
        let mut faults = Faults::new(vec![rule]);
        for (endpoint, account, affected) in [
            (Endpoint::User, Some("a"), false),
            (Endpoint::Summary, Some("b"), false),
            (Endpoint::Summary, None, false),
            (Endpoint::Summary, Some("a"), true),
            (Endpoint::Summary, Some("a"), false),
        ] {
            let fault = faults.take(endpoint, account);
            assert_eq!(fault.is_some(), affected, "{endpoint:?} {account:?}");
        }
    }
}
