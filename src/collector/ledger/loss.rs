//! Why events could not be counted.

/// Why events that the summary counts could not be found; the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The list of events was incomplete.
    Capped,
    /// The user was reset before they were read.
    Reset,
    /// The user was removed before they were read.
    Removed,
    /// They appeared with an old timestamp.
    Late,
    /// They had no valid timestamp.
    Timestamp,
    /// No explanation is known.
    Unknown,
}

impl Loss {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Capped, Self::Reset, Self::Removed, Self::Late, Self::Timestamp, Self::Unknown];

    /// The word for it in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capped => "capped",
            Self::Reset => "reset",
            Self::Removed => "removed",
            Self::Late => "late",
            Self::Timestamp => "timestamp",
            Self::Unknown => "unknown",
        }
    }
}
