//! Finds the list in the result: scans the envelope byte by byte, and tracks only strings, keys and nesting.
//!
//! The scan does not validate the envelope. serde_json does, when it parses the copy.

use super::json::Stop;

/// Whether a byte outside the list opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cloudflare) enum Opens {
    Nothing,
    List,
}

/// The state of the scan outside the list.
#[derive(Debug, Default)]
pub(in crate::cloudflare) struct EnvelopeScan {
    depth: u32,
    /// One bit for each depth: set for an object, clear for an array.
    objects: u64,
    string: InString,
    /// Whether the next string is a key.
    key_due: bool,
    /// Where in the copy the current key starts.
    key_start: Option<usize>,
    /// Whether the current value at depth 1 is that of `result`.
    in_result: bool,
    /// Whether the next value is that of the list's key in `result`.
    list_due: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum InString {
    #[default]
    No,
    Yes,
    Escaped,
}

impl EnvelopeScan {
    /// Processes a byte, which is already the last byte of `copy`.
    pub(in crate::cloudflare) fn step(
        &mut self,
        byte: u8,
        copy: &[u8],
        list: &str,
        nesting: u32,
    ) -> Result<Opens, Stop> {
        match (self.string, byte) {
            (InString::Escaped, _) => self.string = InString::Yes,
            (InString::Yes, b'\\') => self.string = InString::Escaped,
            (InString::Yes, b'"') => {
                self.string = InString::No;
                if let Some(start) = self.key_start.take() {
                    let key = serde_json::from_slice::<String>(copy.get(start..).unwrap_or_default());
                    self.key(key.as_deref().unwrap_or_default(), list);
                }
            }
            (InString::Yes, _) => {}
            (InString::No, b'"') => {
                self.string = InString::Yes;
                if self.key_due && self.depth <= 2 {
                    self.key_start = Some(copy.len().saturating_sub(1));
                }
                self.key_due = false;
            }
            (InString::No, b'{' | b'[') => {
                let opens = self.list_due && byte == b'[';
                self.list_due = false;
                if self.depth >= nesting.min(u64::BITS - 1) {
                    return Err(Stop::Invalid("it is nested too deeply"));
                }
                self.depth += 1;
                self.key_due = byte == b'{';
                self.objects &= !(1 << self.depth);
                self.objects |= u64::from(byte == b'{') << self.depth;
                if opens {
                    return Ok(Opens::List);
                }
            }
            (InString::No, b'}' | b']') => {
                let opened = if byte == b'}' { 1 } else { 0 };
                if self.depth == 0 || (self.objects >> self.depth) & 1 != opened {
                    return Err(Stop::Invalid("a closing bracket has no opening bracket"));
                }
                self.closed();
            }
            (InString::No, b',') => {
                self.key_due = (self.objects >> self.depth) & 1 == 1;
                self.list_due = false;
            }
            (InString::No, _) => {}
        }
        Ok(Opens::Nothing)
    }

    fn key(&mut self, key: &str, list: &str) {
        match self.depth {
            1 => self.in_result = key == "result",
            2 => self.list_due = self.in_result && key == list,
            _ => {}
        }
    }

    /// Processes the end of an object or array.
    pub(in crate::cloudflare) fn closed(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.key_due = false;
        self.list_due = false;
    }
}
