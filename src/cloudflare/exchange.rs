//! One request and its answer. Sends the request, reads the answer within its time, sorts it, and settles the permit
//! by it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Response, StatusCode, Url};

use super::auth::Auth;
use super::connect_error::{Permanence, Target, cause};
use super::decode::{Body, Bounds, DecodeError, Sink, Whole};
use super::envelope::{self, Envelope, tidy};
use super::error::{Answered, Error, Kind, Limiter};
use super::headers::{self, Coding};
use super::request::{Answer, Request};
use super::retry::{FailedAttempt, Retry};
use crate::clock::Clock;
use crate::cloudflare::limit::Permit;
use crate::cloudflare::limit::WINDOW;

/// How long a 429 without `Retry-After` blocks: as long as Cloudflare documents.
const DOCUMENTED_BLOCK: Duration = WINDOW;

/// How one account's API is reached; cheap to clone.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) http: reqwest::Client,
    pub(super) target: Arc<Target>,
    pub(super) auth: Arc<Auth>,
    pub(super) bounds: Bounds,
    pub(super) connect_wait: Duration,
    pub(super) idle_wait: Duration,
    /// Dates in headers are compared with this clock.
    pub(super) clock: Clock,
}

impl Connection {
    /// Sends the request and waits for the head of the answer.
    pub(super) async fn send(&self, request: &Request) -> Result<Response, FailedAttempt> {
        let mut outgoing = self
            .http
            .request(request.operation.method(), request.url.clone())
            .headers(self.auth.headers.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some(body) = &request.body {
            outgoing = outgoing
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone());
        }
        let wait = self.connect_wait.saturating_add(self.idle_wait);
        match tokio::time::timeout(wait, outgoing.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() && error.is_timeout() => {
                let reason = format!("no connection to {} within {:?}", self.target, self.connect_wait);
                let error = Error::new(request.operation, Kind::Timeout, reason).unsent();
                Err(FailedAttempt { error: error.advising(self.target.remedy()), retry: Retry::Always })
            }
            Ok(Err(error)) if error.is_connect() => {
                let failure = self.target.failure(&error);
                let reason = format!("no connection to {}: {}", self.target, failure.cause);
                let error = Error::new(request.operation, Kind::Unavailable, reason).unsent();
                let error = error.advising(failure.remedy);
                let retry = match failure.permanence {
                    Permanence::Transient => Retry::Always,
                    Permanence::Permanent => Retry::No,
                };
                Err(FailedAttempt { error, retry })
            }
            Ok(Err(error)) => {
                let reason = format!("the connection broke: {}", cause(&error));
                Err(FailedAttempt::new(request, Kind::Unavailable, reason, Retry::IfRead))
            }
            Err(_) => {
                let reason = format!("nothing was answered within {wait:?}");
                Err(FailedAttempt::new(request, Kind::Timeout, reason, Retry::IfRead))
            }
        }
    }

    /// Reads an answer and settles the permit by it.
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

    /// Reads an answer with a success status.
    async fn success<S: Sink>(
        &self,
        request: &Request,
        response: Response,
        sink: S,
    ) -> Result<Answer<S::Out>, FailedAttempt> {
        let status = response.status();
        let date = headers::date(response.headers());
        let mut answered =
            Answered { status: status.as_u16(), notes: Vec::new(), ray: headers::ray(response.headers()) };
        let misshapen = |reason: String, answered: Answered| {
            FailedAttempt::for_good(Error::new(request.operation, Kind::Shape, reason).answered(answered))
        };
        if let Some(media) = headers::foreign_type(response.headers()) {
            return Err(misshapen(format!("it is {media}, not JSON"), answered));
        }
        let (text, list) = match self.read(request, response, sink).await {
            Ok(read) => read,
            Err(Unread::Undecodable(broken)) => return Err(misshapen(broken.to_string(), answered)),
            Err(Unread::Incomplete(failure)) => {
                return Err(FailedAttempt { error: failure.error.answered(answered), retry: failure.retry });
            }
        };
        let envelope = match Envelope::parse(&text, &self.auth.secrets) {
            Ok(envelope) => envelope,
            Err(broken) => return Err(misshapen(broken.to_string(), answered)),
        };
        match envelope.success {
            Some(true) => Ok(Answer { envelope, list, date, answered }),
            Some(false) => {
                let kind = envelope::kind(status, &envelope.notes);
                answered.notes = envelope.notes;
                let reason = "cloudflare reports a failure";
                let error = Error::new(request.operation, kind, reason).answered(answered);
                Err(FailedAttempt::for_good(error))
            }
            None => Err(misshapen("it does not say whether it is a success".to_owned(), answered)),
        }
    }

    /// Reads an answer with an error status.
    async fn failure(
        &self,
        request: &Request,
        response: Response,
        retry_after: Option<Duration>,
    ) -> FailedAttempt {
        let status = response.status();
        let mut answered =
            Answered { status: status.as_u16(), notes: Vec::new(), ray: headers::ray(response.headers()) };
        if status.is_redirection() || status.is_informational() {
            let reason =
                format!("it leads to {}, where nothing is sent; check the base URL", destination(&response));
            return FailedAttempt::for_good(
                Error::new(request.operation, Kind::Shape, reason).answered(answered),
            );
        }
        // A gateway in trouble writes HTML or nothing; then only the status is known.
        let text = match headers::foreign_type(response.headers()) {
            None => self.read(request, response, Whole::new(&self.bounds)).await.ok(),
            Some(_) => None,
        };
        if let Some(envelope) = text.and_then(|(text, ())| Envelope::parse(&text, &self.auth.secrets).ok()) {
            answered.notes = envelope.notes;
        }
        let kind = envelope::kind(status, &answered.notes);
        let reason = match kind {
            Kind::Invalid => "cloudflare does not accept it as it is",
            _ => "cloudflare is in trouble",
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
                let what = "it is packed in a way that was not asked for".to_owned();
                return Err(Unread::Undecodable(DecodeError::Compression(what)));
            }
        };
        loop {
            // Once a body has begun, the request is not repeated: the next poll is soon enough.
            let lost =
                |kind, reason| Unread::Incomplete(FailedAttempt::new(request, kind, reason, Retry::No));
            match tokio::time::timeout(self.idle_wait, response.chunk()).await {
                Ok(Ok(Some(bytes))) => body.push(&bytes).map_err(Unread::Undecodable)?,
                Ok(Ok(None)) => return body.finish().map_err(Unread::Undecodable),
                Ok(Err(error)) => {
                    let (bytes, why) = (body.decoded(), cause(&error));
                    let reason = format!("the answer broke off after {bytes} bytes: {why}");
                    return Err(lost(Kind::Unavailable, reason));
                }
                Err(_) => {
                    let (bytes, wait) = (body.decoded(), self.idle_wait);
                    let reason = format!("the answer stood still for {wait:?} after {bytes} bytes");
                    return Err(lost(Kind::Timeout, reason));
                }
            }
        }
    }
}

/// Why a body could not be read.
enum Unread {
    /// It arrived, but cannot be decoded.
    Undecodable(DecodeError),
    /// It did not arrive completely.
    Incomplete(FailedAttempt),
}

/// The host that a redirect names. The rest of the URL is left out: it may hold personal data.
fn destination(response: &Response) -> String {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| response.url().join(location).ok());
    match target.as_ref().and_then(Url::host_str) {
        Some(host) => tidy(host, 100),
        None => "another place".to_owned(),
    }
}
