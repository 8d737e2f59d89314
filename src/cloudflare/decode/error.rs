//! Why a response cannot be decoded.

/// Why a response cannot be decoded. The text continues "unexpected response:".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The response ends before the JSON does.
    #[error("it is incomplete: it ends after {bytes} bytes")]
    Truncated {
        /// The decoded bytes that arrived.
        bytes: u64,
    },
    /// The response is not JSON.
    #[error("it is not valid JSON at byte {offset}: {what}")]
    Json {
        /// The position in decoded bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The response exceeds the [`super::Bounds`].
    #[error("it is too large: more than {limit} {what}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// What the limit counts.
        what: &'static str,
    },
    /// The compressed body is damaged, or its encoding is unknown.
    #[error("it cannot be decompressed: {0}")]
    Compression(String),
}

impl DecodeError {
    pub(super) fn too_large(limit: usize, what: &'static str) -> Self {
        Self::TooLarge { limit: limit as u64, what }
    }
}
