//! One request and its answer: sent, read within its time, sorted, and the permit settled by it.

use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::connect_error::{Lasts, cause};
use super::decode::gunzip::Body;
use super::decode::stream::{Broken, Sink, Whole};
use super::envelope::{self, Envelope, tidy};
use super::error::{Answered, Error, Kind, Limiter};
use super::headers::{self, Coding};
use super::request::{Answer, Call};
use super::transport::Transport;
use crate::budget::Permit;
use crate::rate_limit::WINDOW;

/// A rate limit that does not say how long blocks for as long as Cloudflare documents.
const DOCUMENTED_BLOCK: Duration = WINDOW;

/// An attempt that gave nothing, and when another could.
pub(super) struct Failure {
    pub(super) error: Error,
    again: Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    No,
    /// Nothing was sent, so anything may be sent again.
    Always,
    /// Only what changes nothing.
    IfRead,
}

impl Transport {
    /// Sends the request and waits for the head of the answer.
    pub(super) async fn send(&self, call: &Call) -> Result<Response, Failure> {
        let mut request = self
            .http
            .request(call.operation.method(), call.url.clone())
            .headers(self.auth.headers.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some(body) = &call.body {
            request =
                request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.clone());
        }
        let wait = self.connect_wait.saturating_add(self.idle_wait);
        match tokio::time::timeout(wait, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() && error.is_timeout() => {
                let reason = format!("no connection to {} within {:?}", self.route, self.connect_wait);
                let error = Error::new(call.operation, Kind::Timeout, reason).unsent();
                Err(Failure { error: error.advising(self.route.remedy()), again: Again::Always })
            }
            Ok(Err(error)) if error.is_connect() => {
                let obstacle = self.route.obstacle(&error);
                let reason = format!("no connection to {}: {}", self.route, obstacle.cause);
                let error = Error::new(call.operation, Kind::Unavailable, reason).unsent();
                let error = error.advising(obstacle.remedy);
                let again = match obstacle.lasts {
                    Lasts::Perhaps => Again::Always,
                    Lasts::Surely => Again::No,
                };
                Err(Failure { error, again })
            }
            Ok(Err(error)) => {
                let reason = format!("the connection broke: {}", cause(&error));
                Err(Failure::new(call, Kind::Unavailable, reason, Again::IfRead))
            }
            Err(_) => {
                let reason = format!("nothing was answered within {wait:?}");
                Err(Failure::new(call, Kind::Timeout, reason, Again::IfRead))
            }
        }
    }

    /// Reads an answer and settles the permit by it.
    pub(super) async fn receive<S: Sink>(
        &self,
        call: &Call,
        response: Response,
        sink: S,
        permit: &Permit,
    ) -> Result<Answer<S::Out>, Failure> {
        let now = self.budget.clock().date();
        let head = response.headers();
        if let Some(limit) = headers::server_limit(head, now) {
            permit.narrow(limit);
        }
        let retry_after = headers::retry_after(head, now);
        let result = if response.status().is_success() {
            self.success(call, response, sink).await
        } else {
            Err(self.failure(call, response, retry_after).await)
        };
        match result {
            Err(failure) if failure.error.kind() == Kind::Limited(Limiter::Cloudflare) => {
                let wait = retry_after.unwrap_or(DOCUMENTED_BLOCK);
                permit.limited(wait);
                Err(Failure { error: failure.error.after(Some(wait)), again: Again::IfRead })
            }
            other => {
                permit.passed();
                other
            }
        }
    }

    /// An answer whose status promises a result.
    async fn success<S: Sink>(
        &self,
        call: &Call,
        response: Response,
        sink: S,
    ) -> Result<Answer<S::Out>, Failure> {
        let status = response.status();
        let date = headers::date(response.headers());
        let mut answered =
            Answered { status: status.as_u16(), notes: Vec::new(), ray: headers::ray(response.headers()) };
        let misshapen = |reason: String, answered: Answered| {
            Failure::for_good(Error::new(call.operation, Kind::Shape, reason).answered(answered))
        };
        if let Some(media) = headers::foreign_type(response.headers()) {
            return Err(misshapen(format!("it is {media}, not JSON"), answered));
        }
        let (text, list) = match self.read(call, response, sink).await {
            Ok(read) => read,
            Err(Unread::Broken(broken)) => return Err(misshapen(broken.to_string(), answered)),
            Err(Unread::Lost(failure)) => {
                return Err(Failure { error: failure.error.answered(answered), again: failure.again });
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
                let error = Error::new(call.operation, kind, reason).answered(answered);
                Err(Failure::for_good(error))
            }
            None => Err(misshapen("it does not say whether it is a success".to_owned(), answered)),
        }
    }

    /// An answer whose status says that there is no result.
    async fn failure(&self, call: &Call, response: Response, retry_after: Option<Duration>) -> Failure {
        let status = response.status();
        let mut answered =
            Answered { status: status.as_u16(), notes: Vec::new(), ray: headers::ray(response.headers()) };
        if status.is_redirection() || status.is_informational() {
            let reason =
                format!("it leads to {}, where nothing is sent; check the base URL", destination(&response));
            return Failure::for_good(Error::new(call.operation, Kind::Shape, reason).answered(answered));
        }
        // Without a readable envelope the status has to do: a gateway in trouble writes HTML or nothing.
        let text = match headers::foreign_type(response.headers()) {
            None => self.read(call, response, Whole::new(&self.bounds)).await.ok(),
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
        let error = Error::new(call.operation, kind, reason).answered(answered);
        let again = if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            Again::IfRead
        } else {
            Again::No
        };
        let wait = retry_after.filter(|_| kind == Kind::Unavailable);
        Failure { error: error.after(wait), again }
    }

    /// Reads a body into `sink`, unpacked.
    async fn read<S: Sink>(
        &self,
        call: &Call,
        mut response: Response,
        sink: S,
    ) -> Result<(Vec<u8>, S::Out), Unread> {
        let mut body = match headers::coding(response.headers()) {
            Coding::Plain => Body::plain(sink, &self.bounds),
            Coding::Gzip => Body::gzip(sink, &self.bounds),
            Coding::Other => {
                let what = "it is packed in a way that was not asked for".to_owned();
                return Err(Unread::Broken(Broken::Compression(what)));
            }
        };
        loop {
            // A body that has begun is not asked for twice: the next poll is soon enough.
            let lost = |kind, reason| Unread::Lost(Failure::new(call, kind, reason, Again::No));
            match tokio::time::timeout(self.idle_wait, response.chunk()).await {
                Ok(Ok(Some(bytes))) => body.push(&bytes).map_err(Unread::Broken)?,
                Ok(Ok(None)) => return body.finish().map_err(Unread::Broken),
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

/// Why a body was not read.
enum Unread {
    /// It came, but is no answer.
    Broken(Broken),
    /// It did not come.
    Lost(Failure),
}

impl Failure {
    pub(super) fn new(call: &Call, kind: Kind, reason: String, again: Again) -> Self {
        Self { error: Error::new(call.operation, kind, reason), again }
    }

    /// What no further attempt would mend.
    pub(super) fn for_good(error: Error) -> Self {
        let again = Again::No;
        Self { error, again }
    }

    /// How long to wait before the next attempt, if one may help: half to one and a half times 0.5 s, then
    /// 2 s, and not before the server said.
    pub(super) fn retry_in(&self, method: &Method, attempt: u32) -> Option<Duration> {
        let helps = match self.again {
            Again::No => false,
            Again::Always => true,
            Again::IfRead => *method == Method::GET,
        };
        let pause = Duration::from_millis(500) * 4_u32.pow(attempt - 1);
        let pause = pause.mul_f64(0.5 + fastrand::f64());
        helps.then(|| pause.max(self.error.retry_after().unwrap_or_default()))
    }
}

/// The host a redirect names, and nothing else of it: the rest may hold anything.
fn destination(response: &Response) -> String {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| response.url().join(location).ok());
    match target.as_ref().and_then(Url::host_str) {
        Some(host) => tidy(host, 100),
        None => "another place".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudflare::operation::Operation;

    #[test]
    fn retries_wait_longer_each_time_and_never_repeat_a_change_that_may_have_happened() {
        let base = Url::parse("https://example.com").unwrap();
        let call = Call::new(Operation::Summary, &base, &[]);
        for (again, method, helps) in [
            (Again::No, Method::GET, false),
            (Again::IfRead, Method::GET, true),
            (Again::IfRead, Method::POST, false),
            (Again::Always, Method::POST, true),
        ] {
            let failure = Failure::new(&call, Kind::Unavailable, String::new(), again);
            assert_eq!(failure.retry_in(&method, 1).is_some(), helps, "{again:?} {method}");
        }
        let failure = Failure::new(&call, Kind::Unavailable, String::new(), Again::Always);
        for (attempt, least, most) in [(1, 250, 750), (2, 1_000, 3_000)] {
            let wait = failure.retry_in(&Method::GET, attempt).unwrap().as_millis();
            assert!((least..=most).contains(&wait), "{wait} ms before attempt {}", attempt + 1);
        }
        let told = Failure { error: failure.error.after(Some(Duration::from_secs(9))), again: Again::Always };
        assert_eq!(told.retry_in(&Method::GET, 2), Some(Duration::from_secs(9)));
    }
}
