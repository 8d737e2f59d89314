//! How things ended, as [`super::Telemetry`] tells them apart.

/// How a request ended; the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// With a usable answer.
    Ok,
    /// The credentials are missing or malformed.
    Credentials,
    /// The credentials were refused.
    Refused,
    /// The token lacks a permission.
    Forbidden,
    /// The account's plan does not include risk scoring.
    NotEntitled,
    /// There is no such account, user or integration.
    NotFound,
    /// The rate limit was hit.
    Limited,
    /// Cloudflare could not be reached, or was in trouble.
    Unavailable,
    /// The answer took too long.
    Timeout,
    /// The answer does not have its documented shape.
    Shape,
    /// Cloudflare found fault with the request.
    Invalid,
}

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

impl Outcome {
    /// All of them, in the order of [`Outcome::index`].
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Credentials,
        Self::Refused,
        Self::Forbidden,
        Self::NotEntitled,
        Self::NotFound,
        Self::Limited,
        Self::Unavailable,
        Self::Timeout,
        Self::Shape,
        Self::Invalid,
    ];

    /// The word for it in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Credentials => "credentials",
            Self::Refused => "refused",
            Self::Forbidden => "forbidden",
            Self::NotEntitled => "not_entitled",
            Self::NotFound => "not_found",
            Self::Limited => "limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Shape => "shape",
            Self::Invalid => "invalid",
        }
    }

    /// The position of this outcome in [`Outcome::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
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
