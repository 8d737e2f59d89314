//! The cached part of `/metrics`: the samples of all accounts, in both formats, plain and compressed.
//!
//! It is built once after each change, and every scrape gets the same bytes. The small part that
//! [`crate::metrics::telemetry`] adds at each scrape follows it. Both parts together are one text, or one gzip member:
//! the compressed cached part is a deflate stream that stops at a byte boundary, and the other part completes it.
//!
//! Pure: nothing here reads a clock or does I/O.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::encode::{Format, Writer};
use super::snapshot_samples;
use crate::model::Snapshot;

pub use super::gzip::Compressor;
pub(crate) use super::gzip::Deflated;

/// The cached part of `/metrics` in both formats.
#[derive(Clone, Debug)]
pub struct Exposition {
    text: Part,
    open_metrics: Part,
}

/// The cached part in one format; more samples follow it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Uncompressed.
    pub plain: Bytes,
    /// The same text as the beginning of a gzip member.
    pub deflated: Deflated,
}

impl Exposition {
    /// Encodes and compresses `snapshots`, one for each account.
    pub fn build(snapshots: &[Arc<Snapshot>], compressor: &mut Compressor) -> Self {
        let [text, open_metrics] = Format::ALL.map(|format| Part::build(format, snapshots, compressor));
        Self { text, open_metrics }
    }

    /// The cached part in `format`.
    pub fn part(&self, format: Format) -> &Part {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open_metrics,
        }
    }
}

impl Part {
    fn build(format: Format, snapshots: &[Arc<Snapshot>], compressor: &mut Compressor) -> Self {
        let plain = encode(format, snapshots);
        Self { deflated: compressor.begin(plain.as_bytes()), plain: Bytes::from(plain) }
    }
}

/// Encodes `snapshots`; more families may follow.
pub fn encode(format: Format, snapshots: &[Arc<Snapshot>]) -> String {
    // A user has five series of about 130 bytes, and the rest of an account takes about as much as 30 users. That is
    // accurate enough for the string to grow at most once.
    let users = |snapshot: &Arc<Snapshot>| snapshot.users.as_ref().map_or(0, |users| users.series.len());
    let capacity = snapshots.iter().map(|snapshot| 700 * (users(snapshot) + 30)).sum();
    let mut writer = Writer::new(format, capacity);
    snapshot_samples::write(&mut writer, snapshots);
    let text = writer.part();
    debug_assert_eq!(repeated_series(&text), None, "a series occurs twice");
    text
}

/// A series that has more than one sample in a text without timestamps.
pub(super) fn repeated_series(text: &str) -> Option<&str> {
    let mut seen = BTreeSet::new();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut series = samples.filter_map(|line| Some(line.rsplit_once(' ')?.0));
    series.find(|series| !seen.insert(*series))
}
