//! Finds the list in the result: scans the envelope byte by byte, with just enough JSON for that.
//!
//! The scan does not validate the envelope; serde_json does when the copy is read.

use super::json::Stop;

/// What a byte outside the list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cloudflare) enum Opens {
    Nothing,
    List,
}

/// The state of the scan outside the list.
#[derive(Debug, Default)]
pub(in crate::cloudflare) struct EnvelopeScan {
    depth: u32,
    /// One bit for each depth, set for an object.
    objects: u64,
    string: InString,
    /// The next string is a key.
    key_due: bool,
    /// Where in the copy the key began that is being read.
    key_start: Option<usize>,
    /// The value at depth 1 is that of `result`.
    in_result: bool,
    /// The next value is that of the list's key in `result`.
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
    /// Takes in a byte, which is already the last of `copy`.
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
                    return Err(Stop::Invalid("it nests too deep"));
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
                    return Err(Stop::Invalid("a bracket closes what was not opened"));
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

    /// An object or array ended.
    pub(in crate::cloudflare) fn closed(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.key_due = false;
        self.list_due = false;
    }
}
