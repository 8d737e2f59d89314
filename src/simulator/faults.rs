//! What can go wrong, where, and how often.

use serde::{Deserialize, Serialize};

/// The parts of the API, as faults aim at them and the record of requests names them.
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
    /// No path of the API.
    Unrouted,
}

/// A fault, where it strikes, and how often.
///
/// It strikes requests whose credentials are good and whose rate limit is kept. Of several rules that
/// fit, the oldest strikes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// Where; left out: everywhere.
    pub endpoint: Option<Endpoint>,
    /// In which account; left out: in all.
    pub account: Option<String>,
    /// How many requests; left out: until cleared.
    pub count: Option<u32>,
}

impl FaultRule {
    /// `fault` at `endpoint` in all accounts until cleared.
    pub const fn at(endpoint: Endpoint, fault: Fault) -> Self {
        Self { fault, endpoint: Some(endpoint), account: None, count: None }
    }

    /// The same for the next `count` requests only.
    #[must_use]
    pub const fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }
}

/// What goes wrong.
///
/// The first group takes the answer's place, the second changes a good answer, the third changes how it
/// is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// 429 with code 971, although the limit is kept.
    Limited {
        /// The `Retry-After` header as it is; left out: none, and no `Ratelimit` headers either.
        retry_after: Option<String>,
    },
    /// This status with an error envelope.
    Status {
        /// From 400 up; anything else is taken as 500.
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
    /// 302 to another place.
    Redirect {
        /// Where to.
        location: String,
    },
    /// The connection is closed without an answer.
    Reset,
    /// No answer ever.
    Hang,

    /// Every level is null.
    NullLevels,
    /// Every level is a word that nobody knows.
    UnknownLevels,
    /// A behavior that nobody knows is listed, and every event is of it.
    UnknownBehaviors,
    /// The last row of a page comes again on the next; on a whole list the first row comes again at its end.
    DuplicatedRows,
    /// Rows move up between pages, so that each page but the first lacks one; a whole list lacks its first row.
    ShiftedRows,
    /// `total_count` is wrong by this many.
    LyingTotals {
        /// Added to the true number.
        by: i64,
    },
    /// JSON that says it is HTML.
    WrongContentType,
    /// The `Date` header is wrong by this many seconds.
    ClockSkew {
        /// Added to the true time.
        seconds: i64,
    },

    /// The connection is closed in the middle of the body.
    TruncatedBody,
    /// The body comes in small parts.
    SlowBody {
        /// Bytes of a part.
        bytes: u32,
        /// Wall time between parts, in milliseconds.
        pause_ms: u64,
    },
    /// The answer starts late.
    Late {
        /// Wall time, in milliseconds.
        by_ms: u64,
    },
    /// Valid rows for ever.
    EndlessBody,
    /// A small gzip body that becomes this many bytes of JSON white space.
    CompressedBomb {
        /// Mebibytes after decompression.
        mebibytes: u32,
    },
}

/// The rules in force.
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

    /// The fault that strikes this request, if one does.
    pub(super) fn strike(&mut self, endpoint: Endpoint, account: Option<&str>) -> Option<Fault> {
        let fits = |rule: &FaultRule| {
            rule.endpoint.is_none_or(|at| at == endpoint)
                && (rule.account.is_none() || rule.account.as_deref() == account)
        };
        self.rules.retain(|rule| rule.count != Some(0));
        let rule = self.rules.iter_mut().find(|rule| fits(rule))?;
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
    fn a_fault_strikes_where_it_is_aimed_and_as_often_as_it_says() {
        let mut rule = FaultRule::at(Endpoint::Summary, Fault::Hang).times(1);
        rule.account = Some("a".to_owned());
        let mut faults = Faults::new(vec![rule]);
        for (endpoint, account, struck) in [
            (Endpoint::User, Some("a"), false),
            (Endpoint::Summary, Some("b"), false),
            (Endpoint::Summary, None, false),
            (Endpoint::Summary, Some("a"), true),
            (Endpoint::Summary, Some("a"), false),
        ] {
            let fault = faults.strike(endpoint, account);
            assert_eq!(fault.is_some(), struck, "{endpoint:?} {account:?}");
        }
    }
}
