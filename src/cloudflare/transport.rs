//! One operation on the wire: paid from the budget, bounded in time, retried where that helps.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
};
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::element::Element;
use super::envelope::{self, Envelope, tidy};
use super::error::{Answered, Error, Kind, Limiter};
use super::headers::{self, Coding};
use super::inflate::Body;
use super::operation::Operation;
use super::stream::{Bounds, Broken, Listing, Names, Reader, Sink, Whole};
use super::{Credentials, Observer, Options, Outcome, Report, trust};
use crate::budget::{Budget, Permit};
use crate::clock::{Clock, Timestamp};
use crate::rate_limit::WINDOW;

/// The first attempt and two retries: what three in a row do not cure is for the next poll.
const ATTEMPTS: u32 = 3;

/// A rate limit that does not say how long blocks for as long as Cloudflare documents.
const DOCUMENTED_BLOCK: Duration = WINDOW;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The account id is not the 32 hexadecimal digits that Cloudflare shows.
    #[error("the account id must be 32 hexadecimal digits")]
    Account,
    /// The base URL cannot be used; why.
    #[error("the base URL {0}")]
    BaseUrl(String),
    /// The credentials are empty or hold characters that no header can carry.
    #[error("the credentials are empty or hold characters that cannot be sent; check for stray line ends")]
    Credentials,
    /// There is nobody to trust.
    #[error("the trust anchors cannot be read: {0}")]
    Trust(String),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Http(String),
}

/// What is to be asked.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    url: Url,
    body: Option<Vec<u8>>,
    place: Place,
}

/// Whether the call begins its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    First,
    /// A page of a list that has begun: it waits for its turn in the budget, however long that takes.
    Further,
}

/// How long an operation may still be on the wire.
#[derive(Debug)]
pub(super) struct Allowance {
    total: Duration,
    left: Duration,
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) envelope: Envelope,
    pub(super) list: T,
    /// Cloudflare's clock.
    pub(super) date: Option<Timestamp>,
    answered: Answered,
}

/// Sends; cheap to clone.
#[derive(Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    base: Url,
    auth: Arc<Auth>,
    budget: Budget,
    bounds: Bounds,
    names: Names,
    connect_wait: Duration,
    idle_wait: Duration,
    patience: Duration,
    observer: Option<Observer>,
    /// Attempts are measured on the wall even if the budget's clock is scaled.
    stopwatch: Clock,
}

/// The credentials, as headers and as what must not be repeated.
struct Auth {
    headers: HeaderMap,
    secret: SecretString,
}

/// An attempt that gave nothing, and when another could.
struct Failure {
    error: Error,
    again: Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    No,
    /// Nothing was sent, so anything may be sent again.
    Always,
    /// Only what changes nothing.
    IfRead,
}

impl Call {
    /// `segments` of the path below `base`, each encoded so that it stays one segment.
    pub(super) fn new(operation: Operation, base: &Url, segments: &[&str]) -> Self {
        let mut url = base.clone();
        url.path_segments_mut()
            .expect("the base URL was checked to be http or https, which have paths")
            .pop_if_empty()
            .extend(segments);
        Self {
            operation,
            url,
            body: None,
            place: Place::First,
        }
    }

    pub(super) fn with_body(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(body.to_string().into_bytes());
        self
    }

    /// The same for one page, in the server's own size or another.
    pub(super) fn page(&self, page: u32, size: Option<u32>) -> Self {
        let mut call = self.clone();
        let mut query = call.url.query_pairs_mut();
        query.append_pair("page", &page.to_string());
        if let Some(size) = size {
            query.append_pair("per_page", &size.to_string());
        }
        drop(query);
        call
    }

    /// The same, but behind a page that was already paid for.
    pub(super) fn further(mut self) -> Self {
        self.place = Place::Further;
        self
    }
}

impl Allowance {
    pub(super) fn new(total: Duration) -> Self {
        Self { total, left: total }
    }

    fn spend(&mut self, took: Duration) {
        self.left = self.left.saturating_sub(took);
    }
}

impl<T> Answer<T> {
    /// The result as `R`, which is then gone from here.
    pub(super) fn take_result<R: serde::de::DeserializeOwned>(
        &mut self,
        operation: Operation,
    ) -> Result<R, Error> {
        let Some(result) = self.envelope.result.take() else {
            return Err(self.misshapen(operation, "it has no result"));
        };
        serde_json::from_value(result).map_err(|error| {
            let reason = format!(
                "its result is not as documented: {}",
                tidy(&error.to_string(), 150)
            );
            self.misshapen(operation, &reason)
        })
    }

    /// What stands around the list, and the list.
    pub(super) fn split(self) -> (Answer<()>, T) {
        let around = Answer {
            envelope: self.envelope,
            list: (),
            date: self.date,
            answered: self.answered,
        };
        (around, self.list)
    }

    /// What is wrong with the shape of this answer.
    pub(super) fn misshapen(&self, operation: Operation, reason: &str) -> Error {
        Error::new(operation, Kind::Shape, reason).answered(self.answered.clone())
    }
}

impl Transport {
    pub(super) fn new(
        credentials: Credentials,
        budget: Budget,
        options: Options,
    ) -> Result<Self, SetupError> {
        let (base, site) = base_url(&options.base_url)?;
        let tls = match site {
            Site::Remote => trust::with_anchors().map_err(SetupError::Trust)?,
            Site::Loopback => trust::without_anchors(),
        };
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .pool_max_idle_per_host(2)
            .connect_timeout(options.connect_wait);
        let builder = match site {
            Site::Remote => builder,
            // In clear text to a proxy elsewhere the credentials would leave the machine.
            Site::Loopback => builder.no_proxy(),
        };
        Ok(Self {
            http: builder
                .build()
                .map_err(|error| SetupError::Http(causes(&error)))?,
            base,
            auth: Arc::new(Auth::new(credentials)?),
            budget,
            bounds: options.bounds,
            names: options.names,
            connect_wait: options.connect_wait,
            idle_wait: options.idle_wait,
            patience: options.patience,
            observer: options.observer,
            stopwatch: Clock::system(),
        })
    }

    pub(super) fn with_credentials(&self, credentials: Credentials) -> Result<Self, SetupError> {
        Ok(Self {
            auth: Arc::new(Auth::new(credentials)?),
            ..self.clone()
        })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Whether the credentials are a token.
    pub(super) fn has_token(&self) -> bool {
        self.auth.headers.contains_key(AUTHORIZATION)
    }

    /// An answer that is small.
    pub(super) async fn text(&self, call: &Call, allowance: &mut Allowance) -> Result<Answer<()>, Error> {
        self.run(call, allowance, || Whole::new(&self.bounds)).await
    }

    /// An answer that is a list.
    pub(super) async fn list<E: Element>(
        &self,
        call: &Call,
        allowance: &mut Allowance,
    ) -> Result<Answer<Listing<E>>, Error> {
        self.run(call, allowance, || Reader::new(&self.bounds, self.names))
            .await
    }

    async fn run<S: Sink>(
        &self,
        call: &Call,
        allowance: &mut Allowance,
        sink: impl Fn() -> S,
    ) -> Result<Answer<S::Out>, Error> {
        let mut attempt = 1;
        let mut last = None;
        loop {
            let permit = match self.turn(call).await {
                Ok(permit) => permit,
                Err(error) => return Err(last.unwrap_or(error)),
            };
            let started = self.stopwatch.now();
            let result = self.attempt(call, sink(), &permit, allowance).await;
            drop(permit);
            let took = self.stopwatch.now().since(started);
            allowance.spend(took);
            self.report(call, attempt, took, &result);
            let failure = match result {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            match failure.retry_in(call.operation.method(), attempt) {
                Some(wait) if attempt < ATTEMPTS && wait <= self.patience => {
                    self.budget.clock().sleep(wait).await;
                }
                _ => return Err(failure.error),
            }
            last = Some(failure.error);
            attempt += 1;
        }
    }

    /// Waits for the budget.
    async fn turn(&self, call: &Call) -> Result<Permit, Error> {
        let patience = match call.place {
            Place::First => self.patience,
            Place::Further => self.patience.max(WINDOW),
        };
        self.budget.take(patience).await.map_err(|moment| {
            let limiter = match self.budget.level().blocked_until {
                Some(_) => Limiter::Cloudflare,
                None => Limiter::Budget,
            };
            let wait = moment.since(self.budget.clock().now());
            Error::new(call.operation, Kind::Limited(limiter), "").after(Some(wait))
        })
    }

    fn report<T>(&self, call: &Call, attempt: u32, took: Duration, result: &Result<T, Failure>) {
        let outcome = match result {
            Ok(_) => Outcome::Ok,
            Err(failure) => failure.error.outcome(),
        };
        if let Some(observer) = &self.observer {
            observer(&Report {
                endpoint: call.operation.endpoint(),
                outcome,
                took,
                attempt,
            });
        }
    }

    async fn attempt<S: Sink>(
        &self,
        call: &Call,
        sink: S,
        permit: &Permit,
        allowance: &Allowance,
    ) -> Result<Answer<S::Out>, Failure> {
        let exchange = async {
            let response = self.send(call).await?;
            self.receive(call, response, sink, permit).await
        };
        match tokio::time::timeout(allowance.left, exchange).await {
            Ok(result) => result,
            Err(_) => {
                let reason = format!("there was no whole answer within {:?}", allowance.total);
                Err(Failure::new(call, Kind::Timeout, reason, Again::No))
            }
        }
    }

    /// Sends the request and waits for the head of the answer.
    async fn send(&self, call: &Call) -> Result<Response, Failure> {
        let mut request = self
            .http
            .request(call.operation.method(), call.url.clone())
            .headers(self.auth.headers.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone());
        }
        let wait = self.connect_wait.saturating_add(self.idle_wait);
        match tokio::time::timeout(wait, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() && error.is_timeout() => {
                let reason = format!("no connection was made within {:?}", self.connect_wait);
                Err(Failure::new(call, Kind::Timeout, reason, Again::Always))
            }
            Ok(Err(error)) if error.is_connect() => {
                let reason = format!("no connection was made: {}", causes(&error));
                Err(Failure::new(call, Kind::Unavailable, reason, Again::Always))
            }
            Ok(Err(error)) => {
                let reason = format!("the connection broke: {}", causes(&error));
                Err(Failure::new(call, Kind::Unavailable, reason, Again::IfRead))
            }
            Err(_) => {
                let reason = format!("nothing was answered within {wait:?}");
                Err(Failure::new(call, Kind::Timeout, reason, Again::IfRead))
            }
        }
    }

    /// Reads an answer and settles the permit by it.
    async fn receive<S: Sink>(
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
                Err(Failure {
                    error: failure.error.after(Some(wait)),
                    again: Again::IfRead,
                })
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
        let mut answered = Answered {
            status: status.as_u16(),
            notes: Vec::new(),
            ray: headers::ray(response.headers()),
        };
        let misshapen = |reason: String, answered: Answered| Failure {
            error: Error::new(call.operation, Kind::Shape, reason).answered(answered),
            again: Again::No,
        };
        if let Some(media) = headers::foreign_type(response.headers()) {
            return Err(misshapen(format!("it is {media}, not JSON"), answered));
        }
        let (text, list) = match self.read(call, response, sink).await {
            Ok(read) => read,
            Err(Unread::Broken(broken)) => return Err(misshapen(broken.to_string(), answered)),
            Err(Unread::Lost(failure)) => {
                return Err(Failure {
                    error: failure.error.answered(answered),
                    again: failure.again,
                });
            }
        };
        let envelope = match Envelope::parse(&text, &self.auth.secret) {
            Ok(envelope) => envelope,
            Err(broken) => return Err(misshapen(broken.to_string(), answered)),
        };
        match envelope.success {
            Some(true) => Ok(Answer {
                envelope,
                list,
                date,
                answered,
            }),
            Some(false) => {
                let kind = envelope::kind(status, &envelope.notes);
                answered.notes = envelope.notes;
                let reason = "cloudflare reports a failure";
                let error = Error::new(call.operation, kind, reason).answered(answered);
                Err(Failure {
                    error,
                    again: Again::No,
                })
            }
            None => Err(misshapen(
                "it does not say whether it is a success".to_owned(),
                answered,
            )),
        }
    }

    /// An answer whose status says that there is no result.
    async fn failure(&self, call: &Call, response: Response, retry_after: Option<Duration>) -> Failure {
        let status = response.status();
        let mut answered = Answered {
            status: status.as_u16(),
            notes: Vec::new(),
            ray: headers::ray(response.headers()),
        };
        if status.is_redirection() || status.is_informational() {
            let reason = format!(
                "it leads to {}, where nothing is sent; check the base URL",
                destination(&response)
            );
            return Failure {
                error: Error::new(call.operation, Kind::Shape, reason).answered(answered),
                again: Again::No,
            };
        }
        // Without a readable envelope the status has to do: a gateway in trouble writes HTML or nothing.
        let text = match headers::foreign_type(response.headers()) {
            None => self.read(call, response, Whole::new(&self.bounds)).await.ok(),
            Some(_) => None,
        };
        if let Some(envelope) = text.and_then(|(text, ())| Envelope::parse(&text, &self.auth.secret).ok()) {
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
        Failure {
            error: error.after(wait),
            again,
        }
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
            match idle(self.idle_wait, response.chunk()).await {
                Some(Ok(Some(bytes))) => body.push(&bytes).map_err(Unread::Broken)?,
                Some(Ok(None)) => return body.finish().map_err(Unread::Broken),
                Some(Err(error)) => {
                    let (bytes, why) = (body.decoded(), causes(&error));
                    let reason = format!("the answer broke off after {bytes} bytes: {why}");
                    return Err(lost(Kind::Unavailable, reason));
                }
                None => {
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
    fn new(call: &Call, kind: Kind, reason: String, again: Again) -> Self {
        Self {
            error: Error::new(call.operation, kind, reason),
            again,
        }
    }

    /// How long to wait before the next attempt, if one may help: half to one and a half times 0.5 s, then
    /// 2 s, and not before the server said.
    fn retry_in(&self, method: Method, attempt: u32) -> Option<Duration> {
        let helps = match self.again {
            Again::No => false,
            Again::Always => true,
            Again::IfRead => method == Method::GET,
        };
        let pause = Duration::from_millis(500) * 4_u32.pow(attempt - 1);
        let pause = pause.mul_f64(0.5 + fastrand::f64());
        helps.then(|| pause.max(self.error.retry_after().unwrap_or_default()))
    }
}

impl Auth {
    fn new(credentials: Credentials) -> Result<Self, SetupError> {
        let value = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| SetupError::Credentials)?;
            value.set_sensitive(true);
            Ok::<_, SetupError>(value)
        };
        let mut headers = HeaderMap::new();
        let secret = match credentials {
            Credentials::Token(token) => {
                headers.insert(
                    AUTHORIZATION,
                    value(&format!("Bearer {}", token.expose_secret()))?,
                );
                token
            }
            Credentials::Key { email, key } => {
                if email.is_empty() {
                    return Err(SetupError::Credentials);
                }
                headers.insert("x-auth-email", value(&email)?);
                headers.insert("x-auth-key", value(key.expose_secret())?);
                key
            }
        };
        if secret.expose_secret().is_empty() {
            return Err(SetupError::Credentials);
        }
        Ok(Self { headers, secret })
    }
}

/// Where the base URL leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Site {
    /// Over TLS, by a proxy if the environment says so.
    Remote,
    /// In clear text on this machine.
    Loopback,
}

fn base_url(text: &str) -> Result<(Url, Site), SetupError> {
    let refused = |reason: &str| SetupError::BaseUrl(reason.to_owned());
    let url = Url::parse(text).map_err(|error| SetupError::BaseUrl(format!("is no URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not hold a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("must end with its path"));
    }
    let loopback = url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    match url.scheme() {
        "https" => Ok((url, Site::Remote)),
        "http" if loopback => Ok((url, Site::Loopback)),
        "http" => Err(refused(
            "must be https: over plain HTTP the credentials could be read on the way",
        )),
        _ => Err(refused("must begin with https")),
    }
}

/// The host a redirect names, and nothing else of it: the rest may hold anything.
fn destination(response: &Response) -> String {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| response.url().join(location).ok());
    match target.as_ref().and_then(Url::host_str) {
        Some(host) => tidy(host, 100),
        None => "another place".to_owned(),
    }
}

/// The causes of an error, without the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut text = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push(cause.to_string());
        next = cause.source();
    }
    if text.is_empty() {
        return "no cause is known".to_owned();
    }
    tidy(&text.join(": "), 300)
}

async fn idle<T>(wait: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(wait, future).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_loopback_is_a_base() {
        for (text, wanted) in [
            ("https://api.cloudflare.com/client/v4", Ok(Site::Remote)),
            ("http://127.0.0.1:8787/client/v4/", Ok(Site::Loopback)),
            ("http://[::1]:8787", Ok(Site::Loopback)),
            ("http://localhost:1/x", Ok(Site::Loopback)),
            ("http://2130706433/", Ok(Site::Loopback)),
            (
                "http://api.cloudflare.com/client/v4",
                Err("must be https: over plain HTTP the credentials could be read on the way"),
            ),
            (
                "http://127.0.0.1.example.com",
                Err("must be https: over plain HTTP the credentials could be read on the way"),
            ),
            ("ftp://127.0.0.1", Err("must begin with https")),
            (
                "https://me:secret@example.com",
                Err("must not hold a user name or a password"),
            ),
            ("https://example.com/?a=b", Err("must end with its path")),
            ("example.com", Err("is no URL: relative URL without a base")),
        ] {
            let site = base_url(text)
                .map(|(_, site)| site)
                .map_err(|error| error.to_string());
            assert_eq!(
                site,
                wanted.map_err(|reason| format!("the base URL {reason}")),
                "{text}"
            );
        }
    }

    #[test]
    fn every_segment_stays_one() {
        let (base, _) = base_url("https://example.com/client/v4/").unwrap();
        let call = Call::new(
            Operation::IntegrationByReference,
            &base,
            &["a", "b/../c?d#e%2f é"],
        );
        assert_eq!(
            call.url.as_str(),
            "https://example.com/client/v4/a/b%2F..%2Fc%3Fd%23e%252f%20%C3%A9"
        );
        assert_eq!(
            Call::new(Operation::Summary, &base, &["summary"])
                .page(2, Some(1_000))
                .url
                .query(),
            Some("page=2&per_page=1000")
        );
    }

    #[test]
    fn retries_wait_longer_each_time_and_never_repeat_a_change_that_may_have_happened() {
        let (base, _) = base_url("https://example.com").unwrap();
        let call = Call::new(Operation::Summary, &base, &[]);
        for (again, method, helps) in [
            (Again::No, Method::GET, false),
            (Again::IfRead, Method::GET, true),
            (Again::IfRead, Method::POST, false),
            (Again::Always, Method::POST, true),
        ] {
            let failure = Failure::new(&call, Kind::Unavailable, String::new(), again);
            assert_eq!(
                failure.retry_in(method.clone(), 1).is_some(),
                helps,
                "{again:?} {method}"
            );
        }
        let failure = Failure::new(&call, Kind::Unavailable, String::new(), Again::Always);
        for (attempt, least, most) in [(1, 250, 750), (2, 1_000, 3_000)] {
            let wait = failure.retry_in(Method::GET, attempt).unwrap().as_millis();
            assert!(
                (least..=most).contains(&wait),
                "{wait} ms before attempt {}",
                attempt + 1
            );
        }
        let told = Failure {
            error: failure.error.after(Some(Duration::from_secs(9))),
            again: Again::Always,
        };
        assert_eq!(told.retry_in(Method::GET, 2), Some(Duration::from_secs(9)));
    }
}
