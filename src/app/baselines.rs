//! Says what became of the baselines when the configuration was read: on `/metrics` and on the live page.

use crate::clock::Timestamp;
use crate::config::{BaselineFile, Config};
use crate::metrics::telemetry::{BaselineState, Telemetry};

/// Reports the baselines of `config`, which was read at `date`. It need not be the configuration in use: if a baseline cannot be
/// read, a reload keeps the previous configuration.
pub(super) fn report(config: &Config, telemetry: &Telemetry, date: Timestamp) {
    for account in &config.accounts {
        let problem;
        let state = match account.baseline.as_deref() {
            None => BaselineState::NotConfigured,
            Some(BaselineFile { declared: Ok(_), .. }) => BaselineState::Readable,
            Some(BaselineFile { declared: Err(error), .. }) => {
                problem = error.brief();
                BaselineState::Unreadable(&problem)
            }
        };
        telemetry.baseline(&account.id, state, date);
    }
}
