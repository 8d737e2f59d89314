//! From the accounts' snapshots to the page, in both formats, plain and compressed.
//!
//! A page is made once for each change and handed out to everyone. What it lacks is the small part that
//! [`crate::metrics::telemetry`] adds at each scrape; both parts together are one text, or one gzip member: the cached
//! part ends at a byte boundary in the middle of a deflate stream, which the other part then ends.
//!
//! Pure: nothing here reads a clock or does I/O.

use std::sync::Arc;

use bytes::Bytes;

use super::encode::{Format, Writer};
use super::samples;
use crate::model::Snapshot;

pub use super::gzip::Compressor;
pub(crate) use super::gzip::Deflated;

/// What is known about Cloudflare, ready to be sent.
#[derive(Clone, Debug)]
pub struct Exposition {
    text: Part,
    open_metrics: Part,
}

/// The page in one format; more samples follow it.
#[derive(Clone, Debug)]
pub struct Part {
    /// As it is.
    pub plain: Bytes,
    /// The same as the beginning of a gzip member.
    pub deflated: Deflated,
}

impl Exposition {
    /// Writes and compresses what `snapshots` say, one for each account.
    pub fn build(snapshots: &[Arc<Snapshot>], compressor: &mut Compressor) -> Self {
        let [text, open_metrics] = Format::ALL.map(|format| Part::build(format, snapshots, compressor));
        Self { text, open_metrics }
    }

    /// The page in `format`.
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

/// Writes what `snapshots` say; more families may follow.
pub fn encode(format: Format, snapshots: &[Arc<Snapshot>]) -> String {
    // A user takes five series of about 130 bytes, and the rest of an account's page is about as large as
    // that of 30 users: near enough to grow at most once.
    let users = |snapshot: &Arc<Snapshot>| snapshot.users.as_ref().map_or(0, |users| users.series.len());
    let capacity = snapshots.iter().map(|snapshot| 700 * (users(snapshot) + 30)).sum();
    let mut writer = Writer::new(format, capacity);
    samples::write(&mut writer, snapshots);
    writer.part()
}
