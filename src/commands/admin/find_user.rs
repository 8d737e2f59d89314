//! Which user a person means, or what there is to say instead.

use super::people::{Meant, People, Person, sheet};
use super::{Failure, Report};
use crate::commands::session::Session;
use crate::model::UserId;

/// Who is meant.
pub(super) enum Target {
    /// A user on the risk list.
    Listed(Person),
    /// A user who is not on it, by id.
    Unlisted(UserId),
    /// Several fit: they are listed, and the command ends.
    Several(Report),
}

/// # Errors
/// Nobody fits, or the list is not whole and somebody who is not on it may be meant.
pub(super) fn target(session: &Session, people: &People<'_>, text: &str) -> Result<Target, Failure> {
    match (people.meant(text), people.lacks()) {
        (Meant::Listed(person), _) | (Meant::Named(person), None) => Ok(Target::Listed(person)),
        (Meant::Named(_), Some(reason)) => Err(Failure::Unclear(format!("{reason}; name the user by id"))),
        (Meant::Unlisted(user), _) => Ok(Target::Unlisted(user)),
        (Meant::Several(candidates), _) => {
            let message = format!("{} fits {} users; name one by id", quoted(text), candidates.len());
            let report = Report::found(sheet(session, people, &candidates, 0, 0));
            Ok(Target::Several(report.failing(Some(Failure::Unclear(message)))))
        }
        (Meant::Nobody, Some(reason)) => Err(Failure::Unclear(reason)),
        (Meant::Nobody, None) => {
            let message = format!("nobody on the risk list of {} fits {}", session.alias, quoted(text));
            Err(Failure::Unclear(message))
        }
    }
}

/// What was asked for, where it may stand beside a log: an address is not repeated.
fn quoted(text: &str) -> String {
    if text.contains('@') { "the e-mail address given".to_owned() } else { format!("{text:?}") }
}
