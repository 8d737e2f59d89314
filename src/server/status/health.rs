//! Whether the data of an account is right, and what is in the way. This says nothing about the risk.

use crate::clock::Timestamp;
use crate::cloudflare::Outcome;
use crate::metrics::telemetry::{Incident, IncidentCause, IncidentSource};
use crate::model::Resource;

/// The state of an account's data, with the cause and the beginning of the worst incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) state: State,
    /// `None` if nothing is in the way, or if no incident says what it is.
    pub(super) cause: Option<Cause>,
    pub(super) since: Option<Timestamp>,
}

/// How right the data is, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// Everything is as recent as it should be.
    UpToDate,
    /// Nothing was tried yet.
    Waiting,
    /// The list of users is as recent as it should be, and something else is not.
    Degraded,
    /// The list of users could not be read.
    Failing,
}

/// What is in the way, by what a person does about it. The earlier ones are the worse ones: they do not end by
/// themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Token,
    CredentialFile,
    Permission,
    Plan,
    Account,
    RateLimit,
    Network,
    Answer,
    User,
    BaselineFile,
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::Waiting => "waiting",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

impl Cause {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::CredentialFile => "credential_file",
            Self::Permission => "permission",
            Self::Plan => "plan",
            Self::Account => "account",
            Self::RateLimit => "rate_limit",
            Self::Network => "network",
            Self::Answer => "answer",
            Self::User => "user",
            Self::BaselineFile => "baseline_file",
        }
    }
}

impl From<IncidentCause> for Cause {
    fn from(cause: IncidentCause) -> Self {
        match cause {
            IncidentCause::CredentialFile => Self::CredentialFile,
            IncidentCause::BaselineFile => Self::BaselineFile,
            IncidentCause::UserRefused | IncidentCause::UserNotFound => Self::User,
            IncidentCause::Partial | IncidentCause::UnexpectedFields => Self::Answer,
            IncidentCause::Request(outcome) => match outcome {
                Outcome::Credentials | Outcome::Refused => Self::Token,
                Outcome::Forbidden => Self::Permission,
                Outcome::NotEntitled => Self::Plan,
                Outcome::NotFound => Self::Account,
                Outcome::Limited => Self::RateLimit,
                Outcome::Unavailable | Outcome::Timeout => Self::Network,
                Outcome::Ok | Outcome::Shape | Outcome::Invalid => Self::Answer,
            },
        }
    }
}

impl Health {
    /// `up` is [`crate::model::Snapshot::up`].
    pub(super) fn new(up: Option<bool>, incidents: &[Incident]) -> Self {
        // While the list of users cannot be read, what keeps it from being read comes first.
        let is_elsewhere = |incident: &Incident| {
            up != Some(true) && incident.source != IncidentSource::Resource(Resource::Summary)
        };
        let worst = incidents
            .iter()
            .filter(|incident| incident.over.is_none())
            .min_by_key(|incident| (is_elsewhere(incident), Cause::from(incident.cause), incident.first));
        let state = match (up, worst) {
            (Some(false), _) => State::Failing,
            (_, Some(_)) => State::Degraded,
            (None, None) => State::Waiting,
            (Some(true), None) => State::UpToDate,
        };
        Self {
            state,
            cause: worst.map(|incident| incident.cause.into()),
            since: worst.map(|incident| incident.first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITED: IncidentCause = IncidentCause::Request(Outcome::Limited);
    const FORBIDDEN: IncidentCause = IncidentCause::Request(Outcome::Forbidden);
    const REFUSED: IncidentCause = IncidentCause::Request(Outcome::Refused);

    fn incident(source: impl Into<IncidentSource>, cause: IncidentCause, first: i64) -> Incident {
        let first = Timestamp::from_seconds(first);
        Incident {
            source: source.into(),
            cause,
            first,
            last: first,
            times: 1,
            over: None,
            message: String::new(),
        }
    }

    fn over(incident: Incident) -> Incident {
        Incident { over: Some(incident.first), ..incident }
    }

    #[test]
    fn the_worst_state_wins_and_its_cause_is_named() {
        let summary = |cause, first| incident(Resource::Summary, cause, first);
        let behaviors = |cause, first| incident(Resource::Behaviors, cause, first);
        let cases = [
            ("nothing tried", None, vec![], State::Waiting, None),
            ("all is well", Some(true), vec![], State::UpToDate, None),
            ("all is well again", Some(true), vec![over(summary(LIMITED, 1))], State::UpToDate, None),
            (
                "behaviors fail",
                Some(true),
                vec![behaviors(FORBIDDEN, 1)],
                State::Degraded,
                Some((Cause::Permission, 1)),
            ),
            (
                "users fail",
                Some(false),
                vec![summary(LIMITED, 1)],
                State::Failing,
                Some((Cause::RateLimit, 1)),
            ),
            (
                "the cause is that of the users, even if another one is worse",
                Some(false),
                vec![behaviors(REFUSED, 1), summary(LIMITED, 2)],
                State::Failing,
                Some((Cause::RateLimit, 2)),
            ),
            (
                "of two other resources the worse cause counts",
                Some(true),
                vec![incident(Resource::Integrations, LIMITED, 1), behaviors(REFUSED, 2)],
                State::Degraded,
                Some((Cause::Token, 2)),
            ),
            (
                "of two equal causes the longer one counts",
                Some(true),
                vec![incident(Resource::Integrations, REFUSED, 2), behaviors(REFUSED, 1)],
                State::Degraded,
                Some((Cause::Token, 1)),
            ),
            ("the poller hangs", Some(false), vec![], State::Failing, None),
            (
                "the file fails before the first attempt",
                None,
                vec![incident(IncidentSource::CredentialFile, IncidentCause::CredentialFile, 3)],
                State::Degraded,
                Some((Cause::CredentialFile, 3)),
            ),
            (
                "a baseline cannot be used",
                Some(true),
                vec![incident(IncidentSource::BaselineFile, IncidentCause::BaselineFile, 4)],
                State::Degraded,
                Some((Cause::BaselineFile, 4)),
            ),
            (
                "fields are not those of the list",
                Some(false),
                vec![
                    incident(IncidentSource::Fields(Resource::Summary), IncidentCause::UnexpectedFields, 1),
                    summary(IncidentCause::Request(Outcome::Timeout), 2),
                ],
                State::Failing,
                Some((Cause::Network, 2)),
            ),
        ];
        for (what, up, incidents, state, cause) in cases {
            let found = Health::new(up, &incidents);
            let (cause, since) = cause.unzip();
            let since = since.map(Timestamp::from_seconds);
            assert_eq!(found, Health { state, cause, since }, "{what}");
        }
    }

    #[test]
    fn causes_that_need_different_acts_are_different() {
        for (cause, wanted) in [
            (IncidentCause::Request(Outcome::Credentials), "token"),
            (REFUSED, "token"),
            (IncidentCause::CredentialFile, "credential_file"),
            (IncidentCause::BaselineFile, "baseline_file"),
            (FORBIDDEN, "permission"),
            (IncidentCause::Request(Outcome::NotEntitled), "plan"),
            (IncidentCause::Request(Outcome::NotFound), "account"),
            (LIMITED, "rate_limit"),
            (IncidentCause::Request(Outcome::Unavailable), "network"),
            (IncidentCause::Request(Outcome::Timeout), "network"),
            (IncidentCause::Request(Outcome::Shape), "answer"),
            (IncidentCause::Partial, "answer"),
            (IncidentCause::UnexpectedFields, "answer"),
            (IncidentCause::UserRefused, "user"),
            (IncidentCause::UserNotFound, "user"),
        ] {
            assert_eq!(Cause::from(cause).as_str(), wanted, "{cause:?}");
            let page = include_str!("../assets/health.js");
            assert!(page.contains(&format!("\n  {wanted}: \"")), "the page has no words for {wanted}");
        }
    }
}
