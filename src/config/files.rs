//! The files of a configuration, to find out whether one of them has changed.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use super::directory::visible_names;
use super::regular_file::read_regular_file;

/// No file of the configuration is longer. Of a longer one, only the beginning is compared.
const COMPARED: u64 = 1 << 20;

/// The files of a configuration, with what identifies their content: replacing a file by an equal one changes nothing. Each
/// was looked at just before it was read, so a change in between is noticed later. The content of a directory are the names in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Files {
    /// These files as they are now. A file that cannot be read counts as a content of its own.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(paths.into_iter().map(|path| (path.to_owned(), hash(path).ok())).collect())
    }

    /// Adds these files as they are now.
    pub(super) fn extend<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        self.append(Self::of(paths));
    }

    /// Adds other files, as they were.
    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Where they are.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }

    /// The same files as they are now. They are equal if no content is a different one. This may block.
    pub fn again(&self) -> Self {
        Self::of(self.0.iter().map(|(path, _)| path.as_path()))
    }
}

/// Shows the paths. The hash of a key should not be in a log.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(path, _)| path)).finish()
    }
}

fn hash(path: &Path) -> io::Result<Vec<u8>> {
    let content = match fs::metadata(path)?.is_dir() {
        true => visible_names(path)?.join(OsStr::new("/")).as_bytes().to_vec(),
        false => read_regular_file(path, COMPARED)?,
    };
    Ok(digest(&SHA256, &content).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_change_with_their_content_however_they_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (config, key) = (path("config"), path("key"));
        let of = || Files::of([&*config, &*key]);
        let missing = of();
        fs::write(&config, "a").unwrap();
        assert_ne!(missing.again(), missing);
        let one = of();
        fs::write(path("other"), "a").unwrap();
        fs::rename(path("other"), &config).unwrap();
        assert_eq!(one.again(), one, "another file with the same content");
        fs::write(&key, "").unwrap();
        assert_ne!(one.again(), one, "a second file");
        fs::remove_file(&key).unwrap();
        assert_eq!(one.again(), one);
        fs::remove_file(&config).unwrap();
        std::os::unix::fs::symlink(path("now"), &config).unwrap();
        fs::write(path("now"), "a").unwrap();
        assert_eq!(one.again(), one, "a link to the same content");
    }

    #[test]
    fn a_directory_changes_with_the_names_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let of = || Files::of([folder.path()]);
        let empty = of();
        for name in ["a", "b"] {
            fs::write(path(name), "1").unwrap();
        }
        assert_ne!(empty.again(), empty);
        let two = of();
        fs::write(path("a"), "2").unwrap();
        fs::write(path(".hidden"), "").unwrap();
        assert_eq!(two.again(), two);
        fs::rename(path("b"), path("c")).unwrap();
        assert_ne!(two.again(), two);
        fs::rename(path("c"), path("b")).unwrap();
        assert_eq!(two.again(), two);
    }
}
