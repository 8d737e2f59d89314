//! Why a request failed, sorted by what to do next.

use std::fmt;
use std::time::Duration;

use super::operation::Operation;

/// A failed request.
///
/// `Display` writes one sentence that says what to do, followed by what is known of the response. It does not name the
/// operation; see [`Error::operation`]. It never contains a credential. Quoted text is bounded in length, and contains no
/// e-mail addresses and no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    operation: Operation,
    kind: Kind,
    /// The cause, for the kinds whose sentence contains one.
    reason: String,
    /// What to do, if it is not simply to try again later.
    remedy: Option<String>,
    answer: Option<ResponseInfo>,
    retry_after: Option<Duration>,
    sent: Sent,
}

/// Whether the request left this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Maybe,
    No,
}

/// What a failed request may have changed at Cloudflare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideEffect {
    /// Nothing: the request was refused, or never sent.
    None,
    /// The change may have been made: no response says.
    Unknown,
}

/// The kinds of [`Error`], by how to react to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The credentials are missing or malformed: a person must correct the configuration.
    Credentials,
    /// The credentials are not valid, or no longer: a person must replace them.
    Refused,
    /// The credentials are valid, but do not allow this: a person must extend them.
    Forbidden(MissingGrant),
    /// The account's plan has no user risk scoring.
    NotEntitled,
    /// There is no such user, integration or account.
    NotFound,
    /// Too many requests: retry after [`Error::retry_after`].
    Limited(Limiter),
    /// A transient failure of the network or at Cloudflare: retry later.
    Unavailable,
    /// The response did not arrive in time: retry later.
    Timeout,
    /// The response does not have its documented shape, and is discarded.
    Shape,
    /// The request itself is not acceptable, to this client or to Cloudflare: a retry would not help.
    Invalid,
}

/// What valid credentials do not grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingGrant {
    /// The permission that [`Error::permission`] names.
    Permission,
    /// The account: the credentials are for another one.
    Account,
    /// A user: the credentials belong to an account, which cannot list accounts.
    User,
}

/// Who limits the rate of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limiter {
    /// Cloudflare, with a 429 or code 971.
    Cloudflare,
    /// The budget of this process: nothing was sent.
    Budget,
}

/// How an attempt ended; the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A usable response.
    Ok,
    /// [`Kind::Credentials`]
    Credentials,
    /// [`Kind::Refused`]
    Refused,
    /// [`Kind::Forbidden`]
    Forbidden,
    /// [`Kind::NotEntitled`]
    NotEntitled,
    /// [`Kind::NotFound`]
    NotFound,
    /// [`Kind::Limited`]
    Limited,
    /// [`Kind::Unavailable`]
    Unavailable,
    /// [`Kind::Timeout`]
    Timeout,
    /// [`Kind::Shape`]
    Shape,
    /// [`Kind::Invalid`]
    Invalid,
}

/// The parts of a response that help to diagnose a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseInfo {
    /// The HTTP status.
    pub status: u16,
    /// Cloudflare's codes and messages, at most five.
    pub errors: Vec<ApiError>,
    /// The CF-Ray id, with which Cloudflare's support can find the request.
    pub ray: Option<String>,
}

/// One error of Cloudflare's envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Cloudflare's error code; 0 if there is none.
    pub code: i64,
    /// The message, cut to 200 characters.
    pub message: String,
}

impl Outcome {
    /// All outcomes, in the order of [`Outcome::index`].
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Credentials,
        Self::Refused,
        Self::Forbidden,
        Self::NotEntitled,
        Self::NotFound,
        Self::Limited,
        Self::Unavailable,
        Self::Timeout,
        Self::Shape,
        Self::Invalid,
    ];

    /// The position of this outcome in [`Outcome::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The value of the label `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Credentials => "credentials",
            Self::Refused => "refused",
            Self::Forbidden => "forbidden",
            Self::NotEntitled => "not_entitled",
            Self::NotFound => "not_found",
            Self::Limited => "limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Shape => "shape",
            Self::Invalid => "invalid",
        }
    }
}

impl Error {
    pub(super) fn new(operation: Operation, kind: Kind, reason: impl Into<String>) -> Self {
        let (remedy, answer, retry_after, sent) = (None, None, None, Sent::Maybe);
        Self(Box::new(Inner { operation, kind, reason: reason.into(), remedy, answer, retry_after, sent }))
    }

    /// Marks the request as never sent, because there was no connection.
    pub(super) fn unsent(mut self) -> Self {
        self.0.sent = Sent::No;
        self
    }

    pub(super) fn answered(mut self, answer: ResponseInfo) -> Self {
        self.0.answer = Some(answer);
        self
    }

    pub(super) fn advising(mut self, remedy: Option<String>) -> Self {
        self.0.remedy = remedy;
        self
    }

    pub(super) fn after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// The kind of error, which decides how to react.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The kind of error as a label value.
    pub fn outcome(&self) -> Outcome {
        match self.0.kind {
            Kind::Credentials => Outcome::Credentials,
            Kind::Refused => Outcome::Refused,
            Kind::Forbidden(_) => Outcome::Forbidden,
            Kind::NotEntitled => Outcome::NotEntitled,
            Kind::NotFound => Outcome::NotFound,
            Kind::Limited(_) => Outcome::Limited,
            Kind::Unavailable => Outcome::Unavailable,
            Kind::Timeout => Outcome::Timeout,
            Kind::Shape => Outcome::Shape,
            Kind::Invalid => Outcome::Invalid,
        }
    }

    /// Whether the request may have changed something at Cloudflare.
    pub fn effect(&self) -> SideEffect {
        match (self.0.sent, self.0.kind) {
            (Sent::No, _) => SideEffect::None,
            (Sent::Maybe, Kind::Unavailable | Kind::Timeout | Kind::Shape) => SideEffect::Unknown,
            (
                Sent::Maybe,
                Kind::Credentials
                | Kind::Refused
                | Kind::Forbidden(_)
                | Kind::NotEntitled
                | Kind::NotFound
                | Kind::Limited(_)
                | Kind::Invalid,
            ) => SideEffect::None,
        }
    }

    /// What was requested, in a word: the resource such as `summary`, or `reset`.
    pub fn operation(&self) -> &'static str {
        self.0.operation.as_str()
    }

    /// The response, if one arrived.
    pub fn response(&self) -> Option<&ResponseInfo> {
        self.0.answer.as_ref()
    }

    /// How long to wait before a retry: always known for [`Kind::Limited`], and for [`Kind::Unavailable`] if the
    /// server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The permission that the request needs, quoted for use in a sentence: `"Zero Trust: PII Read"`.
    /// `None` if every token may send it.
    pub fn permission(&self) -> Option<&'static str> {
        self.0.operation.permission()
    }

    /// What to say instead if this user was refused and others are not: then the credentials are in order. `None` if the
    /// error is no refusal of credentials.
    pub fn refusal_of_one_user(&self) -> Option<String> {
        let refuses =
            matches!(self.0.kind, Kind::Credentials | Kind::Refused | Kind::Forbidden(_) | Kind::NotEntitled);
        let sentence = "cloudflare refuses the events of one user, and not those of others";
        refuses.then(|| format!("{sentence}{}", ResponseText(self.response())))
    }

    /// The error as a message about one user whose events Cloudflare does not find, if it is that.
    pub fn absence_of_one_user(&self) -> Option<String> {
        let sentence = "cloudflare lists a user, and does not find the user's events";
        (self.0.kind == Kind::NotFound).then(|| format!("{sentence}{}", ResponseText(self.response())))
    }

    /// What to say instead if an earlier page of the list was not refused: then the credentials are in order. `None` if the
    /// error names no missing permission.
    pub(super) fn refusal_of_page(&self) -> Option<String> {
        let refuses = matches!(self.0.kind, Kind::Forbidden(_) | Kind::NotEntitled);
        let sentence = "cloudflare refuses this page, and not the ones before";
        refuses.then(|| format!("{sentence}{}", ResponseText(self.response())))
    }

    /// One sentence that says what happened and what to do.
    fn advice(&self) -> String {
        let Inner { operation, kind, reason, remedy, retry_after, answer: _, sent: _ } = &*self.0;
        let or = |usual: &'static str| remedy.as_deref().unwrap_or(usual);
        let seconds = retry_after.unwrap_or_default().as_secs_f64().ceil();
        match kind {
            Kind::Credentials => {
                "the credentials are missing or malformed; set the API token, or the e-mail address with \
                 its API key, exactly as Cloudflare showed it"
                    .to_owned()
            }
            Kind::Refused => {
                "the credentials were rejected; check that the token is active and not expired, or \
                 create a new one"
                    .to_owned()
            }
            Kind::Forbidden(MissingGrant::Permission) => match operation.permission() {
                Some(permission) => {
                    format!("the credentials lack a permission; add {permission} to the token")
                }
                None => {
                    "the verification was refused, although it needs no permission; check that the token is active"
                        .to_owned()
                }
            },
            Kind::Forbidden(MissingGrant::Account) => {
                "the credentials do not cover this account; check the account id \
                 and the accounts the token is for"
                    .to_owned()
            }
            Kind::Forbidden(MissingGrant::User) => {
                "the token belongs to an account, and only a user's token lists accounts; create one of a user, or use \
                 accounts_from.tokens_dir"
                    .to_owned()
            }
            Kind::NotEntitled => {
                "the account has no user risk scoring; it is part of Cloudflare's Enterprise \
                 plans, so ask the account team"
                    .to_owned()
            }
            Kind::NotFound => operation.not_found().to_owned(),
            Kind::Limited(Limiter::Cloudflare) => format!(
                "cloudflare's rate limit is reached; retry in {seconds} s, and lower the budget share if \
                 this happens again"
            ),
            Kind::Limited(Limiter::Budget) => {
                format!("the request budget is used up; the next request is allowed in {seconds} s")
            }
            Kind::Unavailable => {
                format!("{reason}; {}", or("retry later; investigate if it persists"))
            }
            Kind::Timeout => {
                format!("{reason}; {}", or("retry later; check the network if it persists"))
            }
            Kind::Shape => format!("unexpected response: {reason}"),
            Kind::Invalid => format!("the request was rejected: {reason}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.advice(), ResponseText(self.response()))
    }
}

/// The end of an error's text: what the response said, if one arrived.
struct ResponseText<'a>(Option<&'a ResponseInfo>);

impl fmt::Display for ResponseText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ResponseInfo { status, errors, ray }) = self.0 else { return Ok(()) };
        write!(f, " (HTTP {status}")?;
        for ApiError { code, message } in errors {
            write!(f, ", {code} {message}")?;
        }
        if let Some(ray) = ray {
            write!(f, ", CF-Ray {ray}")?;
        }
        f.write_str(")")
    }
}

/// The text of an error without the CF-Ray id, which every answer has its own: the same cause has the same text.
#[cfg(feature = "daemon")]
pub(crate) fn without_ray(text: &str) -> &str {
    text.split(", CF-Ray ").next().unwrap_or(text)
}

impl std::error::Error for Error {}
