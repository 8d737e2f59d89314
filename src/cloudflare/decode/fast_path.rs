//! Reads a row of the summary in its usual form: known keys in any order, no spaces, no escapes, documented values.
//!
//! A summary may have a million rows. Matching these exact bytes takes half the time of a general JSON parser. Any row
//! that differs or is incomplete is left to the strict parser.

use super::bounds::{MAX_EMAIL, MAX_NAME};
use super::json::plain_length;
use super::rfc3339;
use crate::model::{Level, Row, RowFingerprint, UserId};

/// A row with its user's name and e-mail address, as they are in JSON.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cloudflare) struct Fields<'a> {
    pub(in crate::cloudflare) row: Row,
    pub(in crate::cloudflare) email: &'a [u8],
    pub(in crate::cloudflare) name: &'a [u8],
}

/// The row at the start of `text`, and its length. `None` means that the strict parser must decide.
pub(in crate::cloudflare) fn row(text: &[u8]) -> Option<(Fields<'_>, usize)> {
    let (mut user, mut last_event, mut event_count, mut level) = (None, None, None, None);
    let (mut user_email, mut user_name): (&[u8], &[u8]) = (b"", b"");
    let mut rest = text.strip_prefix(b"{")?;
    loop {
        // The third byte distinguishes most keys.
        rest = match *rest.get(2)? {
            b's' => {
                let (id, rest) = rest.strip_prefix(b"\"user_id\":\"")?.split_first_chunk::<36>()?;
                user = Some(UserId::try_parse_ascii(id).ok()?);
                rest.strip_prefix(b"\"")?
            }
            b'a' if rest.starts_with(b"\"last_event\":\"") => {
                let (date, rest) = text_of(rest.strip_prefix(b"\"last_event\":\"")?)?;
                last_event = Some(rfc3339::utc(date).filter(|date| !rfc3339::is_never(*date))?);
                rest
            }
            b'a' if rest.starts_with(b"\"max_risk_level\":\"") => {
                let (word, rest) = text_of(rest.strip_prefix(b"\"max_risk_level\":\"")?)?;
                level =
                    Some(Level::from_word(std::str::from_utf8(word).ok()?)).filter(|level| level.is_known());
                rest
            }
            b'v' => {
                let (count, rest) = count(rest.strip_prefix(b"\"event_count\":")?)?;
                event_count = Some(count);
                rest
            }
            b'm' => {
                let (email, rest) = text_of(rest.strip_prefix(b"\"email\":\"")?)?;
                user_email = email;
                rest
            }
            b'a' => {
                let (name, rest) = text_of(rest.strip_prefix(b"\"name\":\"")?)?;
                user_name = name;
                rest
            }
            _ => return None,
        };
        rest = match rest.split_first()? {
            (b',', rest) => rest,
            (b'}', rest) => {
                let count = event_count?.into();
                let tuple = RowFingerprint { last_event: last_event?, count, level: level? };
                let (email, name) = (user_email, user_name);
                if email.len() > MAX_EMAIL || name.len() > MAX_NAME {
                    return None;
                }
                let row = Row { user: user?, tuple };
                return Some((Fields { row, email, name }, text.len() - rest.len()));
            }
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
    use crate::clock::Timestamp;

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
            let RowFingerprint { last_event, count, level } = fields.row.tuple;
            assert_eq!((count, level), (3.into(), Level::High));
            assert_eq!(last_event, Timestamp::from_millis(1_577_470_279_117));
            assert_eq!(fields.row.user.to_string(), "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e");
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
            ("2019-12-27T18:11:19.117Z", "0001-01-01T00:00:00Z"),
            ("\"high\"", "\"critical\""),
            ("\"max_risk_level\":\"high\",", ""),
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
