//! The JSON envelope around every result, and what its errors mean.

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::decode::DecodeError;
use super::error::{ApiError, Kind, Limiter, MissingGrant};
use super::page_info::PageInfo;
use crate::model::text::is_showable;

/// How many errors of a response are kept. Further ones usually repeat the first.
const MAX_ERRORS: usize = 5;

/// The longest error message that is kept, in characters.
const MAX_MESSAGE: usize = 200;

/// The most values in an envelope. As a tree, a value of a few bytes takes up to 700 bytes of memory. Two envelopes are
/// in memory while a list is read in pages.
const MAX_VALUES: usize = 30_000;

/// A response without its list.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// Whether the request succeeded. It decides even if the HTTP status says otherwise.
    pub(super) success: Option<bool>,
    /// The result, if it is present and not null.
    pub(super) result: Option<Value>,
    /// The errors. A successful response may have some too.
    pub(super) errors: Vec<ApiError>,
    /// What the response says about pages.
    pub(super) info: PageInfo,
}

impl Envelope {
    /// Whether Cloudflare's API wrote this, and not a proxy or the edge: it says whether the request succeeded, or has
    /// errors.
    pub(super) fn is_from_api(&self) -> bool {
        self.success.is_some() || !self.errors.is_empty()
    }

    /// Parses an envelope. A missing `success` is not an error here.
    pub(super) fn parse(text: &[u8], secrets: &[SecretString]) -> Result<Self, DecodeError> {
        if values(text) > MAX_VALUES {
            return Err(DecodeError::TooLarge { limit: MAX_VALUES as u64, what: "values" });
        }
        let mut value: Value = serde_json::from_slice(text).map_err(|error| {
            if error.is_eof() {
                return DecodeError::Truncated { bytes: text.len() as u64 };
            }
            DecodeError::Json { offset: 0, what: sanitize(&error.to_string(), 100) }
        })?;
        let Value::Object(fields) = &mut value else {
            return Err(DecodeError::Json { offset: 0, what: "an object was expected".to_owned() });
        };
        Ok(Self {
            success: fields.get("success").and_then(Value::as_bool),
            errors: errors(fields.get("errors").unwrap_or(&Value::Null), secrets),
            info: PageInfo::of(fields),
            result: fields.remove("result").filter(|result| !result.is_null()),
        })
    }
}

/// Messages that mean that the credentials themselves are refused, under codes that also mean a missing permission.
const REFUSALS: [&str; 6] = [
    "invalid access token",
    "invalid api token",
    "token expired",
    "cannot use the access token",
    "max auth failures",
    "unable to authenticate",
];

/// The kind of error of a failed response, from its HTTP status and Cloudflare's codes and messages.
pub(super) fn kind(status: StatusCode, errors: &[ApiError]) -> Kind {
    let has = |code: i64| errors.iter().any(|error| error.code == code);
    let refuses = |error: &ApiError| {
        let message = error.message.to_lowercase();
        error.code == 9103 || REFUSALS.iter().any(|refusal| message.contains(refusal))
    };
    if status == StatusCode::TOO_MANY_REQUESTS || has(971) {
        return Kind::Limited(Limiter::Cloudflare);
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Kind::Unavailable;
    }
    if has(9106) || has(6003) || has(6111) {
        return Kind::Credentials;
    }
    if errors.iter().any(refuses) {
        return Kind::Refused;
    }
    if has(3314) {
        return Kind::NotEntitled;
    }
    if has(9109) {
        return Kind::Forbidden(MissingGrant::Account);
    }
    if has(10001) {
        // This code has two meanings: a permission that is missing, and a transient error at Cloudflare.
        let internal =
            |error: &ApiError| error.code == 10001 && error.message.to_lowercase().contains("internal");
        return if errors.iter().any(internal) {
            Kind::Unavailable
        } else {
            Kind::Forbidden(MissingGrant::Permission)
        };
    }
    match status {
        StatusCode::UNAUTHORIZED => Kind::Refused,
        StatusCode::FORBIDDEN => Kind::Forbidden(MissingGrant::Permission),
        _ if has(10000) => Kind::Refused,
        StatusCode::NOT_FOUND => Kind::NotFound,
        _ if has(7000) || has(7003) => Kind::NotFound,
        _ if status.is_client_error() => Kind::Invalid,
        // HTTP success with `success: false` and an undocumented code.
        _ => Kind::Unavailable,
    }
}

/// Removes characters that must not be shown, replaces e-mail addresses, and cuts `text` to `limit` characters.
pub(super) fn sanitize(text: &str, limit: usize) -> String {
    let text = without_addresses(&printable(text));
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The errors of an envelope, each followed by the errors of its chain.
fn errors<'a>(errors: &'a Value, secrets: &[SecretString]) -> Vec<ApiError> {
    let links = |error: &'a Value| error.get("error_chain").and_then(Value::as_array).into_iter().flatten();
    // One error is sometimes not in a list, and its code sometimes a string.
    let errors = match errors {
        Value::Array(errors) => errors.as_slice(),
        Value::Object(_) => std::slice::from_ref(errors),
        _ => &[],
    };
    let code = |code: &Value| code.as_i64().or_else(|| code.as_str()?.trim().parse().ok());
    errors
        .iter()
        .flat_map(|error| std::iter::once(error).chain(links(error)))
        .take(MAX_ERRORS)
        .map(|error| ApiError {
            code: error.get("code").and_then(code).unwrap_or_default(),
            message: message(error.get("message").and_then(Value::as_str).unwrap_or_default(), secrets),
        })
        .collect()
}

/// How many values JSON text has: each is the first of an array or an object, or follows a comma.
fn values(text: &[u8]) -> usize {
    let (mut values, mut in_string, mut bytes) = (1, false, text.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            // The next byte is part of the escape sequence.
            b'\\' if in_string => drop(bytes.next()),
            b'[' | b'{' | b',' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

/// Makes an error message safe to show: servers sometimes echo what they were sent.
fn message(text: &str, secrets: &[SecretString]) -> String {
    // Invisible characters go first: removing them later could join the halves of a secret that they had split.
    let text = secrets
        .iter()
        .fold(printable(text), |text, secret| text.replace(secret.expose_secret(), "[redacted]"));
    sanitize(&text, MAX_MESSAGE)
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| is_showable(*letter)).collect()
}

/// Replaces every word that looks like an e-mail address, plain or URL-encoded.
fn without_addresses(text: &str) -> String {
    // Addresses in practice do not contain these characters, so they end a word.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_an_error_depends_on_status_and_code() {
        for (status, code, message, wanted) in [
            (400, 9106, "Missing X-Auth-Key", Kind::Credentials),
            (400, 6003, "Invalid request headers", Kind::Credentials),
            (401, 10000, "Authentication error", Kind::Refused),
            (401, 0, "", Kind::Refused),
            (200, 10000, "Authentication error", Kind::Refused),
            (403, 10000, "Authentication error", Kind::Forbidden(MissingGrant::Permission)),
            (403, 0, "", Kind::Forbidden(MissingGrant::Permission)),
            (403, 9109, "Unauthorized to access", Kind::Forbidden(MissingGrant::Account)),
            (403, 9109, "Invalid access token", Kind::Refused),
            (401, 9109, "Invalid access token", Kind::Refused),
            (403, 1000, "Invalid API Token", Kind::Refused),
            (403, 1000, "Token expired", Kind::Refused),
            (403, 9109, "Cannot use the access token from location: 203.0.113.7", Kind::Refused),
            (403, 9109, "Max auth failures reached, please check your Authorization header.", Kind::Refused),
            (400, 10001, "Unable to authenticate request", Kind::Refused),
            (403, 9103, "Unknown X-Auth-Key or X-Auth-Email", Kind::Refused),
            (403, 3314, "Forbidden", Kind::NotEntitled),
            (403, 10001, "Method not allowed for token", Kind::Forbidden(MissingGrant::Permission)),
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
            let errors = [ApiError { code, message: message.to_owned() }];
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(kind(status, &errors), wanted, "{status} {code} {message}");
        }
    }

    #[test]
    fn an_error_outside_of_a_list_and_a_code_that_is_a_string_are_read() {
        for text in [
            r#"{"errors": {"code": 9109, "message": "Invalid access token"}}"#,
            r#"{"errors": [{"code": "9109", "message": "Invalid access token"}]}"#,
        ] {
            let found = Envelope::parse(text.as_bytes(), &[]).unwrap().errors;
            assert_eq!(found, [ApiError { code: 9109, message: "Invalid access token".to_owned() }]);
        }
    }

    #[test]
    fn quoted_errors_are_short_and_without_control_characters_or_direction_marks() {
        let long = "x".repeat(500);
        let text = format!(
            r#"{{"errors":[{{"code":6003,"message":"\u202ebad\u001b[31m\n\u2066\u200f\u2028","error_chain":[{{"code":6111,"message":"{long}"}}]}},
               null,{{"code":"seven"}},{{}},{{}},{{}},{{}}]}}"#
        );
        let errors = Envelope::parse(text.as_bytes(), &[]).unwrap().errors;
        assert_eq!(errors.len(), MAX_ERRORS);
        assert_eq!((errors[0].code, errors[0].message.as_str()), (6003, "bad[31m"));
        assert_eq!((errors[1].code, errors[1].message.chars().count()), (6111, MAX_MESSAGE + 1));
        assert_eq!(errors[3], ApiError { code: 0, message: String::new() });
    }

    #[test]
    fn quoted_errors_contain_no_secret_and_no_address() {
        let secrets = ["s3cret", "me at work"].map(SecretString::from);
        for (text, shown) in [
            ("bad s3cret.", "bad [redacted]."),
            ("bad s3c\u{1b}ret", "bad [redacted]"),
            ("bad s3c\u{202e}ret", "bad [redacted]"),
            ("ann\u{2066}@example.com", "[address]"),
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
        let long = format!("{}ann@example.com", " ".repeat(MAX_MESSAGE - 3));
        assert!(message(&long, &[]).ends_with(" [ad…"), "addresses are replaced before the message is cut");
    }

    #[test]
    fn an_envelope_has_a_bounded_number_of_values() {
        let filled =
            |value: &str, count: usize| format!(r#"{{"result":[{}]}}"#, vec![value; count].join(","));
        for (text, is_read) in [
            (filled("0", MAX_VALUES - 2), true),
            (filled("0", MAX_VALUES - 1), false),
            (filled("{}", MAX_VALUES / 2 - 1), true),
            (filled("{}", MAX_VALUES / 2), false),
            (filled(r#"",[{\\\",,\\""#, 1), true),
            (format!(r#"{{"result":"{}"}}"#, ",[{\\\"".repeat(MAX_VALUES)), true),
        ] {
            let wanted = DecodeError::TooLarge { limit: MAX_VALUES as u64, what: "values" };
            let read = Envelope::parse(text.as_bytes(), &[]).map(|_| ());
            assert_eq!(read, if is_read { Ok(()) } else { Err(wanted) }, "{:.60}", text);
        }
    }
}
