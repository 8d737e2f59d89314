//! The kinds of sinks.

/// Where records are written to. There is at most one sink of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SinkKind {
    /// A file, exactly once.
    File,
    /// Standard output, at least once.
    Stdout,
}

impl SinkKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::File, Self::Stdout];

    /// The word in labels and in the state file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stdout => "stdout",
        }
    }

    /// The position in [`SinkKind::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
