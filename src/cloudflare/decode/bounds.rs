//! Limits of an answer, and whether names are kept.

/// The limits of an answer. An answer beyond them is an error; it is never cut.
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
    /// Bytes around a list, or of an answer without a list.
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

/// Whether names and e-mail addresses are kept after decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pii {
    /// They are skipped and never stored.
    #[default]
    Drop,
    /// They are kept beside the rows.
    Keep,
}
