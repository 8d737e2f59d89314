//! Decodes lists while they arrive.
//!
//! A response may be 200 MB long. Everything outside the list (`$.result.users`, `$.result.events`) is copied into a
//! small text in which the list is empty; it is parsed at the end. The elements of the list are decoded one by one from
//! the bytes that have arrived, and only their compact values are kept.

use super::bounds::{Bounds, Pii};
use super::element::{Element, Odd, Pages, Read};
use super::envelope_scan::{EnvelopeScan, Opens};
use super::error::DecodeError;
use super::json::{Cursor, Stop};
use super::sink::Sink;
use crate::model::{Identities, OddFields, Row, UserId};

/// The elements of one response.
#[derive(Debug)]
pub(in crate::cloudflare) struct DecodedList<E> {
    /// The readable elements, in the order of the response.
    pub(in crate::cloudflare) items: Vec<E>,
    /// The user ids of unreadable elements.
    pub(in crate::cloudflare) unreadable: Vec<UserId>,
    /// The number of unreadable elements without a readable user id.
    pub(in crate::cloudflare) anonymous: u32,
    /// The fields without their documented form.
    pub(in crate::cloudflare) odd: OddFields,
    /// The number of elements that were left out because the list exceeded a limit.
    pub(in crate::cloudflare) left_out: usize,
    /// Names and e-mail addresses, if they are kept.
    pub(in crate::cloudflare) identities: Option<Identities>,
    /// Whether the response contained the list.
    pub(in crate::cloudflare) seen: Presence,
}

/// Whether a response contained the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cloudflare) enum Presence {
    Missing,
    Found,
}

impl<E> DecodedList<E> {
    /// The number of elements, readable or not.
    pub(in crate::cloudflare) fn received(&self) -> usize {
        self.items.len() + self.unreadable.len() + self.anonymous as usize + self.left_out
    }
}

/// Decodes the list of a response while it arrives.
#[derive(Debug)]
pub(in crate::cloudflare) struct Reader<E> {
    bounds: Bounds,
    head: Vec<u8>,
    scan: EnvelopeScan,
    place: Place,
    /// Bytes that arrived but are not decoded yet.
    buffer: Vec<u8>,
    /// An incomplete element is tried again once the buffer has this many bytes. The number doubles each time, so that
    /// slow arrival at most doubles the work.
    enough: usize,
    received: u64,
    /// Bytes of text in the elements so far.
    text_bytes: usize,
    listing: DecodedList<E>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Outside the list.
    Around,
    /// Directly after `[`.
    Opened,
    /// Where an element must start.
    Element,
    /// After an element.
    Comma,
}

/// One step in the list.
enum Step<E> {
    Read(Read<E>),
    Comma,
    Closed,
}

impl<E: Element> Reader<E> {
    pub(in crate::cloudflare) fn new(bounds: &Bounds, pii: Pii) -> Self {
        Self {
            bounds: *bounds,
            head: Vec::new(),
            scan: EnvelopeScan::default(),
            place: Place::Around,
            buffer: Vec::new(),
            enough: 0,
            received: 0,
            text_bytes: 0,
            listing: DecodedList {
                items: Vec::new(),
                unreadable: Vec::new(),
                anonymous: 0,
                odd: OddFields::default(),
                left_out: 0,
                identities: matches!(pii, Pii::Keep).then(|| Identities::within(bounds.text_bytes)),
                seen: Presence::Missing,
            },
        }
    }

    /// Decodes as much of the buffer as possible.
    fn advance(&mut self) -> Result<(), DecodeError> {
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
                Err((_, Stop::Incomplete)) => {
                    self.enough = rest.len().saturating_mul(2);
                    break if rest.len() > self.bounds.element_bytes {
                        Err(DecodeError::too_large(self.bounds.element_bytes, "bytes in one element"))
                    } else {
                        Ok(())
                    };
                }
                Err((place, Stop::Invalid(what))) => {
                    let left = (rest.len() - place) as u64;
                    break Err(DecodeError::Json {
                        offset: self.received.saturating_sub(left),
                        what: what.to_owned(),
                    });
                }
            }
            let bounds = self.bounds;
            if self.head.len() > bounds.head_bytes {
                break Err(DecodeError::too_large(bounds.head_bytes, "bytes outside the list"));
            }
            if self.listing.received() > bounds.elements {
                break Err(DecodeError::too_large(bounds.elements, "elements"));
            }
        };
        buffer.drain(..at);
        self.buffer = buffer;
        result
    }

    /// Copies bytes up to and including the `[` of the list. Returns how many, or the position of an error.
    fn copy_around(&mut self, text: &[u8]) -> Result<usize, (usize, Stop)> {
        for (index, byte) in text.iter().enumerate() {
            self.head.push(*byte);
            let opens = self.scan.step(*byte, &self.head, E::LIST, self.bounds.nesting);
            if opens.map_err(|stop| (index, stop))? == Opens::List {
                if self.listing.seen == Presence::Found {
                    return Err((index, Stop::Invalid("the list occurs twice")));
                }
                self.listing.seen = Presence::Found;
                self.place = Place::Opened;
                return Ok(index + 1);
            }
        }
        Ok(text.len())
    }

    /// Decodes elements up to the end of the list or of the text. Returns how many bytes, or the position of an error.
    fn read_list(&mut self, text: &[u8]) -> Result<usize, (usize, Stop)> {
        // The list itself is at depth 3.
        let mut cursor = Cursor::new(text, self.bounds.nesting.saturating_sub(3));
        let (mut read, mut odd) = (0, Odd::default());
        while self.listing.received() <= self.bounds.elements {
            match self.step(&mut cursor, &mut odd) {
                Ok(Step::Read(element)) => {
                    self.place = Place::Comma;
                    let index = self.listing.received();
                    for (field, found) in odd.fields.drain(..) {
                        self.listing.odd.add(field, found, Some(index));
                    }
                    if let Some(word) = odd.level.take() {
                        self.listing.odd.add_level(word);
                    }
                    match element {
                        Read::Good(item) => self.keep(item),
                        Read::Rejected(Some(user)) => self.listing.unreadable.push(user),
                        Read::Rejected(None) => self.listing.anonymous += 1,
                    }
                }
                Ok(Step::Comma) => self.place = Place::Element,
                Ok(Step::Closed) => {
                    self.place = Place::Around;
                    self.head.push(b']');
                    self.scan.closed();
                    return Ok(cursor.position());
                }
                Err(Stop::Incomplete) if read > 0 => return Ok(read),
                Err(stop) => return Err((cursor.position(), stop)),
            }
            read = cursor.position();
        }
        Ok(read)
    }

    /// Keeps an element, unless the list has reached a limit.
    fn keep(&mut self, item: E) {
        self.text_bytes = self.text_bytes.saturating_add(item.heap_bytes());
        if self.listing.items.len() < E::limit(&self.bounds) && self.text_bytes <= self.bounds.text_bytes {
            self.listing.items.push(item);
        } else {
            self.listing.left_out += 1;
        }
    }

    fn step(&mut self, cursor: &mut Cursor<'_>, odd: &mut Odd) -> Result<Step<E>, Stop> {
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
            _ => {
                // What an incomplete element left is found again.
                *odd = Odd::default();
                E::read(cursor, self.listing.identities.as_mut(), odd).map(Step::Read)
            }
        }
    }
}

impl<E: Element> Sink for Reader<E> {
    type Out = DecodedList<E>;

    fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.received += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < self.enough {
            return Ok(());
        }
        self.enough = 0;
        self.advance()
    }

    fn finish(mut self) -> Result<(Vec<u8>, DecodedList<E>), DecodeError> {
        self.advance()?;
        if self.place != Place::Around {
            return Err(DecodeError::Truncated { bytes: self.received });
        }
        Ok((self.head, self.listing))
    }
}

/// Decodes a summary that arrives in `chunks`: each user once, sorted. For benches, which measure only the decoding.
///
/// # Errors
/// The response is not valid JSON, or exceeds `bounds`.
pub fn summary_rows<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    bounds: &Bounds,
    pii: Pii,
) -> Result<Vec<Row>, DecodeError> {
    let mut reader = Reader::<Row>::new(bounds, pii);
    for chunk in chunks {
        reader.push(chunk)?;
    }
    let (_, listing) = reader.finish()?;
    let (mut rows, mut unreadable) = (listing.items, listing.unreadable);
    Row::deduplicate(&mut rows, Pages::One, &mut unreadable, &mut OddFields::default());
    Ok(rows)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::super::rfc3339;
    use super::*;
    use crate::model::{Event, EventCount, Level, RowFingerprint};

    const ANNA: &str = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e";

    /// A decoded response: envelope, rows, unreadable, anonymous, and each user's e-mail address and name.
    pub(in crate::cloudflare::decode) type Outcome =
        (Value, Vec<Row>, Vec<UserId>, u32, Vec<(String, String)>);

    pub(in crate::cloudflare::decode) fn read(
        chunks: &[&[u8]],
        bounds: &Bounds,
        pii: Pii,
    ) -> Result<Outcome, DecodeError> {
        let mut reader = Reader::<Row>::new(bounds, pii);
        for chunk in chunks {
            reader.push(chunk)?;
        }
        let (head, mut listing) = reader.finish()?;
        let envelope = serde_json::from_slice(&head)
            .map_err(|error| DecodeError::Json { offset: 0, what: format!("{:?}", error.classify()) })?;
        let people = match &mut listing.identities {
            None => Vec::new(),
            Some(identities) => {
                identities.finish();
                let who =
                    |row: &Row| identities.get(row.user).map(|(email, name)| (email.into(), name.into()));
                listing.items.iter().filter_map(who).collect()
            }
        };
        Ok((envelope, listing.items, listing.unreadable, listing.anonymous, people))
    }

    fn at_once(text: &str) -> Result<Outcome, DecodeError> {
        read(&[text.as_bytes()], &Bounds::default(), Pii::Keep)
    }

    fn row(user: &str, last_event: &str, count: impl Into<EventCount>, level: Level) -> Row {
        Row {
            user: user.parse().unwrap(),
            tuple: RowFingerprint {
                last_event: rfc3339::parse(last_event.as_bytes()).unwrap(),
                count: count.into(),
                level,
            },
        }
    }

    /// Everything that is valid but unusual, in one response.
    const NASTY: &str = r#" { "x":{"users":[{"user_id":1}]}, "result_info" : {"users":["no"],"total_count":9.0},
        "\u0072esult": {"other":[[],{"users":[{}]}], "use\u0072s" : [
        {"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e","name":"A\"nn\\a\u00e9 \ud83d\ude00","email":"a@b.c","max_risk_level":"high",
         "event_count":3,"last_event":"2019-12-27T18:11:19.117Z"} ,
        {"future":{"a":[1,-2.5e+3,true,null,"]}"]},"LAST_EVENT":"x","last_event":"2019-12-27T19:11:19+01:00","event_count":3.0,
         "user_id":"182BD5E5-6E1A-4FE4-A799-AA6D9A6AB26F","max_risk_level":null},
        {"user_id":"\u0031\u00382bd5e5-6e1a-4fe4-a799-aa6d9a6ab270","last_event":"2019-12-27T18:11:19Z","event_count":0,"max_risk_level":"severe"},
        {"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab271","last_event":"2019-12-27T18:11:19Z","event_count":-1,"max_risk_level":"low"},
        {"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab272","last_event":"yesterday","event_count":1},
        {"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab273","last_event":null,"event_count":1},
        {"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab274","last_event":"2019-12-27T18:11:19Z","event_count":4294967296},
        {"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab275","last_event":"2019-12-27T18:11:19Z","event_count":1,"max_risk_level":7},
        {"user_id":"nobody","last_event":"2019-12-27T18:11:19Z","event_count":1},
        {}, null, 5, "user", [{"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"}]
        ], "tail":"users\":[" }, "success" :true , "é":["\\"] } "#;

    #[test]
    fn a_valid_but_unusual_response_is_decoded() {
        let (envelope, rows, unreadable, anonymous, people) = at_once(NASTY).unwrap();
        let undated = |user| {
            let mut row = row(user, "2019-12-27T18:11:19Z", 1, Level::Unknown);
            row.tuple.last_event = crate::clock::Timestamp::UNKNOWN;
            row
        };
        assert_eq!(
            rows,
            [
                row(ANNA, "2019-12-27T18:11:19.117Z", 3, Level::High),
                row("182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26f", "2019-12-27T18:11:19Z", 3, Level::Unknown),
                row("182bd5e5-6e1a-4fe4-a799-aa6d9a6ab270", "2019-12-27T18:11:19Z", 0, Level::Unrecognized),
                row(
                    "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab271",
                    "2019-12-27T18:11:19Z",
                    EventCount::UNKNOWN,
                    Level::Low
                ),
                undated("182bd5e5-6e1a-4fe4-a799-aa6d9a6ab272"),
                undated("182bd5e5-6e1a-4fe4-a799-aa6d9a6ab273"),
                row(
                    "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab274",
                    "2019-12-27T18:11:19Z",
                    EventCount::UNKNOWN,
                    Level::Unknown
                ),
            ]
        );
        let last = |user: &UserId| user.to_string().split_off(33);
        assert_eq!(unreadable.iter().map(last).collect::<Vec<_>>(), ["275"]);
        assert_eq!(anonymous, 6);
        assert_eq!(people[0], ("a@b.c".to_owned(), "A\"nn\\aé 😀".to_owned()));
        assert_eq!(people[1], (String::new(), String::new()));
        assert_eq!(envelope["result"]["users"], json!([]));
        assert_eq!(envelope["result"]["tail"], json!("users\":["));
        assert_eq!((&envelope["success"], &envelope["x"]["users"][0]["user_id"]), (&json!(true), &json!(1)));
    }

    #[test]
    fn the_size_of_chunks_does_not_matter() {
        let bytes = NASTY.as_bytes();
        let wanted = at_once(NASTY);
        let bounds = Bounds::default();
        for split in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(split);
            assert_eq!(read(&[head, tail], &bounds, Pii::Keep), wanted, "cut at {split}");
        }
        for size in 1..70 {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(read(&chunks, &bounds, Pii::Keep), wanted, "chunks of {size}");
        }
    }

    #[test]
    fn a_response_that_ends_early_is_never_complete() {
        let whole = NASTY.trim_end();
        for end in 0..whole.len() {
            let result = read(&[&whole.as_bytes()[..end]], &Bounds::default(), Pii::Drop);
            let cut = DecodeError::Json { offset: 0, what: "Eof".into() };
            let bytes = end as u64;
            assert!(
                result == Err(DecodeError::Truncated { bytes }) || result == Err(cut),
                "ends at {end}: {result:?}"
            );
        }
    }

    #[test]
    fn invalid_json_is_refused_with_its_position() {
        for (list, offset, what) in [
            ("[{},,{}]", 24, "a value was expected"),
            ("[,]", 21, "a value was expected"),
            ("[{} {}]", 24, "a comma or the end of the list was expected"),
            ("[{},]", 24, "a value was expected"),
            ("[{\"user_id\" 1}]", 32, "a colon was expected"),
            ("[nil]", 21, "only true, false and null are valid words"),
            ("[],\"users\":[1]", 31, "the list occurs twice"),
            ("[]]", 22, "a closing bracket has no opening bracket"),
        ] {
            let text = format!("{{\"result\": {{\"users\":{list}");
            let what = what.to_owned();
            assert_eq!(at_once(&text), Err(DecodeError::Json { offset, what }), "{list}");
        }
    }

    #[test]
    fn every_limit_ends_in_an_error_that_names_it() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let bounds =
            Bounds { elements: 3, element_bytes: 1_000, head_bytes: 500, nesting: 10, ..Bounds::default() };
        for (users, after, wanted) in [
            ("{},{},{}".to_owned(), String::new(), None),
            ("{},{},{},{}".to_owned(), String::new(), Some("it is too large: more than 3 elements")),
            (
                format!("\"{}", "x".repeat(2_000)),
                String::new(),
                Some("it is too large: more than 1000 bytes in one element"),
            ),
            (String::new(), " ".repeat(500), Some("it is too large: more than 500 bytes outside the list")),
            (deep(7), String::new(), None),
            (deep(8), String::new(), Some("it is nested too deeply")),
            (String::new(), format!(",\"x\":{}", deep(8)), None),
            (String::new(), format!(",\"x\":{}", deep(9)), Some("it is nested too deeply")),
        ] {
            let text = format!("{{\"result\":{{\"users\":[{users}]{after}}}}}");
            for size in [1, 7, 4_096] {
                let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
                let result = read(&chunks, &bounds, Pii::Drop);
                match wanted {
                    None => assert!(result.is_ok(), "{text}: {result:?}"),
                    Some(wanted) => {
                        let said = result.unwrap_err().to_string();
                        assert!(said.contains(wanted), "{said}, not {wanted}");
                    }
                }
            }
        }
    }

    #[test]
    fn events_are_read_without_their_details() {
        let text = r#"{"result":{"email":"e","events":[
            {"id":"a","name":"imp_travel","risk_level":"low","timestamp":"2019-12-27T18:11:19.117Z","event_details":{"timestamp":"x","id":[{}]}},
            {"id":"b\u0041","name":"","timestamp":"2019-12-27T18:11:19Z"},
            {"id":7,"name":"n","timestamp":"2019-12-27T18:11:19Z"},{"id":"c","timestamp":"2019-12-27T18:11:19Z"},
            {"id":"d","name":"n"}],"name":"n"},"success":true}"#;
        let mut reader = Reader::<Event>::new(&Bounds::default(), Pii::Drop);
        for byte in text.as_bytes() {
            reader.push(std::slice::from_ref(byte)).unwrap();
        }
        let (_, listing) = reader.finish().unwrap();
        let event = |id: &str, name: &str, level, time: &str| Event {
            id: id.into(),
            name: name.into(),
            level,
            timestamp: rfc3339::parse(time.as_bytes()).unwrap(),
        };
        assert_eq!(
            listing.items,
            [
                event("a", "imp_travel", Level::Low, "2019-12-27T18:11:19.117Z"),
                event("bA", "", Level::Unknown, "2019-12-27T18:11:19Z"),
                event("7", "n", Level::Unknown, "2019-12-27T18:11:19Z"),
                event("c", "", Level::Unknown, "2019-12-27T18:11:19Z"),
            ]
        );
        assert_eq!(listing.anonymous, 1);
    }

    #[test]
    fn slow_arrival_does_not_parse_an_element_for_every_chunk() {
        // One element of 2 MB in small chunks: parsing it again for each chunk would take minutes.
        let big = format!(r#"{{"result":{{"users":[{{"name":"{}"}}]}}}}"#, "x".repeat(2 << 20));
        let chunks: Vec<&[u8]> = big.as_bytes().chunks(16).collect();
        let (.., anonymous, _) = read(&chunks, &Bounds::default(), Pii::Drop).unwrap();
        assert_eq!(anonymous, 1);
    }
}
