//! How things ended, as [`super::Telemetry`] tells them apart.

/// How writing the state ended; the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is on disk.
    Ok,
    /// It is not.
    Failed,
}

/// How restoring the state ended; the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Counting goes on where it stopped.
    Restored,
    /// There was nothing to restore.
    Fresh,
    /// What was there could not be used.
    Damaged,
}

/// Whether counters survive a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In memory only.
    Memory,
    /// On disk.
    Disk,
}

/// How reading the configuration again ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new one is in force.
    Ok,
    /// The old one still is.
    Failed,
}

impl Commit {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ok, Self::Failed];

    /// The word for it in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

impl Recovery {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Restored, Self::Fresh, Self::Damaged];

    /// The word for it in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Fresh => "fresh",
            Self::Damaged => "damaged",
        }
    }
}
