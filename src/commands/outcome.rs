//! The result of a command, and its exit code.

use crate::cloudflare::{Error, Kind, SideEffect};
use crate::config;

/// The result of a command.
pub(crate) type Outcome = Result<(), Failure>;

/// Why a command failed. Each kind has its own exit code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Something failed while the command ran. Exit code 1.
    #[error("{0}")]
    Runtime(String),
    /// The command line, the configuration, or a file that they name is invalid. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The account differs from the baseline. Exit code 3.
    #[error("{0}")]
    Differs(String),
    /// The given name matches nothing, or several things. Exit code 4.
    #[error("{0}")]
    Unclear(String),
    /// The change was not confirmed. Exit code 5.
    #[error("{0}")]
    Unconfirmed(String),
    /// Some of several accounts could not be read; the others are shown. Exit code 6.
    #[error("{0}")]
    Incomplete(String),
}

impl Failure {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Usage(_) => 2,
            Self::Differs(_) => 3,
            Self::Unclear(_) => 4,
            Self::Unconfirmed(_) => 5,
            Self::Incomplete(_) => 6,
        }
    }

    /// The same kind of failure with another text.
    pub(crate) const fn with(&self, text: String) -> Self {
        match self {
            Self::Runtime(_) => Self::Runtime(text),
            Self::Usage(_) => Self::Usage(text),
            Self::Differs(_) => Self::Differs(text),
            Self::Unclear(_) => Self::Unclear(text),
            Self::Unconfirmed(_) => Self::Unconfirmed(text),
            Self::Incomplete(_) => Self::Incomplete(text),
        }
    }

    /// [`Failure::Runtime`] with the text of the error.
    #[expect(clippy::needless_pass_by_value, reason = "it is called by map_err")]
    pub(crate) fn runtime(error: impl ToString) -> Self {
        Self::Runtime(error.to_string())
    }

    /// [`Failure::Usage`] with the text of the error.
    #[expect(clippy::needless_pass_by_value, reason = "it is called by map_err")]
    pub(crate) fn usage(error: impl ToString) -> Self {
        Self::Usage(error.to_string())
    }

    /// A request that failed.
    pub(crate) fn request(error: &Error) -> Self {
        Self::Runtime(format!("{}: {error}", error.operation()))
    }

    /// A request for one thing that the user named: if it does not exist, the name is unclear.
    pub(crate) fn request_for_one(error: &Error) -> Self {
        match Self::request(error) {
            Self::Runtime(text) if error.kind() == Kind::NotFound => Self::Unclear(text),
            failure => failure,
        }
    }

    /// A change that failed. `look` is the command that shows the current state.
    pub(crate) fn change(error: &Error, look: &str) -> Self {
        match (Self::request(error), error.effect()) {
            (failure, SideEffect::None) => failure,
            (failure, SideEffect::Unknown) => Self::Runtime(format!(
                "{failure}; the change may have happened anyway: check with `zt-risk-exporter {look}` before you repeat it"
            )),
        }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::usage(error)
    }
}
