//! A simulator of the Risk Scoring API on loopback: all operations, users with events and resets, and faults.
//!
//! A [`Scenario`] defines the accounts; what happens in them follows from its seed and the clock. Tests use
//! [`Simulator::start`], commands use [`serve`]. [`Simulator::ground_truth`] returns what really happened;
//! `GET /__truth` returns it to other processes.
//!
//! The simulator shares no code with the client: a client and a simulator with the same mistake would agree.
//! Cloudflare's published schema and official SDKs check the simulator.
//!
//! # Choices where the documentation says nothing
//!
//! [`ApiOptions`] has the questions for which the simulator knows several answers. For the others:
//!
//! - An unknown user or integration gets 404 with code 1001; an id that is not a UUID, or a bad body, level or
//!   `tenant_url`, 400 with 1002; a duplicate reference 409 with 1003; a body that is too large 413 with 1004;
//!   a wrong method 405 with 7001 and an `Allow` header.
//! - An unknown account is answered like one that the token may not use: 403 with 9109. If its id does
//!   not have 32 hexadecimal digits, the answer is 404 with 7003 and 7000.
//! - Requests without valid credentials do not count against a rate limit. All others do, whatever the answer.
//! - Users are listed in the order in which they were added, events newest first. Unknown query parameters
//!   (including order and direction) are ignored.
//! - A user's level is the highest since the last reset, even if the events are no longer listed.
//! - A PUT of an integration without `reference_id` keeps the old one.

mod account;
mod account_listing;
mod admin_api;
mod api_options;
mod auth;
mod endpoint;
mod engine;
mod faults;
mod ground_truth;
mod handlers;
mod http;
mod json_faults;
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
    ApiOptions, BehaviorsAnswer, BeyondLast, Compression, DuplicateReference, EmptyResult, EventCount,
    EventIds, EventNames, NextPage, Pages, PerPage, Queries, Refusals, ResetEvents, ResetUser, Totals,
    UnknownBehavior, UnknownUser,
};
pub use endpoint::{Endpoint, Permission};
pub use faults::{DateFormat, Fault, FaultRule, Share};
pub use ground_truth::{
    AccountGroundTruth, ChangeRecord, EventRecord, GroundTruth, RequestRecord, RequestTotal, UserRecord,
};
pub use scenario::{
    AccountSpec, AccountState, BehaviorSpec, EventSpec, GENERATED_ACCOUNT, GENERATED_TOKEN, IntegrationSpec,
    KeySpec, Level, LimitSpec, MAX_USERS, Plan, Scenario, ScenarioError, TimeSpec, TokenOwner, TokenSpec,
    UserSpec,
};
pub use story::Story;
pub use story::player::StoryCallback;
pub use world::ActionError;

use crate::clock::{Clock, Timestamp};
use crate::http::{COMMON_HEADERS, Connections, Limits};
use account::NewEvent;
use engine::Engine;
use ground_truth::{Details, Include};
use story::player::Player;

/// Generous, so that a load test tests the clients. The drain is short, because no work is lost.
const LIMITS: Limits = Limits {
    connections: 1_024,
    connections_of_one_peer: 1_024,
    first_header_wait: Duration::from_secs(60),
    header_wait: Duration::from_secs(60),
    header_bytes: 64 * 1024,
    answer_wait: Duration::from_secs(600),
    unsent_bytes: 1 << 30,
    drain: Duration::from_secs(1),
};

/// How often the world advances without requests, so that the next request need not wait.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Why a simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario is invalid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Loopback has no free port.
    #[error("cannot listen on loopback: {0}")]
    Listen(#[from] std::io::Error),
}

/// A running simulator. Dropping it stops it.
pub struct Simulator {
    engine: Arc<Engine>,
    address: SocketAddr,
    /// Dropping it is the signal to stop.
    _stop: oneshot::Sender<()>,
}

/// Answers on `listener` until `stop` is ready.
///
/// The world is built before the first answer, which takes seconds for a million users; `stop` ends that too.
/// `callback` gets a line for each action of the scenario's story.
///
/// # Errors
/// The scenario is invalid.
pub async fn serve(
    listener: TcpListener,
    scenario: Scenario,
    clock: Clock,
    callback: StoryCallback,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut stop = pin!(stop);
    let player = Player::new(&scenario);
    let engine = tokio::select! {
        built = build(scenario, clock) => built?,
        () = &mut stop => return Ok(()),
    };
    run(listener, engine, player, callback, stop).await;
    Ok(())
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1, in the current tokio runtime.
    ///
    /// # Errors
    /// The scenario is invalid, or no port is free.
    pub async fn start(scenario: Scenario, clock: Clock) -> Result<Self, Error> {
        Self::start_with_callback(scenario, clock, Box::new(|_| {})).await
    }

    /// Like [`Self::start`]; `callback` gets a line for each action of the scenario's story.
    ///
    /// # Errors
    /// The scenario is invalid, or no port is free.
    pub async fn start_with_callback(
        scenario: Scenario,
        clock: Clock,
        callback: StoryCallback,
    ) -> Result<Self, Error> {
        let player = Player::new(&scenario);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let engine = build(scenario, clock).await?;
        let (stop, stopped) = oneshot::channel();
        let running = Arc::clone(&engine);
        tokio::spawn(async move {
            run(listener, running, player, callback, async {
                // Nothing is ever sent. Dropping the sender is the signal.
                let _ = stopped.await;
            })
            .await;
        });
        Ok(Self { engine, address, _stop: stop })
    }

    /// The address on which the simulator listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of the API, in place of `https://api.cloudflare.com/client/v4`.
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, routes::BASE)
    }

    /// Everything that happened since the start, with all records.
    pub fn ground_truth(&self) -> GroundTruth {
        self.ground_truth_of(None)
    }

    /// What happened after `since`, with all records; requests from `since` on.
    pub fn ground_truth_since(&self, since: Timestamp) -> GroundTruth {
        self.ground_truth_of(Some(since))
    }

    /// The totals only, which is cheap for a large world.
    pub fn totals_since(&self, since: Option<Timestamp>) -> GroundTruth {
        let (world, now) = self.engine.now();
        world.ground_truth(now, since, Include::default())
    }

    /// Adds a fault rule.
    pub fn inject(&self, rule: FaultRule) {
        self.engine.now().0.faults.add(rule);
    }

    /// Removes all fault rules. Answers that already hang or are slow stay so.
    pub fn clear_faults(&self) {
        self.engine.now().0.faults.clear();
    }

    /// Appends an event with the behavior's level. `timestamp` may be in the past. An unknown user is created.
    ///
    /// # Errors
    /// There is no such account, or it has too many behaviors.
    pub fn append_event(
        &self,
        account: &str,
        user: Uuid,
        behavior: &str,
        timestamp: Timestamp,
    ) -> Result<EventRecord, ActionError> {
        let new = NewEvent::of(behavior, timestamp);
        self.append(account, user, &new)
    }

    /// Appends an event with an id and a level of its own.
    ///
    /// # Errors
    /// There is no such account, or it has too many behaviors.
    pub fn append_event_as(
        &self,
        account: &str,
        user: Uuid,
        behavior: &str,
        timestamp: Timestamp,
        id: &str,
        level: Level,
    ) -> Result<EventRecord, ActionError> {
        let new = NewEvent { id: Some(id), level: Some(level), ..NewEvent::of(behavior, timestamp) };
        self.append(account, user, &new)
    }

    /// Resets a user's risk.
    ///
    /// # Errors
    /// There is no such account or user.
    pub fn reset(&self, account: &str, user: Uuid) -> Result<(), ActionError> {
        let (mut world, now) = self.engine.now();
        world.reset(account, user, now)
    }

    /// Removes a user with all events.
    ///
    /// # Errors
    /// There is no such account or user.
    pub fn remove_user(&self, account: &str, user: Uuid) -> Result<(), ActionError> {
        let (mut world, now) = self.engine.now();
        world.remove(account, user, now)
    }

    /// Opens or closes an account. A closed one is not listed, and no credential may use it.
    ///
    /// # Errors
    /// There is no such account.
    pub fn set_account_state(&self, account: &str, state: AccountState) -> Result<(), ActionError> {
        self.engine.now().0.set_state(account, state)
    }

    /// Configures or adds a behavior.
    ///
    /// # Errors
    /// There is no such account, or it has too many behaviors.
    pub fn set_behavior(&self, account: &str, behavior: BehaviorSpec) -> Result<(), ActionError> {
        let (mut world, now) = self.engine.now();
        world.set_behavior(account, behavior, now)
    }

    fn append(&self, account: &str, user: Uuid, new: &NewEvent<'_>) -> Result<EventRecord, ActionError> {
        let (mut world, now) = self.engine.now();
        world.append(account, user, new, now)
    }

    fn ground_truth_of(&self, since: Option<Timestamp>) -> GroundTruth {
        let (world, now) = self.engine.now();
        let everything = Include { events: Details::All, requests: Details::All, users: Details::All };
        world.ground_truth(now, since, everything)
    }
}

async fn build(scenario: Scenario, clock: Clock) -> Result<Arc<Engine>, Error> {
    scenario.check().map_err(ScenarioError::from)?;
    let world = tokio::task::spawn_blocking(move || Engine::new(&scenario, clock));
    Ok(Arc::new(world.await.map_err(std::io::Error::other)?))
}

async fn run(
    listener: TcpListener,
    engine: Arc<Engine>,
    player: Option<Player>,
    callback: StoryCallback,
    stop: impl Future<Output = ()>,
) {
    // The tasks end when the set is dropped at the end of this function.
    let mut tasks: JoinSet<()> = JoinSet::new();
    let ticking = Arc::clone(&engine);
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            let (mut world, now) = ticking.now();
            world.refresh(now);
        }
    });
    if let Some(player) = player {
        tasks.spawn(player.run(Arc::clone(&engine), callback));
    }
    let handler = Arc::clone(&engine);
    let stop = async {
        stop.await;
        engine.stop();
    };
    let connections = Connections::new(LIMITS, Arc::default());
    let handle = move |request| Arc::clone(&handler).handle(request);
    crate::http::serve(listener, connections, &COMMON_HEADERS, stop, handle).await;
}
