//! One request for each resource, and what its answer changes.

use tokio::task::block_in_place;

use super::{Notice, Parts, Poller};
use crate::clock::{Instant, Timestamp};
use crate::cloudflare::{Credentials, Error, Kind, Limiter};
use crate::collector::account::Account;
use crate::collector::account::feed::EventDetails;
use crate::collector::ledger::{DetailRequest, FetchReason};
use crate::collector::schedule::FailureClass;
use crate::config::AccountOrigin;
use crate::feed::record::Details;
use crate::model::{AccountName, Completeness, Resource};

impl Poller {
    /// Reads a resource that is due.
    pub(super) async fn poll(&mut self, resource: Resource) {
        match resource {
            Resource::Summary => self.read_summary().await,
            Resource::Behaviors => {
                let client = self.connection.client.clone();
                let Some(mut answer) = self.answer(client.behaviors()).await else { return };
                if let Ok(found) = &mut answer {
                    self.parts.account.correct_behaviors(found, self.parts.clock.now());
                }
                let odd = answer.as_ref().ok().map(|found| found.odd.clone());
                self.apply(resource, answer, Account::behaviors_read);
                self.report_list(resource, odd.as_ref(), &Completeness::Complete);
            }
            Resource::Integrations => {
                let client = self.connection.client.clone();
                let Some(answer) = self.answer(client.integrations()).await else { return };
                let odd = answer.as_ref().ok().map(|found| found.odd.clone());
                self.apply(resource, answer, Account::integrations_read);
                self.report_list(resource, odd.as_ref(), &Completeness::Complete);
            }
            Resource::TokenVerify => self.verify_token().await,
            Resource::User | Resource::Accounts => {
                unreachable!("{} is not read periodically", resource.as_str())
            }
        }
    }

    pub(super) async fn read_summary(&mut self) {
        let client = self.connection.client.clone();
        let Some(mut answer) = self.answer(client.summary()).await else { return };
        let _turn = self.parts.turns.take().await;
        if let Ok(summary) = &mut answer {
            let Parts { account, clock, .. } = &mut self.parts;
            block_in_place(|| account.correct_list(summary, clock.now(), clock.date()));
        }
        let found = answer.as_ref().ok().map(|summary| (summary.completeness.clone(), summary.odd.clone()));
        let before = answer.as_ref().ok().and_then(|summary| self.parts.account.users_before_empty(summary));
        if let Some(before) = before {
            let account = &self.parts.account.name().alias;
            tracing::warn!(
                account,
                before,
                "no users are listed any more; were all reset, or is a permission missing?"
            );
        }
        let skipped = self.parts.account.departures_skipped();
        self.apply(Resource::Summary, answer, |account, summary, now, local_date| {
            block_in_place(|| account.summary_read(&summary, now, local_date));
        });
        let account = &self.parts.account;
        let (skipped, account) = (account.departures_skipped() - skipped, &account.name().alias);
        if skipped > 0 {
            tracing::warn!(account, skipped, "too many users left the list to read each of them once more");
        }
        if let Some((completeness, odd)) = found {
            self.report_list(Resource::Summary, Some(&odd), &completeness);
            self.report_completeness(&completeness);
        }
        self.report_intervals();
    }

    async fn verify_token(&mut self) {
        let AccountName { id, alias } = self.parts.account.name().clone();
        let Credentials::Token(_) = self.connection.credential else {
            self.parts.telemetry.token_expiry(&id, None);
            self.parts.account.read(Resource::TokenVerify, self.parts.clock.now());
            return;
        };
        let client = self.connection.client.clone();
        let Some(answer) = self.answer(client.verify_token()).await else { return };
        match answer {
            Ok(status) => {
                self.parts.telemetry.token_expiry(&id, status.expires);
                self.parts.account.read(Resource::TokenVerify, self.parts.clock.now());
            }
            Err(error) => {
                // Account-owned tokens are verified elsewhere. Nothing depends on the answer.
                tracing::debug!(account = alias, %error, "the token's expiry is unknown");
                let now = self.parts.clock.now();
                self.parts.account.failed(Resource::TokenVerify, FailureClass::Transient, now);
            }
        }
    }

    /// Reads one user's events.
    pub(super) async fn read_user(&mut self, request: &DetailRequest) {
        let client = self.connection.client.clone();
        let (id, count) = (request.user.id, request.fingerprint.count);
        let wanted = self.assignment.feed.as_ref().map(|feed| feed.details);
        let reading = async {
            match wanted {
                Some(Details::Kept) => {
                    client.user_in_detail_expecting(id, count).await.map(EventDetails::split)
                }
                Some(Details::Dropped) | None => {
                    client.user_expecting(id, count).await.map(|risk| (risk, EventDetails::default()))
                }
            }
        };
        let Some(answer) = self.answer_beside_list(reading).await else { return };
        let _turn = self.parts.turns.take().await;
        let (answer, details) = match answer {
            Ok((risk, details)) => (Ok(risk), details),
            Err(error) => (Err(error), EventDetails::default()),
        };
        let Parts { account, clock, .. } = &mut self.parts;
        let now = clock.now();
        match &answer {
            // A list may have thousands of events.
            Ok(risk) => block_in_place(|| {
                account.user_read_in_detail(request, risk, details, now, clock.date());
            }),
            Err(error) => match error.kind() {
                Kind::NotFound => account.user_not_found(request, now),
                // The user keeps its place in the queue until the budget allows requests again.
                Kind::Limited(_) => self.held_until = held_until(error, now),
                // Cloudflare refused this one user; the others are not affected.
                Kind::Invalid => account.user_failed(request, FailureClass::Transient, now),
                _ => account.user_failed(request, failure_class(error), now),
            },
        }
        self.report_events(request, &answer);
        let is_incident = |error: &Error| match error.kind() {
            // A user who left the list was removed.
            Kind::NotFound => request.reason != FetchReason::Gone,
            kind => kind != Kind::Limited(Limiter::Budget),
        };
        let incident = answer.err().filter(is_incident);
        self.report_user(incident.as_ref());
    }

    /// Applies the answer of a periodic request, or its failure.
    fn apply<T>(
        &mut self,
        resource: Resource,
        answer: Result<T, Error>,
        read: impl FnOnce(&mut Account, T, Instant, Timestamp),
    ) {
        let Parts { account, clock, .. } = &mut self.parts;
        let (now, date) = (clock.now(), clock.date());
        match answer {
            Ok(answer) => {
                read(account, answer, now, date);
                self.report(resource, None);
            }
            // The budget held the request back, so this says nothing about the resource.
            Err(error) if error.kind() == Kind::Limited(Limiter::Budget) => {
                self.held_until = held_until(&error, now);
            }
            Err(error) => {
                account.failed(resource, failure_class(&error), now);
                self.report(resource, Some(&error));
                let is_found = self.assignment.origin == AccountOrigin::Discovered;
                if is_found && resource == Resource::Summary && error.kind() == Kind::NotEntitled {
                    let id = self.parts.account.name().id.clone();
                    let _ = self.notices.try_send(Notice::NotEntitled(id));
                }
            }
        }
    }
}

/// Until when the budget holds requests back.
fn held_until(error: &Error, now: Instant) -> Option<Instant> {
    error.retry_after().map(|wait| now + wait)
}

/// What the error means for the next request.
fn failure_class(error: &Error) -> FailureClass {
    match error.kind() {
        Kind::Credentials | Kind::Refused => FailureClass::Refused,
        Kind::Forbidden(_) | Kind::NotEntitled | Kind::NotFound | Kind::Invalid => FailureClass::Denied,
        Kind::Limited(Limiter::Cloudflare | Limiter::Budget) | Kind::Unavailable | Kind::Timeout => {
            FailureClass::Transient
        }
        Kind::Shape => FailureClass::Unusable,
    }
}
