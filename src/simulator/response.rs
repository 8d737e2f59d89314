//! Envelopes and error codes.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::api_options::Refusals;
use super::auth::{Quota, Refusal};
use super::page_slice::{NoPage, PageInfo};

/// Codes and messages that Cloudflare is known to use.
pub(super) mod known {
    pub(in crate::simulator) const MISSING: (u32, &str) =
        (9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers");
    pub(in crate::simulator) const INVALID_HEADERS: (u32, &str) = (6003, "Invalid request headers");
    pub(in crate::simulator) const AUTHORIZATION_FORMAT: (u32, &str) =
        (6111, "Invalid format for Authorization header");
    pub(in crate::simulator) const AUTHENTICATION: (u32, &str) = (10_000, "Authentication error");
    pub(in crate::simulator) const WRONG_ACCOUNT: (u32, &str) =
        (9109, "Unauthorized to access requested resource");
    pub(in crate::simulator) const NOT_ENTITLED: (u32, &str) = (3314, "Forbidden");
    pub(in crate::simulator) const NOT_ROUTED: (u32, &str) =
        (7003, "Could not route to the path given, perhaps your object identifier is invalid?");
    pub(in crate::simulator) const NO_ROUTE: (u32, &str) = (7000, "No route for that URI");
    pub(in crate::simulator) const ACCOUNT_TOKEN: (u32, &str) =
        (1001, "Account owned tokens may not be used with this endpoint");
    pub(in crate::simulator) const LIMITED: (u32, &str) =
        (971, "Please wait and consider throttling your request speed");
}

/// Codes that we chose because Cloudflare's are unknown.
pub(super) mod chosen {
    pub(in crate::simulator) const METHOD: u32 = 7001;
    pub(in crate::simulator) const NOT_FOUND: u32 = 1001;
    pub(in crate::simulator) const INVALID: u32 = 1002;
    pub(in crate::simulator) const CONFLICT: u32 = 1003;
    pub(in crate::simulator) const TOO_LARGE: u32 = 1004;
    pub(in crate::simulator) const TIMEOUT: u32 = 1005;
}

/// A status of 400 or above; other values mean 500.
pub(super) fn error_status(status: u16) -> StatusCode {
    let status = StatusCode::from_u16(status).ok().filter(|status| status.as_u16() >= 400);
    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An error answer.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    errors: Vec<Value>,
    body_fields: Refusals,
    /// An extra header, such as `Allow` with a 405.
    pub(super) header: Option<(hyper::header::HeaderName, String)>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: u32, message: &str) -> Self {
        Self {
            status,
            errors: vec![json!({"code": code, "message": message})],
            body_fields: Refusals::Full,
            header: None,
        }
    }

    pub(super) fn known(status: StatusCode, (code, message): (u32, &str)) -> Self {
        Self::new(status, code, message)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, chosen::INVALID, message)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, chosen::NOT_FOUND, &format!("{what} not found"))
    }

    pub(super) fn unrouted() -> Self {
        let mut failure = Self::known(StatusCode::NOT_FOUND, known::NOT_ROUTED);
        failure.errors.push(json!({"code": known::NO_ROUTE.0, "message": known::NO_ROUTE.1}));
        failure
    }

    pub(super) fn refused(refusal: Refusal, body_fields: Refusals) -> Self {
        let failure = match refusal {
            Refusal::Missing => Self::known(StatusCode::BAD_REQUEST, known::MISSING),
            Refusal::Invalid => Self::known(StatusCode::UNAUTHORIZED, known::AUTHENTICATION),
            Refusal::Malformed => {
                let mut failure = Self::known(StatusCode::BAD_REQUEST, known::INVALID_HEADERS);
                let (code, message) = known::AUTHORIZATION_FORMAT;
                let chain = json!([{"code": code, "message": message}]);
                for error in failure.errors.iter_mut().filter_map(Value::as_object_mut) {
                    error.insert("error_chain".to_owned(), chain.clone());
                }
                failure
            }
        };
        failure.with_fields(body_fields)
    }

    #[must_use]
    pub(super) fn with_fields(mut self, body_fields: Refusals) -> Self {
        self.body_fields = body_fields;
        self
    }

    pub(super) fn body(&self) -> Bytes {
        let body = match self.body_fields {
            Refusals::Full => {
                json!({"success": false, "errors": self.errors, "messages": [], "result": null})
            }
            Refusals::Terse => json!({"success": false, "errors": self.errors}),
        };
        Bytes::from(body.to_string())
    }
}

impl From<NoPage> for Failure {
    fn from(reason: NoPage) -> Self {
        match reason {
            NoPage::Queries { status } => {
                Self::new(error_status(status), chosen::INVALID, "unknown query parameters")
            }
            NoPage::Invalid => Self::invalid("page is beyond the last one"),
            NoPage::NotFound => Self::not_found("page"),
        }
    }
}

/// A result; [`Success::chunks`] puts it into its envelope.
#[derive(Clone, Debug)]
pub(super) struct Success {
    pub(super) result: Outcome,
    pub(super) info: Option<PageInfo>,
}

#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// No `result` at all.
    Absent,
    Json(Value),
    /// `{"users": [...]}` of serialized rows.
    Users(Vec<Bytes>),
}

impl Success {
    pub(super) fn single(result: Value) -> Self {
        Self { result: Outcome::Json(result), info: None }
    }

    pub(super) fn chunks(self) -> Vec<Bytes> {
        let info = self.info.and_then(|info| info.json()).map(|info| format!(",\"result_info\":{info}"));
        let tail = Bytes::from(format!(
            "{},\"success\":true,\"errors\":[],\"messages\":[]}}",
            info.unwrap_or_default()
        ));
        match self.result {
            Outcome::Absent => vec![Bytes::from_static(b"{\"success\":true,\"errors\":[],\"messages\":[]}")],
            Outcome::Json(value) => vec![Bytes::from(format!("{{\"result\":{value}")), tail],
            Outcome::Users(rows) => {
                let mut chunks = vec![Bytes::from_static(b"{\"result\":{\"users\":[")];
                chunks.extend(rows);
                chunks.push(Bytes::from_static(b"]}"));
                chunks.push(tail);
                chunks
            }
        }
    }
}

/// The headers `Ratelimit` and `Ratelimit-Policy`, for each answer to a known credential.
pub(super) fn limit_headers(quota: Quota) -> [(&'static str, String); 2] {
    // Rounded up, so that a client does not come back too early.
    let seconds = quota.resets_in.as_millis().div_ceil(1_000);
    [
        ("ratelimit", format!("\"default\";r={};t={seconds}", quota.remaining)),
        (
            "ratelimit-policy",
            format!("\"default\";q={};w={}", quota.policy.quota, quota.policy.window_seconds),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_all_fields_of_the_schema_unless_terse() {
        for refusal in [Refusal::Missing, Refusal::Malformed, Refusal::Invalid] {
            for (body_fields, keys) in [(Refusals::Full, 4), (Refusals::Terse, 2)] {
                let body: Value =
                    serde_json::from_slice(&Failure::refused(refusal, body_fields).body()).unwrap();
                assert_eq!(body.as_object().unwrap().len(), keys, "{refusal:?}");
                assert_eq!(body["success"], false);
                assert!(body["errors"][0]["code"].as_u64().unwrap() >= 1_000);
            }
        }
    }
}
