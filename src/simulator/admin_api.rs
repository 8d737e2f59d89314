//! The control paths, which are not part of Cloudflare's API. They report what really happened, and let tests
//! in other processes change the world. They need no credentials and are neither logged nor limited.
//!
//! A web page in a browser on the same machine must not be able to use them. A browser sends `Origin` with each request that
//! could change something, and asks first before it sends `application/json` to another site. So a request with an
//! `Origin`, and a body that is not declared as JSON, are refused.
//!
//! | Method and path | Body | Answer |
//! |---|---|---|
//! | `GET /__truth?since_ms=&events=1&requests=1&users=1` | - | [`super::GroundTruth`] |
//! | `POST /__control/faults` | `{"fault": .., "endpoint"?, "account"?, "user"?, "share"?, "count"?}`, or a list of these | 204 |
//! | `DELETE /__control/faults` | - | 204 |
//! | `POST /__control/events` | `{"account", "user", "behavior", "id"?, "risk_level"?, "timestamp_ms"?, "count"?}` | the last event |
//! | `POST /__control/behaviors` | `{"account", "behavior": {"id", "name", "description"?, "enabled", "risk_level"}}` | 204 |
//! | `POST /__control/accounts` | `{"account", "state": "open" or "closed"}` | 204 |
//! | `POST /__control/reset` | `{"account", "user"}` | 204 |
//! | `POST /__control/remove` | `{"account", "user"}` | 204 |

use std::net::Ipv4Addr;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::account::NewEvent;
use super::engine::Engine;
use super::faults::FaultRule;
use super::ground_truth::{Details, Include};
use super::routes::parameter;
use super::scenario::MAX_EVENTS_PER_USER;
use super::scenario::{AccountState, BehaviorSpec, Level};
use super::world::ActionError;
use crate::clock::Timestamp;
use crate::http::{Abort, Body, full};

/// The largest body of a control request: a list of faults.
pub(super) const BODY_BYTES: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventBody {
    account: String,
    user: String,
    behavior: String,
    id: Option<String>,
    risk_level: Option<Level>,
    timestamp_ms: Option<i64>,
    count: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BehaviorBody {
    account: String,
    behavior: BehaviorSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountBody {
    account: String,
    state: AccountState,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserBody {
    account: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FaultBody {
    One(Box<FaultRule>),
    Several(Vec<FaultRule>),
}

/// The body of a successful answer.
enum Answer {
    Json(String),
    Empty,
}

/// Whether a path is a control path.
pub(super) fn is_control(path: &str) -> bool {
    path == "/__truth" || path.starts_with("/__control/")
}

/// Answers a control request.
pub(super) fn answer(
    engine: &Engine,
    parts: &Parts,
    body: &Result<Bytes, usize>,
) -> Result<Response<Body>, Abort> {
    let result = not_from_a_web_page(parts).and_then(|()| match body {
        Ok(body) => perform(engine, parts, body),
        Err(largest) => {
            Err((StatusCode::PAYLOAD_TOO_LARGE, format!("the body must have at most {largest} bytes")))
        }
    });
    let (status, text) = match result {
        Ok(Answer::Json(text)) => (StatusCode::OK, text),
        Ok(Answer::Empty) => (StatusCode::NO_CONTENT, String::new()),
        Err((status, error)) => (status, json!({"error": error}).to_string()),
    };
    let response = Response::builder().status(status);
    Ok(response.header(CONTENT_TYPE, "application/json").body(full(text))?)
}

/// Refuses what a web page can make a browser send.
fn not_from_a_web_page(parts: &Parts) -> Result<(), (StatusCode, String)> {
    let Parts { method, headers, uri, .. } = parts;
    let header = || Authority::try_from(headers.get(HOST)?.as_bytes()).ok();
    if uri.authority().cloned().or_else(header).is_some_and(|authority| may_be_rebound(authority.host())) {
        let reason = "control paths are answered only for IP addresses and names without a dot, such as localhost: a web page can \
                      give another name the address of this machine";
        return Err((StatusCode::MISDIRECTED_REQUEST, reason.to_owned()));
    }
    if headers.contains_key(ORIGIN) {
        let reason = "control paths refuse requests with an Origin, because they come from a web page";
        return Err((StatusCode::FORBIDDEN, reason.to_owned()));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if *method == Method::POST && !essence.eq_ignore_ascii_case("application/json") {
        let reason = "the Content-Type must be application/json";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, reason.to_owned()));
    }
    Ok(())
}

/// Whether this may be the name of a web site that leads to this machine (DNS rebinding). A site has a dot in its name.
fn may_be_rebound(host: &str) -> bool {
    let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    !is_address && host.trim_end_matches('.').contains('.')
}

fn perform(engine: &Engine, parts: &Parts, body: &[u8]) -> Result<Answer, (StatusCode, String)> {
    let (mut world, now) = engine.now();
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/__truth") => {
            let query = parts.uri.query();
            let since = match parameter(query, "since_ms").map(|text| text.parse()) {
                None => None,
                Some(Ok(millis)) => Some(Timestamp::from_millis(millis)),
                Some(Err(error)) => return Err(bad_request(&format!("since_ms: {error}"))),
            };
            let details = |name| match parameter(query, name).as_deref() {
                Some("1") => Details::All,
                _ => Details::Totals,
            };
            let wanted =
                Include { events: details("events"), requests: details("requests"), users: details("users") };
            let truth = world.ground_truth(now, since, wanted);
            json_of(&truth)
        }
        (&Method::POST, "/__control/faults") => {
            match read(body)? {
                FaultBody::One(rule) => world.faults.add(*rule),
                FaultBody::Several(rules) => rules.into_iter().for_each(|rule| world.faults.add(rule)),
            }
            Ok(Answer::Empty)
        }
        (&Method::DELETE, "/__control/faults") => {
            world.faults.clear();
            Ok(Answer::Empty)
        }
        (&Method::POST, "/__control/events") => {
            let event: EventBody = read(body)?;
            let new = NewEvent {
                id: event.id.as_deref(),
                behavior: &event.behavior,
                level: event.risk_level,
                timestamp: event.timestamp_ms.map_or(now, Timestamp::from_millis),
            };
            let count = event.count.unwrap_or(1);
            if count == 0 || count as usize > MAX_EVENTS_PER_USER || (count > 1 && event.id.is_some()) {
                return Err(bad_request("count must be from 1 to 10000, and 1 for an event with an id"));
            }
            let user = user(&event.user)?;
            for _ in 1..count {
                world.append(&event.account, user, &new, now).map_err(impossible)?;
            }
            json_of(&world.append(&event.account, user, &new, now).map_err(impossible)?)
        }
        (&Method::POST, "/__control/behaviors") => {
            let body: BehaviorBody = read(body)?;
            world.set_behavior(&body.account, body.behavior, now).map_err(impossible)?;
            Ok(Answer::Empty)
        }
        (&Method::POST, "/__control/accounts") => {
            let body: AccountBody = read(body)?;
            world.set_state(&body.account, body.state).map_err(impossible)?;
            Ok(Answer::Empty)
        }
        (&Method::POST, "/__control/reset") => {
            let body: UserBody = read(body)?;
            world.reset(&body.account, user(&body.user)?, now).map_err(impossible)?;
            Ok(Answer::Empty)
        }
        (&Method::POST, "/__control/remove") => {
            let body: UserBody = read(body)?;
            world.remove(&body.account, user(&body.user)?, now).map_err(impossible)?;
            Ok(Answer::Empty)
        }
        (method, path) => Err((StatusCode::NOT_FOUND, format!("unknown control path: {method} {path}"))),
    }
}

fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| bad_request(&error.to_string()))
}

fn user(text: &str) -> Result<Uuid, (StatusCode, String)> {
    Uuid::try_parse(text).map_err(|error| bad_request(&format!("user: {error}")))
}

fn json_of<T: serde::Serialize>(value: &T) -> Result<Answer, (StatusCode, String)> {
    let text = serde_json::to_string(value).expect("all keys of the maps are strings");
    Ok(Answer::Json(text))
}

fn bad_request(reason: &str) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, reason.to_owned())
}

fn impossible(error: ActionError) -> (StatusCode, String) {
    let status = match error {
        ActionError::UnknownAccount | ActionError::UnknownUser => StatusCode::NOT_FOUND,
        ActionError::TooManyBehaviors => StatusCode::BAD_REQUEST,
    };
    (status, error.to_string())
}
