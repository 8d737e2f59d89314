//! The codings in which a text is cached: as it is, or compressed.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::gzip::{Compressor, Deflated, Deflating};

/// The content coding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coding {
    /// The text as it is.
    Identity,
    /// gzip.
    Gzip,
}

/// Takes a text piece by piece, and keeps it in some codings. If it is kept only compressed, the whole text is never in
/// memory.
#[derive(Debug, Default)]
pub(super) struct CodingSink {
    /// The size of the text so far, in bytes.
    size: usize,
    plain: Option<Vec<u8>>,
    deflating: Option<Deflating>,
}

/// A text in some codings.
pub(super) struct CodedText {
    /// Its size in bytes, uncompressed.
    pub(super) size: usize,
    pub(super) plain: Option<Bytes>,
    pub(super) deflated: Option<Deflated>,
}

impl CodingSink {
    /// Keeps a text in `codings` that will have about `expected` bytes.
    pub(super) fn new(codings: &BTreeSet<Coding>, expected: usize, compressor: &mut Compressor) -> Self {
        Self {
            size: 0,
            plain: codings.contains(&Coding::Identity).then(|| Vec::with_capacity(expected)),
            deflating: codings.contains(&Coding::Gzip).then(|| compressor.begin()),
        }
    }

    /// Adds the next piece of the text.
    pub(super) fn push(&mut self, text: &[u8]) {
        self.size += text.len();
        if let Some(plain) = &mut self.plain {
            if plain.capacity() - plain.len() < text.len() {
                // Doubling the capacity, as a vector does by itself, would waste much of a large text.
                plain.reserve_exact(text.len().max(plain.len() / 8));
            }
            plain.extend_from_slice(text);
        }
        if let Some(deflating) = &mut self.deflating {
            deflating.push(text);
        }
    }

    /// The whole text. Gives the compressor back.
    pub(super) fn end(self, compressor: &mut Compressor) -> CodedText {
        let plain = self.plain.map(|mut plain| {
            // The text is cached for long, so spare capacity is given back.
            plain.shrink_to_fit();
            Bytes::from(plain)
        });
        let deflated = self.deflating.map(|deflating| deflating.end(compressor));
        CodedText { size: self.size, plain, deflated }
    }
}
