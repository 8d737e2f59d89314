//! The health of the state file, for metrics. Reading it never waits for the disk.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What was found when the file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// An intact file: counting continues.
    Restored,
    /// No file: counting starts.
    Fresh,
    /// A damaged file: counting starts again.
    Damaged,
}

impl Recovery {
    /// All results, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Restored, Self::Fresh, Self::Damaged];

    /// The word for it in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Fresh => "fresh",
            Self::Damaged => "damaged",
        }
    }
}

/// What happened to the file since the process started; all zeros if there is no file.
#[derive(Debug, Default)]
pub struct StoreStats {
    durable: AtomicBool,
    /// An operation on the file takes too long.
    hanging: AtomicBool,
    size: AtomicU64,
    commits: AtomicU64,
    failures: AtomicU64,
    recoveries: [AtomicU64; Recovery::ALL.len()],
}

// The numbers are independent of each other, so relaxed ordering is enough.
impl StoreStats {
    /// Whether everything counted is on disk, or on its way there without delay.
    pub fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Relaxed) && !self.hanging.load(Ordering::Relaxed)
    }

    /// The size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Successful commits.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Failed commits.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How often opening the file had this result.
    pub fn recoveries(&self, recovery: Recovery) -> u64 {
        self.recoveries[recovery as usize].load(Ordering::Relaxed)
    }

    /// The file was opened, and has this size in bytes.
    pub fn recovered(&self, recovery: Recovery, bytes: u64) {
        self.recoveries[recovery as usize].fetch_add(1, Ordering::Relaxed);
        self.on_disk(bytes);
    }

    /// A commit is on disk, in a file of this size in bytes.
    pub fn committed(&self, bytes: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.on_disk(bytes);
    }

    /// The file could not be written.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.durable.store(false, Ordering::Relaxed);
    }

    /// An operation on the file takes too long.
    pub(super) fn hangs(&self) {
        self.hanging.store(true, Ordering::Relaxed);
    }

    /// The operation has ended.
    pub(super) fn answers(&self) {
        self.hanging.store(false, Ordering::Relaxed);
    }

    fn on_disk(&self, bytes: u64) {
        self.size.store(bytes, Ordering::Relaxed);
        self.durable.store(true, Ordering::Relaxed);
    }
}
