//! The latest incidents of an account, for the status document.

use crate::clock::Timestamp;
use crate::cloudflare::Outcome;
use crate::model::Resource;

/// How many incidents are kept for each account: as many as fit on a screen. At most one for each source is ongoing.
const KEPT: usize = 10;

/// Something that cannot be read, from the first failure to the next success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What cannot be read.
    pub source: IncidentSource,
    /// Why it cannot be read.
    pub cause: IncidentCause,
    /// When it failed first.
    pub first: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
    /// How often it failed.
    pub times: u64,
    /// When it ended, or another cause replaced this one; `None` while it is ongoing.
    pub over: Option<Timestamp>,
    /// The message of the latest failure, as in the log.
    pub message: String,
}

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentSource {
    /// A resource of the API.
    Resource(Resource),
    /// Fields of a resource that was read.
    Fields(Resource),
    /// The file with the account's credentials.
    CredentialFile,
    /// The file with the settings that behaviors should have.
    BaselineFile,
}

impl IncidentSource {
    /// The word in the status document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resource(resource) | Self::Fields(resource) => resource.as_str(),
            Self::CredentialFile => "credential_file",
            Self::BaselineFile => "baseline_file",
        }
    }
}

impl From<Resource> for IncidentSource {
    fn from(resource: Resource) -> Self {
        Self::Resource(resource)
    }
}

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IncidentCause {
    /// A request ended with this outcome.
    Request(Outcome),
    /// One user's events were refused, and not those of others.
    UserRefused,
    /// One user is listed, and Cloudflare does not know the user's events.
    UserNotFound,
    /// Every request was answered, but the list was incomplete.
    Partial,
    /// Fields of the answer do not have their documented form.
    UnexpectedFields,
    /// The credential file cannot be read, or has no usable credentials.
    CredentialFile,
    /// The baseline of behaviors cannot be read, or has mistakes.
    BaselineFile,
}

impl IncidentCause {
    /// The word in the status document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request(outcome) => outcome.as_str(),
            Self::UserRefused => "user_refused",
            Self::UserNotFound => "user_not_found",
            Self::Partial => "partial",
            Self::UnexpectedFields => "unexpected_fields",
            Self::CredentialFile => "credential_file",
            Self::BaselineFile => "baseline_file",
        }
    }
}

/// The incidents of one account, oldest first.
#[derive(Debug, Default)]
pub(super) struct Incidents(Vec<Incident>);

impl Incidents {
    /// A read failed: begins an incident, or continues the ongoing one if the cause is the same.
    pub(super) fn record(
        &mut self,
        source: IncidentSource,
        cause: IncidentCause,
        message: &str,
        date: Timestamp,
    ) {
        let message = without_ids(message);
        let same = |incident: &&mut Incident| incident.is_ongoing(source) && incident.cause == cause;
        if let Some(known) = self.0.iter_mut().find(same) {
            (known.last, known.times, known.message) = (date, known.times + 1, message);
            return;
        }
        self.end(source, date);
        if self.0.len() == KEPT {
            let oldest = self.0.iter().position(|incident| incident.over.is_some()).unwrap_or_default();
            self.0.remove(oldest);
        }
        let (first, last) = (date, date);
        self.0.push(Incident { source, cause, first, last, times: 1, over: None, message });
    }

    /// A read succeeded, which ends the incident.
    pub(super) fn end(&mut self, source: IncidentSource, date: Timestamp) {
        if let Some(incident) = self.0.iter_mut().find(|incident| incident.is_ongoing(source)) {
            incident.over = Some(date);
        }
    }

    pub(super) fn is_ongoing(&self, source: IncidentSource) -> bool {
        self.ongoing(source).is_some()
    }

    /// The cause of the ongoing incident.
    pub(super) fn ongoing(&self, source: IncidentSource) -> Option<IncidentCause> {
        let ongoing = self.0.iter().find(|incident| incident.is_ongoing(source));
        ongoing.map(|incident| incident.cause)
    }

    pub(super) fn all(&self) -> Vec<Incident> {
        self.0.clone()
    }
}

/// Replaces ids of users, which Cloudflare may quote in a message: the identity policy may forbid to show them.
fn without_ids(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        // The check of the hyphen excludes the other forms that the parser accepts: in braces, with `urn:`, or without
        // hyphens.
        let id = rest
            .get(..36)
            .filter(|id| id.as_bytes().get(8) == Some(&b'-') && uuid::Uuid::try_parse(id).is_ok());
        let (text, length) =
            id.map_or((&rest[..first.len_utf8()], first.len_utf8()), |id| ("(id)", id.len()));
        kept.push_str(text);
        rest = &rest[length..];
    }
    kept
}

impl Incident {
    fn is_ongoing(&self, source: IncidentSource) -> bool {
        self.source == source && self.over.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: IncidentCause = IncidentCause::Request(Outcome::Timeout);

    fn date(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    #[test]
    fn repeated_failures_are_one_incident_which_another_cause_or_an_answer_ends() {
        let mut incidents = Incidents::default();
        incidents.end(Resource::Summary.into(), date(0));
        incidents.record(Resource::Summary.into(), TIMEOUT, "first", date(1));
        incidents.record(Resource::Behaviors.into(), TIMEOUT, "elsewhere", date(2));
        incidents.record(Resource::Summary.into(), TIMEOUT, "again", date(3));
        incidents.record(Resource::Summary.into(), IncidentCause::Partial, "incomplete", date(4));
        incidents.end(Resource::Summary.into(), date(5));
        incidents.record(Resource::Summary.into(), IncidentCause::Partial, "back", date(6));
        let found: Vec<_> = incidents
            .all()
            .into_iter()
            .map(|incident| {
                let span = (incident.first.seconds(), incident.last.seconds(), incident.times);
                (incident.message, span, incident.over)
            })
            .collect();
        let wanted = [
            ("again", (1.0, 3.0, 2), Some(date(4))),
            ("elsewhere", (2.0, 2.0, 1), None),
            ("incomplete", (4.0, 4.0, 1), Some(date(5))),
            ("back", (6.0, 6.0, 1), None),
        ];
        assert_eq!(found, wanted.map(|(message, span, over)| (message.to_owned(), span, over)));
    }

    #[test]
    fn ids_of_users_are_not_shown() {
        let id = "6c3d41f4-0141-4643-8fd2-2cf6cd6f9c39";
        for (message, wanted) in [
            (format!("no user {id}, {} nor {id}", id.to_uppercase()), "no user (id), (id) nor (id)"),
            (format!("Größe {id}"), "Größe (id)"),
            (
                "HTTP 403, 10000 no, CF-Ray 78dde6e4fd29f054-AMS".to_owned(),
                "HTTP 403, 10000 no, CF-Ray 78dde6e4fd29f054-AMS",
            ),
            (String::new(), ""),
        ] {
            assert_eq!(without_ids(&message), wanted);
        }
    }

    #[test]
    fn ongoing_incidents_are_kept_longer_than_those_that_are_over() {
        let mut incidents = Incidents::default();
        incidents.record(Resource::Behaviors.into(), TIMEOUT, "goes on", date(0));
        for second in 1..100 {
            incidents.record(Resource::Summary.into(), TIMEOUT, &second.to_string(), date(second));
            incidents.end(Resource::Summary.into(), date(second));
        }
        let kept: Vec<String> = incidents.all().into_iter().map(|incident| incident.message).collect();
        let latest = (91..100).map(|second| second.to_string());
        assert_eq!(kept, ["goes on".to_owned()].into_iter().chain(latest).collect::<Vec<_>>());
    }
}
