//! Finds the user that a text names, or says why that is not clear.

use super::people::{Match, People, Person, sheet};
use super::{Failure, Report};
use crate::commands::session::Session;
use crate::model::UserId;

/// The user that a text names.
pub(super) enum Target {
    /// A user on the risk list.
    Listed(Person),
    /// A user who is not on the risk list, by id.
    Unlisted(UserId),
    /// Several users match. The report lists them.
    Several(Report),
}

/// # Errors
/// No user matches; or the list is incomplete, so that a missing user may match as well.
pub(super) fn target(session: &Session, people: &People<'_>, text: &str) -> Result<Target, Failure> {
    match (people.resolve(text), people.incomplete()) {
        (Match::Listed(person), _) | (Match::Named(person), None) => Ok(Target::Listed(person)),
        (Match::Named(_), Some(reason)) => Err(Failure::Unclear(format!("{reason}; name the user by id"))),
        (Match::Unlisted(user), _) => Ok(Target::Unlisted(user)),
        (Match::Several(candidates), _) => {
            let message = format!("{} matches {} users; name one by id", quoted(text), candidates.len());
            let report = Report::found(sheet(session, people, &candidates, 0, 0));
            Ok(Target::Several(report.failing(Some(Failure::Unclear(message)))))
        }
        (Match::Nobody, Some(reason)) => Err(Failure::Unclear(reason)),
        (Match::Nobody, None) => {
            let message = format!("no user on the risk list of {} matches {}", session.alias, quoted(text));
            Err(Failure::Unclear(message))
        }
    }
}

/// The text for a message. An e-mail address is not repeated, because messages may end up in a log.
fn quoted(text: &str) -> String {
    if text.contains('@') { "the e-mail address given".to_owned() } else { format!("{text:?}") }
}
