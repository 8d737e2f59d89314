//! Lists decoded as they arrive.
//!
//! An answer may be 200 MB long. Whatever stands around the list (`$.result.users`, `$.result.events`) is
//! copied into a small text in which the list is empty, to be read as JSON at the end; the elements of the
//! list are read one by one from the bytes that have arrived, and only the compact values stay.

use super::cursor::{Cursor, Stop};
use super::element::{Element, Read};
use crate::model::{Identities, Row, UserId};

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

/// Why an answer cannot be read; the text completes "unexpected answer:".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It ends before the JSON does.
    #[error("it ends after {bytes} bytes, before it is complete")]
    Truncated {
        /// How far it came.
        bytes: u64,
    },
    /// It is no JSON.
    #[error("it is no JSON at byte {offset}: {what}")]
    Json {
        /// Where, in decoded bytes.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// It holds more than [`Bounds`] allow.
    #[error("it is too large: more than {limit} {what}")]
    TooLarge {
        /// The bound.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// It is not compressed as it says.
    #[error("it cannot be decompressed: {0}")]
    Compression(String),
}

/// Takes in the decoded bytes of an answer.
pub(super) trait Sink {
    /// What is left beside the envelope.
    type Out;

    /// Takes in what arrived.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Broken>;

    /// The text of the envelope, and what was taken out of it.
    fn finish(self) -> Result<(Vec<u8>, Self::Out), Broken>;
}

/// An answer that is kept as it is.
#[derive(Debug)]
pub(super) struct Whole {
    text: Vec<u8>,
    limit: usize,
}

impl Whole {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self {
            text: Vec::new(),
            limit: bounds.head_bytes,
        }
    }
}

impl Sink for Whole {
    type Out = ();

    fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.text.len() + bytes.len() > self.limit {
            return Err(too_large(self.limit, "bytes"));
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> Result<(Vec<u8>, ()), Broken> {
        Ok((self.text, ()))
    }
}

/// The elements of one answer.
#[derive(Debug)]
pub(super) struct Listing<E> {
    /// Those that could be read, as they came.
    pub(super) items: Vec<E>,
    /// Whose those were that could not.
    pub(super) unreadable: Vec<UserId>,
    /// Those that could not and did not say whose they were.
    pub(super) anonymous: u32,
    /// Who the users are, if that is kept.
    pub(super) identities: Option<Identities>,
    /// Whether there was a list at all.
    pub(super) seen: Seen,
}

/// Whether an answer had the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    No,
    Yes,
}

impl<E> Listing<E> {
    /// How many elements there were, readable or not.
    pub(super) fn received(&self) -> usize {
        self.items.len() + self.unreadable.len() + self.anonymous as usize
    }
}

/// Takes the list out of an answer while it arrives.
#[derive(Debug)]
pub(super) struct Reader<E> {
    bounds: Bounds,
    head: Vec<u8>,
    around: Around,
    place: Place,
    /// What arrived and was not read yet.
    buffer: Vec<u8>,
    /// An element that was cut is looked at again when this much is there: each time twice as much, so that
    /// slow arrival costs no more than a second reading.
    enough: usize,
    received: u64,
    listing: Listing<E>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the list, or after it.
    Around,
    /// Right behind `[`.
    Opened,
    /// Where an element must begin.
    Element,
    /// Behind an element.
    Comma,
}

/// One step in the list.
enum Step<E> {
    Read(Read<E>),
    Comma,
    Closed,
}

impl<E: Element> Reader<E> {
    pub(super) fn new(bounds: &Bounds, names: Names) -> Self {
        Self {
            bounds: *bounds,
            head: Vec::new(),
            around: Around::default(),
            place: Place::Around,
            buffer: Vec::new(),
            enough: 0,
            received: 0,
            listing: Listing {
                items: Vec::new(),
                unreadable: Vec::new(),
                anonymous: 0,
                identities: matches!(names, Names::Keep).then(Identities::default),
                seen: Seen::No,
            },
        }
    }

    /// Reads what can be read of the buffer.
    fn advance(&mut self) -> Result<(), Broken> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        let result = loop {
            let rest = buffer.get(at..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            let step = match self.place {
                Place::Around => self.copy_around(rest),
                _ => self.read_list(rest),
            };
            match step {
                Ok(read) => at += read,
                Err(Stop::Incomplete) => {
                    self.enough = rest.len().saturating_mul(2);
                    break if rest.len() > self.bounds.element_bytes {
                        Err(too_large(self.bounds.element_bytes, "bytes in one element"))
                    } else {
                        Ok(())
                    };
                }
                Err(Stop::Invalid(what)) => break Err(self.invalid(rest.len(), what)),
            }
            let bounds = self.bounds;
            if self.head.len() > bounds.head_bytes {
                break Err(too_large(bounds.head_bytes, "bytes around the list"));
            }
            if self.listing.received() > bounds.elements {
                break Err(too_large(bounds.elements, "elements"));
            }
        };
        buffer.drain(..at);
        self.buffer = buffer;
        result
    }

    /// Copies up to and including the `[` of the list; says how much that was.
    fn copy_around(&mut self, text: &[u8]) -> Result<usize, Stop> {
        for (index, byte) in text.iter().enumerate() {
            self.head.push(*byte);
            if self
                .around
                .step(*byte, &self.head, E::LIST, self.bounds.nesting)?
                == Opens::List
            {
                if self.listing.seen == Seen::Yes {
                    return Err(Stop::Invalid("the list is there twice"));
                }
                self.listing.seen = Seen::Yes;
                self.place = Place::Opened;
                return Ok(index + 1);
            }
        }
        Ok(text.len())
    }

    /// Reads elements to the end of the list or of the text; says how much that was.
    fn read_list(&mut self, text: &[u8]) -> Result<usize, Stop> {
        // The list itself stands at depth 3.
        let mut cursor = Cursor::new(text, self.bounds.nesting.saturating_sub(3));
        let mut read = 0;
        while self.listing.received() <= self.bounds.elements {
            match self.step(&mut cursor) {
                Ok(Step::Read(element)) => {
                    self.place = Place::Comma;
                    match element {
                        Read::Good(item) => self.listing.items.push(item),
                        Read::Rejected(Some(user)) => self.listing.unreadable.push(user),
                        Read::Rejected(None) => self.listing.anonymous += 1,
                    }
                }
                Ok(Step::Comma) => self.place = Place::Element,
                Ok(Step::Closed) => {
                    self.place = Place::Around;
                    self.head.push(b']');
                    self.around.closed();
                    return Ok(cursor.position());
                }
                Err(Stop::Incomplete) if read > 0 => return Ok(read),
                Err(stop) => return Err(stop),
            }
            read = cursor.position();
        }
        Ok(read)
    }

    fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<Step<E>, Stop> {
        let next = cursor.peek()?;
        match (self.place, next) {
            (Place::Opened | Place::Comma, b']') => {
                cursor.pass();
                Ok(Step::Closed)
            }
            (Place::Comma, b',') => {
                cursor.pass();
                Ok(Step::Comma)
            }
            (Place::Comma, _) => Err(Stop::Invalid("a comma or the end of the list was expected")),
            _ => E::read(cursor, self.listing.identities.as_mut()).map(Step::Read),
        }
    }

    /// `left` bytes before the end of what arrived.
    fn invalid(&self, left: usize, what: &str) -> Broken {
        Broken::Json {
            offset: self.received.saturating_sub(left as u64),
            what: what.to_owned(),
        }
    }
}

impl<E: Element> Sink for Reader<E> {
    type Out = Listing<E>;

    fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.received += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < self.enough {
            return Ok(());
        }
        self.enough = 0;
        self.advance()
    }

    fn finish(mut self) -> Result<(Vec<u8>, Listing<E>), Broken> {
        self.advance()?;
        if self.place != Place::Around {
            return Err(Broken::Truncated { bytes: self.received });
        }
        Ok((self.head, self.listing))
    }
}

/// What a byte outside the list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    Nothing,
    List,
}

/// Where in the envelope a byte stands: as much of JSON as it takes to find the list. What is copied is
/// checked when the envelope is read.
#[derive(Debug, Default)]
struct Around {
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

impl Around {
    /// Takes in a byte, which is already the last of `copy`.
    fn step(&mut self, byte: u8, copy: &[u8], list: &str, nesting: u32) -> Result<Opens, Stop> {
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
    fn closed(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.key_due = false;
        self.list_due = false;
    }
}

fn too_large(limit: usize, what: &'static str) -> Broken {
    Broken::TooLarge {
        limit: limit as u64,
        what,
    }
}

/// The rows of a summary that arrives in `chunks`, each user once, sorted; for recorded answers, and to
/// measure the decoding by itself.
///
/// # Errors
/// The answer is no JSON, or exceeds `bounds`.
pub fn summary_rows<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    bounds: &Bounds,
    names: Names,
) -> Result<Vec<Row>, Broken> {
    let mut reader = Reader::<Row>::new(bounds, names);
    for chunk in chunks {
        reader.push(chunk)?;
    }
    let (_, listing) = reader.finish()?;
    let (mut rows, mut unreadable) = (listing.items, listing.unreadable);
    Row::settle(&mut rows, &mut unreadable);
    Ok(rows)
}
