//! Lists the files of a directory.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The largest configurations have a few thousand accounts. A directory with more files than this is another one.
const MOST: usize = 10_000;

/// The names in a directory, in order, without hidden ones. Kubernetes keeps the files of a volume in hidden directories, and
/// the visible names are links to them.
///
/// # Errors
/// The directory cannot be listed, or has too many files.
pub(super) fn visible_names(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        if names.len() == MOST {
            return Err(io::Error::other(format!("it has more than {MOST} files")));
        }
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}
