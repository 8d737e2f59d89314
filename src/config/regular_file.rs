//! Reads regular files. Others are refused, because reading them may not end: a pipe blocks until somebody writes to it.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

/// The content of the regular file at `path`; of a longer file, the first `most` bytes.
///
/// # Errors
/// There is no such file, it is not a regular one, or it cannot be read.
pub(crate) fn read_regular_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let regular = |metadata: Metadata| match metadata.is_file() {
        true => Ok(metadata),
        false => Err(io::Error::other("it is not a regular file")),
    };
    // The type is checked before the file is opened, because opening a pipe blocks too.
    fs::metadata(path).and_then(regular)?;
    let file = File::open(path)?;
    let length = file.metadata().and_then(regular)?.len().min(most);
    // Growing would leave copies of a secret behind.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read_and_only_their_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        for (most, wanted) in [(0, ""), (4, "0123"), (10, "0123456789"), (11, "0123456789")] {
            assert_eq!(read_regular_file(&path, most).unwrap(), wanted.as_bytes(), "{most}");
        }
        for other in [Path::new("/dev/zero"), folder.path()] {
            let refused = read_regular_file(other, 10).unwrap_err().to_string();
            assert_eq!(refused, "it is not a regular file", "{}", other.display());
        }
        let missing = read_regular_file(&folder.path().join("none"), 10).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
