//! Runs one operation: charges each attempt to the budget, limits its time, and retries where that helps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::Url;

use super::credentials::Auth;
use super::decode::{Bounds, DecodedList, Element, Pii, Reader, Sink, TextSink};
use super::endpoint::Endpoint;
use super::error::{Error, Kind, Limiter, Outcome};
use super::exchange::Connection;
use super::operation::Operation;
use super::operation_limits::{Limits, OperationLimits};
use super::options::Options;
use super::report::{Observer, Report};
use super::request::{Answer, Request, Sequence};
use super::retry::{FailedAttempt, Retry};
use super::setup_error::SetupError;
use crate::clock::Clock;
use crate::cloudflare::Credentials;
use crate::cloudflare::limit::WINDOW;
use crate::cloudflare::limit::{Budget, Permit};
use crate::model::Resource;

/// The further pages of a user's events leave this part of the budget, one fourth, to the lists and to other users: a user with
/// thousands of events must not hold them up.
const RESERVED: u32 = 4;

/// How much time an operation has left. Waiting for the budget does not count.
#[derive(Debug)]
pub(super) struct Deadline {
    total: Duration,
    left: Duration,
}

/// Runs operations; cheap to clone.
#[derive(Clone)]
pub(super) struct Transport {
    connection: Connection,
    budget: Budget,
    /// How many requests of this transport and its clones wait for the budget.
    waiting: Arc<AtomicU32>,
    pii: Pii,
    permit_timeout: Duration,
    limits: Limits,
    max_retry_wait: Duration,
    observer: Option<Observer>,
    /// Measures attempts in real time, even if the budget's clock is scaled.
    stopwatch: Clock,
}

/// A request that waits for the budget until this is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deadline {
    fn new(OperationLimits { total_timeout: total, .. }: OperationLimits) -> Self {
        Self { total, left: total }
    }

    fn spend(&mut self, took: Duration) {
        self.left = self.left.saturating_sub(took);
    }
}

impl Transport {
    pub(super) fn new(
        credentials: Credentials,
        budget: Budget,
        endpoint: Endpoint,
        options: Options,
    ) -> Result<Self, SetupError> {
        let connection = Connection {
            endpoint,
            auth: Arc::new(Auth::new(credentials)?),
            bounds: options.bounds,
            idle_timeout: options.idle_timeout,
            clock: budget.clock().clone(),
        };
        Ok(Self {
            connection,
            budget,
            waiting: Arc::default(),
            pii: options.pii,
            permit_timeout: options.permit_timeout,
            limits: options.limits,
            max_retry_wait: options.max_retry_wait,
            observer: options.observer,
            stopwatch: Clock::system(),
        })
    }

    pub(super) fn with_credentials(&self, credentials: Credentials) -> Result<Self, SetupError> {
        let auth = Arc::new(Auth::new(credentials)?);
        let mut budget = self.budget.clone();
        if auth.headers != self.connection.auth.headers {
            budget = budget.for_next_credential();
            budget.credential_changed();
        }
        let connection = Connection { auth, ..self.connection.clone() };
        Ok(Self { connection, budget, ..self.clone() })
    }

    pub(super) fn base(&self) -> &Url {
        &self.connection.endpoint.base
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.connection.bounds
    }

    /// The time that an operation has from now on.
    pub(super) fn deadline(&self, operation: Operation) -> Deadline {
        Deadline::new(self.limits.of(operation.resource()))
    }

    /// Whether a request of this transport or of a clone waits for the budget.
    pub(super) fn waits_for_budget(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether the credentials are a token.
    pub(super) fn has_token(&self) -> bool {
        self.connection.auth.is_token()
    }

    /// Runs an operation whose response is small; `take` reads the response.
    pub(super) async fn text<T>(
        &self,
        request: &Request,
        deadline: &mut Deadline,
        take: impl Fn(Answer<()>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run(request, deadline, || TextSink::new(self.bounds()), take).await
    }

    /// Runs an operation whose response is a list, of which at most `room` is kept; `take` reads the response.
    pub(super) async fn list<E: Element, T>(
        &self,
        request: &Request,
        room: &Bounds,
        deadline: &mut Deadline,
        take: impl Fn(Answer<DecodedList<E>>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run(request, deadline, || Reader::new(room, self.pii), take).await
    }

    async fn run<S: Sink, T>(
        &self,
        request: &Request,
        deadline: &mut Deadline,
        sink: impl Fn() -> S,
        take: impl Fn(Answer<S::Out>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let attempts = self.limits.of(request.operation.resource()).attempts;
        let mut attempt = 1;
        let mut last = None;
        loop {
            let permit = match self.permit(request).await {
                Ok(permit) => permit,
                Err(error) => return Err(last.unwrap_or(error)),
            };
            let started = self.stopwatch.now();
            let answer = self.attempt(request, sink(), &permit, deadline).await;
            drop(permit);
            let took = self.stopwatch.now().since(started);
            deadline.spend(took);
            let ray = match &answer {
                Ok(answer) => answer.answered.ray.clone(),
                Err(failure) => failure.error.response().and_then(|answered| answered.ray.clone()),
            };
            let result = answer.and_then(|answer| take(answer).map_err(FailedAttempt::for_good));
            let outcome = result.as_ref().map_or_else(|failure| failure.error.outcome(), |_| Outcome::Ok);
            if let Some(observer) = &self.observer {
                observer(&Report { resource: request.operation.resource(), outcome, took, attempt, ray });
            }
            let failure = match result {
                Ok(taken) => return Ok(taken),
                Err(failure) => failure,
            };
            let short_enough = failure.error.retry_after().is_none_or(|told| told <= self.max_retry_wait);
            match failure.retry_in(&request.operation.method(), attempt) {
                Some(wait) if attempt < attempts && short_enough => {
                    self.budget.clock().sleep(wait).await;
                }
                _ => return Err(failure.error),
            }
            last = Some(failure.error);
            attempt += 1;
        }
    }

    /// Waits until the budget allows the request.
    async fn permit(&self, request: &Request) -> Result<Permit, Error> {
        let _waiting = Waiting::begin(&self.waiting);
        let longest_wait = self.permit_timeout.max(WINDOW);
        let permit = match (request.sequence, request.operation.resource()) {
            (Sequence::First, _) => self.budget.acquire(self.permit_timeout).await,
            (Sequence::Continuation, Resource::User) => {
                let reserve = self.budget.status().limit / RESERVED;
                self.budget.acquire_beyond(reserve, longest_wait).await
            }
            (Sequence::Continuation, _) => self.budget.acquire(longest_wait).await,
        };
        permit.map_err(|moment| {
            let limiter = match self.budget.status().blocked_until {
                Some(_) => Limiter::Cloudflare,
                None => Limiter::Budget,
            };
            let wait = moment.since(self.budget.clock().now());
            Error::new(request.operation, Kind::Limited(limiter), "").after(Some(wait))
        })
    }

    async fn attempt<S: Sink>(
        &self,
        request: &Request,
        sink: S,
        permit: &Permit,
        deadline: &Deadline,
    ) -> Result<Answer<S::Out>, FailedAttempt> {
        let exchange = async {
            let response = self.connection.send(request).await?;
            self.connection.receive(request, response, sink, permit).await
        };
        let OperationLimits { request_timeout, .. } = self.limits.of(request.operation.resource());
        match tokio::time::timeout(deadline.left.min(request_timeout), exchange).await {
            Ok(result) => result,
            Err(_) => {
                let limit = if request_timeout < deadline.left { request_timeout } else { deadline.total };
                let reason = format!("the response was not complete within {limit:?}");
                Err(FailedAttempt::new(request, Kind::Timeout, reason, Retry::No))
            }
        }
    }
}
