//! Files with credentials, which are read again when they change.

use std::time::Duration;

use super::{Connection, Parts, Poller};
use crate::cloudflare::Credentials;
use crate::collector::account::Account;
use crate::collector::credential_watch::Change;
use crate::metrics::telemetry::{IncidentCause, IncidentSource};
use crate::model::AccountName;

/// How often a file with credentials is checked for a change.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(10);

impl Poller {
    /// Reads the file with the credentials, and uses them if they changed.
    pub(super) async fn reload_credentials(&mut self) {
        let read = self.credential_watch.read(&self.connection.source).await;
        let used = read.and_then(|read| self.use_credentials(read));
        let change = self.credential_watch.record(&used);
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        let message =
            "the file with the credentials is unusable; the credentials that were read last stay in use";
        match (used, change) {
            (Err(error), Change::None) => {
                tracing::debug!(account, error, "cannot use the file with the credentials");
                return;
            }
            (Err(error), change) => {
                let (source, cause) = (IncidentSource::CredentialFile, IncidentCause::CredentialFile);
                telemetry.incident(id, source, cause, &error, clock.date());
                match change {
                    Change::Failing => tracing::warn!(account, error, "{message}"),
                    _ => tracing::debug!(account, error, "{message}"),
                }
            }
            (Ok(()), Change::Recovered) => {
                telemetry.incident_over(id, IncidentSource::CredentialFile, clock.date());
                tracing::info!(account, "the file with the credentials is usable again");
            }
            (Ok(()), _) => return,
        }
        // The status document is built when a snapshot comes.
        self.publish_snapshot();
    }

    /// Sends these credentials from now on, if they changed.
    fn use_credentials(&mut self, read: Credentials) -> Result<(), String> {
        let Connection { client, credential, .. } = &mut self.connection;
        if read == *credential {
            return Ok(());
        }
        *client = client.with_credentials(read.clone()).map_err(|error| error.to_string())?;
        *credential = read;
        self.parts.account.retry_now(self.parts.clock.now());
        self.held_until = None;
        log_new_credentials(&self.parts.account);
        Ok(())
    }
}

/// Logs that other credentials are in use.
pub(super) fn log_new_credentials(account: &Account) {
    tracing::info!(
        account = account.name().alias,
        "the credentials changed; the new ones are used from now on"
    );
}
