//! What a record of the feed says, before it is encoded in a format.

use std::fmt;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::model::Level;

/// One record: what happened, to which user, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// Identifies the record everywhere and for good.
    pub(crate) id: RecordId,
    /// The account's alias.
    pub(crate) alias: String,
    /// When it happened: by Cloudflare's clock, if Cloudflare says when.
    pub(crate) time: Timestamp,
    /// When the exporter counted it.
    pub(crate) logged_time: Timestamp,
    /// The user, if the record is about one and the configuration lets it name users.
    pub(crate) user: Option<RecordUser>,
    /// What happened.
    pub(crate) content: Content,
}

/// The account, the epoch and the number of a record. Numbers start from 1 in each epoch and have no gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordId {
    /// The account's id.
    pub(crate) account: String,
    /// Which feed of the account: when it began, in milliseconds since 1970. A lost state file begins another one.
    pub(crate) epoch: u64,
    /// The number of the record.
    pub(crate) sequence: u64,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.account, self.epoch, self.sequence)
    }
}

/// How a record names its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordUser {
    /// The id, or its keyed hash: what the label `user` has on `/metrics`.
    pub(crate) name: String,
    /// E-mail address and display name, if the configuration asks for them and Cloudflare says them.
    pub(crate) person: Option<Person>,
}

/// E-mail address and display name. Either may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) name: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// A risk event was counted.
    RiskEvent {
        /// Cloudflare's id of the event; empty if it has none.
        event_id: String,
        /// The behavior, as on `/metrics`.
        behavior: String,
        level: Level,
        /// JSON of any shape, if the configuration asks for it and Cloudflare says it.
        details: Option<String>,
    },
    /// A user's level changed. `None` stands for a user who is not on the list.
    LevelChange { previous: Option<Level>, current: Option<Level>, cause: Cause },
    /// A user's score was reset.
    Reset {
        /// The level before, if it was observed.
        previous: Option<Level>,
    },
    /// A user left the list.
    UserGone { previous: Level },
    /// A behavior was added, removed, or set differently.
    BehaviorChange {
        /// The behavior's id.
        behavior: String,
        /// The behavior's display name.
        name: String,
        previous: Option<Setting>,
        current: Option<Setting>,
    },
    /// An integration was added, removed, or set differently.
    IntegrationChange {
        id: uuid::Uuid,
        /// The type, such as `Okta`.
        kind: String,
        /// Whether levels were sent to it; `None` before it was added.
        previous_active: Option<bool>,
        /// Whether levels are sent to it; `None` after it was removed.
        active: Option<bool>,
    },
    /// Something is missing in the feed.
    Gap {
        reason: GapReason,
        /// How many records or events are missing.
        count: u64,
        /// The first and the last sequence that no record has, if the gap is one of the feed and not of what Cloudflare shows.
        sequences: Option<(u64, u64)>,
    },
}

/// What a behavior is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) enabled: Option<bool>,
    pub(crate) level: Level,
}

/// Declares an enum whose values have a word each.
macro_rules! words {
    ($(#[$about:meta])* $visibility:vis $name:ident { $($(#[$meaning:meta])* $value:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $visibility enum $name { $($(#[$meaning])* $value,)* }

        impl $name {
            /// All values, in the order of the manual.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$value),*];

            /// The word in records and labels.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $word),* }
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// The kind of a record. The state file has its position, so a new one comes last.
    pub RecordKind {
        /// A risk event was counted.
        RiskEvent = "risk_event",
        /// A user's level changed.
        LevelChange = "level_change",
        /// A user was reset.
        Reset = "reset",
        /// A user left the list.
        UserGone = "user_gone",
        /// A behavior changed.
        BehaviorChange = "behavior_change",
        /// An integration changed.
        IntegrationChange = "integration_change",
        /// Something is missing.
        Gap = "gap",
    }
}

words! {
    /// Why a user's level changed, as far as the list of users shows it.
    pub(crate) Cause {
        /// The count of events or the time of the latest one rose.
        Event = "event",
        /// The count or the time of the latest event fell, or a reset is known that ended the level.
        Reset = "reset",
        /// The user left the list, and no reset is known that explains it.
        Removal = "removal",
        /// Only the level differs: a behavior got another level.
        Setting = "setting",
        /// The user is on the first list.
        Baseline = "baseline",
    }
}

words! {
    /// How a setting at Cloudflare changed.
    pub(crate) Change {
        /// It is new.
        Added = "added",
        /// It has other settings.
        Changed = "changed",
        /// It is gone.
        Removed = "removed",
    }
}

words! {
    /// Why something is missing.
    pub(crate) GapReason {
        /// The buffer was full, so the oldest records were dropped.
        BufferFull = "buffer_full",
        /// `state forget` removed the record before it was written.
        Forgotten = "forgotten",
        /// Cloudflare counts events that could not be read: the list of them was incomplete.
        Capped = "capped",
        /// The same: the user was reset before they were read.
        Reset = "reset",
        /// The same: the user was removed before they were read.
        Removed = "removed",
        /// The same: they appeared with an old time.
        Late = "late",
        /// The same: they are dated too far in the future.
        Timestamp = "timestamp",
        /// The same: no explanation is known.
        Unknown = "unknown",
        /// The same: they were listed, but a field of theirs could not be read.
        Unreadable = "unreadable",
    }
}

/// Whether records have the details of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Details {
    /// They have.
    Kept,
    /// They have not.
    Dropped,
}

/// What the first list of users writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// A change of level for each user.
    Written,
    /// Nothing.
    Omitted,
}

impl Content {
    /// The kind of the record.
    pub(crate) const fn kind(&self) -> RecordKind {
        match self {
            Self::RiskEvent { .. } => RecordKind::RiskEvent,
            Self::LevelChange { .. } => RecordKind::LevelChange,
            Self::Reset { .. } => RecordKind::Reset,
            Self::UserGone { .. } => RecordKind::UserGone,
            Self::BehaviorChange { .. } => RecordKind::BehaviorChange,
            Self::IntegrationChange { .. } => RecordKind::IntegrationChange,
            Self::Gap { .. } => RecordKind::Gap,
        }
    }
}

/// How something changed that had the value `previous` and has the value `current`.
pub(crate) fn change<T>(previous: Option<T>, current: Option<T>) -> Change {
    match (previous, current) {
        (None, _) => Change::Added,
        (Some(_), Some(_)) => Change::Changed,
        (Some(_), None) => Change::Removed,
    }
}
