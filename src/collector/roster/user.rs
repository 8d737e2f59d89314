//! What is kept about one user.

use crate::clock::Timestamp;
use crate::model::{EventCount, Level, Row, RowFingerprint, UserId};

/// What is kept about one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub id: UserId,
    /// The summary row up to which the user's events have been read. Its count is also the number of
    /// events that are explained. If nothing is covered, only the count has a meaning.
    pub covered: RowFingerprint,
    /// Counted events that the covered row did not include yet: the details may be ahead of the summary.
    pub ahead: u32,
    /// Since when the user has had `level`.
    pub since: Timestamp,
    /// The highest level as last known; of a user who is gone, the last one.
    pub level: Level,
    /// Whether the user is on the list.
    pub presence: Presence,
    /// Whether the events were read up to `covered`.
    pub coverage: Coverage,
    /// How `since` is known.
    pub origin: Origin,
}

/// Whether a user is on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Presence {
    /// In the latest complete summary.
    Listed,
    /// Missing from the latest complete summary, but in the one before.
    Missed,
    /// Missing from two complete summaries in a row: reset, removed or deleted.
    Gone,
}

/// Whether a user's events were read up to the covered row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Coverage {
    /// They were read, or the user is part of the baseline.
    Covered,
    /// They must be read, whatever the row says.
    Uncovered,
}

/// How it is known since when a user has had its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// The user had the level when counting began, at the latest.
    Baseline,
    /// The change was observed.
    Observed,
}

/// A level, and since when a user has had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelSince {
    /// The level.
    pub level: Level,
    /// Since when.
    pub since: Timestamp,
    /// How `since` is known.
    pub origin: Origin,
}

impl User {
    /// The level and since when; of a user who is gone, the last one.
    pub fn level_since(&self) -> LevelSince {
        LevelSince { level: self.level, since: self.since, origin: self.origin }
    }

    /// A user who is first listed after the baseline. No event was read yet.
    pub(super) fn first_listed(row: &Row, date: Timestamp) -> Self {
        Self {
            id: row.user,
            covered: RowFingerprint {
                last_event: Timestamp::default(),
                count: EventCount::from(0),
                level: Level::Unknown,
            },
            ahead: 0,
            since: date,
            level: row.tuple.level,
            presence: Presence::Listed,
            coverage: Coverage::Uncovered,
            origin: Origin::Observed,
        }
    }

    /// Whether the events must be read because of this row.
    pub(super) fn is_changed(&self, fingerprint: RowFingerprint) -> bool {
        self.coverage == Coverage::Uncovered
            || self.presence == Presence::Gone
            || (self.covered != fingerprint && !self.learns_count(fingerprint))
    }

    /// Whether the only news in this row is the count, because no earlier row said it. Then no event is later than the
    /// covered ones, and the count includes what was read.
    pub(super) fn learns_count(&self, fingerprint: RowFingerprint) -> bool {
        self.coverage == Coverage::Covered
            && self.covered.last_event != Timestamp::UNKNOWN
            && self.covered == RowFingerprint { count: EventCount::UNKNOWN, ..fingerprint }
    }
}
