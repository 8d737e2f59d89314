//! How the file is doing, for whoever shows it: read without waiting for a disk.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How the state was when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Whole: counting goes on.
    Restored,
    /// There was none: counting begins.
    Fresh,
    /// Damaged: counting begins anew.
    Damaged,
}

impl Recovery {
    /// All ways, in the order in which they are shown.
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

/// What was done with the file since the process started; all zeros where there is none.
#[derive(Debug, Default)]
pub struct StoreStats {
    durable: AtomicBool,
    size: AtomicU64,
    commits: AtomicU64,
    failures: AtomicU64,
    recoveries: [AtomicU64; Recovery::ALL.len()],
}

// Each number stands for itself, so no order between them is needed.
impl StoreStats {
    /// Whether what was counted last is on disk.
    pub fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Relaxed)
    }

    /// The size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Writes that are on disk.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Writes that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How often the file was opened and found so.
    pub fn recoveries(&self, recovery: Recovery) -> u64 {
        self.recoveries[recovery as usize].load(Ordering::Relaxed)
    }

    /// The file was opened, with `bytes`.
    pub fn recovered(&self, recovery: Recovery, bytes: u64) {
        self.recoveries[recovery as usize].fetch_add(1, Ordering::Relaxed);
        self.on_disk(bytes);
    }

    /// What was counted is on disk, in a file of `bytes`.
    pub fn kept(&self, bytes: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.on_disk(bytes);
    }

    /// It could not be written.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.durable.store(false, Ordering::Relaxed);
    }

    fn on_disk(&self, bytes: u64) {
        self.size.store(bytes, Ordering::Relaxed);
        self.durable.store(true, Ordering::Relaxed);
    }
}
