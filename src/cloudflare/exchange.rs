//! One HTTP exchange: sends a request, reads the response within its time limits, classifies it, and tells the budget.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Response, StatusCode, Url};

use super::connect_error::{Permanence, cause};
use super::credentials::Auth;
use super::decode::{Body, Bounds, DecodeError, Sink, TextSink};
use super::endpoint::Endpoint;
use super::envelope::{self, Envelope, sanitize};
use super::error::{Error, Kind, Limiter, ResponseInfo};
use super::headers::{self, Coding};
use super::request::{Answer, Request};
use super::retry::{FailedAttempt, Retry};
use crate::clock::Clock;
use crate::cloudflare::limit::Permit;
use crate::cloudflare::limit::WINDOW;

/// The length of the block after a 429 without `Retry-After`, as Cloudflare documents it.
const DOCUMENTED_BLOCK: Duration = WINDOW;

/// What a client needs to send requests; cheap to clone.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) endpoint: Endpoint,
    pub(super) auth: Arc<Auth>,
    pub(super) bounds: Bounds,
    pub(super) idle_timeout: Duration,
    /// Dates in headers are compared with this clock if the response has no `Date`.
    pub(super) clock: Clock,
}

impl Connection {
    /// Sends the request and waits for the headers of the response.
    pub(super) async fn send(&self, request: &Request) -> Result<Response, FailedAttempt> {
        let Endpoint { http, target, connect_timeout, .. } = &self.endpoint;
        let mut outgoing = http
            .request(request.operation.method(), request.url.clone())
            .headers(self.auth.headers.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))
            // A proxy in between must not answer with what it got before.
            .header(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some(body) = &request.body {
            outgoing = outgoing
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone());
        }
        let wait = connect_timeout.saturating_add(self.idle_timeout);
        match tokio::time::timeout(wait, outgoing.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() && error.is_timeout() => {
                let reason = format!("no connection to {target} within {connect_timeout:?}");
                let error = Error::new(request.operation, Kind::Timeout, reason).unsent();
                Err(FailedAttempt { error: error.advising(target.remedy()), retry: Retry::Always })
            }
            Ok(Err(error)) if error.is_connect() => {
                let failure = target.failure(&error).await;
                let reason = format!("no connection to {target}: {}", failure.cause);
                let error = Error::new(request.operation, Kind::Unavailable, reason).unsent();
                let error = error.advising(failure.remedy);
                let retry = match failure.permanence {
                    Permanence::Transient => Retry::Always,
                    Permanence::Permanent => Retry::No,
                };
                Err(FailedAttempt { error, retry })
            }
            Ok(Err(error)) => {
                let reason = format!("the connection was closed: {}", cause(&error));
                Err(FailedAttempt::new(request, Kind::Unavailable, reason, Retry::IfRead))
            }
            Err(_) => {
                let reason = format!("no response within {wait:?}");
                Err(FailedAttempt::new(request, Kind::Timeout, reason, Retry::IfRead))
            }
        }
    }

    /// Reads a response and tells the permit what it says about the rate limit.
    pub(super) async fn receive<S: Sink>(
        &self,
        request: &Request,
        response: Response,
        sink: S,
        permit: &Permit,
    ) -> Result<Answer<S::Out>, FailedAttempt> {
        let now = self.clock.date();
        let head = response.headers();
        if let Some(limit) = headers::server_limit(head, now) {
            permit.narrow(limit);
        }
        let retry_after = headers::retry_after(head, now);
        let result = if response.status().is_success() {
            self.success(request, response, sink).await
        } else {
            Err(self.failure(request, response, retry_after).await)
        };
        match result {
            Err(failure) if failure.error.kind() == Kind::Limited(Limiter::Cloudflare) => {
                let wait = retry_after.unwrap_or(DOCUMENTED_BLOCK);
                permit.limited(wait);
                Err(FailedAttempt { error: failure.error.after(Some(wait)), retry: Retry::IfRead })
            }
            other => {
                permit.passed();
                other
            }
        }
    }

    /// Reads a response with a success status.
    async fn success<S: Sink>(
        &self,
        request: &Request,
        response: Response,
        sink: S,
    ) -> Result<Answer<S::Out>, FailedAttempt> {
        let status = response.status();
        let date = headers::date(response.headers());
        let next_link = headers::next_link(response.headers());
        let mut answered = ResponseInfo {
            status: status.as_u16(),
            errors: Vec::new(),
            ray: headers::ray(response.headers()),
        };
        let shape_error = |reason: String, answered: ResponseInfo| {
            FailedAttempt::for_good(Error::new(request.operation, Kind::Shape, reason).answered(answered))
        };
        if let Some(media) = headers::non_json_type(response.headers()) {
            return Err(shape_error(format!("it is {media}, not JSON"), answered));
        }
        let (text, list) = match self.read(request, response, sink).await {
            Ok(read) => read,
            Err(Unread::Undecodable(broken)) => return Err(shape_error(broken.to_string(), answered)),
            Err(Unread::Incomplete(failure)) => {
                return Err(FailedAttempt { error: failure.error.answered(answered), retry: failure.retry });
            }
        };
        let envelope = match Envelope::parse(&text, &self.auth.secrets) {
            Ok(envelope) => envelope,
            Err(broken) => return Err(shape_error(broken.to_string(), answered)),
        };
        match envelope.success {
            Some(true) => Ok(Answer { envelope, list, date, next_link, answered }),
            Some(false) => {
                let kind = envelope::kind(status, &envelope.errors);
                answered.errors = envelope.errors;
                let reason = "cloudflare reports a failure";
                let error = Error::new(request.operation, kind, reason).answered(answered);
                Err(FailedAttempt::for_good(error))
            }
            None => Err(shape_error("it has no \"success\" field".to_owned(), answered)),
        }
    }

    /// Reads a response with an error status.
    async fn failure(
        &self,
        request: &Request,
        response: Response,
        retry_after: Option<Duration>,
    ) -> FailedAttempt {
        let status = response.status();
        let mut answered = ResponseInfo {
            status: status.as_u16(),
            errors: Vec::new(),
            ray: headers::ray(response.headers()),
        };
        if status == StatusCode::NOT_MODIFIED {
            let reason = "a cache responded instead of the API (304 Not Modified)";
            let error = Error::new(request.operation, Kind::Unavailable, reason).answered(answered);
            return FailedAttempt::for_good(error);
        }
        if status.is_redirection() || status.is_informational() {
            let reason = format!(
                "it redirects to {}, and redirects are not followed; check the base URL",
                destination(&response)
            );
            return FailedAttempt::for_good(
                Error::new(request.operation, Kind::Shape, reason).answered(answered),
            );
        }
        // A failing gateway sends HTML or nothing, so only the status is known.
        let text = match headers::non_json_type(response.headers()) {
            None => self.read(request, response, TextSink::new(&self.bounds)).await.ok(),
            Some(_) => None,
        };
        let envelope = text.and_then(|(text, ())| Envelope::parse(&text, &self.auth.secrets).ok());
        let envelope = envelope.filter(Envelope::is_from_api);
        let is_from_api = envelope.is_some();
        answered.errors = envelope.map_or_else(Vec::new, |envelope| envelope.errors);
        let kind = match envelope::kind(status, &answered.errors) {
            Kind::Limited(limiter) => Kind::Limited(limiter),
            // Without an envelope, a proxy or the edge responded. That says nothing about token, user or request.
            _ if !is_from_api => Kind::Unavailable,
            kind => kind,
        };
        let reason = match kind {
            Kind::Invalid => "cloudflare does not accept it",
            _ if status.is_client_error() && !is_from_api => {
                "something between here and cloudflare responded instead of the API"
            }
            _ => "cloudflare is unavailable",
        };
        let error = Error::new(request.operation, kind, reason).answered(answered);
        let retry = if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            Retry::IfRead
        } else {
            Retry::No
        };
        let wait = retry_after.filter(|_| kind == Kind::Unavailable);
        FailedAttempt { error: error.after(wait), retry }
    }

    /// Decompresses a body into `sink`.
    async fn read<S: Sink>(
        &self,
        request: &Request,
        mut response: Response,
        sink: S,
    ) -> Result<(Vec<u8>, S::Out), Unread> {
        let mut body = match headers::coding(response.headers()) {
            Coding::Plain => Body::plain(sink, &self.bounds),
            Coding::Gzip => Body::gzip(sink, &self.bounds),
            Coding::Other => {
                let what = "its Content-Encoding was not requested".to_owned();
                return Err(Unread::Undecodable(DecodeError::Compression(what)));
            }
        };
        loop {
            // After the first byte of the body there is no retry: the next poll comes soon enough.
            let lost =
                |kind, reason| Unread::Incomplete(FailedAttempt::new(request, kind, reason, Retry::No));
            match tokio::time::timeout(self.idle_timeout, response.chunk()).await {
                Ok(Ok(Some(bytes))) => body.push(&bytes).map_err(Unread::Undecodable)?,
                Ok(Ok(None)) => return body.finish().map_err(Unread::Undecodable),
                Ok(Err(error)) => {
                    let (bytes, why) = (body.decoded(), cause(&error));
                    let reason = format!("the response was cut off after {bytes} bytes: {why}");
                    return Err(lost(Kind::Unavailable, reason));
                }
                Err(_) => {
                    let (bytes, wait) = (body.decoded(), self.idle_timeout);
                    let reason = format!("the response stalled for {wait:?} after {bytes} bytes");
                    return Err(lost(Kind::Timeout, reason));
                }
            }
        }
    }
}

/// Why a body could not be read.
enum Unread {
    /// The body arrived, but cannot be decoded.
    Undecodable(DecodeError),
    /// The body did not arrive completely.
    Incomplete(FailedAttempt),
}

/// The host that a redirect leads to. The rest of the URL is left out, because it may contain personal data.
fn destination(response: &Response) -> String {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| response.url().join(location).ok());
    match target.as_ref().and_then(Url::host_str) {
        Some(host) => sanitize(host, 100),
        None => "an unknown host".to_owned(),
    }
}
