//! The file under the database, with an overlay in memory until it is accepted.
//!
//! Opening a database writes to the file, mostly after a crash. But a file that is refused afterwards (written by a newer
//! version, of another account, or damaged) must not be changed. So writes go to memory until the file is accepted. The
//! lock is held from before the first read until the file is closed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// The overlay consists of pages of this many bytes.
const PAGE: u64 = 4096;

/// A locked file; cloned handles are the same file.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// The overlay; `None` once the file is accepted.
    overlay: Mutex<Option<Overlay>>,
    /// What was done to the file, for tests of power failures.
    #[cfg(test)]
    operations: Mutex<Vec<Operation>>,
}

/// An operation on the file.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Write(u64, Vec<u8>),
    Length(u64),
    Sync,
}

/// Writes that are held back.
#[derive(Debug)]
struct Overlay {
    length: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Backend {
    /// Locks the file; `None` if another process holds the lock.
    pub(super) fn lock(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let overlay = Overlay { length: file.metadata()?.len(), pages: BTreeMap::new() };
        let inner = Inner {
            file,
            overlay: Mutex::new(Some(overlay)),
            #[cfg(test)]
            operations: Mutex::default(),
        };
        Ok(Some(Self { inner: Arc::new(inner) }))
    }

    /// The file itself.
    pub(super) fn file(&self) -> &File {
        &self.inner.file
    }

    /// Writes the overlay to the file. From now on, writes go to the file directly.
    pub(super) fn accept(&self) -> io::Result<()> {
        let mut overlay = self.overlay();
        if let Some(held) = &*overlay {
            let inner = &self.inner;
            inner.set_len(held.length)?;
            for (number, page) in &held.pages {
                let offset = number * PAGE;
                let length = held.length.saturating_sub(offset).min(PAGE) as usize;
                inner.write(offset, &page[..length])?;
            }
            inner.sync()?;
        }
        *overlay = None;
        Ok(())
    }

    /// Empties the file, which was not accepted yet.
    pub(super) fn empty(&self) -> io::Result<()> {
        let mut overlay = self.overlay();
        self.inner.file.set_len(0)?;
        *overlay = Some(Overlay { length: 0, pages: BTreeMap::new() });
        Ok(())
    }

    /// What was done to the file so far.
    #[cfg(test)]
    pub(super) fn operations(&self) -> Vec<Operation> {
        self.inner.operations().clone()
    }

    fn overlay(&self) -> MutexGuard<'_, Option<Overlay>> {
        // The database is expected to panic on some damaged files. That leaves the overlay consistent.
        self.inner.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        self.operations().push(Operation::Write(offset, data.to_vec()));
        self.file.write_all_at(data, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        #[cfg(test)]
        self.operations().push(Operation::Length(length));
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        self.operations().push(Operation::Sync);
        self.file.sync_data()
    }

    /// What was done to the file so far.
    #[cfg(test)]
    fn operations(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    /// Closing the file would not be enough: if another thread is starting a program, that program holds a copy of the
    /// descriptor for a moment, and the lock with it.
    fn drop(&mut self) {
        // If this fails, closing the file releases the lock.
        let _ = self.file.unlock();
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        match &*self.overlay() {
            Some(overlay) => Ok(overlay.length),
            None => Ok(self.inner.file.metadata()?.len()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.overlay() {
            Some(overlay) => overlay.read(&self.inner.file, offset, out),
            None => self.inner.file.read_exact_at(out, offset),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        match &mut *self.overlay() {
            Some(overlay) => overlay.set_len(&self.inner.file, length),
            None => self.inner.set_len(length),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.overlay().is_some() { Ok(()) } else { self.inner.sync() }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &mut *self.overlay() {
            Some(overlay) => overlay.write(&self.inner.file, offset, data),
            None => self.inner.write(offset, data),
        }
    }
}

impl Overlay {
    fn read(&self, file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, part) in split_by_page(offset, out.len()) {
            let out = &mut out[part];
            match self.pages.get(&number) {
                Some(page) => out.copy_from_slice(&page[within..within + out.len()]),
                None => read_or_zero(file, number * PAGE + within as u64, out)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, file: &File, offset: u64, data: &[u8]) -> io::Result<()> {
        for (number, within, part) in split_by_page(offset, data.len()) {
            let data = &data[part];
            self.page(file, number)?[within..within + data.len()].copy_from_slice(data);
        }
        self.length = self.length.max(offset + data.len() as u64);
        Ok(())
    }

    fn set_len(&mut self, file: &File, length: u64) -> io::Result<()> {
        if length < self.length {
            // Bytes that were cut off must read as zeros if the file grows again, as they do on disk.
            self.page(file, length / PAGE)?[(length % PAGE) as usize..].fill(0);
            for number in length / PAGE + 1..self.length.div_ceil(PAGE) {
                self.pages.insert(number, vec![0; PAGE as usize]);
            }
        }
        self.length = length;
        Ok(())
    }

    /// The page with this number, in the overlay from now on.
    fn page(&mut self, file: &File, number: u64) -> io::Result<&mut [u8]> {
        Ok(match self.pages.entry(number) {
            Entry::Occupied(page) => page.into_mut(),
            Entry::Vacant(place) => {
                let mut page = vec![0; PAGE as usize];
                read_or_zero(file, number * PAGE, &mut page)?;
                place.insert(page)
            }
        })
    }
}

/// Splits a range of bytes by page: the number of the page, the offset in it, and the part of the range.
fn split_by_page(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % PAGE) as usize;
        let part = done..length.min(done + PAGE as usize - within);
        done = part.end;
        Some((at / PAGE, within, part))
    })
}

/// Reads from the file, and zeros beyond its end.
fn read_or_zero(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < out.len() {
        match file.read_at(&mut out[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    out[done..].fill(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> File {
        let file = tempfile::tempfile().expect("a temporary file");
        file.write_all_at(content, 0).expect("it can be written");
        file
    }

    fn content(file: &File) -> Vec<u8> {
        let mut content = vec![0; file.metadata().expect("it is open").len() as usize];
        file.read_exact_at(&mut content, 0).expect("it can be read");
        content
    }

    #[test]
    fn writes_can_be_read_back_and_change_the_file_only_once_it_is_accepted() {
        let before: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        let file = file(&before);
        let backend = Backend::lock(file.try_clone().expect("it is open")).expect("it can be locked");
        let backend = backend.expect("no other process holds it");
        let mut wanted = before.clone();
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..200 {
            match random.u32(0..4) {
                0 => {
                    let length = random.usize(1..20_000);
                    wanted.resize(length, 0);
                    backend.set_len(length as u64).expect("memory only");
                }
                _ => {
                    let (at, length) = (random.usize(0..wanted.len()), random.usize(0..9_000));
                    let data: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
                    wanted.resize(wanted.len().max(at + length), 0);
                    wanted[at..at + length].copy_from_slice(&data);
                    backend.write(at as u64, &data).expect("memory only");
                }
            }
            let mut read = vec![1; wanted.len()];
            backend.read(0, &mut read).expect("it is as long as it says");
            assert!(read == wanted);
            assert_eq!(backend.len().expect("it is known"), wanted.len() as u64);
        }
        assert!(content(&file) == before);
        backend.accept().expect("there is room");
        assert!(content(&file) == wanted);
        backend.write(3, b"at once").expect("there is room");
        assert_eq!(&content(&file)[3..10], b"at once");
    }

    #[test]
    fn the_lock_ends_with_the_backend_even_if_a_copy_of_the_descriptor_is_open() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("locked");
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open().expect("it can be created");
        let copy = file.try_clone().expect("it is open");
        let backend = Backend::lock(file).expect("it can be locked");
        assert!(backend.is_some());
        assert!(Backend::lock(open().expect("it exists")).expect("it can be tried").is_none());
        drop(backend);
        assert!(Backend::lock(open().expect("it exists")).expect("it can be locked").is_some());
        drop(copy);
    }

    #[test]
    fn bytes_beyond_the_end_cannot_be_read() {
        let backend =
            Backend::lock(file(&[7; 100])).expect("it can be locked").expect("no other process holds it");
        assert!(backend.read(99, &mut [0; 2]).is_err());
        assert!(backend.read(u64::MAX, &mut [0; 2]).is_err());
    }
}
