//! How a command ends, and the exit code for it.

use crate::cloudflare::{Effect, Error, Kind};
use crate::config;

/// How a command ends.
pub(crate) type Outcome = Result<(), Failure>;

/// Why a command did not do what it was asked to do; each kind has its exit code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Something failed while the command ran: 1.
    #[error("{0}")]
    Runtime(String),
    /// The command line, the configuration, or a file that they name must be corrected: 2.
    #[error("{0}")]
    Usage(String),
    /// The account differs from the baseline: 3.
    #[error("{0}")]
    Differs(String),
    /// The name fits nothing, or may fit several things: 4.
    #[error("{0}")]
    Unclear(String),
    /// Nobody confirmed the change: 5.
    #[error("{0}")]
    Unconfirmed(String),
}

impl Failure {
    /// The exit code of the process.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Usage(_) => 2,
            Self::Differs(_) => 3,
            Self::Unclear(_) => 4,
            Self::Unconfirmed(_) => 5,
        }
    }

    /// An error while the command ran, in its own words.
    #[expect(clippy::needless_pass_by_value, reason = "it is called by map_err")]
    pub(crate) fn runtime(error: impl ToString) -> Self {
        Self::Runtime(error.to_string())
    }

    /// An error in what the user wrote, in its own words.
    #[expect(clippy::needless_pass_by_value, reason = "it is called by map_err")]
    pub(crate) fn usage(error: impl ToString) -> Self {
        Self::Usage(error.to_string())
    }

    /// A request that was not answered.
    pub(crate) fn request(error: &Error) -> Self {
        Self::Runtime(format!("{}: {error}", error.operation()))
    }

    /// The same for one thing that the user named.
    pub(crate) fn request_for_one(error: &Error) -> Self {
        match Self::request(error) {
            Self::Runtime(text) if error.kind() == Kind::NotFound => Self::Unclear(text),
            failure => failure,
        }
    }

    /// A change that failed; `look` is the command that shows the current state.
    pub(crate) fn change(error: &Error, look: &str) -> Self {
        match (Self::request(error), error.effect()) {
            (failure, Effect::Nothing) => failure,
            (failure, Effect::Unknown) => Self::Runtime(format!(
                "{failure}; it may have happened all the same: see `zt-risk-exporter {look}` before you repeat it"
            )),
        }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::usage(error)
    }
}
