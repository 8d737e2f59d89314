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
    /// They were dated too far in the future.
    Timestamp,
    /// No explanation is known.
    Unknown,
    /// They were listed, but a field of theirs could not be read.
    Unreadable,
}

impl Loss {
    /// All reasons, in the order of their numbers, which the state file has. A new one comes last.
    pub const ALL: [Self; 7] = [
        Self::Capped,
        Self::Reset,
        Self::Removed,
        Self::Late,
        Self::Timestamp,
        Self::Unknown,
        Self::Unreadable,
    ];

    /// The word for it in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capped => "capped",
            Self::Reset => "reset",
            Self::Removed => "removed",
            Self::Late => "late",
            Self::Timestamp => "timestamp",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
        }
    }
}
