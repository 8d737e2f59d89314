//! Says what became of the baselines when the configuration was read: on `/metrics` and on the live page.

use crate::clock::Timestamp;
use crate::config::{BaselineFile, Config};
use crate::metrics::telemetry::{BaselineState, Telemetry};

/// What became of a configuration that was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It is in use.
    Used,
    /// The previous one stays in use.
    Refused,
}

/// Reports the baselines of `config`, which was read at `date`. Of a configuration that was refused, only baselines that cannot be
/// read are reported, because the others are not in use.
pub(super) fn report(config: &Config, outcome: Use, telemetry: &Telemetry, date: Timestamp) {
    for (account, baseline) in config.baselines() {
        let problem;
        let state = match baseline {
            Some(BaselineFile { declared: Err(error), .. }) => {
                problem = error.brief();
                BaselineState::Unreadable(&problem)
            }
            _ if outcome == Use::Refused => continue,
            Some(BaselineFile { declared: Ok(_), .. }) => BaselineState::Readable,
            None => BaselineState::NotConfigured,
        };
        telemetry.baseline(account, state, date);
    }
}
