//! One operation: paid from the budget, bounded in time, retried where that helps.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::AUTHORIZATION;

use super::connect_error::Route;
use super::decode::element::Element;
use super::decode::stream::{Bounds, Listing, Names, Reader, Sink, Whole};
use super::error::{Error, Kind, Limiter};
use super::exchange::{Again, Failure};
use super::http_client::{Auth, SetupError, base_url, http};
use super::request::{Answer, Call, Place};
use super::{Observer, Options, Outcome, Report};
use crate::budget::{Budget, Permit};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::rate_limit::WINDOW;

/// How long an operation may still be on the wire.
#[derive(Debug)]
pub(super) struct Allowance {
    total: Duration,
    left: Duration,
}

/// Sends; cheap to clone.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) base: Url,
    pub(super) route: Arc<Route>,
    pub(super) auth: Arc<Auth>,
    pub(super) budget: Budget,
    pub(super) bounds: Bounds,
    names: Names,
    pub(super) connect_wait: Duration,
    pub(super) idle_wait: Duration,
    patience: Duration,
    attempts: u32,
    retry_wait: Duration,
    observer: Option<Observer>,
    /// Attempts are measured on the wall even if the budget's clock is scaled.
    stopwatch: Clock,
}

impl Allowance {
    pub(super) fn new(total: Duration) -> Self {
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
        options: Options,
    ) -> Result<Self, SetupError> {
        let (base, site) = base_url(&options.base_url)?;
        Ok(Self {
            http: http(site, options.connect_wait)?,
            route: Arc::new(Route::new(&base, site)),
            base,
            auth: Arc::new(Auth::new(credentials)?),
            budget,
            bounds: options.bounds,
            names: options.names,
            connect_wait: options.connect_wait,
            idle_wait: options.idle_wait,
            patience: options.patience,
            attempts: options.attempts,
            retry_wait: options.retry_wait,
            observer: options.observer,
            stopwatch: Clock::system(),
        })
    }

    pub(super) fn with_credentials(&self, credentials: Credentials) -> Result<Self, SetupError> {
        Ok(Self { auth: Arc::new(Auth::new(credentials)?), ..self.clone() })
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

    /// An answer that is small, made into what it says by `take`.
    pub(super) async fn text<T>(
        &self,
        call: &Call,
        allowance: &mut Allowance,
        take: impl Fn(Answer<()>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run(call, allowance, || Whole::new(&self.bounds), take).await
    }

    /// An answer that is a list, made into what it says by `take`.
    pub(super) async fn list<E: Element, T>(
        &self,
        call: &Call,
        allowance: &mut Allowance,
        take: impl Fn(Answer<Listing<E>>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run(call, allowance, || Reader::new(&self.bounds, self.names), take).await
    }

    async fn run<S: Sink, T>(
        &self,
        call: &Call,
        allowance: &mut Allowance,
        sink: impl Fn() -> S,
        take: impl Fn(Answer<S::Out>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut attempt = 1;
        let mut last = None;
        loop {
            let permit = match self.turn(call).await {
                Ok(permit) => permit,
                Err(error) => return Err(last.unwrap_or(error)),
            };
            let started = self.stopwatch.now();
            let answer = self.attempt(call, sink(), &permit, allowance).await;
            drop(permit);
            let took = self.stopwatch.now().since(started);
            allowance.spend(took);
            let ray = match &answer {
                Ok(answer) => answer.answered.ray.clone(),
                Err(failure) => failure.error.answer().and_then(|answered| answered.ray.clone()),
            };
            let result = answer.and_then(|answer| take(answer).map_err(Failure::for_good));
            let outcome = result.as_ref().map_or_else(|failure| failure.error.outcome(), |_| Outcome::Ok);
            if let Some(observer) = &self.observer {
                observer(&Report { endpoint: call.operation.endpoint(), outcome, took, attempt, ray });
            }
            let failure = match result {
                Ok(taken) => return Ok(taken),
                Err(failure) => failure,
            };
            let bearable = failure.error.retry_after().is_none_or(|told| told <= self.retry_wait);
            match failure.retry_in(&call.operation.method(), attempt) {
                Some(wait) if attempt < self.attempts && bearable => {
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
}
