//! Reads a row of the summary in its usual form: known keys in any order, no spaces, no escapes, documented values.
//!
//! A summary may have a million rows. Matching these exact bytes takes half the time of a general JSON parser. Any row
//! that differs or is incomplete is left to the strict parser.

use super::json::plain_length;
use super::rfc3339;
use crate::clock::Timestamp;
use crate::model::{Level, UserId};

/// The fields of a row that are present.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cloudflare) struct Fields<'a> {
    pub(in crate::cloudflare) user: Option<UserId>,
    pub(in crate::cloudflare) last_event: Option<Timestamp>,
    pub(in crate::cloudflare) count: Option<u32>,
    pub(in crate::cloudflare) level: Level,
    pub(in crate::cloudflare) email: &'a [u8],
    pub(in crate::cloudflare) name: &'a [u8],
}

/// The row at the start of `text`, and its length. `None` means that the strict parser must decide.
pub(in crate::cloudflare) fn row(text: &[u8]) -> Option<(Fields<'_>, usize)> {
    let mut fields = Fields::default();
    let mut rest = text.strip_prefix(b"{")?;
    loop {
        // The third byte distinguishes most keys.
        rest = match *rest.get(2)? {
            b's' => {
                let (id, rest) = rest.strip_prefix(b"\"user_id\":\"")?.split_first_chunk::<36>()?;
                fields.user = Some(UserId::try_parse_ascii(id).ok()?);
                rest.strip_prefix(b"\"")?
            }
            b'a' if rest.starts_with(b"\"last_event\":\"") => {
                let (date, rest) = text_of(rest.strip_prefix(b"\"last_event\":\"")?)?;
                fields.last_event = Some(rfc3339::utc(date)?);
                rest
            }
            b'a' if rest.starts_with(b"\"max_risk_level\":\"") => {
                let (word, rest) = text_of(rest.strip_prefix(b"\"max_risk_level\":\"")?)?;
                fields.level = Level::from_word(std::str::from_utf8(word).ok()?);
                rest
            }
            b'v' => {
                let (count, rest) = count(rest.strip_prefix(b"\"event_count\":")?)?;
                fields.count = Some(count);
                rest
            }
            b'm' => {
                let (email, rest) = text_of(rest.strip_prefix(b"\"email\":\"")?)?;
                fields.email = email;
                rest
            }
            b'a' => {
                let (name, rest) = text_of(rest.strip_prefix(b"\"name\":\"")?)?;
                fields.name = name;
                rest
            }
            _ => return None,
        };
        rest = match rest.split_first()? {
            (b',', rest) => rest,
            (b'}', rest) => return Some((fields, text.len() - rest.len())),
            _ => return None,
        };
    }
}

/// Splits off the rest of a string without escapes, whose opening quote is already consumed.
#[inline]
fn text_of(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = text.split_at_checked(plain_length(text))?;
    Some((content, rest.strip_prefix(b"\"")?))
}

/// Splits off a whole number of at most nine digits. The caller checks that it ends there.
#[inline]
fn count(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(length)?;
    let padded = length > 1 && digits.starts_with(b"0");
    if length == 0 || length > 9 || padded {
        return None;
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u32::from(digit - b'0'));
    Some((count, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"email":"a@b","event_count":3,"last_event":"2019-12-27T18:11:19.117Z","max_risk_level":"high","name":"é","user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"}"#;

    #[test]
    fn a_usual_row_is_read_with_its_keys_in_any_order() {
        let inner = ROW.trim_matches(['{', '}']);
        let mut fields: Vec<&str> = inner.split(',').collect();
        for _ in 0..fields.len() {
            fields.rotate_left(1);
            let text = format!("{{{}}}, and more", fields.join(","));
            let (fields, length) = row(text.as_bytes()).unwrap();
            assert_eq!(length, ROW.len());
            assert_eq!((fields.email, fields.name), (&b"a@b"[..], "é".as_bytes()));
            assert_eq!((fields.count, fields.level), (Some(3), Level::High));
            assert_eq!(fields.last_event, Some(Timestamp::from_millis(1_577_470_279_117)));
            assert_eq!(fields.user.unwrap().to_string(), "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e");
        }
    }

    #[test]
    fn an_unusual_or_incomplete_row_is_left_to_the_strict_parser() {
        for end in 0..ROW.len() {
            assert_eq!(row(&ROW.as_bytes()[..end]), None, "cut at {end}");
        }
        for (usual, unusual) in [
            (":3", ": 3"),
            (":3", ":03"),
            (":3", ":3.0"),
            (":3", ":-3"),
            (":3", ":1234567890"),
            (":3", ":null"),
            ("a@b", "a\\u0040b"),
            ("a@b", "a\tb"),
            ("\"high\"", "null"),
            ("Z", "+00:00"),
            ("182b", "182x"),
            ("name", "nome"),
            ("email", "e-mail"),
            (",", " ,"),
            ("{", "{ "),
            ("}", " }"),
        ] {
            assert_eq!(row(ROW.replace(usual, unusual).as_bytes()), None, "{unusual}");
        }
        assert_eq!(row(b"{}"), None);
    }
}
