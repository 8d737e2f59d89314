//! HTTP: from a request through credentials, limits and faults to an operation, and back to a response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, DATE, HOST, HeaderName, HeaderValue, LINK,
    LOCATION, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use rand::Rng;
use serde_json::Value;

use super::admin_api;
use super::api_options::Compression;
use super::auth::{Admission, Quota};
use super::endpoint::Endpoint;
use super::engine::Engine;
use super::faults::Fault;
use super::ground_truth::RequestRecord;
use super::handlers::ApiRequest;
use super::json_faults;
use super::page_slice::PageInfo;
use super::response::{Failure, Outcome, Success, error_status, known, limit_headers};
use super::response_body::Delivery;
use super::routes::{self, Route};
use super::scenario::{AccountState, Plan};
use super::world::World;
use crate::clock::Timestamp;
use crate::http::{Abort, Body};

/// The largest request body of the API; a PUT of 256 behaviors has some 30 kB.
const BODY_BYTES: usize = 256 * 1024;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

const JSON: &str = "application/json; charset=UTF-8";

/// A response before it is sent.
#[derive(Default)]
struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    chunks: Vec<Bytes>,
    delivery: Delivery,
    ending: Ending,
    late: Duration,
    date_skew: i64,
    account: Option<String>,
    credential: Option<String>,
    endpoint: Option<Endpoint>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    Answered,
    Closed,
    Hanging,
}

impl Engine {
    /// Answers a request to the API or to a control path.
    pub(super) async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Abort> {
        let (parts, body) = request.into_parts();
        let arrived = self.clock.date();
        let largest =
            if admin_api::is_control(parts.uri.path()) { admin_api::BODY_BYTES } else { BODY_BYTES };
        let body = Limited::new(body, largest).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, body).await? {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(largest),
            Err(error) => return Err(error),
        };
        if admin_api::is_control(parts.uri.path()) {
            return admin_api::answer(&self, &parts, &body);
        }
        let reply = self.reply(&parts, body, arrived);
        let wait = self.latency + reply.late;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        match reply.ending {
            Ending::Answered => self.send(reply),
            Ending::Closed => Err("the connection is closed without an answer".into()),
            Ending::Hanging => {
                self.until_stopped().await;
                Err("the simulator stops".into())
            }
        }
    }

    /// Decides what to answer, and logs the request.
    fn reply(&self, parts: &Parts, body: Result<Bytes, usize>, arrived: Timestamp) -> Reply {
        let (mut world, now) = self.now();
        let mut reply = Reply::default();
        match decide(&mut world, self, parts, body, now, &mut reply) {
            Ok(()) => {}
            Err(failure) => reply.fail(&failure),
        }
        reply.header("cf-ray", world.next_ray());
        world.record.request(RequestRecord {
            arrived,
            account: reply.account.take(),
            endpoint: reply.endpoint.unwrap_or(Endpoint::Unrouted),
            method: parts.method.to_string(),
            credential: reply.credential.take(),
            status: match reply.ending {
                Ending::Answered => reply.status.as_u16(),
                Ending::Closed | Ending::Hanging => 0,
            },
        });
        reply
    }

    fn send(&self, reply: Reply) -> Result<Response<Body>, Abort> {
        let mut response = Response::builder().status(reply.status);
        let skewed = self.clock.date().millis().saturating_add(reply.date_skew);
        if let Some(date) = http_date(skewed) {
            response = response.header(DATE, date);
        }
        if let Some(encoding) = reply.delivery.content_encoding() {
            response = response.header(CONTENT_ENCODING, encoding);
        }
        for (name, value) in reply.headers {
            response = response.header(name, HeaderValue::try_from(value)?);
        }
        Ok(response.body(reply.delivery.body(reply.chunks, &self.stopped))?)
    }
}

impl Reply {
    fn header(&mut self, name: &'static str, value: String) {
        self.headers.push((HeaderName::from_static(name), value));
    }

    fn json(&mut self, chunks: Vec<Bytes>) {
        self.headers.push((CONTENT_TYPE, JSON.to_owned()));
        self.chunks = chunks;
    }

    fn html(&mut self, status: StatusCode) {
        self.status = status;
        self.headers.push((CONTENT_TYPE, "text/html; charset=UTF-8".to_owned()));
        self.chunks = vec![Bytes::from(format!(
            "<!DOCTYPE html>\n<html><head><title>{status}</title></head>\
             <body><center><h1>{status}</h1></center></body></html>\n"
        ))];
    }

    fn fail(&mut self, failure: &Failure) {
        self.status = failure.status;
        self.headers.extend(failure.header.clone());
        self.json(vec![failure.body()]);
    }
}

/// Authenticates, limits, authorizes and performs a request, in the order in which Cloudflare seems to check.
fn decide(
    world: &mut World,
    engine: &Engine,
    parts: &Parts,
    body: Result<Bytes, usize>,
    now: Timestamp,
    reply: &mut Reply,
) -> Result<(), Failure> {
    let route = Route::of(parts.uri.path());
    reply.endpoint = route.as_ref().map(|route| route.endpoint);
    reply.account = route.as_ref().and_then(|route| route.account.clone());
    let body_fields = world.options.refusals;

    let credential =
        world.auth.identify(&parts.headers, now).map_err(|refusal| Failure::refused(refusal, body_fields))?;
    reply.credential = Some(credential.user.clone());
    match world.auth.admit(&credential, engine.clock.now()) {
        Admission::Admitted(quota) => add_limit(reply, quota),
        Admission::Blocked(quota, wait) => {
            add_limit(reply, quota);
            reply.headers.push((RETRY_AFTER, wait.as_millis().div_ceil(1_000).to_string()));
            return Err(Failure::known(StatusCode::TOO_MANY_REQUESTS, known::LIMITED));
        }
    }

    let route = route.ok_or_else(Failure::unrouted)?;
    let methods = routes::methods(route.endpoint);
    let Some((_, allowed)) = methods.iter().find(|(method, _)| *method == parts.method) else {
        return Err(wrong_method(parts, methods));
    };
    if let Some(account) = route.account.as_deref() {
        let open = world.account(account).filter(|account| account.state == AccountState::Open);
        let plan = open.map(|account| account.plan);
        let looks_like_an_id = account.len() == 32 && account.bytes().all(|byte| byte.is_ascii_hexdigit());
        if plan.is_none() && !looks_like_an_id {
            return Err(Failure::unrouted());
        }
        let Some(plan) = plan.filter(|_| credential.may_use(account)) else {
            return Err(Failure::known(StatusCode::FORBIDDEN, known::WRONG_ACCOUNT).with_fields(body_fields));
        };
        if plan == Plan::NotEntitled {
            return Err(Failure::known(StatusCode::FORBIDDEN, known::NOT_ENTITLED).with_fields(body_fields));
        }
    }
    if !allowed.is_empty() && !credential.has_any(allowed) {
        return Err(Failure::known(StatusCode::FORBIDDEN, known::AUTHENTICATION).with_fields(body_fields));
    }

    let faults = world.faults.take(&route);
    for fault in &faults {
        if replace_answer(fault, reply)? {
            return Ok(());
        }
    }
    let body = body.map_err(|largest| {
        let message = format!("the body must have at most {largest} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, super::response::chosen::TOO_LARGE, &message)
    })?;
    let call = ApiRequest {
        route: &route,
        method: &parts.method,
        query: parts.uri.query(),
        body: &body,
        credential: &credential,
        faults: &faults,
    };
    let success = world.perform(&call, now)?;
    if route.endpoint == Endpoint::Summary {
        engine.list_is_read();
    }
    let accepts_gzip = parts
        .headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.contains("gzip")));
    if accepts_gzip && world.options.compression == Compression::Gzip {
        reply.delivery = Delivery::Gzip;
    }
    if let Some(query) = success.info.as_ref().and_then(PageInfo::link) {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let next = format!("<http://{host}{}?{query}>; rel=\"next\"", parts.uri.path());
        reply.headers.push((LINK, next));
    }
    apply_faults(success, &faults, &mut world.faults.rng, reply);
    Ok(())
}

fn add_limit(reply: &mut Reply, quota: Quota) {
    for (name, value) in limit_headers(quota) {
        reply.header(name, value);
    }
}

fn wrong_method(parts: &Parts, methods: &[(hyper::Method, routes::Allowed)]) -> Failure {
    let message = format!("Method {} not available for that URI.", parts.method);
    let code = super::response::chosen::METHOD;
    let mut failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, code, &message);
    let allow: Vec<_> = methods.iter().map(|(method, _)| method.as_str()).collect();
    failure.header = Some((ALLOW, allow.join(", ")));
    failure
}

/// Applies a fault that replaces the whole answer. Returns whether this fault is of that kind.
fn replace_answer(fault: &Fault, reply: &mut Reply) -> Result<bool, Failure> {
    match fault {
        Fault::Limited { retry_after } => {
            match retry_after {
                Some(wait) => reply.headers.push((RETRY_AFTER, wait.clone())),
                None => reply.headers.retain(|(name, _)| !name.as_str().starts_with("ratelimit")),
            }
            return Err(Failure::known(StatusCode::TOO_MANY_REQUESTS, known::LIMITED));
        }
        Fault::Status { status, code, message } => {
            return Err(Failure::new(error_status(*status), *code, message));
        }
        Fault::Unsuccessful { code, message } => return Err(Failure::new(StatusCode::OK, *code, message)),
        Fault::BadGateway => reply.html(StatusCode::BAD_GATEWAY),
        Fault::Html { status } => reply.html(error_status(*status)),
        Fault::NotModified => reply.status = StatusCode::NOT_MODIFIED,
        Fault::Redirect { location } => {
            reply.status = StatusCode::FOUND;
            reply.headers.push((LOCATION, location.clone()));
        }
        Fault::Reset => reply.ending = Ending::Closed,
        Fault::Hang => reply.ending = Ending::Hanging,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Puts a good answer into its envelope, and applies the faults to it.
fn apply_faults(mut success: Success, faults: &[Fault], rng: &mut impl Rng, reply: &mut Reply) {
    reply.status = StatusCode::OK;
    for fault in faults {
        match fault {
            Fault::MissingResult => success.result = Outcome::Absent,
            Fault::NullResult => success.result = Outcome::Json(Value::Null),
            _ => {}
        }
    }
    let mut chunks = success.chunks();
    if faults.iter().any(json_faults::changes_json) {
        let mut answer: Value = serde_json::from_slice(&chunks.concat()).expect("an envelope is JSON");
        faults.iter().for_each(|fault| json_faults::apply(fault, &mut answer, rng));
        chunks = vec![Bytes::from(answer.to_string())];
    }
    reply.json(chunks);
    for fault in faults {
        match fault {
            Fault::ClockSkew { seconds } => reply.date_skew = seconds.saturating_mul(1_000),
            Fault::TruncatedBody => reply.delivery = Delivery::Truncated,
            Fault::SlowBody { bytes, pause_ms } => {
                reply.delivery =
                    Delivery::Slow { bytes: *bytes as usize, pause: Duration::from_millis(*pause_ms) };
            }
            Fault::Late { by_ms } => reply.late = Duration::from_millis(*by_ms),
            Fault::EndlessBody => reply.delivery = Delivery::Endless,
            Fault::CompressedBomb { mebibytes } => {
                reply.delivery = Delivery::Bomb { mebibytes: *mebibytes as usize };
            }
            Fault::NothingLeft { resets_in_seconds } => {
                for (_, value) in reply.headers.iter_mut().filter(|(name, _)| name == "ratelimit") {
                    *value = format!("\"default\";r=0;t={resets_in_seconds}");
                }
            }
            Fault::WrongContentType => {
                for (name, value) in &mut reply.headers {
                    if *name == CONTENT_TYPE {
                        "text/html; charset=UTF-8".clone_into(value);
                    }
                }
            }
            _ => {}
        }
    }
}

/// A date for an HTTP header; `None` before year 1 or after 9999.
fn http_date(millis: i64) -> Option<String> {
    let date = jiff::Timestamp::from_millisecond(millis).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).ok()
}
