//! Logs unexpected fields and incomplete lists of events, and keeps them in the status document.

use super::Poller;
use super::incident_log::Line;
use crate::cloudflare::{Error, Kind};
use crate::collector::field_watch::{Changes, EventLists, Listing};
use crate::collector::ledger::{DetailRequest, FetchReason};
use crate::metrics::telemetry::{IncidentCause, IncidentSource};
use crate::model::{AccountName, Completeness, OddFields, Resource, UserRisk};

impl Poller {
    /// Reports the unexpected fields of a list, if it was read.
    pub(super) fn report_list(
        &mut self,
        resource: Resource,
        odd: Option<&OddFields>,
        completeness: &Completeness,
    ) {
        if let Some(odd) = odd {
            let changes = self.field_watch.list_read(resource, odd, completeness);
            self.report_fields(resource, odd, &changes);
        }
    }

    /// Reports what is unexpected in a user's events.
    pub(super) fn report_events(&mut self, request: &DetailRequest, answer: &Result<UserRisk, Error>) {
        let user = request.user.id;
        let is_gone = request.reason == FetchReason::Gone;
        match answer {
            Ok(risk) => {
                let listing = if is_gone { Listing::Departed } else { Listing::Listed };
                let changes = self.field_watch.user_read(user, listing, risk);
                self.report_event_lists(changes.events, risk);
                self.report_fields(Resource::User, &risk.odd, &changes);
            }
            Err(error) if is_gone && error.kind() == Kind::NotFound => {
                let changes = self.field_watch.user_removed(user);
                self.report_fields(Resource::User, &OddFields::default(), &changes);
            }
            Err(_) => {}
        }
    }

    fn report_fields(&mut self, resource: Resource, odd: &OddFields, changes: &Changes) {
        let (begun, over) = self.field_log.fields(resource, changes, self.parts.clock.now());
        let parts = &self.parts;
        let AccountName { id, alias: account } = parts.account.name();
        let date = parts.clock.date();
        let source = IncidentSource::Fields(resource);
        if !odd.is_empty() {
            let message = format!("fields do not have their documented form: {odd}");
            parts.telemetry.incident(id, source, IncidentCause::UnexpectedFields, &message, date);
        }
        for field in begun {
            let (name, problem) = (field.field, field.to_string());
            tracing::warn!(
                account,
                resource = resource.as_str(),
                field = name,
                problem,
                "a field does not have its documented form"
            );
        }
        for level in &changes.levels {
            let level = level.as_str();
            tracing::warn!(
                account,
                resource = resource.as_str(),
                level,
                "Cloudflare uses a risk level that is not documented; it ranks above all others and is shown as unknown"
            );
        }
        for field in over {
            tracing::info!(
                account,
                resource = resource.as_str(),
                field,
                "the field has its documented form again"
            );
        }
        if !self.field_watch.is_ongoing(resource) {
            parts.telemetry.incident_over(id, source, date);
        }
    }

    fn report_event_lists(&mut self, change: EventLists, risk: &UserRisk) {
        let line = self.field_log.event_lists(change, self.parts.clock.now());
        let (parts, resource) = (&self.parts, Resource::User.as_str());
        let AccountName { id, alias: account } = parts.account.name();
        let date = parts.clock.date();
        if let Completeness::Partial(reason) | Completeness::Unfinished(reason) = &risk.completeness {
            let message = format!("the list of a user's events is incomplete: {reason}");
            parts.telemetry.incident(id, Resource::User, IncidentCause::Partial, &message, date);
            if line == Line::Failure {
                tracing::warn!(account, resource, reason, "the list of a user's events is incomplete");
            }
        } else if change == EventLists::CompleteAgain {
            parts.telemetry.incident_over(id, Resource::User, date);
        }
        if line == Line::End {
            tracing::info!(account, resource, "the lists of users' events are complete again");
        }
    }
}
