//! Builds the client of a configured account; the daemon and all commands do it here.

use crate::cloudflare::Credentials;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{Client, Options, SetupError};
use crate::config::{self, Account, Config};

/// Why the client of an account cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The credentials cannot be read.
    #[error(transparent)]
    Credentials(#[from] config::Error),
    /// The credentials or the address of the API are invalid.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// A client and the credentials that it sends.
pub(crate) struct Connected {
    pub client: Client,
    pub credentials: Credentials,
}

/// Reads the credentials of `account` and builds a client for the configured address, which replaces the one in
/// `options`. Sends nothing yet.
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
