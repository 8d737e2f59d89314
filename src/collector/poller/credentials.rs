//! Files with credentials, which are read again when they change.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Connection, Parts, Poller};
use crate::cloudflare::Credentials;
use crate::collector::credential_watch::Change;
use crate::metrics::telemetry::{IncidentCause, IncidentSource};
use crate::model::AccountName;

/// The file of an account has other credentials than those in use. The order to use them comes with the budget that they
/// belong to: another account may have the same ones.
pub(crate) struct Renewal {
    /// The id of the account.
    pub account: String,
    /// The connection whose credentials are outdated.
    pub connection: Arc<Connection>,
    /// The credentials in the file.
    pub credential: Credentials,
}

/// What a poller reports.
pub(crate) enum Notice {
    /// The file of the account has other credentials.
    Renewed(Renewal),
    /// The account with this id, which was found, has no user risk scoring.
    NotEntitled(String),
}

/// Where this is reported. What finds no room is reported again, at the next check or request.
pub(crate) type Notices = mpsc::Sender<Notice>;

impl Poller {
    /// Reads the file with the credentials, and reports them if they changed.
    pub(super) async fn reload_credentials(&mut self) {
        let read = self.credential_watch.read(&self.connection.source).await;
        let checked = read.map(|read| self.report_credentials(read));
        let change = self.credential_watch.record(&checked);
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        let message =
            "the file with the credentials is unusable; the credentials that were read last stay in use";
        match (checked, change) {
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

    /// Reports these credentials, if they changed.
    fn report_credentials(&self, read: Credentials) {
        let connection = &self.assignment.connection;
        if read != connection.credential {
            let account = self.parts.account.name().id.clone();
            let renewal = Renewal { account, connection: Arc::clone(connection), credential: read };
            let _ = self.notices.try_send(Notice::Renewed(renewal));
        }
    }

    /// Other credentials are in use. What was refused may be allowed now, and the expiry of the earlier token says nothing
    /// about this one: it stays unknown if this one cannot be verified.
    pub(super) fn credentials_changed(&mut self) {
        let Parts { account, clock, telemetry, .. } = &mut self.parts;
        account.retry_now(clock.now());
        let AccountName { id, alias: account } = account.name();
        telemetry.token_expiry(id, None);
        tracing::info!(account, "the credentials changed; the new ones are used from now on");
        if let Some(warning) = self.credential_watch.warning() {
            tracing::warn!(account, warning, "a warning about the file with the credentials");
        }
    }
}
