//! Why a state file cannot be used.

use std::io;
use std::path::PathBuf;

/// Why the state file cannot be used. It was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened, read or renamed.
    #[error("cannot use the state file {path}: {source}{}", advice(source))]
    Io {
        /// The path of the state file.
        path: PathBuf,
        /// The error of the operating system or of the database.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("the state file {path} is in use by another process; each process needs a file of its own")]
    InUse {
        /// The path of the state file.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "the state file {path} was written by a newer version of this program; run that version, or give another path"
    )]
    Newer {
        /// The path of the state file.
        path: PathBuf,
    },
    /// It is not a state file.
    #[error("{path} is not a state file; give another path, or remove it")]
    Foreign {
        /// The path of the state file.
        path: PathBuf,
    },
    /// It contains none of the configured accounts.
    #[error(
        "the state file {path} belongs to other accounts ({found}); give another path, or remove it to start counting from 0"
    )]
    OtherAccounts {
        /// The path of the state file.
        path: PathBuf,
        /// The ids in it.
        found: String,
    },
    /// It is damaged. At the start it is replaced instead.
    #[error("the state file {path} is damaged: {why}")]
    Damaged {
        /// The path of the state file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It cannot be written at the moment, so nothing can be read from it either.
    #[error("the state file {path} cannot be used at the moment; the log says why")]
    Unusable {
        /// The path of the state file.
        path: PathBuf,
    },
    /// It does not exist. Only commands that inspect it return this.
    #[error("there is no state file {path}")]
    Missing {
        /// The path of the state file.
        path: PathBuf,
    },
}

/// What to do about the mistakes that are common.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; its directory must exist",
        io::ErrorKind::PermissionDenied => {
            "; this process must be allowed to write the file and its directory"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_mistake_has_advice() {
        for (kind, wanted) in [
            (io::ErrorKind::NotFound, "; its directory must exist"),
            (
                io::ErrorKind::PermissionDenied,
                "; this process must be allowed to write the file and its directory",
            ),
            (io::ErrorKind::StorageFull, ""),
        ] {
            let error = Error::Io { path: "/data/state.redb".into(), source: kind.into() };
            assert_eq!(
                error.to_string(),
                format!("cannot use the state file /data/state.redb: {kind}{wanted}")
            );
        }
    }
}
