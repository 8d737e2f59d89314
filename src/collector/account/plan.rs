//! Which request comes next.

use super::refusals::Scope;
use super::{Account, Fetch, Hold, Reachability, Step, Turn};
use crate::clock::Instant;
use crate::cloudflare::limit::Admission;
use crate::collector::ledger::DetailRequest;
use crate::collector::schedule::Purpose;
use crate::model::{Resource, UserId};

impl Account {
    /// When `up` becomes 0 unless the summary is read before. `None` if it is not 1.
    pub fn list_deadline(&self, hold: Hold) -> Option<Instant> {
        let due = self.schedule.due_at(Resource::Summary).filter(|_| self.up == Some(true))?;
        match hold {
            Hold::Blocked => Some(due),
            Hold::Other => self.list_overdue_at(),
        }
    }

    /// When the summary is overdue unless it is read before: an interval after it is due.
    pub fn list_overdue_at(&self) -> Option<Instant> {
        let due = self.schedule.due_at(Resource::Summary)?;
        self.interval(Resource::Summary).map(|interval| due + interval)
    }

    /// When the summary is to be read although the events of a user are still being read: half an interval after it is due.
    pub fn list_urgent_at(&self) -> Option<Instant> {
        let due = self.schedule.due_at(Resource::Summary)?;
        self.interval(Resource::Summary).map(|interval| due + interval / 2)
    }

    /// What to do next.
    pub fn plan(&mut self, now: Instant) -> Step {
        if self.unlabelled.is_some() {
            return Step::Fetch(Fetch::Resource(Resource::Behaviors));
        }
        if self.turn == Turn::Resource
            && let Some(resource) = self.schedule.due(now)
        {
            self.turn = Turn::User;
            return Step::Fetch(Fetch::Resource(resource));
        }
        self.turn = Turn::Resource;
        if let Some(request) = self.next_user(now) {
            return Step::Fetch(Fetch::User(request));
        }
        if let Some(resource) = self.schedule.due(now) {
            self.turn = Turn::User;
            return Step::Fetch(Fetch::Resource(resource));
        }
        Step::Wait(self.next_due(now))
    }

    /// Whether users' events may be read and counted.
    fn is_counting(&self) -> bool {
        self.ledger.epoch().is_some()
            && self.labels.are_settled()
            && self.reachability == Reachability::Answered
    }

    /// The user whose events are to be read now.
    fn next_user(&mut self, now: Instant) -> Option<DetailRequest> {
        if !self.is_counting() {
            return None;
        }
        let admission = |purpose| self.schedule.user_admission(purpose, now);
        let (change, audit) = (admission(Purpose::Change), admission(Purpose::Audit));
        if self.only_tests_users() {
            return if change == Admission::Now { self.next_test(now) } else { None };
        }
        let pending = if change == Admission::Now { self.queue.next(now) } else { None };
        let pending = pending.and_then(|id| self.read_pending(id, now));
        pending.or_else(|| if audit == Admission::Now { self.next_audited(now) } else { None })
    }

    /// Whether several users in a row were refused, so that requests for users' events only test whether that is over.
    pub fn only_tests_users(&self) -> bool {
        self.refusals.scope() == Scope::AllUsers
    }

    /// When the next request is due, if none is due now.
    fn next_due(&self, now: Instant) -> Instant {
        let next_poll = self.schedule.next_due();
        if !self.is_counting() {
            return next_poll;
        }
        let change = self.schedule.user_admission(Purpose::Change, now);
        let audit = self.schedule.user_admission(Purpose::Audit, now);
        let starts = |turn, due: Option<Instant>| match turn {
            Admission::At(free) => Some(free),
            Admission::Now | Admission::AfterResponse => due,
        };
        let users = [starts(change, self.queue.next_due()), starts(audit, self.audit.next_due())];
        users.into_iter().flatten().filter(|due| *due > now).fold(next_poll, Instant::min)
    }

    /// While all users are refused: the user whose answer says most about the others. That is the one that was read last, then
    /// any listed user whose latest request did not fail. Users in the queue come after them, because they may be the very
    /// users that are refused, and those that were refused while others could be read come last. Tests are charged to changes,
    /// which wait for them.
    fn next_test(&mut self, now: Instant) -> Option<DetailRequest> {
        if let Some(id) = self.readable_user().or_else(|| self.any_untried()) {
            let pending = self.read_pending(id, now);
            return pending.or_else(|| self.roster.get(id).map(|user| DetailRequest::audit(*user)));
        }
        let (refusals, failing) = (&self.refusals, &self.failing_users);
        let has_failed = |id| refusals.contains(id) || failing.contains(&id);
        let untried = self.queue.next_eligible(|id| !has_failed(id), now);
        let others = untried.or_else(|| self.queue.next_eligible(|id| !refusals.is_alone(id), now));
        match others.or_else(|| self.queue.next(now)) {
            Some(id) => self.read_pending(id, now),
            None => self.next_audited(now),
        }
    }

    /// The user that was read last and is still listed, unless a later request for that user failed.
    pub(super) fn readable_user(&self) -> Option<UserId> {
        self.refusals.read_last().filter(|id| self.roster.is_listed(*id))
    }

    /// A listed user whose latest request did not fail, found from a random place: users that are refused may be next to each
    /// other.
    fn any_untried(&mut self) -> Option<UserId> {
        let start = self.schedule.random_below(self.roster.users().len());
        let start = self.roster.users().get(start).map(|user| user.id);
        let mut listed = self.roster.listed_after(start).map(|user| user.id);
        listed.find(|id| !self.refusals.contains(*id) && !self.failing_users.contains(id))
    }

    fn read_pending(&mut self, id: UserId, now: Instant) -> Option<DetailRequest> {
        let (user, pending) = (self.roster.get(id)?, self.queue.get(id)?);
        let request = DetailRequest::pending(*user, pending, now);
        self.queue.served();
        Some(request)
    }

    fn next_audited(&mut self, now: Instant) -> Option<DetailRequest> {
        let id = self.audit.next(&self.roster, |id| self.queue.get(id).is_some(), now)?;
        self.audit.advance_to(id);
        self.roster.get(id).map(|user| DetailRequest::audit(*user))
    }
}
