//! Builds the parts of the daemon from the configuration; nothing runs yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::shared::{RowsAtStart, Shared};
use super::supervisor::Supervisor;
use super::{Error, baselines, logging};
use crate::app::signals::Hangup;
use crate::clock::Clock;
use crate::cloudflare::{Endpoint, OperationLimits, Options};
use crate::collector::persist::Saved;
use crate::config::{Config, ConfigSource, WebPage, usable_baselines};
use crate::metrics::telemetry::Telemetry;
use crate::store::State;

/// The time between two points of a trend on the live page.
const TREND_STEP: Duration = Duration::from_secs(60);

/// The publisher adds at most one point in a second.
const SHORTEST_TREND_STEP: Duration = Duration::from_secs(1);

/// Settings that differ where the API is the simulator and not Cloudflare.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Multiplies the request quota. More than 1 only for a simulator that allows more requests.
    pub speed: f64,
    /// Time limit between two parts of a response.
    pub idle_timeout: Duration,
    /// How long one whole answer may take, with all its pages.
    pub total_timeout: Duration,
    /// The longest that a page of one user's events may take.
    pub user_timeout: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        let Options { idle_timeout, .. } = Options::default();
        let OperationLimits { total_timeout, .. } = OperationLimits::default();
        Self { speed: 1.0, idle_timeout, total_timeout, user_timeout: Duration::from_secs(10) }
    }
}

/// All parts, wired but not running.
pub struct Exporter {
    pub(super) supervisor: Supervisor,
    pub(super) shared: Shared,
    pub(super) config: Arc<Config>,
    /// The time between two points of a trend; `None` if the live page is off.
    pub(super) trend_step: Option<Duration>,
    /// Where the configuration can be read again, and who may ask for that; `None` if it never changes.
    pub(super) reloading: Option<(ConfigSource, Hangup)>,
}

impl Exporter {
    /// Wires the configured accounts.
    ///
    /// # Errors
    /// The API cannot be reached from here, a client cannot be built, or the state file cannot be used.
    pub fn new(config: Arc<Config>, clock: &Clock, tuning: &Tuning) -> Result<Self, Error> {
        let endpoint = Endpoint::new(config.base_url.as_str(), Options::default().connect_timeout)?;
        let (state, saved) = match &config.state {
            Some(settings) => {
                let ids = config.accounts.iter().map(|account| account.id.clone()).collect();
                let (state, saved) = State::open(settings, ids, clock, Saved::add)?;
                (Some(state), saved)
            }
            None => {
                tracing::info!("state.path is not set: counts are kept in memory and restart from 0");
                (None, BTreeMap::new())
            }
        };
        let stats = state.as_ref().map_or_else(Arc::default, State::stats);
        let telemetry = Telemetry::with_state(clock.clone(), stats);
        telemetry.observe_log(logging::dropped_lines);
        telemetry.config_loaded(clock.date());
        let trend_step = match config.web.page {
            WebPage::On => Some(TREND_STEP.div_f64(tuning.speed).max(SHORTEST_TREND_STEP)),
            WebPage::Off => None,
        };
        let generation = state.as_ref().map(State::generation);
        let mut rows = RowsAtStart { state: state.clone(), generation, saved };
        let shared = Shared { clock: clock.clone(), telemetry, state, tuning: *tuning, endpoint };
        let supervisor = Supervisor::new(shared.clone(), Arc::clone(&config), &mut rows)?;
        baselines::report(&config, &shared.telemetry, clock.date());
        if let Err(error) = usable_baselines(&config.accounts) {
            let reason = error.lines();
            tracing::warn!(
                reason,
                "cannot use a baseline of behaviors; drift is not shown until it can be read"
            );
        }
        Ok(Self { supervisor, shared, config, trend_step, reloading: None })
    }

    /// Reads the configuration again from `source` on SIGHUP, and as the configuration says.
    pub(super) fn reloading(self, source: ConfigSource, hangup: Hangup) -> Self {
        Self { reloading: Some((source, hangup)), ..self }
    }
}
