//! Which request comes next.

use super::{Account, Fetch, Hold, LabelsReady, Reachability, Step, Turn};
use crate::clock::Instant;
use crate::cloudflare::limit::Admission;
use crate::collector::ledger::DetailRequest;
use crate::collector::schedule::Purpose;
use crate::model::Resource;

impl Account {
    /// When `up` becomes 0 unless the summary is read before. `None` if it is not 1.
    pub fn list_deadline(&self, hold: Hold) -> Option<Instant> {
        let due = self.schedule.due_at(Resource::Summary).filter(|_| self.up == Some(true))?;
        match hold {
            Hold::Blocked => Some(due),
            Hold::Other => self.interval(Resource::Summary).map(|interval| due + interval),
        }
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
            && self.labels == LabelsReady::Yes
            && self.reachability == Reachability::Answered
    }

    /// The user whose events are to be read now.
    fn next_user(&mut self, now: Instant) -> Option<DetailRequest> {
        if !self.is_counting() {
            return None;
        }
        let may = |purpose| self.schedule.user_admission(purpose, now) == Admission::Now;
        let (change, audit) = (may(Purpose::Change), may(Purpose::Audit));
        let pending = if change { self.next_pending(now) } else { None };
        pending.or_else(|| if audit { self.next_audited(now) } else { None })
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

    fn next_pending(&mut self, now: Instant) -> Option<DetailRequest> {
        let id = self.queue.next(now)?;
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
