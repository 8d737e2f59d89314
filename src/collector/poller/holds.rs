//! Reports that the list of users is overdue because no request may be sent.
//!
//! A budget that is used up for a while is normal. It is reported once the list should have been read an interval ago. The
//! report is an incident of the list, so that the next list ends it.

use super::{Parts, Poller};
use crate::clock::Instant;
use crate::cloudflare::Outcome;
use crate::cloudflare::limit::{Held, HeldReason};
use crate::metrics::telemetry::IncidentCause;
use crate::model::{AccountName, Resource};

impl Poller {
    /// When to report that no request may be sent, unless the list of users is read before. `None` if that was reported.
    pub(super) fn hold_report_due(&self) -> Option<Instant> {
        if self.incidents.get(&Resource::Summary) == Some(&Outcome::Limited) {
            return None;
        }
        let account = &self.parts.account;
        // What was due before this poller began is not overdue at its first request.
        let first = self.begun + account.interval(Resource::Summary)?;
        account.list_overdue_at().map(|at| at.max(first))
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
        let date = clock.date();
        let until = date + until.since(clock.now());
        let reason = match reason {
            HeldReason::Block => "cloudflare's rate limit is reached",
            HeldReason::ServerLimit => "cloudflare's answers say that no request is left",
            HeldReason::Limit => {
                "the request budget is used up; all accounts with the same credential share it"
            }
        };
        let AccountName { id, alias: account } = account.name();
        let resource = Resource::Summary;
        let message =
            format!("the list of users is overdue, and no request may be sent until {until}: {reason}");
        telemetry.incident(id, resource, IncidentCause::Request(Outcome::Limited), &message, date);
        let resource_name = resource.as_str();
        tracing::warn!(
            account,
            resource = resource_name,
            reason,
            %until,
            "the list of users is overdue, because no request may be sent"
        );
        self.incidents.insert(resource, Outcome::Limited);
    }
}
