//! The formats of a line.

use super::record::Record;
use super::{ecs, json, ocsf};

/// The longest line in bytes, with its newline: container runtimes split longer ones.
pub(crate) const MAX_LINE: usize = 16 * 1_024;

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The exporter's own: flat JSON.
    Json,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
    /// Elastic Common Schema.
    Ecs,
}

impl Format {
    /// All formats, in the order of the manual.
    pub(crate) const ALL: [Self; 3] = [Self::Json, Self::Ocsf, Self::Ecs];

    /// The word in the configuration.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
        }
    }

    /// The first bytes of every line. The record's id follows.
    pub(super) const fn beginning(self) -> &'static str {
        match self {
            Self::Json => r#"{"id":""#,
            Self::Ocsf => r#"{"metadata":{"uid":""#,
            Self::Ecs => r#"{"event":{"id":""#,
        }
    }

    /// The line of the record: JSON and a newline, without control characters, below [`MAX_LINE`].
    pub(crate) fn encode(self, record: &Record) -> String {
        let mut line = match self {
            Self::Json => json::encode(record),
            Self::Ocsf => ocsf::encode(record),
            Self::Ecs => ecs::encode(record),
        };
        line.push('\n');
        debug_assert!(line.len() < MAX_LINE, "a line of {} bytes", line.len());
        line
    }
}
