//! What the answers to requests for users' events change.

use std::time::Duration;

use super::dirty::Urgency;
use super::feed::{Beside, EventDetails};
use super::labels_due::{LONGEST_WAIT, Lookup};
use super::refusals::Scope;
use super::{Account, Unlabelled};
use crate::clock::{Instant, Timestamp};
use crate::collector::ledger::{AnswerDate, DetailRequest, FetchReason, IfUnfinished, Reading, Verdict};
use crate::collector::persist::Document;
use crate::collector::queue::{FIRST_BACKOFF, Pending, Reason};
use crate::collector::roster::LevelSince;
use crate::collector::schedule::{FailureClass, Purpose};
use crate::model::{Completeness, Resource, UserId, UserRisk};
use crate::store::row::Table;

/// The most users without an answer that are known at a time.
const MAX_FAILING_USERS: usize = 10_000;

/// A user who left the list this long ago, and cannot be read, was removed.
const GONE_FOR_GOOD: Duration = Duration::from_secs(7 * 86_400);

/// After so many failures in a row the delay is the longest, so they have lasted for at least eight hours.
const LASTING_FAILURES: u8 = 10;

/// The most names of behaviors that are looked up because an event had them. Cloudflare documents eight behaviors.
const MAX_LOOKUPS: usize = 256;

impl Account {
    /// A user's events were read.
    pub fn user_read(
        &mut self,
        request: &DetailRequest,
        risk: &UserRisk,
        now: Instant,
        local_date: Timestamp,
    ) {
        self.user_read_in_detail(request, risk, EventDetails::default(), now, local_date);
    }

    /// A user's events were read with their details.
    pub(crate) fn user_read_in_detail(
        &mut self,
        request: &DetailRequest,
        risk: &UserRisk,
        details: EventDetails,
        now: Instant,
        local_date: Timestamp,
    ) {
        self.tell_at(local_date);
        let mut request = self.with_known_user(request);
        if self.has_left_for_good(&request) {
            request.if_unfinished = IfUnfinished::GiveUp;
        }
        let request = &request;
        self.spent(request, risk.pages, now);
        self.user_answered(request);
        self.reject(Resource::User, u64::from(risk.rejected));
        self.add_unexpected(Resource::User, &risk.odd);
        if risk.completeness == Completeness::Complete {
            self.last_success.insert(Resource::User, local_date);
        }
        let date = self.clocks.date_of(risk.date, local_date);
        let answered = AnswerDate { date, latest: risk.date.unwrap_or(local_date).max(local_date) };
        let names = self.ledger.unknown_behaviors(request, risk, answered);
        let room = MAX_LOOKUPS.saturating_sub(self.looked_up.len());
        if names.len() <= room && names.iter().any(|name| !self.looked_up.contains(name)) {
            match self.labels.lookup() {
                Lookup::Due => {
                    let (request, risk) = (*request, risk.clone());
                    self.unlabelled = Some(Unlabelled { names, request, risk, details, answered });
                    return;
                }
                Lookup::Later => return self.wait_for_behaviors(request, now),
                Lookup::GivenUp => {}
            }
        }
        let reading = self.ledger.reconcile(request, risk, answered);
        let beside = Beside { identity: risk.identity.as_ref(), details: Some(&details) };
        self.apply_reading(request, reading, beside, now);
    }

    /// The behaviors were read, or are denied: counts the events that waited for them.
    pub(super) fn count_unlabelled(&mut self, now: Instant) {
        if let Some(Unlabelled { names, request, risk, details, answered }) = self.unlabelled.take() {
            self.looked_up.extend(names);
            let reading = self.ledger.reconcile(&request, &risk, answered);
            let beside = Beside { identity: risk.identity.as_ref(), details: Some(&details) };
            self.apply_reading(&request, reading, beside, now);
        }
    }

    /// Cloudflare does not know the user. If the user left the list, that was a removal; if the user is listed, a
    /// later request may find it. It says nothing of other users: a request that is refused may be answered like this.
    pub fn user_not_found(&mut self, request: &DetailRequest, now: Instant) {
        let request = &self.with_known_user(request);
        self.spent(request, 1, now);
        self.schedule.accepted();
        self.fails(request.user.id);
        self.pause_tests(now);
        if request.reason == FetchReason::Gone {
            self.give_up(request, now);
        } else {
            self.back_off(request, now);
        }
    }

    /// A user's events could not be read. An audited user gets another turn in the next round.
    pub fn user_failed(&mut self, request: &DetailRequest, failure: FailureClass, now: Instant) {
        let request = &self.with_known_user(request);
        self.spent(request, 1, now);
        let id = request.user.id;
        self.fails(id);
        let is_refused = matches!(failure, FailureClass::Refused | FailureClass::Denied);
        let scope = if is_refused { self.refusals.refused(id) } else { self.refusals.scope() };
        self.pause_tests(now);
        if is_refused && scope == Scope::AllUsers {
            // The next test is another user, and this one waits no longer for it.
            self.queue.postpone(id, now + FIRST_BACKOFF);
            self.audit.read(id, now);
            self.mark_pending(id);
        } else if self.is_gone_for_good(request, failure) {
            self.give_up(request, now);
        } else {
            self.back_off(request, now);
        }
    }

    /// The user's events could not be read, whatever the reason.
    fn fails(&mut self, id: UserId) {
        if self.failing_users.len() < MAX_FAILING_USERS {
            self.failing_users.insert(id);
        }
        self.refusals.failed(id);
    }

    /// If all users are refused, the next test comes after a pause, however this one failed.
    fn pause_tests(&mut self, now: Instant) {
        if self.refusals.scope() == Scope::AllUsers {
            self.schedule.users_denied(now);
        }
    }

    /// Whether a user who left the list, and cannot be read, will not be read any more. A refusal of this user alone says so
    /// after a while. A failure of another kind says so only if another user was read meanwhile.
    fn is_gone_for_good(&self, request: &DetailRequest, failure: FailureClass) -> bool {
        let gone = self.roster.gone_since(request.user.id);
        let read = self.last_success.get(&Resource::User).copied();
        let others_are_read = read.is_some_and(|read| gone.is_some_and(|gone| read > gone));
        self.has_left_for_good(request)
            && (others_are_read || matches!(failure, FailureClass::Refused | FailureClass::Denied))
    }

    /// Whether the user left the list long ago, and could not be read since, or not to the end of the events.
    fn has_left_for_good(&self, request: &DetailRequest) -> bool {
        let id = request.user.id;
        let Some(gone) = self.roster.gone_since(id).filter(|_| request.reason == FetchReason::Gone) else {
            return false;
        };
        let failures = self.queue.get(id).map_or(0, |pending| pending.failures);
        failures >= LASTING_FAILURES && self.clocks.earlier().is_some_and(|date| gone + GONE_FOR_GOOD <= date)
    }

    /// Takes a user who cannot be read for one who was removed.
    fn give_up(&mut self, request: &DetailRequest, now: Instant) {
        let id = request.user.id;
        self.failing_users.remove(&id);
        self.refusals.forget(&[id]);
        let reading = self.ledger.reconcile_not_found(request);
        self.apply_reading(request, reading, Beside::default(), now);
    }

    /// Whether all users are refused: several in a row, and no other one that was read before is left to test that.
    pub fn users_are_refused(&self) -> bool {
        self.only_tests_users() && self.readable_user().is_none()
    }

    /// The request with what is known of the user now: the list of users may have been read during the request.
    fn with_known_user(&self, request: &DetailRequest) -> DetailRequest {
        let mut request = *request;
        if let Some(user) = self.roster.get(request.user.id) {
            request.user = *user;
        }
        request
    }

    /// Cloudflare answered a request for a user's events.
    fn user_answered(&mut self, request: &DetailRequest) {
        self.refusals.answered(request.user.id);
        self.failing_users.remove(&request.user.id);
        self.schedule.users_accepted();
    }

    fn apply_reading(&mut self, request: &DetailRequest, reading: Reading, beside: Beside<'_>, now: Instant) {
        let (verdict, user) = (reading.verdict, reading.user);
        let urgency = if request.reason != FetchReason::Audit || reading.counts() {
            Some(Urgency::Soon)
        } else if reading.changes_record() || self.roster.get(user.id) != Some(&user) {
            Some(Urgency::CanWait)
        } else {
            None
        };
        let facts = self.outbox().map(|_| reading.facts());
        self.ledger.apply(reading);
        if let Some(facts) = facts {
            self.tell_reading(user.id, facts, beside);
        }
        self.roster.replace(user);
        self.audit.read(user.id, now);
        if let Some(urgency) = urgency {
            for table in [Table::Users, Table::Records, Table::Pending] {
                self.unsaved.mark_user(table, user.id, urgency);
            }
            self.unsaved.mark(Document::Totals, urgency);
        }
        self.unsaved.mark(Document::CollectorState, Urgency::CanWait);
        match verdict {
            Verdict::Short(attempts, retry) => self.queue.short(user.id, attempts, retry, now),
            Verdict::Unfinished(attempts) => self.queue.unfinished(user.id, attempts, now),
            Verdict::Done if request.reason == FetchReason::Audit => {}
            Verdict::Done => self.leave_queue(request, user.level_since()),
        }
    }

    /// The user's events were read. A later list shows what changed during the request, unless the user left it: the last
    /// events before that are still to be read.
    fn leave_queue(&mut self, request: &DetailRequest, level: LevelSince) {
        let id = request.user.id;
        let Some(Pending { reason, latest, since, .. }) = self.queue.remove(id) else { return };
        if reason == Reason::Gone && request.reason == FetchReason::Changed {
            self.queue.gone(id, latest, level, since);
        }
    }

    /// The user is read again once the behaviors are read or given up. A later process does not know that it waits for them.
    pub(super) fn wait_for_behaviors(&mut self, request: &DetailRequest, now: Instant) {
        let id = request.user.id;
        self.labels.wait(id);
        self.queue.postpone(id, now + 2 * LONGEST_WAIT);
        self.audit.read(id, now);
        self.mark_pending(id);
    }

    /// The user is read again later.
    fn back_off(&mut self, request: &DetailRequest, now: Instant) {
        let id = request.user.id;
        self.queue.failed(id, now);
        self.audit.read(id, now);
        self.mark_pending(id);
    }

    /// The user's place in the queue changed, if the user has one. Audited users have none.
    fn mark_pending(&mut self, id: UserId) {
        if self.queue.get(id).is_some() {
            self.unsaved.user(Table::Pending, id);
        }
    }

    fn spent(&mut self, request: &DetailRequest, pages: u32, now: Instant) {
        // While all users are refused, every request is a test, which changes wait for.
        let is_audit = request.reason == FetchReason::Audit && self.refusals.scope() == Scope::OneUser;
        let purpose = if is_audit { Purpose::Audit } else { Purpose::Change };
        self.schedule.spent(purpose, pages, now);
    }
}
