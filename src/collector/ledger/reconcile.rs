//! What was listed of a user against what was counted: what one reading changes.

use std::collections::HashSet;
use std::time::Duration;

use super::reading::{DetailRequest, FetchReason, Reading, Verdict};
use super::user_record::Record;
use super::{Ledger, Loss};
use crate::clock::Timestamp;
use crate::collector::behavior_labels::{LabelId, Labels};
use crate::collector::queue::{SHORT_RETRIES, Tries};
use crate::collector::roster::{Coverage, Origin, Presence, Standing, User};
use crate::model::{Completeness, Event, Level, UserId, UserRisk};

/// A reset may be dated this much later than the answer that shows it. One dated in a distant future is no
/// reset yet: it would hide all real ones until then.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

impl Ledger {
    /// Compares a user's events, read when Cloudflare's clock showed `date`, with what was counted.
    ///
    /// Before counting began nothing is counted: the epoch must be set first.
    pub(crate) fn reconcile(&self, asked: &DetailRequest, risk: &UserRisk, date: Timestamp) -> Reading {
        let id = asked.user.id;
        let known = self.records.get(&id);
        let mut record = known.cloned().unwrap_or_default();
        let newer_reset = risk.last_reset.filter(|&reset| {
            record.last_reset.is_none_or(|stored| reset > stored) && reset <= date + CLOCK_SKEW
        });
        let counted_reset = newer_reset.filter(|&reset| reset > self.floor_of(id));
        let Sighting { new, listed, beyond } = self.see(id, &record, &risk.events, date);

        let mut labels = None;
        let label = |event: &Event, labels: &mut Option<Labels>| match self.labels.get(&event.name) {
            Some(label) => label,
            None => labels.get_or_insert_with(|| self.labels.clone()).learn(&event.name),
        };
        let labelled: Vec<_> = new.iter().map(|(_, event)| (label(event, &mut labels), *event)).collect();
        let first_of_behavior = first_of_behavior(&mut record.since_reset, &labelled, newer_reset);
        for (key, event) in &new {
            record.count(*key, event.timestamp);
        }
        let is_whole = risk.completeness == Completeness::Complete && risk.rejected == 0;
        record.listed(|key| listed.contains(&key), is_whole.then_some(date));
        record.last_reset = newer_reset.or(record.last_reset);
        let newly_beyond = beyond.saturating_sub(record.beyond);
        record.beyond += newly_beyond;

        let mut user = asked.user;
        let mut tries = asked.tries;
        // One that an earlier reading showed, before the count fell, began it anew as well.
        let is_unexplained = |reset: &Timestamp| user.covered.count > 0 && *reset > user.covered.last_event;
        let reset_of_count = newer_reset.or_else(|| record.last_reset.filter(is_unexplained));
        tries.reset = reset_of_count.or(tries.reset);
        let found = u32::try_from(new.len()).unwrap_or(u32::MAX).saturating_add(newly_beyond);
        tries.found = tries.found.saturating_add(found);
        let highest = asked.peak.max(user.covered.count);
        let (covered_event, latest_event) = (user.covered.last_event, asked.tuple.last_event);
        let began_anew = |reset: Timestamp| {
            // The count or the latest event fell, or that came after a reset later than all that is covered.
            asked.tuple.count < highest
                || latest_event < covered_event
                || (covered_event < reset && reset <= latest_event)
        };
        if reset_of_count.is_some_and(began_anew) {
            // The count began anew: what it last spoke of before is still owed.
            tries.owed = (highest - user.covered.count).saturating_sub(user.ahead);
            (user.covered.count, user.ahead) = (0, 0);
        }
        let Explanation { missing, ahead } = explain(asked, &user, listed.len(), &tries);
        let short =
            asked.why != FetchReason::Audit && (missing > 0 || risk.completeness != Completeness::Complete);
        let verdict = if short && usize::from(tries.count) < SHORT_RETRIES.len() {
            user.coverage = Coverage::Nothing;
            tries.count += 1;
            Verdict::Short(tries)
        } else {
            settle(&mut user, asked, ahead, tries.reset);
            Verdict::Done
        };
        let mut losses = Vec::new();
        if newly_beyond > 0 {
            losses.push((Loss::Timestamp, newly_beyond.into()));
        }
        if verdict == Verdict::Done && missing > 0 {
            losses.push((reason(asked, risk, missing, tries.reset), missing.into()));
        }
        if let Some(reset) = newer_reset
            && user.since < reset
            && user.presence != Presence::Gone
        {
            user.since = reset;
            if user.level.is_known() {
                // At which level a user was when counting began stays unknown.
                user.origin = Origin::Observed;
            }
        }
        Reading {
            verdict,
            user,
            events: labelled.iter().map(|(label, event)| (*label, event.level)).collect(),
            delays: new.iter().map(|(_, event)| date.since(event.timestamp).as_secs_f64()).collect(),
            first_of_behavior,
            resets: u64::from(counted_reset.is_some()),
            time_to_reset: counted_reset.and_then(|reset| time_to_reset(&asked.user, asked.before, reset)),
            losses,
            labels,
            record: (record != *known.unwrap_or(&Record::default())).then_some(record),
        }
    }

    /// Takes the answer that there is no such user: what was unread is lost, and so is who it was. Keys of
    /// a user who is gone are absent without being marked.
    pub(crate) fn reconcile_not_found(&self, asked: &DetailRequest) -> Reading {
        let lost = asked
            .tuple
            .count
            .saturating_sub(asked.user.covered.count)
            .saturating_sub(asked.tries.found)
            .saturating_sub(asked.user.ahead);
        let mut user = asked.user;
        (user.covered.count, user.ahead, user.coverage) = (0, 0, Coverage::Nothing);
        Reading {
            verdict: Verdict::Done,
            user,
            record: None,
            events: Vec::new(),
            delays: Vec::new(),
            first_of_behavior: Vec::new(),
            resets: 0,
            time_to_reset: None,
            losses: if lost > 0 { vec![(Loss::Removed, lost.into())] } else { Vec::new() },
            labels: None,
        }
    }

    /// Compares the events listed at `date` with those that were counted.
    fn see<'a>(&self, id: UserId, record: &Record, events: &'a [Event], date: Timestamp) -> Sighting<'a> {
        let floor = self.floor_of(id).max(record.floor.unwrap_or(Timestamp::from_millis(i64::MIN)));
        let mut room = record.room_in_future(date);
        let mut sighting = Sighting { new: Vec::new(), listed: HashSet::new(), beyond: 0 };
        for event in events {
            let key = self.key(id, event);
            let is_first = sighting.listed.insert(key);
            if !is_first || event.timestamp <= floor || record.has(key) {
                continue;
            }
            if event.timestamp > date {
                if room == 0 {
                    sighting.beyond = sighting.beyond.saturating_add(1);
                    continue;
                }
                room -= 1;
            }
            sighting.new.push((key, event));
        }
        sighting
    }
}

/// What a listing shows of a user's events.
struct Sighting<'a> {
    /// The events to count, each once, with their keys.
    new: Vec<(u64, &'a Event)>,
    /// The keys of all that is listed.
    listed: HashSet<u64>,
    /// Events dated in the future that are too many to be counted.
    beyond: u32,
}

/// How a reading and the count compare. An estimate: it takes `event_count` to count listed events.
struct Explanation {
    /// Events that the count speaks of and no reading found.
    missing: u32,
    /// Events found that the count does not speak of yet.
    ahead: u32,
}

fn explain(asked: &DetailRequest, user: &User, listed: usize, tries: &Tries) -> Explanation {
    let mut found = user.ahead.saturating_add(tries.found);
    if asked.why == FetchReason::Audit {
        return Explanation { missing: 0, ahead: found };
    }
    if user.covered.count == 0 {
        // Old events of a user who is back, or was listed late, are not lost: they are there.
        found = found.max(u32::try_from(listed).unwrap_or(u32::MAX));
    }
    let expected = asked.tuple.count.saturating_sub(user.covered.count).saturating_add(tries.owed);
    Explanation { missing: expected.saturating_sub(found), ahead: found.saturating_sub(expected) }
}

/// Nothing more is to be had: what was asked for is covered.
fn settle(user: &mut User, asked: &DetailRequest, ahead: u32, reset: Option<Timestamp>) {
    user.ahead = ahead;
    match asked.why {
        FetchReason::Audit => {}
        FetchReason::Changed => (user.covered, user.coverage) = (asked.tuple, Coverage::Covered),
        FetchReason::Gone => {
            // A user who comes back after a reset starts from nothing.
            user.covered.count = if reset.is_some() { 0 } else { asked.tuple.count };
            user.coverage = Coverage::Nothing;
        }
    }
}

fn reason(asked: &DetailRequest, risk: &UserRisk, missing: u32, reset: Option<Timestamp>) -> Loss {
    if risk.completeness != Completeness::Complete {
        Loss::Capped
    } else if risk.rejected >= missing {
        Loss::Timestamp
    } else if reset.is_some() {
        Loss::Reset
    } else if asked.why == FetchReason::Gone {
        Loss::Removed
    } else if asked.tuple.last_event == asked.user.covered.last_event {
        // The count rose and the latest event did not change: it surfaced behind it.
        Loss::Late
    } else {
        Loss::Unknown
    }
}

/// Adds the behaviors of `new` to those that had an event since the last reset, and returns those that had
/// their first.
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

/// How long the user had the level that the reset ended: the present one, if it is older than the reset,
/// else the one before.
fn time_to_reset(user: &User, before: Standing, reset: Timestamp) -> Option<(Level, f64)> {
    let ended = if user.since <= reset { user.standing() } else { before };
    let observed = ended.origin == Origin::Observed && ended.level.is_known();
    (observed && ended.since <= reset).then(|| (ended.level, reset.since(ended.since).as_secs_f64()))
}
