//! The client of the Risk Scoring API: one method for each operation, answers as values of [`crate::model`].
//!
//! Every attempt is paid from the [`Budget`], and what it met settles the permit: a block, what the server
//! says is left, or that there is none. The envelope decides whether an answer is good, not the status.
//! Lists are decoded as they arrive ([`decode`]) and never held as text; names and e-mail addresses are
//! skipped there unless [`Names::Keep`] asks for them. What is known of the API, and what is not, is written
//! beside the code that has to be right either way.

mod connect_error;
pub mod decode;
mod envelope;
mod error;
mod exchange;
mod headers;
mod http_client;
mod operation;
mod pagination;
mod request;
mod tls;
mod transport;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

pub use decode::stream::{Bounds, Names};
pub use error::{Answered, Effect, Error, Kind, Lack, Limiter, Note, Outcome};
pub use http_client::SetupError;

use crate::budget::Budget;
use crate::clock::Timestamp;
pub use crate::credentials::Credentials;
use crate::model::{
    Behavior, BehaviorSetting, DetailedEvent, Endpoint, Identity, Integration, Level, Listing, Row, Summary,
    UserId, UserRisk,
};
use decode::element::Element;
use decode::rfc3339;
use operation::Operation;
use pagination::Paging;
use request::{Answer, Call};
use transport::{Allowance, Transport};

/// Cloudflare's own address of the API.
pub const BASE_URL: &str = "https://api.cloudflare.com/client/v4";

/// Called after each attempt.
pub type Observer = Arc<dyn Fn(&Report) + Send + Sync>;

/// How one attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was asked.
    pub endpoint: Endpoint,
    /// How it ended.
    pub outcome: Outcome,
    /// From sending to the last byte, on the wall; waiting for the budget is not in it.
    pub took: Duration,
    /// 1 for the first attempt, more for retries.
    pub attempt: u32,
    /// The CF-Ray id of the answer, if one came with an id.
    pub ray: Option<String>,
}

/// What a client may be told; the defaults suit the daemon.
#[derive(Clone)]
pub struct Options {
    /// Where the API is; plain HTTP only on loopback.
    pub base_url: String,
    /// Whether names and e-mail addresses are kept.
    pub names: Names,
    /// What an answer may hold at most.
    pub bounds: Bounds,
    /// To connect, TLS included.
    pub connect_wait: Duration,
    /// For the head of an answer, and between any two parts of it.
    pub idle_wait: Duration,
    /// On the wire for one operation, all its pages and retries together.
    pub total_wait: Duration,
    /// How long a request may wait for its turn, in the budget or behind a block, before it is given up.
    pub patience: Duration,
    /// How often one request is tried at most; it is always tried once. By default the first attempt and two
    /// retries: what three in a row do not cure is for the next poll.
    pub attempts: u32,
    /// A server that says for how long it wants no request (a 429, a 5xx with `Retry-After`) is asked again
    /// within the operation if it is for at most this long; else that is the answer.
    pub retry_wait: Duration,
    /// The page size that is tried once a list turns out to have pages.
    pub page_size: u32,
    /// Told of each attempt.
    pub observer: Option<Observer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_url: BASE_URL.to_owned(),
            names: Names::Drop,
            bounds: Bounds::default(),
            connect_wait: Duration::from_secs(10),
            idle_wait: Duration::from_secs(30),
            total_wait: Duration::from_secs(300),
            patience: Duration::from_secs(60),
            attempts: 3,
            retry_wait: Duration::from_secs(60),
            page_size: 1_000,
            observer: None,
        }
    }
}

/// What the API answers to a change of behaviors: no name and no description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatedBehavior {
    /// Its id.
    pub id: String,
    /// Whether it is looked for.
    pub enabled: bool,
    /// The level a user gets by it.
    pub level: Level,
}

/// An integration to be made; it starts active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIntegration {
    /// The tenant it sends to.
    pub tenant_url: String,
    /// An id of the caller's choice; without one Cloudflare makes a UUID.
    pub reference_id: Option<String>,
}

/// What an integration becomes; it replaces what was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationSetting {
    /// The tenant it sends to.
    pub tenant_url: String,
    /// Whether changes are sent.
    pub active: bool,
    /// An id of the caller's choice.
    pub reference_id: Option<String>,
}

/// Whether a token works, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenStatus {
    /// What Cloudflare says of it.
    pub state: TokenState,
    /// When it ends, if it does.
    pub expires: Option<Timestamp>,
}

/// What Cloudflare says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It works.
    Active,
    /// Its owner has switched it off.
    Disabled,
    /// Its time is over.
    Expired,
    /// A word that was not documented when this was written.
    Unknown,
}

/// A client for one account with one credential.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    account: Arc<str>,
    paging: Arc<Paging>,
    names: Names,
    total_wait: Duration,
}

impl Client {
    /// A client for the account with this id, paying from `budget`.
    ///
    /// # Errors
    /// The account id, the base URL, the credentials or the trust anchors cannot be used.
    pub fn new(
        account_id: &str,
        credentials: Credentials,
        budget: Budget,
        options: Options,
    ) -> Result<Self, SetupError> {
        if account_id.len() != 32 || !account_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(SetupError::Account);
        }
        Ok(Self {
            account: Arc::from(account_id),
            paging: Arc::new(Paging::new(options.page_size)),
            names: options.names,
            total_wait: options.total_wait,
            transport: Transport::new(credentials, budget, options)?,
        })
    }

    /// The same client with other credentials; connections that are open stay in use.
    ///
    /// # Errors
    /// The credentials cannot be sent.
    pub fn with_credentials(&self, credentials: Credentials) -> Result<Self, SetupError> {
        Ok(Self { transport: self.transport.with_credentials(credentials)?, ..self.clone() })
    }

    /// What counts as risky, sorted by id.
    ///
    /// # Errors
    /// As [`Error`] sorts them; the same holds for every operation below.
    pub async fn behaviors(&self) -> Result<Listing<Behavior>, Error> {
        let found: wire::Behaviors = self.ask(self.call(Operation::Behaviors, &["behaviors"])).await?;
        Ok(found.behaviors)
    }

    /// Changes the behaviors named in `settings` and leaves the others; answers with those Cloudflare names.
    ///
    /// # Errors
    /// [`Kind::Invalid`], with nothing sent, if a level is unknown.
    pub async fn update_behaviors(
        &self,
        settings: &BTreeMap<String, BehaviorSetting>,
    ) -> Result<Vec<UpdatedBehavior>, Error> {
        let operation = Operation::UpdateBehaviors;
        if let Some((id, _)) = settings.iter().find(|(_, setting)| setting.level == Level::Unknown) {
            let reason = format!("behavior {id:?} needs the level low, medium or high");
            return Err(Error::new(operation, Kind::Invalid, reason));
        }
        let call = self.call(operation, &["behaviors"]).with_body(&wire::behavior_settings(settings));
        self.ask::<wire::UpdatedBehaviors>(call).await.map(wire::UpdatedBehaviors::into_updated)
    }

    /// All users at risk.
    ///
    /// # Errors
    /// Also when a later page is refused or rate limited; a later page that fails otherwise makes the list
    /// [`crate::model::Extent::Partial`].
    pub async fn summary(&self) -> Result<Summary, Error> {
        let call = self.call(Operation::Summary, &["summary"]);
        let list =
            pagination::read::<Row>(&self.transport, call, &self.paging.summary, self.total_wait).await?;
        Ok(Summary {
            rows: list.items,
            unreadable: list.unreadable,
            anonymous: list.anonymous,
            extent: list.extent,
            date: list.date,
            identities: list.identities,
            pages: list.pages,
        })
    }

    /// One user's events.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a user that Cloudflare does not know; later pages as for [`Client::summary`].
    pub async fn user(&self, user: UserId) -> Result<UserRisk, Error> {
        self.user_with(user).await
    }

    /// The same with the details of each event.
    ///
    /// # Errors
    /// As [`Client::user`].
    pub async fn user_in_detail(&self, user: UserId) -> Result<UserRisk<DetailedEvent>, Error> {
        self.user_with(user).await
    }

    async fn user_with<E: Element>(&self, user: UserId) -> Result<UserRisk<E>, Error> {
        let call = self.call(Operation::User, &[&user.to_string()]);
        let mut list =
            pagination::read::<E>(&self.transport, call, &self.paging.user, self.total_wait).await?;
        let head: wire::UserHead = list.head(Operation::User)?;
        let identity = match self.names {
            Names::Keep => {
                Some(Identity { email: head.email.unwrap_or_default(), name: head.name.unwrap_or_default() })
            }
            Names::Drop => None,
        };
        Ok(UserRisk {
            rejected: list.anonymous,
            last_reset: head.last_reset_time.as_deref().and_then(|text| rfc3339::parse(text.as_bytes())),
            level: head.risk_level.as_deref().map(Level::from_word),
            extent: list.extent,
            date: list.date,
            identity,
            pages: list.pages,
            events: list.items,
        })
    }

    /// Clears a user's score.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn reset(&self, user: UserId) -> Result<(), Error> {
        self.tell(self.call(Operation::Reset, &[&user.to_string(), "reset"])).await
    }

    /// Where changes of level are sent.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn integrations(&self) -> Result<Listing<Integration>, Error> {
        let found: wire::Integrations =
            self.ask(self.call(Operation::Integrations, &["integrations"])).await?;
        Ok(found.integrations)
    }

    /// Makes an integration with Okta, the only kind there is.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn create_integration(&self, new: &NewIntegration) -> Result<Integration, Error> {
        let call =
            self.call(Operation::CreateIntegration, &["integrations"]).with_body(&wire::new_integration(new));
        self.ask::<wire::Integration>(call).await.map(Into::into)
    }

    /// One integration.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn integration(&self, id: Uuid) -> Result<Integration, Error> {
        let call = self.call(Operation::Integration, &["integrations", &id.to_string()]);
        self.ask::<wire::Integration>(call).await.map(Into::into)
    }

    /// Replaces what an integration is set to.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn update_integration(
        &self,
        id: Uuid,
        setting: &IntegrationSetting,
    ) -> Result<Integration, Error> {
        let call = self
            .call(Operation::UpdateIntegration, &["integrations", &id.to_string()])
            .with_body(&wire::integration_setting(setting));
        self.ask::<wire::Integration>(call).await.map(Into::into)
    }

    /// Removes an integration.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn delete_integration(&self, id: Uuid) -> Result<(), Error> {
        self.tell(self.call(Operation::DeleteIntegration, &["integrations", &id.to_string()])).await
    }

    /// The integration whose owner gave it this id.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn integration_by_reference(&self, reference_id: &str) -> Result<Integration, Error> {
        let operation = Operation::IntegrationByReference;
        // As a segment of a path these would mean another place.
        if matches!(reference_id, "" | "." | "..") || reference_id.contains(char::is_control) {
            let reason = "the reference id is empty, dots, or holds control characters";
            return Err(Error::new(operation, Kind::Invalid, reason));
        }
        let call = self.call(operation, &["integrations", "reference_id", reference_id]);
        self.ask::<wire::Integration>(call).await.map(Into::into)
    }

    /// Whether the token works, and until when.
    ///
    /// # Errors
    /// [`Kind::Invalid`], with nothing sent, for credentials that are not a token.
    pub async fn verify_token(&self) -> Result<TokenStatus, Error> {
        let operation = Operation::VerifyToken;
        if !self.transport.has_token() {
            return Err(Error::new(operation, Kind::Invalid, "an API key is no token"));
        }
        let call = Call::new(operation, self.transport.base(), &["user", "tokens", "verify"]);
        self.ask::<wire::Token>(call).await.map(Into::into)
    }

    fn call(&self, operation: Operation, rest: &[&str]) -> Call {
        let mut path = vec!["accounts", &self.account, "zt_risk_scoring"];
        path.extend(rest);
        Call::new(operation, self.transport.base(), &path)
    }

    /// An operation whose result is needed.
    async fn ask<R: serde::de::DeserializeOwned>(&self, call: Call) -> Result<R, Error> {
        let mut allowance = Allowance::new(self.total_wait);
        let take = |mut answer: Answer<()>| answer.take_result(call.operation);
        self.transport.text(&call, &mut allowance, take).await
    }

    /// An operation whose success is all there is to know.
    async fn tell(&self, call: Call) -> Result<(), Error> {
        let mut allowance = Allowance::new(self.total_wait);
        self.transport.text(&call, &mut allowance, |_| Ok(())).await
    }
}
