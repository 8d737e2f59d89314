//! Finds the user that a text names, or says why that is not clear.

use super::people::{Match, People, Person, candidates};
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
        (Match::Several(several), _) => {
            let message = format!("{} matches {} users; name one by id", quoted(text), several.len());
            let report = Report::found(candidates(session, people, &several));
            Ok(Target::Several(report.failing(Some(Failure::Unclear(message)))))
        }
        (Match::Nobody, Some(reason)) => Err(Failure::Unclear(reason)),
        (Match::Nobody, None) => {
            let message = format!("no user on the risk list of {} matches {}", session.alias, quoted(text));
            Err(Failure::Unclear(message))
        }
    }
}

/// The id of the user on the list whom a text names, or `None` if the whole list has no such user.
///
/// # Errors
/// Several users match; or the list is incomplete, so that a missing user may match as well.
pub(super) fn id(people: &People<'_>, text: &str) -> Result<Option<UserId>, Failure> {
    match (people.resolve(text), people.incomplete()) {
        (Match::Listed(person), _) | (Match::Named(person), None) => Ok(Some(person.id)),
        (Match::Unlisted(user), _) => Ok(Some(user)),
        (Match::Nobody, None) => Ok(None),
        (Match::Several(several), _) => Err(Failure::Unclear(format!(
            "{} matches {} users; name one by id: `zt-risk-exporter users TEXT --output wide` shows the ids",
            quoted(text),
            several.len()
        ))),
        (Match::Named(_) | Match::Nobody, Some(reason)) => {
            Err(Failure::Unclear(format!("{reason}; name the user by id")))
        }
    }
}

/// The text for a message. An e-mail address is not repeated, because messages may end up in a log.
fn quoted(text: &str) -> String {
    if text.contains('@') { "the e-mail address given".to_owned() } else { format!("{text:?}") }
}
