//! Why an answer cannot be decoded.

/// Why an answer cannot be read; the text completes "unexpected answer:".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends before the JSON does.
    #[error("it ends after {bytes} bytes, before it is complete")]
    Truncated {
        /// Bytes that arrived.
        bytes: u64,
    },
    /// It is not JSON.
    #[error("it is no JSON at byte {offset}: {what}")]
    Json {
        /// Where, in decoded bytes.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// It holds more than [`super::Bounds`] allow.
    #[error("it is too large: more than {limit} {what}")]
    TooLarge {
        /// The bound.
        limit: u64,
        /// What the bound counts.
        what: &'static str,
    },
    /// Its compression is damaged or unknown.
    #[error("it cannot be decompressed: {0}")]
    Compression(String),
}

impl DecodeError {
    /// More than `limit` of `what`.
    pub(super) fn too_large(limit: usize, what: &'static str) -> Self {
        Self::TooLarge { limit: limit as u64, what }
    }
}
