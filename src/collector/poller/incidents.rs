//! Logs failures, incomplete lists and longer intervals when they begin and end, and keeps them in the status document.

use std::time::Duration;

use super::incident_log::{CALM, Line};
use super::{Parts, Poller};
use crate::cloudflare::{Error, Outcome, without_ray};
use crate::collector::shared_failures::{SharedCause, Telling};
use crate::config::AccountOrigin;
use crate::metrics::telemetry::IncidentCause;
use crate::model::{AccountName, Completeness, Resource};

impl Poller {
    /// Logs the first failure of each kind, and the end of the failures.
    pub(super) fn report(&mut self, resource: Resource, failure: Option<&Error>) {
        let line = match failure {
            Some(error) => {
                let line = self.log_failure(resource, IncidentCause::Request(error.outcome()));
                self.own_failure(line, resource, cause_of(error), &error.to_string())
            }
            None => {
                let line = self.log_success(resource);
                self.own_end(line, resource)
            }
        };
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        let resource_name = resource.as_str();
        if let Some(error) = failure {
            let cause = IncidentCause::Request(error.outcome());
            telemetry.incident(id, resource, cause, &error.to_string(), clock.date());
        }
        match (line, failure) {
            (Line::Failure, Some(error)) => {
                tracing::warn!(account, resource = resource_name, %error, "the request failed");
            }
            (_, Some(error)) => {
                tracing::debug!(account, resource = resource_name, %error, "the request failed again");
            }
            (Line::End, None) => {
                tracing::info!(account, resource = resource_name, "requests succeed again");
            }
            (_, None) => {}
        }
    }

    /// Logs the first failure of each kind, and the end of the failures, which is when no user fails any more: the next
    /// user may well be read although this one cannot.
    pub(super) fn report_user(&mut self, request_failure: Option<&Error>) {
        let (failing_users, all_are_refused) =
            (self.parts.account.failing_users(), self.parts.account.users_are_refused());
        let failure = request_failure.map(|error| {
            let refusal = error.refusal_of_one_user().filter(|_| !all_are_refused);
            let refusal = refusal.map(|sentence| (IncidentCause::UserRefused, sentence));
            let absence = error.absence_of_one_user().map(|sentence| (IncidentCause::UserNotFound, sentence));
            let of_any_user = || (IncidentCause::Request(error.outcome()), error.to_string());
            refusal.or(absence).unwrap_or_else(of_any_user)
        });
        let line = match &failure {
            Some((cause, text)) => {
                let line = self.log_failure(Resource::User, *cause);
                match (cause, request_failure) {
                    (IncidentCause::Request(_), Some(error)) => {
                        self.own_failure(line, Resource::User, cause_of(error), text)
                    }
                    // Each such user is a case of its own.
                    _ => line,
                }
            }
            None if failing_users == 0 => {
                let line = self.log_success(Resource::User);
                self.own_end(line, Resource::User)
            }
            None => Line::Nothing,
        };
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        let resource = Resource::User.as_str();
        if let Some((cause, error)) = &failure {
            telemetry.incident(id, Resource::User, *cause, error, clock.date());
        }
        match (line, failure) {
            (Line::Failure, Some((_, error))) => {
                tracing::warn!(
                    account,
                    resource,
                    error,
                    "cannot read the events of a user; trying again later"
                );
            }
            (_, Some((_, error))) => {
                tracing::debug!(account, resource, failing_users, error, "cannot read the events of a user");
            }
            (Line::End, None) => {
                tracing::info!(account, resource, "the events of all users can be read again");
            }
            (_, None) => {}
        }
    }

    /// A request for `resource` failed. Returns whether that is logged.
    pub(super) fn log_failure(&mut self, resource: Resource, cause: IncidentCause) -> Line {
        let (now, calm) = (self.parts.clock.now(), self.calm(resource));
        self.incidents.entry(resource).or_default().failed(cause, now, calm)
    }

    /// `resource` was read, which ends its incident. Returns whether that is logged.
    fn log_success(&mut self, resource: Resource) -> Line {
        let (now, calm) = (self.parts.clock.now(), self.calm(resource));
        let Some(log) = self.incidents.get_mut(&resource) else { return Line::Nothing };
        if log.is_ongoing() {
            let Parts { account, clock, telemetry, .. } = &self.parts;
            telemetry.incident_over(&account.name().id, resource, clock.date());
        }
        log.succeeded(now, calm)
    }

    /// The line of a failure, unless other accounts fail for the same cause: one line sums them up.
    pub(super) fn own_failure(
        &self,
        line: Line,
        resource: Resource,
        cause: SharedCause,
        error: &str,
    ) -> Line {
        if line != Line::Failure {
            return line;
        }
        let Parts { account, clock, failures, .. } = &self.parts;
        match failures.failed(account.name(), resource, cause, error, clock.now()) {
            Telling::Own => Line::Failure,
            Telling::Summed => Line::Nothing,
        }
    }

    /// The same for the end of failures.
    fn own_end(&self, line: Line, resource: Resource) -> Line {
        if line != Line::End {
            return line;
        }
        let Parts { account, clock, failures, .. } = &self.parts;
        match failures.recovered(account.name(), resource, clock.now()) {
            Telling::Own => Line::End,
            Telling::Summed => Line::Nothing,
        }
    }

    /// How long `resource` must be read without a failure until the next one is another incident: at least three times.
    fn calm(&self, resource: Resource) -> Duration {
        self.parts.account.interval(resource).map_or(CALM, |interval| CALM.max(3 * interval))
    }

    /// Logs when the list of users becomes partial or complete. Called after [`Poller::report`], which takes a partial
    /// list for a success. The reason may be another one for each list, so it makes no line of its own.
    pub(super) fn report_completeness(&mut self, completeness: &Completeness) {
        let (now, calm) = (self.parts.clock.now(), self.calm(Resource::Summary));
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        let log = &mut self.incomplete_lists;
        match completeness {
            Completeness::Complete => {
                if log.is_ongoing() {
                    telemetry.incident_over(id, Resource::Summary, clock.date());
                }
                if log.succeeded(now, calm) == Line::End {
                    tracing::info!(account, "the list of users is complete again");
                }
            }
            Completeness::Partial(reason) | Completeness::Unfinished(reason) => {
                let sentence =
                    format!("the list of users is incomplete, so the last complete one stays: {reason}");
                telemetry.incident(id, Resource::Summary, IncidentCause::Partial, &sentence, clock.date());
                if log.failed(IncidentCause::Partial, now, calm) == Line::Failure {
                    tracing::warn!(
                        account,
                        reason,
                        "the list of users is incomplete, so the last complete one stays"
                    );
                } else {
                    tracing::debug!(account, reason, "the list of users is incomplete again");
                }
            }
        }
    }

    /// Publishes the effective intervals, and logs when the budget lengthens one.
    pub(super) fn report_intervals(&mut self) {
        let AccountName { id, alias } = self.parts.account.name();
        for resource in Resource::ALL {
            let Some(interval) = self.parts.account.interval(resource) else { continue };
            if self.intervals.insert(resource, interval) == Some(interval) {
                continue;
            }
            self.parts.telemetry.poll_interval(id, resource, interval);
            if self
                .parts
                .account
                .configured_interval(resource)
                .is_some_and(|configured| configured < interval)
            {
                let (resource, interval_seconds) = (resource.as_str(), interval.as_secs());
                let message = "read less often than configured, to stay within the budget";
                // Hundreds of found accounts may share a budget, and one line says that for all of them.
                match self.assignment.origin {
                    AccountOrigin::Configured => {
                        tracing::warn!(account = alias, resource, interval_seconds, "{message}");
                    }
                    AccountOrigin::Discovered => {
                        tracing::debug!(account = alias, resource, interval_seconds, "{message}");
                    }
                }
            }
        }
    }
}

/// What a failed request has in common with those of other accounts. What is wrong with the network or with Cloudflare has many
/// texts and one remedy: to wait.
fn cause_of(error: &Error) -> SharedCause {
    let outcome = error.outcome();
    let text = match outcome {
        Outcome::Unavailable | Outcome::Timeout | Outcome::Limited => None,
        _ => Some(without_ray(&error.to_string()).to_owned()),
    };
    SharedCause { kind: IncidentCause::Request(outcome), text }
}
