//! A stand-in for the Risk Scoring API, on loopback: all its operations, a world in which things happen,
//! and everything that can go wrong.
//!
//! A [`Scenario`] says what there is; the clock says how much of it has happened. [`Simulator::start`]
//! is for tests, [`serve`] for commands. What really happened is told by [`Simulator::truth`], or by
//! `GET /__truth` to other processes.
//!
//! It shares no code with the client: a client and a simulator with the same mistake would agree.
//! Cloudflare's published schema and its official SDKs are the referees.
//!
//! # What we chose where the documentation is silent
//!
//! [`ApiOptions`] has the questions with more than one answer. Beside these:
//!
//! - An unknown user or integration is 404 with code 1001; an id that is no UUID, a bad body, level or
//!   `tenant_url` is 400 with 1002; a duplicate reference is 409 with 1003; a body too large is 413 with
//!   1004; a wrong method is 405 with 7001 and an `Allow` header.
//! - An account that is not there answers like one that the token may not use: 403 with 9109. One whose
//!   id is not 32 hexadecimal digits is no path: 404 with 7003 and 7000.
//! - Requests without valid credentials count against no limit; every other does, whatever it answers.
//! - Users are listed in the order in which they came; events the newest first. Unknown query parameters,
//!   order and direction among them, do nothing.
//! - A user's level is the highest since the last reset, whatever became of the events.
//! - In an integration's PUT a `reference_id` that is left out stays.
//! - A reset connection ([`Fault::Reset`]) is one that is closed without an answer.

mod account;
mod admin_api;
mod api_options;
mod auth;
mod engine;
mod faults;
mod ground_truth;
mod handlers;
mod http;
mod json_values;
mod page_slice;
mod response;
mod response_body;
mod routes;
mod sample_data;
mod scenario;
mod story;
mod summary_cache;
mod workload;
mod world;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use uuid::Uuid;

pub use api_options::{
    ApiOptions, BehaviorsAnswer, Compression, DuplicateReference, EmptyResult, EventCount, EventIds,
    EventNames, Pages, Refusals, ResetEvents, ResetUser, UnknownBehavior, UnknownUser,
};
pub use faults::{Endpoint, Fault, FaultRule};
pub use ground_truth::{
    AccountTruth, ChangeRecord, EventRecord, RequestRecord, RequestTotal, Truth, UserRecord,
};
pub use scenario::{
    AccountSpec, BehaviorSpec, EventSpec, GENERATED_ACCOUNT, GENERATED_TOKEN, IntegrationSpec, KeySpec,
    Level, LimitSpec, MOST_USERS, Permission, Plan, Scenario, ScenarioError, TokenSpec, UserSpec, When,
};
pub use story::Story;
pub use story::player::Teller;
pub use world::Unknown;

use crate::clock::{Clock, Timestamp};
use crate::http::Limits;
use account::NewEvent;
use engine::Engine;
use ground_truth::{Details, Wanted};
use story::player::Player;

/// Generous, so that a test of many clients tests these; a drain is short, because nobody's work is lost.
const LIMITS: Limits = Limits {
    connections: 1_024,
    connections_of_one_peer: 1_024,
    first_header_wait: Duration::from_secs(60),
    header_wait: Duration::from_secs(60),
    header_bytes: 64 * 1024,
    answer_wait: Duration::from_secs(600),
    drain: Duration::from_secs(1),
};

/// How often the world goes on while nobody asks, so that who asks then need not wait.
const TICK: Duration = Duration::from_secs(1);

/// Why a simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario makes no world.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// No port on loopback.
    #[error("cannot listen on loopback: {0}")]
    Listen(#[from] std::io::Error),
}

/// A running simulator; dropping it stops it.
pub struct Simulator {
    engine: Arc<Engine>,
    address: SocketAddr,
    /// Dropped with this, which is the signal.
    _stop: oneshot::Sender<()>,
}

/// Answers on `listener` until `stop` is ready, even if that is before there is anything to answer. The world is built before the first answer, which takes
/// seconds for a million users. `tell` is told what happens in the scenario's story.
///
/// # Errors
/// If the scenario makes no world.
pub async fn serve(
    listener: TcpListener,
    scenario: Scenario,
    clock: Clock,
    tell: Teller,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut stop = pin!(stop);
    let play = Player::of(&scenario);
    let engine = tokio::select! {
        built = build(scenario, clock) => built?,
        () = &mut stop => return Ok(()),
    };
    run(listener, engine, play, tell, stop).await;
    Ok(())
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1, in the current tokio runtime.
    ///
    /// # Errors
    /// If the scenario makes no world, or no port is free.
    pub async fn start(scenario: Scenario, clock: Clock) -> Result<Self, Error> {
        Self::start_telling(scenario, clock, Box::new(|_| {})).await
    }

    /// The same; `tell` is told what happens in the scenario's story.
    ///
    /// # Errors
    /// The same.
    pub async fn start_telling(scenario: Scenario, clock: Clock, tell: Teller) -> Result<Self, Error> {
        let play = Player::of(&scenario);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let engine = build(scenario, clock).await?;
        let (stop, stopped) = oneshot::channel();
        let running = Arc::clone(&engine);
        tokio::spawn(async move {
            run(listener, running, play, tell, async {
                // Nothing is ever sent: the sender's end is the signal.
                let _ = stopped.await;
            })
            .await;
        });
        Ok(Self { engine, address, _stop: stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the API begins, as Cloudflare's `https://api.cloudflare.com/client/v4`.
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, routes::BASE)
    }

    /// Everything that happened since the start, in all detail.
    pub fn truth(&self) -> Truth {
        self.truth_of(None)
    }

    /// What happened later than `since`, in all detail; requests from `since` on.
    pub fn truth_since(&self, since: Timestamp) -> Truth {
        self.truth_of(Some(since))
    }

    /// The totals of the same without single records: cheap, however large the world.
    pub fn totals_since(&self, since: Option<Timestamp>) -> Truth {
        let (world, now) = self.engine.now();
        world.truth(now, since, Wanted::default())
    }

    /// Switches a fault on.
    pub fn inject(&self, rule: FaultRule) {
        self.engine.now().0.faults.add(rule);
    }

    /// Switches all faults off; requests that hang or drip already go on doing so.
    pub fn clear_faults(&self) {
        self.engine.now().0.faults.clear();
    }

    /// Lets `user` do something risky at `timestamp`, which may be past; a user who is not there joins.
    /// The level is that of the behavior.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn append_event(
        &self,
        account: &str,
        user: Uuid,
        behavior: &str,
        timestamp: Timestamp,
    ) -> Result<EventRecord, Unknown> {
        let new = NewEvent::of(behavior, timestamp);
        self.append(account, user, &new)
    }

    /// The same with an id and a level of the event's own.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn append_event_as(
        &self,
        account: &str,
        user: Uuid,
        behavior: &str,
        timestamp: Timestamp,
        id: &str,
        level: Level,
    ) -> Result<EventRecord, Unknown> {
        let new = NewEvent { id: Some(id), level: Some(level), ..NewEvent::of(behavior, timestamp) };
        self.append(account, user, &new)
    }

    /// Clears a user's risk, as an administrator would.
    ///
    /// # Errors
    /// If there is no such account or user.
    pub fn reset(&self, account: &str, user: Uuid) -> Result<(), Unknown> {
        let (mut world, now) = self.engine.now();
        world.reset(account, user, now)
    }

    /// Lets a user leave, with all events.
    ///
    /// # Errors
    /// If there is no such account or user.
    pub fn remove_user(&self, account: &str, user: Uuid) -> Result<(), Unknown> {
        let (mut world, now) = self.engine.now();
        world.remove(account, user, now)
    }

    /// Configures a behavior, or adds it.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn set_behavior(&self, account: &str, behavior: BehaviorSpec) -> Result<(), Unknown> {
        let (mut world, _) = self.engine.now();
        let account = world.account(account).ok_or(Unknown::Account)?;
        account.set_behavior(behavior);
        Ok(())
    }

    fn append(&self, account: &str, user: Uuid, new: &NewEvent<'_>) -> Result<EventRecord, Unknown> {
        let (mut world, now) = self.engine.now();
        world.append(account, user, new, now)
    }

    fn truth_of(&self, since: Option<Timestamp>) -> Truth {
        let (world, now) = self.engine.now();
        let everything = Wanted { events: Details::All, requests: Details::All, users: Details::All };
        world.truth(now, since, everything)
    }
}

async fn build(scenario: Scenario, clock: Clock) -> Result<Arc<Engine>, Error> {
    scenario.check()?;
    let world = tokio::task::spawn_blocking(move || Engine::new(&scenario, clock));
    Ok(Arc::new(world.await.map_err(std::io::Error::other)?))
}

async fn run(
    listener: TcpListener,
    engine: Arc<Engine>,
    play: Option<Player>,
    tell: Teller,
    stop: impl Future<Output = ()>,
) {
    // They end with this function, when the set is dropped.
    let mut world: JoinSet<()> = JoinSet::new();
    let ticking = Arc::clone(&engine);
    world.spawn(async move {
        loop {
            tokio::time::sleep(TICK).await;
            let (mut world, now) = ticking.now();
            world.refresh(now);
        }
    });
    if let Some(play) = play {
        world.spawn(play.run(Arc::clone(&engine), tell));
    }
    let handler = Arc::clone(&engine);
    let stop = async {
        stop.await;
        engine.stop();
    };
    crate::http::serve(listener, LIMITS, stop, move |request| Arc::clone(&handler).handle(request)).await;
}
