//! Faults: what goes wrong, for which requests, and how often.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::routes::Route;

/// A fault and the requests that it affects.
///
/// A rule affects only requests with valid credentials within the rate limit. If several rules match a request,
/// the oldest one that replaces the answer applies alone; without such a rule all of them apply, the oldest first.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// The endpoint; without it, all endpoints.
    pub endpoint: Option<Endpoint>,
    /// The account; without it, all accounts.
    pub account: Option<String>,
    /// The user in the path; without it, all paths.
    pub user: Option<Uuid>,
    /// The share of matching requests that are affected, at random; without it, all.
    pub share: Option<Share>,
    /// How many requests are affected; without it, all until the rule is removed.
    pub count: Option<u32>,
}

/// A probability above 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Share(f64);

impl TryFrom<f64> for Share {
    type Error = &'static str;

    fn try_from(share: f64) -> Result<Self, Self::Error> {
        if share > 0.0 && share <= 1.0 { Ok(Self(share)) } else { Err("must be above 0 and at most 1") }
    }
}

impl FaultRule {
    /// `fault` at all endpoints of all accounts, until the rule is removed.
    pub fn everywhere(fault: Fault) -> Self {
        Self { fault, endpoint: None, account: None, user: None, share: None, count: None }
    }

    /// `fault` at `endpoint` in all accounts, until the rule is removed.
    pub fn at(endpoint: Endpoint, fault: Fault) -> Self {
        Self { endpoint: Some(endpoint), ..Self::everywhere(fault) }
    }

    /// Affects only requests for this account.
    #[must_use]
    pub fn in_account(self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self }
    }

    /// Affects only requests with this user in the path.
    #[must_use]
    pub fn of_user(self, user: Uuid) -> Self {
        Self { user: Some(user), ..self }
    }

    /// Affects only this share of the requests, at random.
    ///
    /// # Panics
    /// If the share is not above 0 and at most 1.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self { share: Some(Share::try_from(share).expect("a share above 0 and at most 1")), ..self }
    }

    /// Affects only the next `count` requests.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count: Some(count), ..self }
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
    /// An HTML page, as from a proxy or from the edge.
    Html {
        /// 400 or above; other values mean 500.
        status: u16,
    },
    /// 304 without a body.
    NotModified,
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

    /// One value in the JSON is replaced. If the path does not exist, nothing happens.
    Set {
        /// A JSON pointer such as `/result/users/*/last_event`. `*` stands for all elements, and an id for the
        /// element with this `user_id` or `id`. The last key is added if it does not exist.
        path: String,
        /// The new value, any JSON.
        value: Value,
    },
    /// Values in the JSON are removed.
    Remove {
        /// As in [`Fault::Set`].
        path: String,
    },
    /// A text in the JSON is padded.
    LongText {
        /// As in [`Fault::Set`].
        path: String,
        /// The length afterwards, in bytes.
        bytes: u32,
    },
    /// One random value in the JSON is replaced by null, another type, another case, a longer text, an unknown
    /// word or an extreme number, or it is removed or repeated.
    RandomValue,
    /// Dates have another format.
    Dates {
        /// The format.
        format: DateFormat,
    },
    /// Every level is null.
    NullLevels,
    /// Every level is an unknown word.
    UnknownLevels,
    /// Every level is in upper case.
    UppercaseLevels,
    /// An unknown behavior is listed, and every event belongs to it.
    UnknownBehaviors,
    /// The last row of a page is repeated on the next page. In a list without pages the first row is repeated at the end.
    DuplicatedRows,
    /// Rows move up between pages, so that each page except the first lacks one. A list without pages lacks its first row.
    ShiftedRows,
    /// Each user and each integration has a second row that contradicts the first one: the level is `low`, and active
    /// is the opposite. Only in lists without pages.
    ContradictingRows,
    /// 504 if the request asks for larger pages. Other requests get a good answer.
    LargePages {
        /// The largest `per_page` that works.
        above: u32,
    },
    /// `total_count` is wrong.
    LyingTotals {
        /// Added to the true number.
        by: i64,
    },
    /// The `Ratelimit` header says that no request is left, although the rate limit is not exceeded.
    NothingLeft {
        /// When the limit is said to reset, in seconds from now.
        resets_in_seconds: u64,
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

/// A format of dates other than RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateFormat {
    /// As Go prints a time: `2019-06-19 11:19:00 +0000 UTC`.
    Go,
    /// RFC 3339 with another offset: `2019-06-19T13:19:00+02:00`.
    Offset,
    /// RFC 3339 without a fraction of a second, which is cut off.
    WholeSeconds,
    /// RFC 3339, rounded to the nearest second.
    RoundedSeconds,
    /// Seconds since the epoch, as a number.
    Seconds,
    /// Milliseconds since the epoch, as a number.
    Milliseconds,
    /// Go's zero time, which means "never": `0001-01-01T00:00:00Z`.
    Zero,
    /// `9999-12-31T23:59:59Z`.
    FarFuture,
}

impl Fault {
    /// Whether this fault replaces the whole answer.
    const fn replaces_answer(&self) -> bool {
        matches!(
            self,
            Self::Limited { .. }
                | Self::Status { .. }
                | Self::BadGateway
                | Self::Html { .. }
                | Self::NotModified
                | Self::Unsuccessful { .. }
                | Self::Redirect { .. }
                | Self::Reset
                | Self::Hang
        )
    }
}

/// The active fault rules.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
    pub(super) rng: ChaCha8Rng,
}

impl Faults {
    pub(super) fn new(rules: Vec<FaultRule>, seed: u64) -> Self {
        Self { rules, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    pub(super) fn add(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The faults for this request: one that replaces the answer, or any number of others.
    pub(super) fn take(&mut self, route: &Route) -> Vec<Fault> {
        self.rules.retain(|rule| rule.count != Some(0));
        let rng = &mut self.rng;
        let mut affecting: Vec<&mut FaultRule> = self
            .rules
            .iter_mut()
            .filter(|rule| rule.matches(route))
            .filter(|rule| rule.share.is_none_or(|share| rng.random_bool(share.0)))
            .collect();
        if let Some(alone) = affecting.iter().position(|rule| rule.fault.replaces_answer()) {
            affecting = vec![affecting.swap_remove(alone)];
        }
        for rule in &mut affecting {
            if let Some(count) = &mut rule.count {
                *count -= 1;
            }
        }
        affecting.iter().map(|rule| rule.fault.clone()).collect()
    }
}

impl FaultRule {
    fn matches(&self, route: &Route) -> bool {
        self.endpoint.is_none_or(|endpoint| endpoint == route.endpoint)
            && (self.account.is_none() || self.account == route.account)
            && self
                .user
                .is_none_or(|user| Uuid::try_parse(&route.subject).is_ok_and(|subject| subject == user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Uuid = Uuid::from_u128(7);

    fn route(endpoint: Endpoint, account: Option<&str>, subject: &str) -> Route {
        Route { endpoint, account: account.map(str::to_owned), subject: subject.to_owned() }
    }

    #[test]
    fn a_fault_affects_matching_requests_as_often_as_its_count_says() {
        let rule = FaultRule::at(Endpoint::User, Fault::Hang).in_account("a").of_user(USER).times(1);
        let mut faults = Faults::new(vec![rule], 1);
        let user = USER.to_string();
        for (endpoint, account, subject, affected) in [
            (Endpoint::Reset, Some("a"), user.as_str(), false),
            (Endpoint::User, Some("b"), &user, false),
            (Endpoint::User, None, &user, false),
            (Endpoint::User, Some("a"), "00000000-0000-0000-0000-000000000008", false),
            (Endpoint::User, Some("a"), &user, true),
            (Endpoint::User, Some("a"), &user, false),
        ] {
            let taken = faults.take(&route(endpoint, account, subject));
            assert_eq!(!taken.is_empty(), affected, "{endpoint:?} {account:?} {subject}");
        }
    }

    #[test]
    fn a_replaced_answer_excludes_other_faults_and_keeps_their_counts() {
        let rules = vec![
            FaultRule::everywhere(Fault::NullLevels).times(1),
            FaultRule::everywhere(Fault::Hang).times(1),
            FaultRule::everywhere(Fault::DuplicatedRows),
        ];
        let mut faults = Faults::new(rules, 1);
        let summary = route(Endpoint::Summary, None, "");
        for wanted in ["[Hang]", "[NullLevels, DuplicatedRows]", "[DuplicatedRows]"] {
            assert_eq!(format!("{:?}", faults.take(&summary)), wanted);
        }
    }

    #[test]
    fn a_share_is_random_and_the_same_for_the_same_seed() {
        let affected = |seed| {
            let mut faults = Faults::new(vec![FaultRule::everywhere(Fault::Hang).share(0.02)], seed);
            let summary = route(Endpoint::Summary, None, "");
            (0..1_000).filter(|_| !faults.take(&summary).is_empty()).collect::<Vec<_>>()
        };
        assert!((5..50).contains(&affected(1).len()), "{}", affected(1).len());
        assert_eq!(affected(1), affected(1));
        assert_ne!(affected(1), affected(2));
        for share in ["0", "-0.5", "1.5", ".nan"] {
            assert!(serde_saphyr::from_str::<Share>(share).is_err(), "{share}");
        }
    }
}
