//! Reads the list of the accounts of one token again and again, and reports which accounts it has.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{AccountsClient, Credentials, Endpoint, Error, Options};
use crate::collector::known_accounts::KnownAccounts;
use crate::config::{BackgroundRead, CredentialSource, Discovery, FoundList};
use crate::metrics::telemetry::{DiscoveryOutcome, Telemetry};

/// The list is read again after this time at most if it could not be read. Refused tokens are replaced by a person.
const RETRY: Duration = Duration::from_secs(60);

/// How long a reading waits for the file with the token.
const FILE_WAIT: Duration = Duration::from_secs(10);

/// The share of Cloudflare's limit for lists: 60 requests in five minutes, which are enough for 3,000 accounts. The accounts have a
/// budget of their own.
const SHARE: f64 = 0.05;

/// What a discoverer has found, or that it could not read the list.
pub(crate) struct Report {
    /// The label of the token.
    pub(crate) label: String,
    pub(crate) found: Option<FoundList>,
}

/// Finds the accounts of one token.
pub(crate) struct Discoverer {
    discovery: watch::Receiver<Arc<Discovery>>,
    reports: mpsc::Sender<Report>,
    endpoint: Endpoint,
    options: Options,
    budget: Budget,
    clock: Clock,
    telemetry: Telemetry,
    /// How much faster than normal things happen.
    speed: f64,
    tokens: BackgroundRead<Result<Credentials, String>>,
    known: KnownAccounts,
    /// What was logged last: the same cause is logged once.
    logged: Option<DiscoveryOutcome>,
}

/// Why the accounts are not known.
enum Failure {
    /// The token cannot be read, or used.
    Token(String),
    Request(Error),
    /// The list is empty: the token may lack the permission.
    Empty,
}

impl Failure {
    fn outcome(&self) -> DiscoveryOutcome {
        match self {
            Self::Token(_) => DiscoveryOutcome::TokenFile,
            Self::Request(error) => DiscoveryOutcome::Request(error.outcome()),
            Self::Empty => DiscoveryOutcome::Empty,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Token(problem) => problem.clone(),
            Self::Request(error) => error.to_string(),
            Self::Empty => {
                "the list of accounts is empty; does the token have the permission \"Account Settings Read\"?"
                    .to_owned()
            }
        }
    }
}

impl Discoverer {
    /// A discoverer that has sent no request yet. It ends when the sender of `discovery` is dropped.
    pub(crate) fn new(
        discovery: watch::Receiver<Arc<Discovery>>,
        reports: mpsc::Sender<Report>,
        (endpoint, options): (Endpoint, Options),
        (clock, telemetry): (Clock, Telemetry),
        speed: f64,
    ) -> Self {
        Self {
            discovery,
            reports,
            endpoint,
            options,
            budget: Budget::new(SHARE * speed, clock.clone()),
            clock,
            telemetry,
            speed,
            tokens: BackgroundRead::new("credentials", FILE_WAIT),
            known: KnownAccounts::default(),
            logged: None,
        }
    }

    /// Reads the list at each interval.
    pub(crate) async fn run(mut self) {
        loop {
            let discovery = Arc::clone(&self.discovery.borrow_and_update());
            let read = self.read(&discovery).await;
            let failed = read.is_err();
            let found = self.record(&discovery, read);
            if self.reports.send(Report { label: discovery.label.clone(), found }).await.is_err() {
                return;
            }
            let pause = if failed { discovery.interval.min(RETRY) } else { discovery.interval };
            tokio::select! {
                () = self.clock.sleep(pause.div_f64(self.speed)) => {}
                changed = self.discovery.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    async fn read(&mut self, discovery: &Discovery) -> Result<FoundList, Failure> {
        let source = CredentialSource::TokenFile(discovery.token_file.clone());
        let read = move || source.read().map_err(|error| error.to_string());
        let read = self.tokens.read(read).await.and_then(|read| read);
        let credential = read.map_err(Failure::Token)?;
        let (endpoint, budget, options) = (&self.endpoint, self.budget.clone(), self.options.clone());
        let client = AccountsClient::sharing(endpoint, credential.clone(), budget, options)
            .map_err(|error| Failure::Token(error.to_string()))?;
        let list = client.list().await.map_err(Failure::Request)?;
        if list.is_empty() {
            return Err(Failure::Empty);
        }
        self.known.listed(list);
        Ok(FoundList { token_file: discovery.token_file.clone(), credential, accounts: self.known.all() })
    }

    fn record(&mut self, discovery: &Discovery, read: Result<FoundList, Failure>) -> Option<FoundList> {
        let token_file = &discovery.label;
        let (outcome, problem) = match &read {
            Ok(_) => (DiscoveryOutcome::Read, None),
            Err(failure) => (failure.outcome(), Some(failure.text())),
        };
        self.telemetry.discovery_read(token_file, outcome, problem.clone(), self.clock.date());
        let before = self.logged.replace(outcome);
        let has_failed = before.is_some_and(|before| before != DiscoveryOutcome::Read);
        match problem {
            Some(problem) if before != Some(outcome) => tracing::warn!(
                token_file,
                problem,
                "cannot find the accounts of a token; those that it had stay watched"
            ),
            Some(problem) => tracing::debug!(token_file, problem, "cannot find the accounts of a token"),
            None if has_failed => tracing::info!(token_file, "the accounts of a token are found again"),
            None => {}
        }
        read.ok()
    }
}
