//! The client of the Risk Scoring API: one method for each operation, answers as values of [`crate::model`].
//!
//! Every attempt is charged to the [`Budget`], and its response updates the budget: it may start a block, or say how
//! much of Cloudflare's own limit is left. The envelope decides whether a response is a success, not the status. Lists
//! are decoded while they arrive ([`decode`]); their text is never held in memory as a whole. Names and e-mail
//! addresses are skipped unless [`Pii::Keep`] asks for them. Where Cloudflare's documentation is silent, a comment
//! beside the code says what was assumed.

mod account_list;
mod base_url;
mod connect_error;
mod credentials;
pub(crate) mod decode;
mod endpoint;
mod envelope;
mod error;
mod exchange;
mod headers;
mod http_client;
pub mod limit;
mod operation;
mod operation_limits;
mod options;
mod page_info;
mod pagination;
mod paging;
mod proxy;
mod report;
mod request;
mod retry;
mod setup_error;
#[cfg(feature = "daemon")]
pub(crate) mod surroundings;
pub(crate) mod tls;
mod transport;
mod values;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

pub use account_list::{AccountsClient, ListedAccount};
pub use base_url::BASE_URL;
pub use credentials::Credentials;
pub use decode::{Bounds, Pii};
pub use endpoint::Endpoint;
#[cfg(feature = "daemon")]
pub(crate) use error::without_ray;
pub use error::{ApiError, Error, Kind, Limiter, MissingGrant, Outcome, ResponseInfo, SideEffect};
pub use operation_limits::{Limits, OperationLimits};
pub use options::Options;
pub use report::{Observer, Report};
pub use setup_error::SetupError;
pub use values::{IntegrationSetting, NewIntegration, TokenState, TokenStatus, UpdatedBehavior};

use crate::model::{
    Behavior, BehaviorSetting, DetailedEvent, EventCount, Identity, Integration, Listing, Row, Summary,
    UserId, UserRisk,
};
use decode::Element;
use limit::Budget;
use operation::Operation;
use paging::Paging;
use request::{Answer, Request};
use transport::Transport;

/// A client for one account with one credential.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    account: Arc<str>,
    paging: Arc<Paging>,
    pii: Pii,
}

impl Client {
    /// A client for the account with this id, with connections of its own; requests are charged to `budget`.
    ///
    /// # Errors
    /// The account id, the base URL, the credentials, the trust anchors or the proxy cannot be used.
    pub fn new(
        account_id: &str,
        credentials: Credentials,
        budget: Budget,
        options: Options,
    ) -> Result<Self, SetupError> {
        let endpoint = Endpoint::new(&options.base_url, options.connect_timeout)?;
        Self::sharing(&endpoint, account_id, credentials, budget, options)
    }

    /// A client that shares the connections of `endpoint`, which replaces the base URL and the connect timeout in
    /// `options`. A process that watches many accounts needs fewer connections this way, and one set of trust anchors.
    ///
    /// # Errors
    /// The account id or the credentials cannot be used.
    pub fn sharing(
        endpoint: &Endpoint,
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
            pii: options.pii,
            transport: Transport::new(credentials, budget, endpoint.clone(), options)?,
        })
    }

    /// The same client with other credentials. Open connections are reused. If the credentials differ, a block by
    /// Cloudflare ends, for all clones of the budget too: it belonged to the earlier credentials.
    ///
    /// # Errors
    /// No HTTP header can carry the credentials.
    pub fn with_credentials(&self, credentials: Credentials) -> Result<Self, SetupError> {
        Ok(Self { transport: self.transport.with_credentials(credentials)?, ..self.clone() })
    }

    /// Whether an operation of this client or of a clone waits for the budget now. Nothing of it is in flight then, so
    /// dropping it wastes no request, apart from earlier pages of a list.
    pub fn waits_for_budget(&self) -> bool {
        self.transport.waits_for_budget()
    }

    /// The behaviors that count as risky, sorted by id.
    ///
    /// # Errors
    /// As [`Error`] sorts them; the same holds for every operation below.
    pub async fn behaviors(&self) -> Result<Listing<Behavior>, Error> {
        let found: wire::Behaviors = self.fetch(self.request(Operation::Behaviors, &["behaviors"])).await?;
        Ok(found.behaviors)
    }

    /// Changes the behaviors in `settings` and leaves all others as they are. Returns the behaviors of the response.
    ///
    /// # Errors
    /// [`Kind::Invalid`], with nothing sent, if a level is unknown.
    pub async fn update_behaviors(
        &self,
        settings: &BTreeMap<String, BehaviorSetting>,
    ) -> Result<Vec<UpdatedBehavior>, Error> {
        let operation = Operation::UpdateBehaviors;
        if let Some((id, _)) = settings.iter().find(|(_, setting)| !setting.level.is_known()) {
            let reason = format!("behavior {id:?} needs the level low, medium or high");
            return Err(Error::new(operation, Kind::Invalid, reason));
        }
        let request = self.request(operation, &["behaviors"]).with_body(&wire::behavior_settings(settings));
        self.fetch::<wire::UpdatedBehaviors>(request).await.map(wire::UpdatedBehaviors::into_updated)
    }

    /// All users at risk.
    ///
    /// # Errors
    /// The first page failed, or a later page was refused or rate limited. If a later page fails in any other way, the
    /// list is [`crate::model::Completeness::Partial`].
    pub async fn summary(&self) -> Result<Summary, Error> {
        let request = self.request(Operation::Summary, &["summary"]);
        let list = pagination::read::<Row>(&self.transport, request, &self.paging.summary, 0).await?;
        Ok(Summary {
            rows: list.items,
            unreadable: list.unreadable,
            anonymous: list.anonymous,
            odd: list.odd,
            is_null: list.is_null,
            completeness: list.completeness,
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
        self.user_with(user, EventCount::UNKNOWN).await
    }

    /// One user's events, of which the list of users counts `expected`. A page with fewer may not be the last one.
    ///
    /// # Errors
    /// As [`Client::user`].
    pub async fn user_expecting(&self, user: UserId, expected: EventCount) -> Result<UserRisk, Error> {
        self.user_with(user, expected).await
    }

    /// One user's events, each with its details.
    ///
    /// # Errors
    /// As [`Client::user`].
    pub async fn user_in_detail(&self, user: UserId) -> Result<UserRisk<DetailedEvent>, Error> {
        self.user_with(user, EventCount::UNKNOWN).await
    }

    /// The same, of which the list of users counts `expected`.
    ///
    /// # Errors
    /// As [`Client::user`].
    pub async fn user_in_detail_expecting(
        &self,
        user: UserId,
        expected: EventCount,
    ) -> Result<UserRisk<DetailedEvent>, Error> {
        self.user_with(user, expected).await
    }

    async fn user_with<E: Element>(&self, user: UserId, expected: EventCount) -> Result<UserRisk<E>, Error> {
        let request = self.request(Operation::User, &[&user.to_string()]);
        let (transport, paging, expected) = (&self.transport, &self.paging.user, expected.or_zero());
        let mut list = pagination::read::<E>(transport, request, paging, expected.into()).await?;
        let head: wire::UserHead = list.head(Operation::User)?;
        let identity = match self.pii {
            Pii::Keep => {
                Some(Identity { email: head.email.unwrap_or_default(), name: head.name.unwrap_or_default() })
            }
            Pii::Drop => None,
        };
        Ok(UserRisk {
            rejected: list.anonymous,
            odd: {
                list.odd.append(&head.odd, 0);
                list.odd
            },
            last_reset: head.last_reset_time,
            level: head.risk_level,
            completeness: list.completeness,
            date: list.date,
            identity,
            pages: list.pages,
            events: list.items,
        })
    }

    /// Resets a user's risk score.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn reset(&self, user: UserId) -> Result<(), Error> {
        self.execute(self.request(Operation::Reset, &[&user.to_string(), "reset"])).await
    }

    /// The integrations that Cloudflare sends changes of a user's level to.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn integrations(&self) -> Result<Listing<Integration>, Error> {
        let found: wire::Integrations =
            self.fetch(self.request(Operation::Integrations, &["integrations"])).await?;
        Ok(found.integrations)
    }

    /// Creates an integration with Okta, the only type that Cloudflare supports.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn create_integration(&self, new: &NewIntegration) -> Result<Integration, Error> {
        let request = self
            .request(Operation::CreateIntegration, &["integrations"])
            .with_body(&wire::new_integration(new));
        self.fetch::<wire::Integration>(request).await.map(Into::into)
    }

    /// One integration.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn integration(&self, id: Uuid) -> Result<Integration, Error> {
        let request = self.request(Operation::Integration, &["integrations", &id.to_string()]);
        self.fetch::<wire::Integration>(request).await.map(Into::into)
    }

    /// Replaces the settings of an integration.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn update_integration(
        &self,
        id: Uuid,
        setting: &IntegrationSetting,
    ) -> Result<Integration, Error> {
        let request = self
            .request(Operation::UpdateIntegration, &["integrations", &id.to_string()])
            .with_body(&wire::integration_setting(setting));
        self.fetch::<wire::Integration>(request).await.map(Into::into)
    }

    /// Removes an integration.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn delete_integration(&self, id: Uuid) -> Result<(), Error> {
        self.execute(self.request(Operation::DeleteIntegration, &["integrations", &id.to_string()])).await
    }

    /// The integration with this reference id, which its owner chose.
    ///
    /// # Errors
    /// As [`Error`] sorts them.
    pub async fn integration_by_reference(&self, reference_id: &str) -> Result<Integration, Error> {
        let operation = Operation::IntegrationByReference;
        // As path segments, these would address another resource.
        if matches!(reference_id, "" | "." | "..") || reference_id.contains(char::is_control) {
            let reason = "a reference id cannot be empty, \".\", \"..\", or contain control characters";
            return Err(Error::new(operation, Kind::Invalid, reason));
        }
        let request = self.request(operation, &["integrations", "reference_id", reference_id]);
        self.fetch::<wire::Integration>(request).await.map(Into::into)
    }

    /// The state of the token, and when it expires.
    ///
    /// # Errors
    /// [`Kind::Invalid`], with nothing sent, if the credentials are an API key.
    pub async fn verify_token(&self) -> Result<TokenStatus, Error> {
        let operation = Operation::VerifyToken;
        if !self.transport.has_token() {
            return Err(Error::new(
                operation,
                Kind::Invalid,
                "only an API token can be verified, not an API key",
            ));
        }
        let request = Request::new(operation, self.transport.base(), &["user", "tokens", "verify"]);
        self.fetch::<wire::Token>(request).await.map(Into::into)
    }

    fn request(&self, operation: Operation, rest: &[&str]) -> Request {
        let mut path = vec!["accounts", &self.account, "zt_risk_scoring"];
        path.extend(rest);
        Request::new(operation, self.transport.base(), &path)
    }

    /// Runs an operation and decodes its result.
    async fn fetch<R: serde::de::DeserializeOwned>(&self, request: Request) -> Result<R, Error> {
        let mut deadline = self.transport.deadline(request.operation);
        let take = |mut answer: Answer<()>| answer.take_result(request.operation);
        self.transport.text(&request, &mut deadline, take).await
    }

    /// Runs an operation and ignores its result.
    async fn execute(&self, request: Request) -> Result<(), Error> {
        let mut deadline = self.transport.deadline(request.operation);
        self.transport.text(&request, &mut deadline, |_| Ok(())).await
    }
}
