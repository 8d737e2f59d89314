//! The cached part of `/metrics`: the samples of all accounts, in the forms that are asked for.
//!
//! It is built once after each change, and every scrape in a form gets the same bytes. The small part that
//! [`crate::metrics::telemetry`] adds at each scrape follows it. Both parts together are one text, or one gzip member:
//! the compressed cached part is a deflate stream that stops at a byte boundary, and the other part completes it.
//!
//! Pure: nothing here reads a clock or does I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::coding::CodingSink;
use super::encode::{Format, Writer};
use super::snapshot_samples;
use crate::model::Snapshot;

pub use super::coding::Coding;
pub use super::gzip::{Compressor, Deflated};

/// A form of the exposition: what a scrape negotiates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form {
    /// The text format.
    pub format: Format,
    /// The content coding.
    pub coding: Coding,
}

/// The cached part of `/metrics` in some forms, all of the same snapshots.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    parts: BTreeMap<Form, Part>,
    size: usize,
}

/// The cached part in one form; more samples follow it.
#[derive(Clone, Debug)]
pub enum Part {
    /// The text.
    Plain(Bytes),
    /// The text as the beginning of a gzip member.
    Deflated(Deflated),
}

/// Encodes and compresses snapshots.
#[derive(Debug, Default)]
pub struct Encoder {
    compressor: Compressor,
    /// The size of the latest text in each format. The next one will have about as many bytes.
    sizes: BTreeMap<Format, usize>,
}

impl Form {
    /// All forms.
    pub const ALL: [Self; 4] = [
        Self { format: Format::Text, coding: Coding::Identity },
        Self { format: Format::Text, coding: Coding::Gzip },
        Self { format: Format::OpenMetrics, coding: Coding::Identity },
        Self { format: Format::OpenMetrics, coding: Coding::Gzip },
    ];
}

impl Exposition {
    /// The cached part in `form`, if it was encoded.
    pub fn part(&self, form: Form) -> Option<&Part> {
        self.parts.get(&form)
    }

    /// The forms in which it was encoded.
    pub fn forms(&self) -> BTreeSet<Form> {
        self.parts.keys().copied().collect()
    }

    /// The size of the text in bytes, uncompressed, in the longest of its formats; 0 if it was encoded in none.
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Encoder {
    /// An encoder that has encoded nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cached part of `snapshots`, one for each account, in `forms`.
    pub fn encode(&mut self, snapshots: &[Arc<Snapshot>], forms: &BTreeSet<Form>) -> Exposition {
        self.add(&Exposition::default(), snapshots, forms)
    }

    /// `exposition`, which was made of the same `snapshots`, also in `forms`.
    pub fn add(
        &mut self,
        exposition: &Exposition,
        snapshots: &[Arc<Snapshot>],
        forms: &BTreeSet<Form>,
    ) -> Exposition {
        let mut added = exposition.clone();
        for format in Format::ALL {
            let missing =
                forms.iter().filter(|form| form.format == format && !added.parts.contains_key(form));
            let codings: BTreeSet<Coding> = missing.map(|form| form.coding).collect();
            if !codings.is_empty() {
                self.add_format(&mut added, snapshots, format, &codings);
            }
        }
        added
    }

    fn add_format(
        &mut self,
        exposition: &mut Exposition,
        snapshots: &[Arc<Snapshot>],
        format: Format,
        codings: &BTreeSet<Coding>,
    ) {
        debug_assert_eq!(repeated_series(&encode(format, snapshots)), None, "a series occurs twice");
        let size = self.sizes.entry(format).or_default();
        // Values change, and then some numbers have more digits.
        let expected = *size + *size / 64;
        let mut sink = CodingSink::new(codings, expected, &mut self.compressor);
        Writer::write_to(&mut sink, format, |writer| snapshot_samples::write(writer, snapshots));
        let text = sink.end(&mut self.compressor);
        *size = text.size;
        exposition.size = exposition.size.max(text.size);
        let plain = text.plain.map(|text| (Coding::Identity, Part::Plain(text)));
        let deflated = text.deflated.map(|text| (Coding::Gzip, Part::Deflated(text)));
        let parts = plain.into_iter().chain(deflated);
        exposition.parts.extend(parts.map(|(coding, part)| (Form { format, coding }, part)));
    }
}

/// Encodes `snapshots`; more families may follow.
pub fn encode(format: Format, snapshots: &[Arc<Snapshot>]) -> String {
    let mut writer = Writer::new(format, 0);
    snapshot_samples::write(&mut writer, snapshots);
    writer.part()
}

/// A series that has more than one sample in a text without timestamps.
pub(super) fn repeated_series(text: &str) -> Option<&str> {
    let mut seen = BTreeSet::new();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut series = samples.filter_map(|line| Some(line.rsplit_once(' ')?.0));
    series.find(|series| !seen.insert(*series))
}
