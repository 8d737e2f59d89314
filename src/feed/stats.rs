//! What the sinks did since the start, for metrics. Reading it never waits for a sink.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::record::RecordKind;
use crate::clock::Timestamp;

/// The counts of one sink.
#[derive(Debug, Default)]
pub(crate) struct SinkStats {
    written: [AtomicU64; RecordKind::ALL.len()],
    failures: AtomicU64,
    /// In milliseconds since 1970; 0 if there was none.
    last_success: AtomicI64,
}

// The numbers are independent of each other, so relaxed ordering is enough.
impl SinkStats {
    /// A record of this kind was written.
    pub(super) fn wrote(&self, kind: RecordKind) {
        self.written[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Everything that waited was written at this date.
    pub(super) fn succeeded(&self, date: Timestamp) {
        self.last_success.store(date.millis(), Ordering::Relaxed);
    }

    /// Something could not be written, or the end of a file fits no record.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// How many records of this kind were written.
    pub(crate) fn written(&self, kind: RecordKind) -> u64 {
        self.written[kind as usize].load(Ordering::Relaxed)
    }

    /// How often writing failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// When a record was last written.
    pub(crate) fn last_success(&self) -> Option<Timestamp> {
        let millis = self.last_success.load(Ordering::Relaxed);
        (millis != 0).then(|| Timestamp::from_millis(millis))
    }
}
