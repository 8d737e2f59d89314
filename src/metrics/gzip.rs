//! Makes one gzip member of two parts: a long one that is compressed once, and a short one that is compressed for each
//! scrape.
//!
//! The first part is flushed to a byte boundary. The deflate stream can continue with blocks from another compressor, as
//! long as they do not refer to data before them. The checksum of the whole is computed from both checksums (RFC 1951,
//! RFC 1952).

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Magic number, deflate, no name, no time (so that the same text gives the same bytes), unknown operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The beginning of a gzip member.
#[derive(Clone, Debug)]
pub struct Deflated {
    /// The member's header and the compressed text, flushed to a byte boundary.
    pub bytes: Bytes,
    checksum: crc32fast::Hasher,
    length: u32,
}

/// Compresses both parts of members. Its 380 kB are allocated by the first use and then reused: if each scrape allocated
/// them, the allocator would keep a copy for each thread.
#[derive(Debug, Default)]
pub struct Compressor {
    compress: Option<Compress>,
}

/// A member's beginning whose text still arrives. It has the compressor until its end.
#[derive(Debug)]
pub(super) struct Deflating {
    compress: Compress,
    bytes: Vec<u8>,
    checksum: crc32fast::Hasher,
    length: u32,
}

impl Compressor {
    /// Nothing is allocated yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a member.
    pub(super) fn begin(&mut self) -> Deflating {
        Deflating {
            compress: self.take(),
            bytes: HEADER.to_vec(),
            checksum: crc32fast::Hasher::new(),
            length: 0,
        }
    }

    /// A whole member of `text`.
    pub fn member(&mut self, text: &[u8]) -> Vec<u8> {
        let mut deflating = self.begin();
        deflating.push(text);
        let beginning = deflating.end(self);
        let end = self.finish(&beginning, b"");
        [&beginning.bytes, end.as_slice()].concat()
    }

    /// The end of the member that `beginning` begins: `text` compressed, then the checksum and the length of the whole.
    pub fn finish(&mut self, beginning: &Deflated, text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut compress = self.take();
        deflate(&mut compress, text, FlushCompress::Finish, &mut bytes);
        self.compress = Some(compress);
        let mut both = beginning.checksum.clone();
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(text);
        both.combine(&checksum);
        bytes.extend(both.finalize().to_le_bytes());
        bytes.extend(beginning.length.wrapping_add(modular_length(text)).to_le_bytes());
        bytes
    }

    /// Uses the fastest level: label names repeat so much that higher levels gain little.
    fn take(&mut self) -> Compress {
        let mut compress = self.compress.take().unwrap_or_else(|| Compress::new(Compression::fast(), false));
        compress.reset();
        compress
    }
}

impl Deflating {
    /// Adds the next part of the text.
    pub(super) fn push(&mut self, text: &[u8]) {
        deflate(&mut self.compress, text, FlushCompress::None, &mut self.bytes);
        self.checksum.update(text);
        self.length = self.length.wrapping_add(modular_length(text));
    }

    /// Ends the beginning at a byte boundary, and gives the compressor back.
    pub(super) fn end(mut self, compressor: &mut Compressor) -> Deflated {
        deflate(&mut self.compress, &[], FlushCompress::Sync, &mut self.bytes);
        compressor.compress = Some(self.compress);
        // The bytes are cached for long, so spare capacity is given back.
        self.bytes.shrink_to_fit();
        Deflated { bytes: self.bytes.into(), checksum: self.checksum, length: self.length }
    }
}

/// Appends all of `text`, compressed, to `out`.
fn deflate(compress: &mut Compress, text: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    let before = compress.total_in();
    let mut rest = text;
    loop {
        // An exposition shrinks to a tenth, so this is more than enough. For other texts the loop continues.
        out.reserve(rest.len() / 4 + 64);
        let room = out.capacity() - out.len();
        let filled = out.len();
        let status =
            compress.compress_vec(rest, out, flush).expect("deflate fails only on a stream that has ended");
        let consumed = usize::try_from(compress.total_in() - before)
            .expect("the compressor reads no more than it was given");
        rest = text.get(consumed..).unwrap_or_default();
        let flushed = rest.is_empty() && out.len() - filled < room;
        if status == Status::StreamEnd || (flushed && flush != FlushCompress::Finish) {
            return;
        }
    }
}

/// The length modulo 2^32, as a gzip member states it.
fn modular_length(text: &[u8]) -> u32 {
    (text.len() as u64 % (1 << 32)) as u32
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Decodes exactly one member, and panics if anything follows it.
    fn gunzip(member: &[u8]) -> Vec<u8> {
        let mut decoder = flate2::bufread::GzDecoder::new(member);
        let mut text = Vec::new();
        decoder.read_to_end(&mut text).unwrap();
        assert!(decoder.into_inner().is_empty(), "something follows the member");
        text
    }

    #[test]
    fn a_text_is_one_member() {
        let mut compressor = Compressor::new();
        for text in [b"".as_slice(), b"a", &b"{\"account\":\"acme\"}".repeat(5_000)] {
            assert_eq!(gunzip(&compressor.member(text)), text, "{} bytes", text.len());
        }
    }

    #[test]
    fn two_parts_are_one_member() {
        let mut random = fastrand::Rng::with_seed(3);
        let noise: Vec<u8> = (0..100_000).map(|_| random.u8(..)).collect();
        let repeated = b"cloudflare_zt_risk_users{account=\"acme\"} 1\n".repeat(5_000);
        let texts: [&[u8]; 5] = [b"", b"a", b"# EOF\n", &noise, &repeated];
        let mut compressor = Compressor::new();
        for first in texts {
            for second in texts {
                let mut deflating = compressor.begin();
                first.chunks(30_000).for_each(|chunk| deflating.push(chunk));
                let beginning = deflating.end(&mut compressor);
                let end = compressor.finish(&beginning, second);
                let lengths = (first.len(), second.len());
                assert!(
                    gunzip(&[&beginning.bytes, end.as_slice()].concat()) == [first, second].concat(),
                    "parts of {lengths:?} bytes"
                );
            }
        }
    }
}
