//! The limits of a response, and whether names and e-mail addresses are kept.

/// The longest id of an event, in bytes. Ids are UUIDs in practice.
pub(super) const MAX_ID: usize = 1_024;

/// The longest name of a user or a behavior, in bytes; a longer one is cut.
pub(super) const MAX_NAME: usize = 1_024;

/// The longest e-mail address, in bytes; the longest valid one has 254.
pub(super) const MAX_EMAIL: usize = 320;

/// The limits of a response. A response beyond them is an error, unless a limit says that the list is partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of JSON. A million users take 200 MB.
    pub decoded_bytes: u64,
    /// Events of one user, over all pages. Further events are left out, and the list is partial.
    pub events: usize,
    /// Bytes of text in one list: ids, names and details. Further elements are left out, and the list is partial. Of the
    /// names and addresses of users it limits what exceeds 256 bytes for each user; further ones are dropped.
    pub text_bytes: usize,
    /// The largest compression ratio, after the first MiB. JSON reaches 5 to 30.
    pub ratio: u64,
    /// Elements of a list, over all its pages.
    pub elements: usize,
    /// Bytes of one element.
    pub element_bytes: usize,
    /// Bytes outside the list, or of a response without a list.
    pub head_bytes: usize,
    /// Levels of nested arrays and objects.
    pub nesting: u32,
    /// Pages of one list: at 20 users each, 200,000 users.
    pub pages: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            decoded_bytes: 1 << 30,
            events: 100_000,
            // 160 bytes for each of 100,000 events; an id and a name have 60 in practice.
            text_bytes: 16 << 20,
            ratio: 200,
            elements: 2_000_000,
            element_bytes: 4 << 20,
            head_bytes: 1 << 20,
            nesting: 64,
            pages: 10_000,
        }
    }
}

/// Whether names and e-mail addresses are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pii {
    /// Names and e-mail addresses are skipped and never stored.
    #[default]
    Drop,
    /// Names and e-mail addresses are kept next to the rows.
    Keep,
}
