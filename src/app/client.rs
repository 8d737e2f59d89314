//! The one way from a configured account to a client for it.

use crate::cloudflare::Credentials;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{Client, Options, SetupError};
use crate::config::{self, Account, Config};

/// Why there is no client for an account.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The credentials cannot be read.
    #[error(transparent)]
    Credentials(#[from] config::Error),
    /// The credentials or the address cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// A client, and the credentials that it sends.
pub(crate) struct Connected {
    /// The client.
    pub client: Client,
    /// What was read for it.
    pub credentials: Credentials,
}

/// Reads the credentials of `account` and makes a client that sends them to the configured address, which replaces
/// the one in `options`. Nothing is sent yet.
///
/// # Errors
/// As [`ClientError`] sorts them.
pub(crate) fn connect(
    config: &Config,
    account: &Account,
    budget: Budget,
    options: Options,
) -> Result<Connected, ClientError> {
    let credentials = account.credentials.read()?;
    let options = Options { base_url: config.base_url.to_string(), ..options };
    let client = Client::new(&account.id, credentials.clone(), budget, options)?;
    Ok(Connected { client, credentials })
}
