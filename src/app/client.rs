//! Builds the client of a configured account, for commands. The daemon builds those of all accounts together.

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
) -> Result<Client, ClientError> {
    let options = Options { base_url: config.base_url.to_string(), ..options };
    Ok(Client::new(&account.id, account.credentials.read()?, budget, options)?)
}
