//! Where the decoded bytes of an answer go.

use super::bounds::Bounds;
use super::error::DecodeError;

/// Receives the decoded bytes of an answer.
pub(in crate::cloudflare) trait Sink {
    /// The values taken out of the answer.
    type Out;

    /// Takes the next decoded bytes.
    fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError>;

    /// The text of the envelope, and the values taken out of it.
    fn finish(self) -> Result<(Vec<u8>, Self::Out), DecodeError>;
}

/// Keeps an answer as text.
#[derive(Debug)]
pub(in crate::cloudflare) struct Whole {
    text: Vec<u8>,
    limit: usize,
}

impl Whole {
    pub(in crate::cloudflare) fn new(bounds: &Bounds) -> Self {
        Self { text: Vec::new(), limit: bounds.head_bytes }
    }
}

impl Sink for Whole {
    type Out = ();

    fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        if self.text.len() + bytes.len() > self.limit {
            return Err(DecodeError::too_large(self.limit, "bytes"));
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> Result<(Vec<u8>, ()), DecodeError> {
        Ok((self.text, ()))
    }
}
