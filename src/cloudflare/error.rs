//! Why a request gave nothing usable, sorted by what to do next.

use std::fmt;
use std::time::Duration;

use super::operation::Operation;

/// A request that gave nothing usable.
///
/// Its text is one sentence that says what to do, then what is known of the answer; what was asked stands
/// beside it, in [`Error::operation`]. It never holds a credential, and what it quotes is bounded in length,
/// and free of e-mail addresses and control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    operation: Operation,
    kind: Kind,
    /// What exactly was seen, for the kinds whose sentence needs it.
    reason: String,
    /// What to do about trouble on the way, if it is not to ask again later.
    remedy: Option<String>,
    answer: Option<Answered>,
    retry_after: Option<Duration>,
    sent: Sent,
}

/// Whether the request left this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Perhaps,
    No,
}

/// What a failed request did at Cloudflare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it was not sent, or refused.
    Nothing,
    /// It may have done what it asks for: no answer came that says.
    Unknown,
}

/// The kinds of [`Error`], by the reaction they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No credentials arrived, or malformed ones: a person must look at the configuration.
    Credentials,
    /// The credentials are not, or no longer, valid: a person must replace them.
    Refused,
    /// The credentials are valid, but not for this: a person must mend what they cover.
    Forbidden(Lack),
    /// The account's plan has no user risk scoring.
    NotEntitled,
    /// There is no such user, integration or account.
    NotFound,
    /// Too many requests: ask again after [`Error::retry_after`].
    Limited(Limiter),
    /// Passing trouble on the way or at Cloudflare: ask again later.
    Unavailable,
    /// The answer did not come in time: ask again later.
    Timeout,
    /// The answer does not have its documented shape; it stays out of the model.
    Shape,
    /// The request itself was refused, here or by Cloudflare: asking the same again will not help.
    Invalid,
}

/// What valid credentials lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The permission of [`Error::permission`].
    Permission,
    /// The account: they belong to another one.
    Account,
}

/// Who holds a request back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limiter {
    /// Cloudflare, by a 429 or code 971.
    Cloudflare,
    /// The budget of this process: nothing was sent.
    Budget,
}

/// How an attempt ended; the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A usable answer.
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

/// What came back: the part of an answer that helps to find out what went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// Cloudflare's own codes and messages, at most a few.
    pub notes: Vec<Note>,
    /// The CF-Ray id, by which Cloudflare's support finds the request.
    pub ray: Option<String>,
}

/// One of the errors of Cloudflare's envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its number, 0 where there is none.
    pub code: i64,
    /// Its words, shortened.
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

    /// The word for it in labels.
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
        let (remedy, answer, retry_after, sent) = (None, None, None, Sent::Perhaps);
        Self(Box::new(Inner { operation, kind, reason: reason.into(), remedy, answer, retry_after, sent }))
    }

    /// The same of a request for which there was not even a connection.
    pub(super) fn unsent(mut self) -> Self {
        self.0.sent = Sent::No;
        self
    }

    pub(super) fn answered(mut self, answer: Answered) -> Self {
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

    /// What to do about it.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The same for a label.
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

    /// What the request did, if it was to change something.
    pub fn effect(&self) -> Effect {
        match (self.0.sent, self.0.kind) {
            (Sent::No, _) => Effect::Nothing,
            (Sent::Perhaps, Kind::Unavailable | Kind::Timeout | Kind::Shape) => Effect::Unknown,
            (
                Sent::Perhaps,
                Kind::Credentials
                | Kind::Refused
                | Kind::Forbidden(_)
                | Kind::NotEntitled
                | Kind::NotFound
                | Kind::Limited(_)
                | Kind::Invalid,
            ) => Effect::Nothing,
        }
    }

    /// What was requested, in a word: the resource such as `summary`, or `reset`.
    pub fn operation(&self) -> &'static str {
        self.0.operation.as_str()
    }

    /// What came back, if anything did.
    pub fn answer(&self) -> Option<&Answered> {
        self.0.answer.as_ref()
    }

    /// How long to wait before asking again: always there for [`Kind::Limited`], for
    /// [`Kind::Unavailable`] where the server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The permission that the request needs, in quotes as part of a sentence: `"Zero Trust: PII Read"`.
    pub fn permission(&self) -> &'static str {
        self.0.operation.permission()
    }

    /// What to do, in a sentence.
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
                "the credentials are refused; check that the token is active and not expired, or \
                 create a new one"
                    .to_owned()
            }
            Kind::Forbidden(Lack::Permission) => {
                format!("the credentials lack a permission; add {} to the token", operation.permission())
            }
            Kind::Forbidden(Lack::Account) => {
                "the credentials do not cover this account; check the account id \
                 and the accounts the token is for"
                    .to_owned()
            }
            Kind::NotEntitled => {
                "the account has no user risk scoring; it is part of Cloudflare's Enterprise \
                 plans, ask the account team"
                    .to_owned()
            }
            Kind::NotFound => operation.not_found().to_owned(),
            Kind::Limited(Limiter::Cloudflare) => format!(
                "cloudflare's rate limit is reached; ask again in {seconds} s, and lower the budget share if \
                 this returns"
            ),
            Kind::Limited(Limiter::Budget) => {
                format!("the request budget is spent; the next request may go in {seconds} s")
            }
            Kind::Unavailable => {
                format!("{reason}; {}", or("ask again later, and look into it if it lasts"))
            }
            Kind::Timeout => {
                format!("{reason}; {}", or("ask again later, and check the network if it lasts"))
            }
            Kind::Shape => format!("unexpected answer: {reason}"),
            Kind::Invalid => format!("the request is refused: {reason}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.advice())?;
        let Some(Answered { status, notes, ray }) = &self.0.answer else {
            return Ok(());
        };
        write!(f, " (HTTP {status}")?;
        for Note { code, message } in notes {
            write!(f, ", {code} {message}")?;
        }
        if let Some(ray) = ray {
            write!(f, ", CF-Ray {ray}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Error {}
