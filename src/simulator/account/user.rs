//! A user and the user's events.

use uuid::Uuid;

use super::Rules;
use crate::clock::Timestamp;
use crate::simulator::api_options::EventCount;
use crate::simulator::sample_data::Person;
use crate::simulator::scenario::Level;
use crate::simulator::summary_cache::Row;

#[derive(Debug)]
pub(in crate::simulator) struct User {
    pub(in crate::simulator) id: Uuid,
    pub(in crate::simulator) person: Person,
    pub(in crate::simulator) last_reset: Option<Timestamp>,
    pub(super) presence: Presence,
    /// In the order in which they were appended.
    pub(super) events: Vec<Event>,
    /// How many events there were since the last reset.
    pub(super) count: u32,
    pub(super) level: Option<Level>,
    pub(super) last_event: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Listed,
    Removed,
}

#[derive(Clone, Debug)]
pub(in crate::simulator) struct Event {
    pub(in crate::simulator) number: u64,
    pub(super) given_id: Option<Box<str>>,
    pub(super) behavior: u16,
    pub(in crate::simulator) level: Level,
    pub(in crate::simulator) timestamp: Timestamp,
    /// When the event was appended, which may be later than when it happened.
    pub(in crate::simulator) appended: Timestamp,
    pub(super) era: Era,
}

/// Whether an event happened before or after the last reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    BeforeReset,
    Current,
}

/// An event to append.
#[derive(Clone, Debug)]
pub(in crate::simulator) struct NewEvent<'a> {
    pub(in crate::simulator) id: Option<&'a str>,
    pub(in crate::simulator) behavior: &'a str,
    pub(in crate::simulator) level: Option<Level>,
    pub(in crate::simulator) timestamp: Timestamp,
}

impl<'a> NewEvent<'a> {
    /// An event with the behavior's level.
    pub(in crate::simulator) fn of(behavior: &'a str, timestamp: Timestamp) -> Self {
        Self { id: None, behavior, level: None, timestamp }
    }
}

/// The id and the level of an appended event.
#[derive(Clone, Debug)]
pub(in crate::simulator) struct Appended {
    pub(in crate::simulator) id: String,
    pub(in crate::simulator) level: Level,
}

impl User {
    pub(super) fn new(id: Uuid, person: Person) -> Self {
        Self {
            id,
            person,
            last_reset: None,
            presence: Presence::Listed,
            events: Vec::new(),
            count: 0,
            level: None,
            last_event: Timestamp::default(),
        }
    }

    /// The user's level; `None` if the user is not on the list.
    pub(in crate::simulator) fn level(&self) -> Option<Level> {
        self.level.filter(|_| self.presence == Presence::Listed)
    }

    /// The user's row in the summary at `now`, and when retention alone will change it.
    pub(super) fn row(&self, rules: Rules, now: Timestamp) -> Option<(Row<'_>, Option<Timestamp>)> {
        let max_risk_level = self.level()?;
        let (event_count, changes) = match (rules.event_count, rules.retention_ms) {
            (EventCount::Retained, Some(retention)) => {
                let expiry = |event: &Event| Timestamp::from_millis(event.timestamp.millis() + retention);
                let mut expiries: Vec<_> = self.current().map(expiry).filter(|date| *date > now).collect();
                expiries.sort_unstable();
                (u32::try_from(expiries.len()).unwrap_or(u32::MAX), expiries.first().copied())
            }
            _ => (self.count, None),
        };
        let row = Row {
            user_id: self.id,
            person: &self.person,
            max_risk_level,
            event_count,
            last_event: self.last_event,
        };
        Some((row, changes))
    }

    fn current(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| event.era == Era::Current)
    }
}
