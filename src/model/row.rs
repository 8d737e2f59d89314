//! What the summary says about one user.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Level, UserId};
use crate::clock::Timestamp;

/// One row of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The user's id.
    pub user: UserId,
    /// The other fields.
    pub tuple: RowFingerprint,
}

/// What the summary says about one user. If it changes, the user's events must be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFingerprint {
    /// `last_event`; [`Timestamp::UNKNOWN`] if it is missing or unreadable.
    pub last_event: Timestamp,
    /// `event_count`
    pub count: EventCount,
    /// `max_risk_level`
    pub level: Level,
}

/// How many events the summary counts for a user, if it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventCount(u32);

impl EventCount {
    /// Stands for a count that is missing or unreadable: no user has 4,294,967,295 events.
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// The count; `None` if it is unknown.
    pub const fn known(self) -> Option<u32> {
        if self.0 == Self::UNKNOWN.0 { None } else { Some(self.0) }
    }

    /// The count; 0 if it is unknown, which claims no events.
    pub const fn or_zero(self) -> u32 {
        if self.0 == Self::UNKNOWN.0 { 0 } else { self.0 }
    }
}

/// The number, or `unknown`.
impl fmt::Display for EventCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(count) => write!(f, "{count}"),
            None => f.write_str("unknown"),
        }
    }
}

/// The number, or null.
impl Serialize for EventCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.known().serialize(serializer)
    }
}

impl From<u32> for EventCount {
    fn from(count: u32) -> Self {
        Self(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_count_is_none_and_claims_no_events() {
        for (count, known, claimed, text) in [
            (EventCount::from(0), Some(0), 0, "0"),
            (EventCount::from(7), Some(7), 7, "7"),
            (EventCount::from(u32::MAX - 1), Some(u32::MAX - 1), u32::MAX - 1, "4294967294"),
            (EventCount::UNKNOWN, None, 0, "unknown"),
        ] {
            assert_eq!((count.known(), count.or_zero(), count.to_string().as_str()), (known, claimed, text));
        }
    }
}
