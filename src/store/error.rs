//! Why a state file cannot be used.

use std::io;
use std::path::PathBuf;

/// Why the file cannot be used; it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened, read or moved.
    #[error("cannot use the state file {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the state file {path} is in use by another process; each process needs a file of its own")]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error(
        "the state file {path} was written by a newer version of this program; run that version, or give another path"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
    },
    /// It never was a state.
    #[error("{path} is not a state file; give another path, or remove it")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// None of the configured accounts is in it.
    #[error(
        "the state file {path} belongs to other accounts ({found}); give another path, or remove it to count anew"
    )]
    OtherAccounts {
        /// Which file.
        path: PathBuf,
        /// The ids in it.
        found: String,
    },
    /// It is damaged; only said by commands that look at it.
    #[error("the state file {path} is damaged: {why}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is not there; only said by commands that look at it.
    #[error("there is no state file {path}")]
    Missing {
        /// Which file.
        path: PathBuf,
    },
}
