//! One gzip member out of two parts: a long one compressed once, and a short one compressed for each scrape.
//!
//! The first part is flushed to a byte boundary, so the deflate stream may go on with blocks that another
//! compressor wrote, as long as they refer to nothing before them. The checksum of both comes from the two
//! checksums (RFC 1951, RFC 1952).

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Magic number, deflate, no name, no time (a page that did not change stays the same), unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The beginning of a gzip member.
#[derive(Clone, Debug)]
pub struct Deflated {
    /// The member's header and the compressed text, flushed to a byte boundary.
    pub bytes: Bytes,
    checksum: crc32fast::Hasher,
    length: u32,
}

/// Compresses both parts of members, with the same 380 kB each time: given back and asked for again by changing
/// threads they would stay in the memory of each.
#[derive(Debug)]
pub struct Compressor {
    compress: Compress,
}

impl Compressor {
    /// A compressor that is used again and again, at the fastest level: label names repeat so much that the
    /// others gain little.
    pub fn new() -> Self {
        Self { compress: Compress::new(Compression::fast(), false) }
    }

    /// The beginning of a member: `text` compressed; something has to follow it.
    pub fn begin(&mut self, text: &[u8]) -> Deflated {
        let mut bytes = HEADER.to_vec();
        self.compress.reset();
        deflate(&mut self.compress, text, FlushCompress::Sync, &mut bytes);
        // It lives as long as the page does: not with room for more.
        bytes.shrink_to_fit();
        Deflated { bytes: bytes.into(), checksum: checksum(text), length: modular_length(text) }
    }

    /// The end of the member that `beginning` begins: `text` compressed, then checksum and length of both.
    pub fn finish(&mut self, beginning: &Deflated, text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.compress.reset();
        deflate(&mut self.compress, text, FlushCompress::Finish, &mut bytes);
        let mut both = beginning.checksum.clone();
        both.combine(&checksum(text));
        bytes.extend(both.finalize().to_le_bytes());
        bytes.extend(beginning.length.wrapping_add(modular_length(text)).to_le_bytes());
        bytes
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends all of `text`, compressed, to `out`.
fn deflate(compress: &mut Compress, text: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    let before = compress.total_in();
    let mut rest = text;
    loop {
        // More than pages need, which shrink to a tenth; the loop goes on if it was too little.
        out.reserve(rest.len() / 4 + 64);
        let room = out.capacity() - out.len();
        let filled = out.len();
        let status = compress
            .compress_vec(rest, out, flush)
            .expect("deflate refuses nothing but a stream that has ended");
        let taken = usize::try_from(compress.total_in() - before).expect("no more was taken than given");
        rest = text.get(taken..).unwrap_or_default();
        let flushed = rest.is_empty() && out.len() - filled < room;
        if status == Status::StreamEnd || (flushed && flush == FlushCompress::Sync) {
            return;
        }
    }
}

fn checksum(text: &[u8]) -> crc32fast::Hasher {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(text);
    hasher
}

/// The length modulo 2^32, as a gzip member states it.
fn modular_length(text: &[u8]) -> u32 {
    (text.len() as u64 % (1 << 32)) as u32
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Decodes exactly one member, and nothing may follow it.
    fn gunzip(member: &[u8]) -> Vec<u8> {
        let mut decoder = flate2::bufread::GzDecoder::new(member);
        let mut text = Vec::new();
        decoder.read_to_end(&mut text).unwrap();
        assert!(decoder.into_inner().is_empty(), "something follows the member");
        text
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
                let beginning = compressor.begin(first);
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
