//! The log line for each change: the account, the operation, what was changed, and the result.
//!
//! It has ids only, no names and no e-mail addresses.

use crate::cloudflare::{Error, SideEffect};

use crate::commands::session::Session;

/// What Cloudflare was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    ResetUser,
    SetBehavior,
    CreateIntegration,
    UpdateIntegration,
    DeleteIntegration,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::ResetUser => "reset_user",
            Self::SetBehavior => "set_behavior",
            Self::CreateIntegration => "create_integration",
            Self::UpdateIntegration => "update_integration",
            Self::DeleteIntegration => "delete_integration",
        }
    }
}

/// The result of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It was refused, or was never sent.
    NotDone,
    /// It is not known whether it happened.
    Unknown,
    /// The command stopped before it.
    NotTried,
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not_done",
            Self::Unknown => "unknown",
            Self::NotTried => "not_tried",
        }
    }

    pub(super) fn of<T>(result: &Result<T, Error>) -> Self {
        match result.as_ref().map_err(Error::effect) {
            Ok(_) => Self::Done,
            Err(SideEffect::None) => Self::NotDone,
            Err(SideEffect::Unknown) => Self::Unknown,
        }
    }
}

/// Logs a change that Cloudflare accepted, although its answer does not show it.
pub(super) fn record_unconfirmed(session: &Session, operation: Operation, subject: &str, change: &str) {
    let (account, cf_ray) = (session.alias.as_str(), session.ray());
    let (operation, outcome) = (operation.as_str(), Outcome::Unknown.as_str());
    tracing::warn!(
        target: "zt_risk_exporter::operator", account, operation, subject, change, outcome, cf_ray,
        "a change was not confirmed"
    );
}

/// Logs the change of `subject`, an id. It must have been the latest request of the session. `change` says what changed.
pub(super) fn record<T>(
    session: &Session,
    operation: Operation,
    subject: &str,
    change: Option<&str>,
    result: &Result<T, Error>,
) {
    let (account, operation, outcome) =
        (session.alias.as_str(), operation.as_str(), Outcome::of(result).as_str());
    match result {
        Ok(_) => {
            let cf_ray = session.ray();
            tracing::info!(
                target: "zt_risk_exporter::operator", account, operation, subject, change, outcome, cf_ray,
                "a change was made"
            );
        }
        Err(error) => {
            let cf_ray = error.response().and_then(|answer| answer.ray.as_deref());
            tracing::warn!(
                target: "zt_risk_exporter::operator", account, operation, subject, change, outcome, cf_ray,
                %error, "a change failed"
            );
        }
    }
}
