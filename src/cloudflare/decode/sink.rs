//! Where the decoded bytes of a response go.

use super::bounds::Bounds;
use super::error::DecodeError;

/// Receives the decoded bytes of a response.
pub(in crate::cloudflare) trait Sink {
    /// The values that are taken out of the response.
    type Out;

    /// Processes the next decoded bytes.
    fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError>;

    /// The text of the envelope, and the values taken out of it.
    fn finish(self) -> Result<(Vec<u8>, Self::Out), DecodeError>;
}

/// Keeps a whole response as text.
#[derive(Debug)]
pub(in crate::cloudflare) struct TextSink {
    text: Vec<u8>,
    limit: usize,
}

impl TextSink {
    pub(in crate::cloudflare) fn new(bounds: &Bounds) -> Self {
        Self { text: Vec::new(), limit: bounds.head_bytes }
    }
}

impl Sink for TextSink {
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
