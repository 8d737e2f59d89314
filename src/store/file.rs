//! The state file as a file: its names, its identity, and its first bytes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::Error;
use crate::clock::Timestamp;

/// The first bytes of a redb file of any version, and the offsets of the version in its two commit slots.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
const VERSIONS: [usize; 2] = [64, 192];
/// The version of redb files that this program writes.
const VERSION: u8 = 3;

/// Whether nothing is at the path.
pub(super) fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Where a new file is until its first commit. A power failure before that would leave half a file, which looks like damage.
pub(super) fn unfinished_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Identifies a file, to tell it from a later one at the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    /// The inode number of a removed file may be used again.
    created: Option<SystemTime>,
}

impl Identity {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), created: metadata.created().ok() }
    }
}

/// Refuses files that were never a state file, and files of a newer version of redb. A few wrong bytes are damage.
pub(super) fn check_header(file: &File, path: &Path) -> Result<(), Error> {
    let mut head = [0; 320];
    // If the file cannot be read, opening the database reports it.
    let length = file.read_at(&mut head, 0).unwrap_or(0);
    if head.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let matching = head[..length].iter().zip(MAGIC).filter(|(found, wanted)| **found == *wanted).count();
    if matching < length.min(MAGIC.len()).div_ceil(2) {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    let [one, other] = VERSIONS.map(|at| head[at]);
    if one == other && one > VERSION {
        return Err(Error::Newer { path: path.to_owned() });
    }
    Ok(())
}

/// Renames a damaged file to a name with the date, and returns the new path.
pub(super) fn rename_damaged(path: &Path, date: Timestamp) -> Result<PathBuf, Error> {
    let stamp: String = date
        .to_string()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .take("20261121T034442".len())
        .collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut renamed = path.with_file_name(format!("{name}.damaged-{stamp}Z"));
    for number in 2.. {
        if !renamed.exists() {
            break;
        }
        renamed = path.with_file_name(format!("{name}.damaged-{stamp}Z-{number}"));
    }
    fs::rename(path, &renamed).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Ok(renamed)
}

/// Makes sure that the name of a new file survives a power failure.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
