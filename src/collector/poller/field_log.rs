//! Which unexpected fields, and which incomplete lists of events, are worth a line in the log.
//!
//! A field that is odd now and then would fill the log with pairs of lines. It is treated like a resource that fails now and
//! then: see [`IncidentLog`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::incident_log::{IncidentLog, Line};
use crate::clock::Instant;
use crate::collector::field_watch::{Changes, EventLists};
use crate::metrics::telemetry::IncidentCause;
use crate::model::{OddField, Resource};

/// A field that was odd is logged again after it was well for an hour: lists are read every minute or two, and a user's
/// events when they change.
const CALM: Duration = Duration::from_secs(3_600);

/// What was logged of the fields of one account.
#[derive(Debug, Default)]
pub(super) struct FieldLog {
    /// The names of fields are constants, so there are few.
    fields: BTreeMap<(Resource, &'static str), IncidentLog>,
    event_lists: IncidentLog,
}

impl FieldLog {
    /// The fields of `changes` to be logged, and those that are logged to be in their documented form again.
    pub(super) fn fields(
        &mut self,
        resource: Resource,
        changes: &Changes,
        now: Instant,
    ) -> (Vec<OddField>, Vec<&'static str>) {
        let mut begun = changes.begun.clone();
        begun.retain(|field| {
            let log = self.fields.entry((resource, field.field)).or_default();
            log.failed(IncidentCause::UnexpectedFields, now, CALM) == Line::Failure
        });
        let of_resource = self.fields.iter_mut().filter(|((of, _), _)| *of == resource);
        let over = of_resource.filter_map(|((_, field), log)| {
            let is_well = changes.over.contains(field) || !log.is_ongoing();
            (is_well && log.succeeded(now, CALM) == Line::End).then_some(*field)
        });
        (begun, over.collect())
    }

    /// The line about lists of events after a user's events were read.
    pub(super) fn event_lists(&mut self, change: EventLists, now: Instant) -> Line {
        match change {
            EventLists::Incomplete => self.event_lists.failed(IncidentCause::Partial, now, CALM),
            EventLists::Same if self.event_lists.is_ongoing() => Line::Nothing,
            EventLists::Same | EventLists::CompleteAgain => self.event_lists.succeeded(now, CALM),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::at;
    use crate::model::{Found, OddFields};

    fn odd(field: &'static str) -> Vec<OddField> {
        let mut odd = OddFields::default();
        odd.add(field, Found::Null, None);
        odd.iter().collect()
    }

    #[test]
    fn a_field_that_is_odd_now_and_then_is_logged_twice_and_then_once_it_was_well_for_an_hour() {
        let mut log = FieldLog::default();
        let mut lines = Vec::new();
        // Odd in every second answer for an hour, then well.
        for minute in 0..200_u64 {
            let (begun, over) = match (minute < 60, minute % 2) {
                (true, 0) => (odd("name"), vec![]),
                (true, _) => (vec![], vec!["name"]),
                (false, _) => (vec![], vec![]),
            };
            let changes = Changes { begun, over, ..Changes::default() };
            let (begun, over) = log.fields(Resource::Behaviors, &changes, at(minute * 60));
            lines.extend(begun.iter().map(|_| (minute, "odd")).chain(over.iter().map(|_| (minute, "well"))));
            assert_eq!(log.fields(Resource::Summary, &Changes::default(), at(minute * 60)), (vec![], vec![]));
        }
        assert_eq!(lines, [(0, "odd"), (1, "well"), (2, "odd"), (119, "well")]);
        let again = Changes { begun: odd("name"), ..Changes::default() };
        assert_eq!(log.fields(Resource::Behaviors, &again, at(200 * 60)).0.len(), 1, "another time");
    }

    #[test]
    fn lists_of_events_that_are_incomplete_now_and_then_are_logged_as_rarely() {
        let mut log = FieldLog::default();
        let mut lines = Vec::new();
        for minute in 0..200_u64 {
            let change = match (minute < 60, minute % 4) {
                (true, 0) => EventLists::Incomplete,
                (true, 2) => EventLists::CompleteAgain,
                _ => EventLists::Same,
            };
            match log.event_lists(change, at(minute * 60)) {
                Line::Nothing => {}
                line => lines.push((minute, line)),
            }
        }
        let wanted = [(0, Line::Failure), (2, Line::End), (4, Line::Failure), (118, Line::End)];
        assert_eq!(lines, wanted);
    }
}
