//! Decompresses bodies while they arrive. Limits on size and ratio stop decompression bombs and endless bodies early.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::bounds::Bounds;
use super::error::DecodeError;
use super::sink::Sink;

/// The ratio is not limited up to this size: small responses are repetitive.
const FREE_BYTES: u64 = 1 << 20;

/// Decodes a body as it comes over the wire.
pub(in crate::cloudflare) enum Body<S: Sink> {
    Plain(Bounded<S>),
    Gzip(Box<MultiGzDecoder<Bounded<S>>>),
}

/// Counts and limits the bytes that go to the sink.
pub(in crate::cloudflare) struct Bounded<S> {
    sink: S,
    bounds: Bounds,
    received: u64,
    decoded: u64,
    /// Why the sink failed. `io::Error` cannot carry it without losing its type.
    broken: Option<DecodeError>,
}

impl<S: Sink> Body<S> {
    pub(in crate::cloudflare) fn plain(sink: S, bounds: &Bounds) -> Self {
        Self::Plain(Bounded::new(sink, bounds))
    }

    pub(in crate::cloudflare) fn gzip(sink: S, bounds: &Bounds) -> Self {
        Self::Gzip(Box::new(MultiGzDecoder::new(Bounded::new(sink, bounds))))
    }

    /// Decodes the next bytes.
    pub(in crate::cloudflare) fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        match self {
            Self::Plain(bounded) => bounded.push(bytes),
            Self::Gzip(decoder) => {
                decoder.get_mut().received += bytes.len() as u64;
                let written = decoder.write_all(bytes);
                written.map_err(|error| decoder.get_mut().reason(&error))
            }
        }
    }

    /// The number of decoded bytes so far.
    pub(in crate::cloudflare) fn decoded(&self) -> u64 {
        match self {
            Self::Plain(bounded) => bounded.decoded,
            Self::Gzip(decoder) => decoder.get_ref().decoded,
        }
    }

    /// The text of the envelope, and the values that the sink took out of it.
    pub(in crate::cloudflare) fn finish(self) -> Result<(Vec<u8>, S::Out), DecodeError> {
        match self {
            Self::Plain(bounded) => bounded.sink.finish(),
            Self::Gzip(mut decoder) => {
                if decoder.try_finish().is_err() {
                    let bounded = decoder.get_mut();
                    let what = format!("it is damaged or incomplete after {} bytes", bounded.decoded);
                    return Err(bounded.broken.take().unwrap_or(DecodeError::Compression(what)));
                }
                let bounded =
                    decoder.finish().map_err(|error| DecodeError::Compression(error.to_string()))?;
                bounded.sink.finish()
            }
        }
    }
}

impl<S: Sink> Bounded<S> {
    fn new(sink: S, bounds: &Bounds) -> Self {
        Self { sink, bounds: *bounds, received: 0, decoded: 0, broken: None }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.decoded += bytes.len() as u64;
        if self.decoded > self.bounds.decoded_bytes {
            return Err(DecodeError::TooLarge { limit: self.bounds.decoded_bytes, what: "bytes" });
        }
        self.sink.push(bytes)
    }

    fn push_inflated(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.push(bytes)?;
        if self.decoded > FREE_BYTES && self.decoded / self.bounds.ratio > self.received {
            return Err(DecodeError::TooLarge {
                limit: self.bounds.ratio,
                what: "times its compressed size",
            });
        }
        Ok(())
    }

    fn reason(&mut self, error: &io::Error) -> DecodeError {
        match self.broken.take() {
            Some(broken) => broken,
            None => DecodeError::Compression(error.to_string()),
        }
    }
}

impl<S: Sink> Write for Bounded<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push_inflated(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(broken) => {
                self.broken = Some(broken);
                Err(io::Error::other("the sink refused the bytes"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
