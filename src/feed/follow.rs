//! Reads the lines of a feed's file as they are written, and goes on with the next file when it is rotated.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::format::MAX_LINE;

/// The place in the files up to which lines were read.
#[derive(Debug)]
pub(crate) struct Follower {
    path: PathBuf,
    file: BufReader<File>,
    /// The file that follows this one, once it exists. This one is then read to its end first.
    next: Option<File>,
    /// What was read of a line whose end is not written yet.
    begun: Vec<u8>,
}

impl Follower {
    /// Begins at the start of the file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::new(File::open(path)?);
        Ok(Self { path: path.to_owned(), file, next: None, begun: Vec::new() })
    }

    /// The next line without its end; `None` if no whole line is there yet.
    ///
    /// # Errors
    /// The file cannot be read, or has a line that no feed has.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<String>> {
        loop {
            let left = MAX_LINE.saturating_sub(self.begun.len()) as u64;
            (&mut self.file).take(left).read_until(b'\n', &mut self.begun)?;
            if self.begun.last() == Some(&b'\n') {
                self.begun.pop();
                let line = String::from_utf8(std::mem::take(&mut self.begun));
                return line.map(Some).map_err(|_| io::Error::other("it has a line that is not UTF-8 text"));
            }
            if self.begun.len() >= MAX_LINE {
                return Err(io::Error::other(format!("it has a line of {MAX_LINE} bytes or more")));
            }
            match self.next.take() {
                Some(next) => {
                    self.file = BufReader::new(next);
                    // A part of a line at the end of a file is one that the exporter left alone.
                    self.begun.clear();
                }
                // Lines may have been written to this file before the next one began, so it is read once more.
                None => match self.successor()? {
                    Some(next) => self.next = Some(next),
                    None => return Ok(None),
                },
            }
        }
    }

    /// The file after this one, if there is one.
    fn successor(&self) -> io::Result<Option<File>> {
        let own = identity(&self.file.get_ref().metadata()?);
        match fs::metadata(&self.path) {
            Ok(there) if identity(&there) == own => return Ok(None),
            // Another program renamed it, and the exporter has not begun a new one yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            there => there?,
        };
        let mut files = self.rotated()?;
        files.push(self.path.clone());
        let is_own = |path: &PathBuf| fs::metadata(path).is_ok_and(|there| identity(&there) == own);
        // If it was removed, those before the file in use were too, or are not known to come after it.
        let next = files.iter().position(is_own).and_then(|position| files.get(position + 1));
        File::open(next.unwrap_or(&self.path)).map(Some)
    }

    /// The rotated files, the oldest first: their names sort like numbers.
    fn rotated(&self) -> io::Result<Vec<PathBuf>> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let stem = format!("{}-", self.path.file_stem().unwrap_or_default().to_string_lossy());
        let is_rotated = |path: &PathBuf| {
            path.extension() == self.path.extension()
                && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&stem))
        };
        let entries = fs::read_dir(directory.unwrap_or(Path::new(".")))?;
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(is_rotated).collect();
        files.sort_unstable();
        Ok(files)
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    fn append(path: &Path, text: &str) {
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// All lines that are there now.
    fn lines(follower: &mut Follower) -> Vec<String> {
        std::iter::from_fn(|| follower.next_line().unwrap()).collect()
    }

    #[test]
    fn lines_are_read_once_they_are_whole_and_through_rotations() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("feed.jsonl");
        let rotated = |number: u32| directory.path().join(format!("feed-000000000{number}.jsonl"));
        append(&path, "1\n2\n3");
        append(&directory.path().join("feed.jsonl.lock"), "x\n");
        let mut follower = Follower::open(&path).unwrap();
        assert_eq!(lines(&mut follower), ["1", "2"]);
        append(&path, "3\n");
        assert_eq!(lines(&mut follower), ["33"]);
        // Two rotations at once, and a line that was written before the first.
        append(&path, "4\n");
        fs::rename(&path, rotated(1)).unwrap();
        append(&path, "5\n");
        fs::rename(&path, rotated(2)).unwrap();
        append(&path, "6\n7");
        assert_eq!(lines(&mut follower), ["4", "5", "6"]);
        // A part of a line that nobody completes, and a moment without a file.
        fs::rename(&path, rotated(3)).unwrap();
        assert_eq!(lines(&mut follower), [""; 0]);
        append(&path, "8\n");
        assert_eq!(lines(&mut follower), ["8"]);
        // The file was rotated and removed.
        append(&path, "9\n");
        fs::remove_file(&path).unwrap();
        append(&path, "10\n");
        assert_eq!(lines(&mut follower), ["9", "10"]);
    }

    #[test]
    fn what_is_no_feed_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        for (bytes, wanted) in [
            (vec![b'x'; MAX_LINE], "it has a line of 16384 bytes or more"),
            (b"\xff\n".to_vec(), "it has a line that is not UTF-8 text"),
        ] {
            let path = directory.path().join("feed.jsonl");
            fs::write(&path, bytes).unwrap();
            let error = Follower::open(&path).unwrap().next_line().unwrap_err();
            assert_eq!(error.to_string(), wanted);
        }
    }
}
