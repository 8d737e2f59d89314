//! Why events could not be counted.

/// Why events that the counts speak of could not be found; the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The listing was cut short.
    Capped,
    /// The user was reset before they were read.
    Reset,
    /// The user was removed before they were read.
    Removed,
    /// They surfaced with an old time.
    Late,
    /// They had no valid time.
    Timestamp,
    /// Nothing explains it.
    Unknown,
}

impl Loss {
    /// All reasons, in the order of their labels' positions.
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
