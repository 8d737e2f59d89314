//! The envelope around every result, and what its errors mean.

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::decode::DecodeError;
use super::error::{Kind, Lack, Limiter, Note};

/// As many errors are kept of an answer; more repeat themselves.
const NOTES: usize = 5;

/// As many characters are kept of a message.
const MESSAGE: usize = 200;

/// What stands around a result.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// What decides, whatever the status.
    pub(super) success: Option<bool>,
    /// The result, where it is not null.
    pub(super) result: Option<Value>,
    /// The errors, which may be there beside success.
    pub(super) notes: Vec<Note>,
    /// What it says of pages.
    pub(super) info: PageInfo,
}

/// The numbers of `result_info` that can be relied on; all optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageInfo {
    pub(super) total_pages: Option<u64>,
    pub(super) total_count: Option<u64>,
}

impl Envelope {
    /// Reads an envelope. A missing `success` is no error here.
    pub(super) fn parse(text: &[u8], secrets: &[SecretString]) -> Result<Self, DecodeError> {
        let mut value: Value = serde_json::from_slice(text).map_err(|error| {
            if error.is_eof() {
                return DecodeError::Truncated { bytes: text.len() as u64 };
            }
            DecodeError::Json { offset: 0, what: tidy(&error.to_string(), 100) }
        })?;
        let Value::Object(fields) = &mut value else {
            return Err(DecodeError::Json { offset: 0, what: "an object was expected".to_owned() });
        };
        let info = fields.get("result_info").unwrap_or(&Value::Null);
        Ok(Self {
            success: fields.get("success").and_then(Value::as_bool),
            notes: notes(fields.get("errors").unwrap_or(&Value::Null), secrets),
            info: PageInfo {
                total_pages: whole(info.get("total_pages")),
                total_count: whole(info.get("total_count")),
            },
            result: fields.remove("result").filter(|result| !result.is_null()),
        })
    }
}

/// What an answer without success asks for, by its status and Cloudflare's codes.
pub(super) fn kind(status: StatusCode, notes: &[Note]) -> Kind {
    let has = |code: i64| notes.iter().any(|note| note.code == code);
    if status == StatusCode::TOO_MANY_REQUESTS || has(971) {
        return Kind::Limited(Limiter::Cloudflare);
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Kind::Unavailable;
    }
    if has(9106) || has(6003) || has(6111) {
        return Kind::Credentials;
    }
    if has(3314) {
        return Kind::NotEntitled;
    }
    if has(9109) {
        return Kind::Forbidden(Lack::Account);
    }
    if has(10001) {
        // The one code with two meanings: refused for good, and trouble that passes.
        let internal = |note: &Note| note.code == 10001 && note.message.to_lowercase().contains("internal");
        return if notes.iter().any(internal) {
            Kind::Unavailable
        } else {
            Kind::Forbidden(Lack::Permission)
        };
    }
    match status {
        StatusCode::UNAUTHORIZED => Kind::Refused,
        StatusCode::FORBIDDEN => Kind::Forbidden(Lack::Permission),
        _ if has(10000) => Kind::Refused,
        StatusCode::NOT_FOUND => Kind::NotFound,
        _ if has(7000) || has(7003) => Kind::NotFound,
        _ if status.is_client_error() => Kind::Invalid,
        // A success that reports an error it has no documented code for.
        _ => Kind::Unavailable,
    }
}

/// `text` without control characters and e-mail addresses, at most `limit` characters long.
pub(super) fn tidy(text: &str, limit: usize) -> String {
    let text = without_addresses(&printable(text));
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The errors of an envelope, the links of their chains behind each.
fn notes(errors: &Value, secrets: &[SecretString]) -> Vec<Note> {
    let links = |error: &Value| match error.get("error_chain") {
        Some(Value::Array(chain)) => chain.clone(),
        _ => Vec::new(),
    };
    let errors = errors.as_array().map(Vec::as_slice).unwrap_or_default();
    errors
        .iter()
        .flat_map(|error| std::iter::once(error.clone()).chain(links(error)))
        .take(NOTES)
        .map(|error| Note {
            code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
            message: message(error.get("message").and_then(Value::as_str).unwrap_or_default(), secrets),
        })
        .collect()
}

/// A message that may be shown, even if the server repeats in it what it was sent.
fn message(text: &str, secrets: &[SecretString]) -> String {
    // A secret that a control character breaks in two would be put together again if it were looked for first.
    let text = secrets
        .iter()
        .fold(printable(text), |text, secret| text.replace(secret.expose_secret(), "[redacted]"));
    tidy(&text, MESSAGE)
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// `text` with every word that looks like an e-mail address, as it is or as in a URL, replaced.
fn without_addresses(text: &str) -> String {
    // None of these stands in an address as people have them, so beside one they may stay.
    let ends_word = |letter: char| letter.is_whitespace() || "<>()[]{}\",;:".contains(letter);
    let piece = |piece: &str| {
        let word = piece.trim_end_matches(ends_word);
        if !is_address(word) {
            return piece.to_owned();
        }
        format!("[address]{}", piece.strip_prefix(word).unwrap_or_default())
    };
    text.split_inclusive(ends_word).map(piece).collect()
}

fn is_address(word: &str) -> bool {
    let has_letters = |part: &str| part.contains(char::is_alphanumeric);
    ["@", "%40"]
        .into_iter()
        .filter_map(|at| word.split_once(at))
        .any(|(before, after)| has_letters(before) && has_letters(after))
}

/// A number that counts something; the schema says number, not integer.
fn whole(value: Option<&Value>) -> Option<u64> {
    let number = value?.as_f64()?;
    (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_status_say_what_to_do() {
        for (status, code, message, wanted) in [
            (400, 9106, "Missing X-Auth-Key", Kind::Credentials),
            (400, 6003, "Invalid request headers", Kind::Credentials),
            (401, 10000, "Authentication error", Kind::Refused),
            (401, 0, "", Kind::Refused),
            (200, 10000, "Authentication error", Kind::Refused),
            (403, 10000, "Authentication error", Kind::Forbidden(Lack::Permission)),
            (403, 0, "", Kind::Forbidden(Lack::Permission)),
            (403, 9109, "Unauthorized to access", Kind::Forbidden(Lack::Account)),
            (403, 3314, "Forbidden", Kind::NotEntitled),
            (403, 10001, "Method not allowed for token", Kind::Forbidden(Lack::Permission)),
            (403, 10001, "Internal error", Kind::Unavailable),
            (404, 7003, "Could not route", Kind::NotFound),
            (400, 7000, "No route for that URI", Kind::NotFound),
            (404, 0, "", Kind::NotFound),
            (400, 1001, "bad tenant", Kind::Invalid),
            (409, 0, "", Kind::Invalid),
            (429, 0, "", Kind::Limited(Limiter::Cloudflare)),
            (429, 10000, "", Kind::Limited(Limiter::Cloudflare)),
            (200, 971, "Please wait", Kind::Limited(Limiter::Cloudflare)),
            (500, 10000, "", Kind::Unavailable),
            (503, 0, "", Kind::Unavailable),
            (408, 0, "", Kind::Unavailable),
            (200, 1000, "something", Kind::Unavailable),
            (200, 0, "", Kind::Unavailable),
        ] {
            let notes = [Note { code, message: message.to_owned() }];
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(kind(status, &notes), wanted, "{status} {code} {message}");
        }
    }

    #[test]
    fn what_is_quoted_is_short_and_clean() {
        let long = "x".repeat(500);
        let text = format!(
            r#"{{"errors":[{{"code":6003,"message":"bad\u001b[31m\n","error_chain":[{{"code":6111,"message":"{long}"}}]}},
               null,{{"code":"7"}},{{}},{{}},{{}},{{}}]}}"#
        );
        let notes = Envelope::parse(text.as_bytes(), &[]).unwrap().notes;
        assert_eq!(notes.len(), NOTES);
        assert_eq!((notes[0].code, notes[0].message.as_str()), (6003, "bad[31m"));
        assert_eq!((notes[1].code, notes[1].message.chars().count()), (6111, MESSAGE + 1));
        assert_eq!(notes[3], Note { code: 0, message: String::new() });
    }

    #[test]
    fn what_is_quoted_holds_no_secret_and_no_address() {
        let secrets = ["s3cret", "me at work"].map(SecretString::from);
        for (text, shown) in [
            ("bad s3cret.", "bad [redacted]."),
            ("bad s3c\u{1b}ret", "bad [redacted]"),
            ("no me at\n work", "no [redacted]"),
            ("no ann@example.com here", "no [address] here"),
            ("Ann <ann.o'x+y@mail.example.com>: no", "Ann <[address]>: no"),
            ("a@b,c@d;\"e@f\"", "[address],[address];\"[address]\""),
            ("ann@exa\u{7}mple.com", "[address]"),
            ("ann\u{0}@example.com", "[address]"),
            ("/users/ann%40example.com/x y", "[address] y"),
            ("jörg@müller.example", "[address]"),
            ("ends with ann@example.com.", "ends with [address]"),
            ("an @ alone, @home, and 5@ stay", "an @ alone, @home, and 5@ stay"),
            ("", ""),
        ] {
            assert_eq!(message(text, &secrets), shown, "{text:?}");
        }
        let long = format!("{}ann@example.com", " ".repeat(MESSAGE - 3));
        assert!(message(&long, &[]).ends_with(" [ad…"), "an address is seen before it is cut");
    }

    #[test]
    fn numbers_of_pages_are_whole_and_not_negative() {
        for (text, wanted) in [
            ("3", Some(3)),
            ("3.0", Some(3)),
            ("0", Some(0)),
            ("-1", None),
            ("2.5", None),
            ("1e300", None),
            ("\"3\"", None),
            ("null", None),
        ] {
            let text = format!(r#"{{"result_info":{{"total_count":{text}}}}}"#);
            let envelope = Envelope::parse(text.as_bytes(), &[]).unwrap();
            assert_eq!(envelope.info.total_count, wanted, "{text}");
        }
    }
}
