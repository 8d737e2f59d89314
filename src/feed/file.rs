//! A file with one record a line, each exactly once.
//!
//! Lines are appended and synced before they are removed from the state file. After a crash, or after any failure, the last part of
//! the file and of those before it is compared with the lines that wait: what is there to the byte is not written again, and half
//! a line is completed. An end that fits nothing is left alone, and a new file begins.
//!
//! A file is never made shorter, because programs that follow it would read it again from the start. Rotation renames it and creates a
//! new one. If another program, such as logrotate, has renamed it, the file at the path has another inode, and the next record goes
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::Format;
use super::format::MAX_LINE;

/// How much of the files is compared with the lines that wait. A commit removes them a second after they were written.
const COMPARED: u64 = 64 << 20;

/// No line of a feed has more bytes before its id.
const LONGEST_BEGINNING: u64 = 32;

/// Digits of the number in the name of a rotated file, so that names sort like numbers.
const DIGITS: usize = 10;

/// Where the file is, and when another one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSettings {
    /// The file.
    pub(crate) path: PathBuf,
    /// It is rotated before it is longer than this, unless a single round of records is.
    pub(crate) rotate_bytes: u64,
    /// How many rotated files are kept.
    pub(crate) keep: usize,
    /// The mode of new files.
    pub(crate) mode: u32,
}

impl FileSettings {
    /// The file beside it that keeps other exporters away.
    pub(crate) fn lock(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        self.path.with_file_name(name)
    }

    /// Why the file cannot be that of a feed; `None` if nothing speaks against it.
    pub(crate) fn problem(&self) -> Option<String> {
        let directory = directory(&self.path);
        match fs::metadata(directory) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => return Some(format!("{} is not a directory", directory.display())),
            Err(error) => return Some(format!("{}: {error}", directory.display())),
        }
        match check_file(&self.path) {
            Ok(()) => None,
            Err(error) => Some(format!("{}: {error}", self.path.display())),
        }
    }
}

/// Why the feed cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("another process writes the feed to {}", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// An error of the operating system.
    #[error("cannot write the feed to {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// There is no thread for a sink.
    #[error("cannot start a thread for the feed: {0}")]
    Thread(io::Error),
}

/// The file, and what is known of it.
#[derive(Debug)]
pub(super) struct FileSink {
    settings: FileSettings,
    /// Keeps other exporters away. It is a file of its own, because the file of the feed is renamed.
    _lock: File,
    opened: Option<Opened>,
    /// Lines that wait, but were in a file when it was opened.
    present: BTreeSet<Arc<str>>,
    /// How often the end of a file fitted nothing.
    odd_ends: u64,
}

#[derive(Debug)]
struct Opened {
    file: File,
    identity: (u64, u64),
    length: u64,
}

/// What a comparison found.
#[derive(Debug, Default)]
struct Compared {
    present: BTreeSet<Arc<str>>,
    /// The bytes after the last newline.
    tail: Vec<u8>,
}

impl FileSink {
    /// Keeps other exporters from the file. Nothing is written yet.
    ///
    /// # Errors
    /// Another process has it, its directory cannot be written, or the file is something else than a feed.
    pub(super) fn lock(settings: FileSettings) -> Result<Self, Error> {
        let path = || settings.path.clone();
        check_file(&settings.path).map_err(|source| Error::Io { path: path(), source })?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(settings.lock());
        let lock = lock.map_err(|source| Error::Io { path: path(), source })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path: path() }),
            Err(TryLockError::Error(source)) => return Err(Error::Io { path: path(), source }),
        }
        Ok(Self { settings, _lock: lock, opened: None, present: BTreeSet::new(), odd_ends: 0 })
    }

    /// How often the end of a file fitted no record, so that a new file began.
    pub(super) fn odd_ends(&self) -> u64 {
        self.odd_ends
    }

    /// Makes sure that these lines are in the file and on disk, each once. `all` returns all lines that wait, with these.
    ///
    /// # Errors
    /// Some may not be there, or not as a whole. The next call completes them.
    pub(super) fn write(
        &mut self,
        lines: &[Arc<str>],
        all: impl FnOnce() -> Vec<Arc<str>>,
    ) -> io::Result<()> {
        let written = self.append(lines, all);
        if written.is_err() {
            // What is in the file now is known only after another comparison.
            self.opened = None;
        }
        written
    }

    fn append(&mut self, lines: &[Arc<str>], all: impl FnOnce() -> Vec<Arc<str>>) -> io::Result<()> {
        match &self.opened {
            None => self.compare_and_open(&all())?,
            // Another program renamed or removed the file, which ended with a whole line.
            Some(opened) if !opened.is_at(&self.settings.path) => self.compare_and_open(&[])?,
            Some(_) => {}
        }
        let is_new = |line: &&Arc<str>| !self.present.contains(*line);
        let bytes: Vec<u8> = lines.iter().filter(is_new).flat_map(|line| line.bytes()).collect();
        if !bytes.is_empty() {
            let is_full = |opened: &Opened| {
                opened.length > 0 && opened.length + bytes.len() as u64 > self.settings.rotate_bytes
            };
            if self.opened.as_ref().is_some_and(is_full) {
                self.rotate()?;
            }
            let opened = self.opened.as_mut().ok_or(io::ErrorKind::NotFound)?;
            opened.file.write_all(&bytes)?;
            opened.file.sync_data()?;
            opened.length += bytes.len() as u64;
        }
        for line in lines {
            self.present.remove(line);
        }
        Ok(())
    }

    /// Opens the file at the path, and finds out which of the lines that wait are in it or in an earlier one.
    fn compare_and_open(&mut self, waiting: &[Arc<str>]) -> io::Result<()> {
        let opened = self.open()?;
        let compared = self.compare(&opened, waiting)?;
        self.opened = Some(opened);
        self.present = compared.present;
        if compared.tail.is_empty() {
            return Ok(());
        }
        let is_begun =
            |line: &&Arc<str>| line.as_bytes().starts_with(&compared.tail) && !self.present.contains(*line);
        if let Some(line) = waiting.iter().find(is_begun) {
            let rest = line.as_bytes().get(compared.tail.len()..).unwrap_or_default();
            let opened = self.opened.as_mut().ok_or(io::ErrorKind::NotFound)?;
            opened.file.write_all(rest)?;
            opened.file.sync_data()?;
            opened.length += rest.len() as u64;
            self.present.insert(Arc::clone(line));
            return Ok(());
        }
        self.odd_ends += 1;
        let path = self.settings.path.display();
        tracing::warn!(%path, "the file of the feed ends with a part of a line that is no record; a new file begins");
        self.rotate()
    }

    fn open(&self) -> io::Result<Opened> {
        let FileSettings { path, mode, .. } = &self.settings;
        let is_new = !is_regular(path)?;
        let file = OpenOptions::new().read(true).append(true).create(true).mode(*mode).open(path)?;
        if is_new {
            // The mode of a new file is reduced by the umask of the process.
            file.set_permissions(Permissions::from_mode(*mode))?;
            // Some file systems cannot sync a directory; there is nothing more to do on them.
            let _ = sync_directory(path);
        }
        let metadata = file.metadata()?;
        Ok(Opened { file, identity: (metadata.dev(), metadata.ino()), length: metadata.len() })
    }

    /// Looks for the lines that wait in the file and in those that were rotated before it, the latest first.
    fn compare(&self, opened: &Opened, waiting: &[Arc<str>]) -> io::Result<Compared> {
        let waiting: BTreeMap<&str, &Arc<str>> = waiting.iter().map(|line| (&**line, line)).collect();
        let mut compared = Compared::default();
        let mut left = COMPARED;
        let wanted = if waiting.is_empty() { MAX_LINE as u64 } else { left };
        compared.tail = search(&opened.file, opened.length, wanted, &waiting, &mut compared.present)?;
        left = left.saturating_sub(opened.length);
        for path in self.earlier_files()? {
            if left == 0 || compared.present.len() == waiting.len() {
                break;
            }
            // Another program may have removed it meanwhile.
            let Ok(file) = File::open(path) else { continue };
            let length = file.metadata()?.len();
            search(&file, length, left, &waiting, &mut compared.present)?;
            left = left.saturating_sub(length);
        }
        Ok(compared)
    }

    /// The other files in the directory whose names begin like that of the file, the latest first: those that this program or another
    /// one renamed.
    fn earlier_files(&self) -> io::Result<Vec<PathBuf>> {
        let path = &self.settings.path;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_earlier = |file: &PathBuf| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&stem) && !name.ends_with(".lock") && file != path
        };
        // Another program may have removed it meanwhile.
        let dated = |path: PathBuf| {
            let metadata = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().ok()?, path))
        };
        let mut files: Vec<(SystemTime, PathBuf)> =
            self.neighbors()?.into_iter().filter(is_earlier).filter_map(dated).collect();
        files.sort_by(|one, other| other.cmp(one));
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }

    /// Everything in the directory of the file.
    fn neighbors(&self) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory(&self.settings.path))?.map(|entry| Ok(entry?.path())).collect()
    }

    /// Renames the file, creates a new one, and removes rotated ones beyond those to keep.
    fn rotate(&mut self) -> io::Result<()> {
        // If they cannot be listed, their numbers are not known, and none may be used twice.
        let rotated = self.rotated()?;
        let number = rotated.last().map_or(1, |(number, _)| number + 1);
        self.rename_to(number)?;
        self.opened = Some(self.open()?);
        let excess = (rotated.len() + 1).saturating_sub(self.settings.keep);
        for (_, path) in rotated.into_iter().take(excess) {
            // It is tried again at the next rotation.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Gives the file a number that no other file has.
    fn rename_to(&self, number: u64) -> io::Result<()> {
        let name = self.name_of(number);
        if fs::symlink_metadata(&name).is_ok() {
            let problem = format!("{} is there already", name.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        fs::rename(&self.settings.path, name)
    }

    /// The files that this program rotated, with their numbers, the oldest first.
    fn rotated(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let number = |path: &Path| {
            let stem = path.file_stem()?.to_str()?;
            let digits = stem.rsplit_once('-')?.1;
            let number = digits.parse().ok().filter(|_| digits.len() == DIGITS)?;
            (self.name_of(number) == path).then_some(number)
        };
        let paths = self.neighbors()?.into_iter();
        let mut rotated: Vec<_> = paths.filter_map(|path| Some((number(&path)?, path))).collect();
        rotated.sort_unstable();
        Ok(rotated)
    }

    /// The name of the rotated file with this number: `feed-0000000001.jsonl` for `feed.jsonl`.
    fn name_of(&self, number: u64) -> PathBuf {
        let path = &self.settings.path;
        let mut name = path.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{number:0width$}", width = DIGITS));
        if let Some(extension) = path.extension() {
            name.push(".");
            name.push(extension);
        }
        path.with_file_name(name)
    }
}

impl Opened {
    /// Whether the path leads to this file.
    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == self.identity)
    }
}

/// Looks for lines in the last `limit` bytes of a file. Returns the bytes after the last newline.
fn search(
    mut file: &File,
    length: u64,
    limit: u64,
    waiting: &BTreeMap<&str, &Arc<str>>,
    present: &mut BTreeSet<Arc<str>>,
) -> io::Result<Vec<u8>> {
    let start = length.saturating_sub(limit);
    file.seek(SeekFrom::Start(start))?;
    let mut reader = BufReader::with_capacity(1 << 16, file.take(length - start));
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(Vec::new());
        }
        if line.last() != Some(&b'\n') {
            return Ok(line);
        }
        if let Some(found) = str::from_utf8(&line).ok().and_then(|line| waiting.get(line)) {
            present.insert(Arc::clone(*found));
        }
    }
}

/// Whether there is a file. Anything else at the path is an error: opening a pipe blocks, and two names of a file would have two
/// locks.
fn is_regular(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => Ok(true),
        Ok(there) if there.is_symlink() => {
            Err(io::Error::other("it is a symbolic link; name the file itself"))
        }
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes sure that there is no file yet, or one that a feed can continue: a rotation would take any other away.
fn check_file(path: &Path) -> io::Result<()> {
    if !is_regular(path)? {
        return Ok(());
    }
    let mut begin = Vec::new();
    File::open(path)?.take(LONGEST_BEGINNING).read_to_end(&mut begin)?;
    let is_of = |format: Format| {
        let wanted = format.beginning().as_bytes();
        let length = wanted.len().min(begin.len());
        // A crash may have left a part of the first line.
        begin.get(..length) == wanted.get(..length)
    };
    match Format::ALL.into_iter().any(is_of) {
        true => Ok(()),
        false => Err(io::Error::other("it has something else than records of the feed; move it away")),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes sure that the names of files survive a power failure.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

#[cfg(test)]
mod tests;
