//! Reports that the list of users is overdue because no request may be sent.
//!
//! A budget that is used up for a while is normal. It is reported once the list should have been read an interval ago. The
//! report is an incident of the list, so that the next list ends it.

use tracing::field::display;

use super::incident_log::Line;
use super::{Parts, Poller};
use crate::clock::Instant;
use crate::cloudflare::Outcome;
use crate::cloudflare::limit::{Held, HeldReason};
use crate::collector::shared_failures::SharedCause;
use crate::metrics::telemetry::IncidentCause;
use crate::model::{AccountName, Resource};

const LIMITED: IncidentCause = IncidentCause::Request(Outcome::Limited);

impl Poller {
    /// When to report that no request may be sent, unless the list of users is read before. `None` if that was reported.
    pub(super) fn hold_report_due(&self) -> Option<Instant> {
        if self.incidents.get(&Resource::Summary).is_some_and(|log| log.is_ongoing_with(LIMITED)) {
            return None;
        }
        self.parts.account.list_overdue_at()
    }

    /// The list of users is overdue during a request. Reports it if the request waits for the budget. Returns when to look
    /// again.
    pub(super) fn look_for_hold(&mut self, now: Instant) -> Option<Instant> {
        match self.connection.budget.held() {
            Some(held) if self.connection.client.waits_for_budget() => {
                self.report_hold(held);
                None
            }
            _ => self.parts.account.interval(Resource::Summary).map(|interval| now + interval),
        }
    }

    /// The list of users is overdue, and no request may be sent.
    pub(super) fn report_hold(&mut self, Held { reason, until }: Held) {
        let Parts { account, clock, telemetry, .. } = &mut self.parts;
        account.list_missed();
        let (now, date) = (clock.now(), clock.date());
        let until = until.map(|until| date + until.since(now));
        let reason = match reason {
            HeldReason::Block => "cloudflare's rate limit is reached",
            HeldReason::BlockTest => {
                "cloudflare's rate limit was reached, and the request that tests whether that is over is not answered"
            }
            HeldReason::ServerLimit => "cloudflare's answers say that no request is left",
            HeldReason::Limit => {
                "the request budget is used up; all accounts with the same credential share it"
            }
        };
        let end = until.map_or_else(|| "before an answer".to_owned(), |until| format!("until {until}"));
        let AccountName { id, alias: account } = account.name();
        let resource = Resource::Summary;
        let message = format!("the list of users is overdue, and no request may be sent {end}: {reason}");
        telemetry.incident(id, resource, LIMITED, &message, date);
        let resource_name = resource.as_str();
        let (account, until) = (account.clone(), until.map(display));
        let cause = SharedCause { kind: LIMITED, text: Some(reason.to_owned()) };
        let line = self.log_failure(resource, LIMITED);
        match self.own_failure(line, resource, cause, &message) {
            Line::Failure => tracing::warn!(
                account,
                resource = resource_name,
                reason,
                until,
                "the list of users is overdue, because no request may be sent"
            ),
            Line::End | Line::Nothing => {
                tracing::debug!(
                    account,
                    resource = resource_name,
                    reason,
                    until,
                    "the list of users is overdue again"
                );
            }
        }
    }
}
