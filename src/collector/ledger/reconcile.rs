//! Compares a user's listed events with the counted ones.

use std::collections::BTreeSet;
use std::time::Duration;

use super::listed_events::{ListedEvents, is_rounded};
use super::reading::{AnswerDate, DetailRequest, FetchReason, NewEvent, NewReset, Reading, Verdict};
use super::retries::{CountHistory, decide};
use super::{Ledger, Loss, Record};
use crate::clock::Timestamp;
use crate::collector::behavior_labels::{LabelId, Labels};
use crate::collector::queue::Attempts;
use crate::collector::roster::{Coverage, LevelSince, Origin, Presence, User};
use crate::model::{Completeness, Event, EventCount, Level, UserRisk};

/// A reset before 1970 is none: Cloudflare may write the year 1 for "never".
const EARLIEST_RESET: Timestamp = Timestamp::from_seconds(0);

/// How far clocks may differ. A reset may be dated this much later than the answer that shows it. One with a later date is
/// ignored: it would hide all real resets until then.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(300);

impl Ledger {
    /// Compares a user's events with the counted ones.
    ///
    /// Before counting starts, no event is counted.
    pub(crate) fn reconcile(
        &self,
        request: &DetailRequest,
        risk: &UserRisk,
        answered: AnswerDate,
    ) -> Reading {
        let AnswerDate { date, latest } = answered;
        let id = request.user.id;
        let known = self.records.get(&id);
        let mut record = known.cloned().unwrap_or_default();
        let newer_reset = risk.last_reset.filter(|&reset| {
            let is_new = |stored| reset > stored && !is_rounded(stored, reset);
            record.last_reset.is_none_or(is_new) && reset <= latest + CLOCK_SKEW && reset >= EARLIEST_RESET
        });
        let counted_reset = newer_reset.filter(|&reset| reset > self.floor_of(id));
        let ListedEvents { new, listed, too_far_ahead, before_start } =
            self.find_new(request, &record, &risk.events, latest);

        let mut labels = None;
        let label = |event: &Event, labels: &mut Option<Labels>| match self.labels.get(&event.name) {
            Some(label) => label,
            None => labels.get_or_insert_with(|| self.labels.clone()).learn(&event.name),
        };
        let labelled: Vec<_> = new.iter().map(|(_, event)| (label(event, &mut labels), *event)).collect();
        let first_of_behavior = first_of_behavior(&mut record.since_reset, &labelled, newer_reset);
        record.count(new.iter().map(|(key, event)| (*key, event.timestamp)));
        let is_whole = risk.completeness == Completeness::Complete && risk.rejected == 0;
        record.listed(|key| listed.contains(&key), is_whole.then_some(date));
        record.last_reset = newer_reset.or(record.last_reset);
        let newly_skipped = too_far_ahead.saturating_sub(record.future_skipped);
        record.future_skipped += newly_skipped;

        let mut user = request.user;
        let mut attempts = request.attempts;
        // A reset that an earlier reading showed before the count fell may be the cause as well, even if the covered event is
        // dated later, in a distant future.
        let had_events = user.covered.count != EventCount::from(0);
        let is_unexplained = |reset: &Timestamp| had_events && *reset > user.covered.last_event;
        let reset_of_count = newer_reset
            .or_else(|| record.last_reset.filter(is_unexplained))
            .or(attempts.reset.filter(|_| had_events));
        attempts.reset = reset_of_count.or(attempts.reset);
        let found = u32::try_from(new.len()).unwrap_or(u32::MAX).saturating_add(newly_skipped);
        attempts.found = attempts.found.saturating_add(found);
        let highest = request.peak.max(user.covered.count.or_zero());
        let (covered_event, latest_event) = (user.covered.last_event, request.fingerprint.last_event);
        let restarted_count = |reset: Timestamp| {
            // The count or the time of the latest event fell, or the latest event came after a reset that is later than the
            // covered ones.
            request.fingerprint.count.known().is_some_and(|count| count < highest)
                || latest_event < covered_event
                || (covered_event < reset && reset <= latest_event)
        };
        let mut history = CountHistory::Continued;
        if reset_of_count.is_some_and(restarted_count) {
            history = CountHistory::Restarted;
            // The count started again from 0; the rest of the count before the reset is still expected.
            let owed = user.covered.count.known().map_or(0, |covered| highest - covered);
            attempts.owed = owed.saturating_sub(user.ahead);
            (user.covered.count, user.ahead) = (EventCount::from(0), 0);
        }
        let Explanation { missing, ahead } = explain(request, &user, listed.len(), before_start, &attempts);
        let (verdict, lost) = decide(request, &risk.completeness, missing, history, &mut attempts);
        match verdict {
            Verdict::Short(..) | Verdict::Unfinished(_) => user.coverage = Coverage::Uncovered,
            Verdict::Done => cover(&mut user, request, ahead, attempts.reset),
        }
        let mut losses = Vec::new();
        if newly_skipped > 0 {
            losses.push((Loss::Timestamp, newly_skipped.into()));
        }
        // Events that are listed but cannot be read explain as many of the missing ones.
        let unreadable = lost.min(risk.rejected);
        if unreadable > 0 {
            losses.push((Loss::Unreadable, unreadable.into()));
        }
        if lost > unreadable {
            losses.push((reason(request, risk, attempts.reset), (lost - unreadable).into()));
        }
        if let Some(reset) = newer_reset
            && user.since < reset
            && user.presence != Presence::Gone
        {
            user.since = reset;
            if user.level.is_known() {
                // If the level in the baseline is unknown, since when the user has had it stays unknown.
                user.origin = Origin::Observed;
            }
        }
        Reading {
            verdict,
            user,
            events: labelled.iter().map(|(label, event)| new_event(*label, event)).collect(),
            delays: new.iter().map(|(_, event)| date.since(event.timestamp).as_secs_f64()).collect(),
            first_of_behavior,
            reset: counted_reset.map(|at| NewReset {
                at,
                previous: Some(ended(&request.user, request.level_before, at).level)
                    .filter(|level| level.is_known()),
            }),
            time_to_reset: counted_reset
                .and_then(|reset| time_to_reset(&request.user, request.level_before, reset)),
            losses,
            labels,
            record: (record != *known.unwrap_or(&Record::default())).then_some(record),
        }
    }

    /// The behaviors of events that would be counted, but have no label yet. Each name occurs once.
    pub(crate) fn unknown_behaviors(
        &self,
        request: &DetailRequest,
        risk: &UserRisk,
        answered: AnswerDate,
    ) -> Vec<String> {
        let is_unknown = |event: &Event| self.labels.may_be_listed_later(&event.name);
        if !risk.events.iter().any(is_unknown) {
            return Vec::new();
        }
        let record = self.records.get(&request.user.id).cloned().unwrap_or_default();
        let new = self.find_new(request, &record, &risk.events, answered.latest).new;
        let names = new.into_iter().map(|(_, event)| event).filter(|event| is_unknown(event));
        names.map(|event| event.name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Takes the answer that the user does not exist: events that were not read are lost. The keys of a user who left the
    /// list count as absent without being marked.
    pub(crate) fn reconcile_not_found(&self, request: &DetailRequest) -> Reading {
        let lost = explain(request, &request.user, 0, 0, &request.attempts).missing;
        let mut user = request.user;
        (user.covered.count, user.ahead, user.coverage) = (EventCount::from(0), 0, Coverage::Uncovered);
        Reading {
            verdict: Verdict::Done,
            user,
            record: None,
            events: Vec::new(),
            delays: Vec::new(),
            first_of_behavior: Vec::new(),
            reset: None,
            time_to_reset: None,
            losses: if lost > 0 { vec![(Loss::Removed, lost.into())] } else { Vec::new() },
            labels: None,
        }
    }
}

/// How a reading compares with the count. An estimate, because it assumes that `event_count` counts listed events.
struct Explanation {
    /// Events in the count that no reading found.
    missing: u32,
    /// Events found that the count does not include yet.
    ahead: u32,
}

fn explain(
    request: &DetailRequest,
    user: &User,
    listed: usize,
    before_start: u32,
    attempts: &Attempts,
) -> Explanation {
    let mut found = user.ahead.saturating_add(attempts.found);
    if request.reason == FetchReason::Audit {
        return Explanation { missing: 0, ahead: found };
    }
    let mut old = before_start;
    if user.covered.count.or_zero() == 0 {
        // Old events of a user who returned, or was first listed late, are listed, so they are not lost.
        found = found.max(u32::try_from(listed).unwrap_or(u32::MAX));
        old = 0;
    }
    match (request.fingerprint.count.known(), user.covered.count.known()) {
        (Some(count), Some(covered)) => {
            let expected = count.saturating_sub(covered).saturating_sub(old).saturating_add(attempts.owed);
            Explanation { missing: expected.saturating_sub(found), ahead: found.saturating_sub(expected) }
        }
        // What a count includes that is known for the first time cannot be missing.
        (Some(count), None) => Explanation { missing: 0, ahead: found.saturating_sub(count) },
        (None, _) => Explanation { missing: attempts.owed.saturating_sub(found), ahead: 0 },
    }
}

/// Marks the requested row as covered.
fn cover(user: &mut User, request: &DetailRequest, ahead: u32, reset: Option<Timestamp>) {
    user.ahead = ahead;
    match request.reason {
        FetchReason::Audit => {}
        FetchReason::Changed => (user.covered, user.coverage) = (request.fingerprint, Coverage::Covered),
        FetchReason::Gone => {
            // The count of a user who returns after a reset starts from 0.
            user.covered.count =
                if reset.is_some() { EventCount::from(0) } else { request.fingerprint.count };
            user.coverage = Coverage::Uncovered;
        }
    }
}

/// Why events that are not listed are missing.
fn reason(request: &DetailRequest, risk: &UserRisk, reset: Option<Timestamp>) -> Loss {
    if risk.completeness != Completeness::Complete {
        Loss::Capped
    } else if reset.is_some() {
        Loss::Reset
    } else if request.reason == FetchReason::Gone {
        Loss::Removed
    } else if request.fingerprint.last_event == request.user.covered.last_event {
        // The count rose and the latest event did not change, so an older event appeared.
        Loss::Late
    } else {
        Loss::Unknown
    }
}

/// Adds the behaviors of the `new` events to those that had an event since the last reset. Returns the behaviors that had
/// their first event.
fn first_of_behavior(
    since_reset: &mut Vec<LabelId>,
    new: &[(LabelId, &Event)],
    newer_reset: Option<Timestamp>,
) -> Vec<LabelId> {
    let mut first = Vec::new();
    let mut add = |label: LabelId, since_reset: &mut Vec<LabelId>| {
        if !since_reset.contains(&label) {
            since_reset.push(label);
            first.push(label);
        }
    };
    let is_old = |event: &Event| newer_reset.is_some_and(|reset| event.timestamp <= reset);
    for (label, _) in new.iter().filter(|(_, event)| is_old(event)) {
        add(*label, since_reset);
    }
    if newer_reset.is_some() {
        since_reset.clear();
    }
    for (label, _) in new.iter().filter(|(_, event)| !is_old(event)) {
        add(*label, since_reset);
    }
    first
}

fn new_event(label: LabelId, event: &Event) -> NewEvent {
    let Event { id, name: _, level, timestamp } = event;
    let identifier = event.identifier().to_owned();
    NewEvent { label, level: *level, at: *timestamp, id: id.clone(), identifier }
}

/// The level that the reset ended: the present level, if the user had it before the reset, otherwise the level before.
fn ended(user: &User, level_before: LevelSince, reset: Timestamp) -> LevelSince {
    if user.since <= reset { user.level_since() } else { level_before }
}

/// How long the user had the level that the reset ended.
fn time_to_reset(user: &User, level_before: LevelSince, reset: Timestamp) -> Option<(Level, f64)> {
    let ended = ended(user, level_before, reset);
    let observed = ended.origin == Origin::Observed && ended.level.is_known();
    (observed && ended.since <= reset).then(|| (ended.level, reset.since(ended.since).as_secs_f64()))
}
