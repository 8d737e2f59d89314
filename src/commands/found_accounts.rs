//! Finds the accounts of the configured tokens once, for commands. The daemon does it again and again.

use std::collections::BTreeSet;

use super::session::foreground;
use crate::clock::Clock;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{AccountsClient, Endpoint, Error, Kind, ListedAccount, SetupError};
use crate::config::{Config, Discovery, FoundAccount, FoundList};

/// The share of Cloudflare's limit that finding accounts may use.
const SHARE: f64 = 0.25;

/// Why the accounts of a token are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The client cannot be built.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A request failed.
    #[error(transparent)]
    Request(#[from] Error),
    /// The token may lack the permission.
    #[error("the list of accounts is empty; does the token have the permission \"Account Settings Read\"?")]
    Empty,
}

impl Failure {
    /// The kind of error, if a request failed.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Request(error) => Some(error.kind()),
            Self::Setup(_) | Self::Empty => None,
        }
    }
}

/// How many accounts a token has, by its label.
pub(crate) type FoundOf = (String, Result<usize, Failure>);

/// The configuration with the accounts that its tokens have, and what each token has.
pub(crate) async fn find(config: Config, clock: &Clock) -> (Config, Vec<FoundOf>) {
    if config.discovery.is_empty() {
        return (config, Vec::new());
    }
    let (mut lists, mut found) = (Vec::new(), Vec::new());
    for discovery in &config.discovery {
        let listed = list(&config, discovery, clock).await;
        found.push((
            discovery.label.clone(),
            listed.map(|list| {
                let number = list.accounts.len();
                lists.push(list);
                number
            }),
        ));
    }
    (config.with_found(&lists, &BTreeSet::new()), found)
}

async fn list(config: &Config, discovery: &Discovery, clock: &Clock) -> Result<FoundList, Failure> {
    let options = foreground();
    let endpoint = Endpoint::new(config.base_url.as_str(), options.connect_timeout)?;
    let credential = discovery.credential.clone().expect("the file was read with the configuration");
    let budget = Budget::new(SHARE, clock.clone());
    let client = AccountsClient::sharing(&endpoint, credential.clone(), budget, options)?;
    let listed = client.list().await?;
    if listed.is_empty() {
        return Err(Failure::Empty);
    }
    let accounts = listed.into_iter().map(|ListedAccount { id, name }| FoundAccount { id, name }).collect();
    Ok(FoundList { token_file: discovery.token_file.clone(), credential, accounts })
}
