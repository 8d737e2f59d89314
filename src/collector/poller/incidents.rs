//! Logs failures, incomplete lists and longer intervals when they begin and end, and keeps them in the status document.

use super::{Parts, Poller};
use crate::cloudflare::Error;
use crate::metrics::telemetry::IncidentCause;
use crate::model::{AccountName, Completeness, Resource};

impl Poller {
    /// Logs the first failure of each kind, and the end of the failures.
    pub(super) fn report(&mut self, resource: Resource, failure: Option<&Error>) {
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        let resource_name = resource.as_str();
        if let Some(error) = failure {
            let cause = IncidentCause::Request(error.outcome());
            telemetry.incident(id, resource, cause, &error.to_string(), clock.date());
        }
        match failure {
            Some(error) if self.incidents.get(&resource) == Some(&error.outcome()) => {
                tracing::debug!(account, resource = resource_name, %error, "the request failed again");
            }
            Some(error) => {
                tracing::warn!(account, resource = resource_name, %error, "the request failed");
                self.incidents.insert(resource, error.outcome());
            }
            None if self.incidents.remove(&resource).is_some() => {
                telemetry.incident_over(id, resource, clock.date());
                tracing::info!(account, resource = resource_name, "requests succeed again");
            }
            None => {}
        }
    }

    /// Logs the first failure of each kind, and the end of the failures, which is when no user fails any more: the next
    /// user may well be read although this one cannot.
    pub(super) fn report_user(&mut self, failure: Option<&Error>) {
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let (failing_users, all_are_refused) = (account.failing_users(), account.users_are_refused());
        let AccountName { id, alias: account } = account.name();
        let resource = Resource::User.as_str();
        match failure {
            Some(error) => {
                let of_one_user = if all_are_refused { None } else { error.refusal_of_one_user() };
                let (cause, error) = match of_one_user {
                    Some(sentence) => (IncidentCause::UserRefused, sentence),
                    None => (IncidentCause::Request(error.outcome()), error.to_string()),
                };
                telemetry.incident(id, Resource::User, cause, &error, clock.date());
                if self.user_incidents.insert(cause) {
                    tracing::warn!(
                        account,
                        resource,
                        error,
                        "cannot read the events of a user; trying again later"
                    );
                } else {
                    tracing::debug!(
                        account,
                        resource,
                        failing_users,
                        error,
                        "cannot read the events of a user"
                    );
                }
            }
            None if failing_users == 0 && !self.user_incidents.is_empty() => {
                self.user_incidents.clear();
                telemetry.incident_over(id, Resource::User, clock.date());
                tracing::info!(account, resource, "the events of all users can be read again");
            }
            None => {}
        }
    }

    /// Logs when the list of users becomes partial or complete. Called after [`Poller::report`], which takes a partial
    /// list for a success.
    pub(super) fn report_completeness(&mut self, completeness: Completeness) {
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        if let Completeness::Partial(reason) | Completeness::Unfinished(reason) = &completeness {
            let sentence =
                format!("the list of users is incomplete, so the last complete one stays: {reason}");
            telemetry.incident(id, Resource::Summary, IncidentCause::Partial, &sentence, clock.date());
        }
        if self.completeness == completeness {
            return;
        }
        match &completeness {
            Completeness::Complete => {
                telemetry.incident_over(id, Resource::Summary, clock.date());
                tracing::info!(account, "the list of users is complete again");
            }
            Completeness::Partial(reason) | Completeness::Unfinished(reason) => {
                tracing::warn!(
                    account,
                    reason,
                    "the list of users is incomplete, so the last complete one stays"
                );
            }
        }
        self.completeness = completeness;
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
                tracing::warn!(
                    account = alias,
                    resource,
                    interval_seconds,
                    "read less often than configured, to stay within the budget"
                );
            }
        }
    }
}
