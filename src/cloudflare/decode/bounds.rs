//! What an answer may hold, and what is kept of it.

/// What an answer may hold at most; beyond it is an error, not a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of JSON. A million users take 200 MB.
    pub decoded_bytes: u64,
    /// Bytes that one compressed byte may become, after the first MiB. JSON reaches 5 to 30.
    pub ratio: u64,
    /// Elements of a list, over all its pages.
    pub elements: usize,
    /// Bytes of one element.
    pub element_bytes: usize,
    /// Bytes around a list, or of an answer that is none.
    pub head_bytes: usize,
    /// How deep values may nest.
    pub nesting: u32,
    /// Pages of one list: at 20 users each, 200,000 users.
    pub pages: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            decoded_bytes: 1 << 30,
            ratio: 200,
            elements: 2_000_000,
            element_bytes: 4 << 20,
            head_bytes: 1 << 20,
            nesting: 64,
            pages: 10_000,
        }
    }
}

/// Whether names and e-mail addresses outlive the decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Names {
    /// They are skipped without being looked at.
    #[default]
    Drop,
    /// They are kept beside the rows.
    Keep,
}
