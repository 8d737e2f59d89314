//! The log line for each change: who made it, the account, the operation, what was changed, and the result.
//!
//! It has ids only, no names and no e-mail addresses of users. It is written whatever `log.level` is.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::app::logging::OPERATOR;
use crate::cloudflare::{Error, Kind, SideEffect};
use crate::commands::input_file::read_text;
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

    pub(super) fn of_failure(error: &Error) -> Self {
        match error.effect() {
            SideEffect::None => Self::NotDone,
            SideEffect::Unknown => Self::Unknown,
        }
    }
}

/// Who makes a change, for its log line.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    /// Cloudflare's id of the token; none for an API key, or if the token cannot be verified.
    token_id: Option<String>,
    /// The user of the operating system.
    os_user: String,
}

impl Actor {
    /// Identifies the token by one request, and the user by the process.
    pub(super) async fn identify(session: &Session) -> Self {
        let token_id = session.client.verify_token().await.ok().and_then(|status| status.id);
        Self { token_id, os_user: os_user() }
    }
}

/// The user that this process runs as, such as `ann (1000)`. Environment variables are not used: anyone can set them.
fn os_user() -> String {
    let Ok(uid) = fs::metadata("/proc/self").map(|process| process.uid()) else {
        return "unknown".to_owned();
    };
    let accounts = read_text(Path::new("/etc/passwd"), 16).unwrap_or_default();
    match user_name(&accounts, uid) {
        Some(name) => format!("{name} ({uid})"),
        None => uid.to_string(),
    }
}

/// The name of a user in the format of `/etc/passwd`.
fn user_name(accounts: &str, uid: u32) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then_some(name)
    })
}

/// A change of one thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) operation: Operation,
    /// The id of what was changed.
    pub(super) subject: &'a str,
    /// What changed.
    pub(super) change: Option<&'a str>,
}

/// Logs a change that Cloudflare answered with success. `cf_ray` is the id of that answer.
pub(super) fn record_accepted(
    session: &Session,
    actor: &Actor,
    change: Change<'_>,
    outcome: Outcome,
    cf_ray: Option<&str>,
) {
    let Change { operation, subject, change } = change;
    let (account, operation) = (session.alias.as_str(), operation.as_str());
    let Actor { token_id, os_user } = actor;
    let token_id = token_id.as_deref();
    match outcome {
        Outcome::Done => tracing::info!(
            target: OPERATOR, account, operation, subject, change, outcome = outcome.as_str(), os_user, token_id,
            cf_ray, "a change was made"
        ),
        Outcome::NotDone | Outcome::Unknown | Outcome::NotTried => tracing::warn!(
            target: OPERATOR, account, operation, subject, change, outcome = outcome.as_str(), os_user, token_id,
            cf_ray, "a change was not confirmed"
        ),
    }
}

/// Logs a change that failed.
pub(super) fn record_failed(session: &Session, actor: &Actor, change: Change<'_>, error: &Error) {
    let Change { operation, subject, change } = change;
    let (account, operation) = (session.alias.as_str(), operation.as_str());
    let Actor { token_id, os_user } = actor;
    let token_id = token_id.as_deref();
    let outcome = Outcome::of_failure(error).as_str();
    let cf_ray = error.response().and_then(|answer| answer.ray.as_deref());
    tracing::warn!(
        target: OPERATOR, account, operation, subject, change, outcome, os_user, token_id, cf_ray, %error,
        "a change failed"
    );
}

/// Whether Cloudflare answered a change with success, but not with its result, so that reading again settles it.
pub(super) fn lacks_result(error: &Error) -> bool {
    error.kind() == Kind::Shape && error.response().is_some_and(|answer| (200..300).contains(&answer.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_the_operating_system_has_a_name_if_the_list_has_the_id() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\nodd\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:10001:1:::\n";
        for (uid, wanted) in [(0, Some("root")), (1_000, Some("ann")), (10_001, Some("bob")), (1, None)] {
            assert_eq!(user_name(accounts, uid), wanted, "{uid}");
        }
    }
}
