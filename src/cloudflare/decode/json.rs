//! A strict JSON parser for bytes that may still be arriving.
//!
//! It distinguishes the end of the available bytes ([`Stop::Incomplete`]) from bytes that are not valid JSON
//! ([`Stop::Invalid`]), and skips values without building them. With `serde_json`, a row
//! whose bytes arrive in parts would be parsed again from its start with each part.

use std::borrow::Cow;

use crate::model::Found;

/// Why a value could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cloudflare) enum Stop {
    /// More bytes are needed.
    Incomplete,
    /// The bytes are not valid JSON, whatever follows. The text says what is wrong.
    Invalid(&'static str),
}

/// A position in JSON text.
#[derive(Debug)]
pub(in crate::cloudflare) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    /// How many more levels values may nest.
    nesting: u32,
}

/// A JSON string in its encoded form, quotes included.
#[derive(Clone, Copy, Debug)]
pub(in crate::cloudflare) struct Text<'a> {
    quoted: &'a [u8],
    escaped: Escaped,
}

/// Whether a string contains a backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escaped {
    No,
    Yes,
}

impl<'a> Text<'a> {
    /// The decoded string; `None` for half a surrogate pair or invalid UTF-8.
    pub(in crate::cloudflare) fn read(self) -> Option<Cow<'a, str>> {
        match self.escaped {
            Escaped::Yes => serde_json::from_slice(self.quoted).ok().map(Cow::Owned),
            Escaped::No => std::str::from_utf8(self.raw()).ok().map(Cow::Borrowed),
        }
    }

    /// The decoded string as bytes, which may be invalid UTF-8: for comparison with known words.
    pub(in crate::cloudflare) fn bytes(self) -> Cow<'a, [u8]> {
        match self.escaped {
            Escaped::No => Cow::Borrowed(self.raw()),
            Escaped::Yes => Cow::Owned(self.read().unwrap_or_default().into_owned().into_bytes()),
        }
    }

    fn raw(self) -> &'a [u8] {
        self.quoted.get(1..self.quoted.len().saturating_sub(1)).unwrap_or_default()
    }
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `text`, for values that nest at most `nesting` levels.
    pub(in crate::cloudflare) fn new(text: &'a [u8], nesting: u32) -> Self {
        Self { text, at: 0, nesting }
    }

    /// The number of bytes read.
    pub(in crate::cloudflare) fn position(&self) -> usize {
        self.at
    }

    /// The bytes that were not read yet.
    pub(in crate::cloudflare) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Consumes `length` bytes of [`Cursor::rest`].
    pub(in crate::cloudflare) fn advance(&mut self, length: usize) {
        self.at += length;
    }

    /// Skips whitespace and returns the next byte without consuming it.
    #[inline]
    pub(in crate::cloudflare) fn peek(&mut self) -> Result<u8, Stop> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Stop::Incomplete),
            }
        }
    }

    /// The kind of the next value, without consuming it.
    pub(in crate::cloudflare) fn kind(&mut self) -> Result<Found, Stop> {
        match self.peek()? {
            b'"' => Ok(Found::String),
            b'{' => Ok(Found::Object),
            b'[' => Ok(Found::Array),
            b'-' | b'0'..=b'9' => Ok(Found::Number),
            b't' | b'f' => Ok(Found::Boolean),
            b'n' => Ok(Found::Null),
            _ => Err(Stop::Invalid("a value was expected")),
        }
    }

    /// Consumes the byte that [`Cursor::peek`] returned.
    #[inline]
    pub(in crate::cloudflare) fn pass(&mut self) {
        self.at += 1;
    }

    /// Reads an object. Calls `field` at each value, which it must read or skip.
    #[inline]
    pub(in crate::cloudflare) fn object(
        &mut self,
        mut field: impl FnMut(Text<'a>, &mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.deeper()?;
        self.pass();
        let mut next = self.peek()?;
        if next == b'}' {
            self.pass();
            self.nesting += 1;
            return Ok(());
        }
        loop {
            if next != b'"' {
                return Err(Stop::Invalid("a key was expected"));
            }
            let key = self.string()?;
            if self.peek()? != b':' {
                return Err(Stop::Invalid("a colon was expected"));
            }
            self.pass();
            field(key, self)?;
            match self.peek()? {
                b',' => self.pass(),
                b'}' => {
                    self.pass();
                    self.nesting += 1;
                    return Ok(());
                }
                _ => return Err(Stop::Invalid("a comma or the end of an object was expected")),
            }
            next = self.peek()?;
        }
    }

    /// Reads the value if it is a string; skips it otherwise.
    #[inline]
    pub(in crate::cloudflare) fn string_or_skip(&mut self) -> Result<Option<Text<'a>>, Stop> {
        if self.peek()? == b'"' {
            return self.string().map(Some);
        }
        self.skip()?;
        Ok(None)
    }

    /// Reads the value if it is a whole number that fits (`3` or `3.0`); skips it otherwise.
    #[inline]
    pub(in crate::cloudflare) fn count_or_skip(&mut self) -> Result<Option<u32>, Stop> {
        if !matches!(self.peek()?, b'-' | b'0'..=b'9') {
            self.skip()?;
            return Ok(None);
        }
        let digits = self.number()?;
        if digits.len() <= 9 && digits.iter().all(u8::is_ascii_digit) {
            let count = digits.iter().fold(0, |count, digit| count * 10 + u32::from(digit - b'0'));
            return Ok(Some(count));
        }
        let text = std::str::from_utf8(digits).unwrap_or_default();
        let count: f64 = text.parse().unwrap_or(f64::NAN);
        let whole = count.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&count);
        Ok(whole.then_some(count as u32))
    }

    /// Skips one value of any type.
    pub(in crate::cloudflare) fn skip(&mut self) -> Result<(), Stop> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => self.object(|_, cursor| cursor.skip()),
            b'[' => self.array(),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => Err(Stop::Invalid("a value was expected")),
        }
    }

    fn array(&mut self) -> Result<(), Stop> {
        self.deeper()?;
        self.pass();
        if self.peek()? != b']' {
            loop {
                self.skip()?;
                match self.peek()? {
                    b',' => self.pass(),
                    b']' => break,
                    _ => return Err(Stop::Invalid("a comma or the end of an array was expected")),
                }
            }
        }
        self.pass();
        self.nesting += 1;
        Ok(())
    }

    fn deeper(&mut self) -> Result<(), Stop> {
        self.nesting = self.nesting.checked_sub(1).ok_or(Stop::Invalid("it is nested too deeply"))?;
        Ok(())
    }

    /// Reads the string that starts here.
    #[inline]
    fn string(&mut self) -> Result<Text<'a>, Stop> {
        let start = self.at;
        let mut escaped = Escaped::No;
        let mut at = start + 1;
        loop {
            at += plain_length(self.text.get(at..).unwrap_or_default());
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = Escaped::Yes;
                    at += self.escape(at + 1)?;
                }
                Some(_) => return Err(Stop::Invalid("a string contains a control character")),
                None => return Err(Stop::Incomplete),
            }
        }
        self.at = at + 1;
        Ok(Text { quoted: self.text.get(start..self.at).unwrap_or_default(), escaped })
    }

    /// The length of the escape sequence whose backslash is before `at`.
    fn escape(&self, at: usize) -> Result<usize, Stop> {
        match self.text.get(at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => {
                for place in at + 1..at + 5 {
                    match self.text.get(place) {
                        Some(byte) if byte.is_ascii_hexdigit() => {}
                        Some(_) => return Err(Stop::Invalid("an escape sequence is invalid")),
                        None => return Err(Stop::Incomplete),
                    }
                }
                Ok(6)
            }
            Some(_) => Err(Stop::Invalid("an escape sequence is unknown")),
            None => Err(Stop::Incomplete),
        }
    }

    fn number(&mut self) -> Result<&'a [u8], Stop> {
        let rest = self.rest();
        let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        // A number at the end of the available bytes may continue.
        let length = rest.iter().position(|byte| !part(byte)).ok_or(Stop::Incomplete)?;
        let number = rest.get(..length).unwrap_or_default();
        if !is_number(number) {
            return Err(Stop::Invalid("a number is malformed"));
        }
        self.at += length;
        Ok(number)
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Stop> {
        let rest = self.rest();
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(())
        } else if word.starts_with(rest) {
            Err(Stop::Incomplete)
        } else {
            Err(Stop::Invalid("only true, false and null are valid words"))
        }
    }
}

/// The number of bytes before a quote, a backslash or a control character. Examines eight bytes at a time.
#[inline]
pub(in crate::cloudflare) fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let (quote, backslash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5c));
        // Subtracting sets the high bit of a byte that is too small. It may borrow from higher bytes, so only the
        // lowest such bit is reliable, and only that one is used.
        let special = word.wrapping_sub(ONES * 0x20) & !word
            | quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash;
        if special & HIGH != 0 {
            return index * 8 + ((special & HIGH).trailing_zeros() / 8) as usize;
        }
    }
    let tail = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    words.len() * 8 + tail.unwrap_or(rest.len())
}

/// Whether this is `-?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?`.
fn is_number(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> (usize, &[u8]) {
        let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        text.split_at_checked(length).map_or((0, text), |(_, rest)| (length, rest))
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (length, mut rest) = digits(text);
    if length == 0 || (length > 1 && text.starts_with(b"0")) {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let (length, after) = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = after;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            unsigned => unsigned,
        };
        let (length, after) = digits(unsigned);
        return length > 0 && after.is_empty();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(text: &str) -> Result<usize, Stop> {
        let mut cursor = Cursor::new(text.as_bytes(), 3);
        cursor.skip().map(|()| cursor.position())
    }

    #[test]
    fn cut_text_is_incomplete_and_wrong_text_is_invalid() {
        let whole = r#"{"a":[1,-2.5e+3,{}],"é\u00e9\n":true,"c":null} "#;
        assert_eq!(skip(whole), Ok(whole.len() - 1));
        for end in 0..whole.len() - 1 {
            if whole.is_char_boundary(end) {
                assert_eq!(skip(&whole[..end]), Err(Stop::Incomplete), "{}", &whole[..end]);
            }
        }
        for wrong in [
            "{,",
            "{1",
            "{\"a\" 1",
            "{\"a\":1 2",
            "[,",
            "[1 2",
            "[1,]",
            "{\"a\":1,}",
            "truth ",
            "nil",
            "01 ",
            "1. ",
            ".5 ",
            "+1 ",
            "1e ",
            "--1 ",
            "\"\\x",
            "\"\\u12g",
            "\"a\tb\"",
            "'a'",
            "]",
            "[[[[",
            "{\"a\":{\"a\":{\"a\":[",
        ] {
            assert!(matches!(skip(wrong), Err(Stop::Invalid(_))), "{wrong}: {:?}", skip(wrong));
        }
    }

    #[test]
    fn a_string_ends_at_its_quote_at_any_position() {
        for length in 0..40 {
            for special in ["\"", "\\\"\"", "\\u0041\""] {
                let text = format!("\"{}{special} rest", "é".repeat(length));
                let mut cursor = Cursor::new(text.as_bytes(), 1);
                let read = cursor.string_or_skip().unwrap().unwrap().read().unwrap();
                let wanted: String = serde_json::from_str(text.strip_suffix(" rest").unwrap()).unwrap();
                assert_eq!(read, wanted);
            }
        }
    }

    #[test]
    fn counts_are_whole_numbers_that_fit() {
        for (text, count) in [
            ("0 ", Some(0)),
            ("3.0 ", Some(3)),
            ("1e3 ", Some(1_000)),
            ("4294967295 ", Some(u32::MAX)),
            ("4294967296 ", None),
            ("-1 ", None),
            ("1.5 ", None),
            ("1e400 ", None),
            ("\"1\" ", None),
            ("null ", None),
        ] {
            assert_eq!(Cursor::new(text.as_bytes(), 1).count_or_skip(), Ok(count), "{text}");
        }
    }
}
