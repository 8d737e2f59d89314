//! Runs the daemon, the demo and the simulator: everything that needs more than one room.
//!
//! [`wiring`] builds the parts, [`running`] spawns and joins them. [`supervisor`] owns the pollers, and [`reload`] gives it
//! another configuration while they run.

mod baselines;
mod budgets;
mod client;
mod config_changes;
mod demo;
mod demo_screen;
pub(crate) mod demo_state;
mod discoveries;
pub(crate) mod liveness;
pub(crate) mod logging;
pub(crate) mod paste;
mod ports;
mod reload;
mod running;
mod shared;
pub(crate) mod signals;
mod supervisor;
pub(crate) mod systemd;
mod wiring;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::app::signals::{EarlyHangup, stop_signal};
use crate::clock::Clock;
use crate::cloudflare::SetupError;
use crate::config::{Config, ConfigSource, IdentityPolicy};
use crate::feed;
use crate::http::listen::Listen;
use crate::simulator::{self, Scenario};
use crate::store;
use crate::store::row::Unreadable;
use crate::web::Checked;
pub(crate) use client::{ClientError, connect};
pub(crate) use demo::{Demo, demo};
use ports::Exposure;
pub use ports::Ports;
pub use wiring::{Exporter, Tuning};

/// Why the exporter could not start, or why it ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listen address cannot be bound.
    #[error("cannot listen on {listen}: {source}{}", Listen::advice(source))]
    Listen {
        /// The address as it was configured.
        listen: Listen,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A socket that systemd passed is not a TCP socket, or cannot be used.
    #[error(
        "a socket that systemd opened cannot be used: {0}; the socket unit must have ListenStream with a port"
    )]
    Inherited(io::Error),
    /// systemd passed no socket.
    #[error(
        "web.systemd_socket is true, but systemd passed no socket; start the exporter through its socket unit"
    )]
    NothingInherited,
    /// The API cannot be reached from here: its address, the trust anchors or the proxy are wrong.
    #[error(transparent)]
    Endpoint(#[from] SetupError),
    /// The client of an account cannot be built.
    #[error("account {account}: {source}")]
    Client {
        /// The account's alias.
        account: String,
        /// What is wrong with its credentials.
        source: ClientError,
    },
    /// The saved rows of an account that joins the running exporter contradict each other.
    #[error("the state file has unusable rows of account {account}: {why}")]
    Rows {
        /// The account's id.
        account: String,
        /// What is wrong with them.
        why: Unreadable,
    },
    /// The state file cannot be used.
    #[error(transparent)]
    State(#[from] store::Error),
    /// The feed cannot be written.
    #[error(transparent)]
    Feed(#[from] feed::file::Error),
    /// The operating system does not return the address of a bound socket.
    #[error("cannot read the address that was bound: {0}")]
    Address(io::Error),
    /// The simulator cannot start.
    #[error(transparent)]
    Simulator(#[from] simulator::Error),
    /// There is no directory for the state file of a demo.
    #[error("cannot create a temporary directory: {0}")]
    TempDir(io::Error),
    /// The state file of a demo cannot be prepared.
    #[error("cannot prepare the history of the demo account: {0}")]
    Backdate(#[from] demo_state::BackdateError),
    /// The signal handlers cannot be installed.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// A part ended that should run forever. If it panicked, the panic is in the log already.
    #[error("{0} ended unexpectedly, so the exporter stops")]
    PartEnded(&'static str),
}

/// Binds the first address of `listen` that can be bound.
///
/// # Errors
/// No address can be bound.
pub(crate) fn bind(listen: &Listen) -> Result<TcpListener, Error> {
    listen.bind().map_err(|source| Error::Listen { listen: listen.clone(), source })
}

/// Polls the configured accounts and serves the metrics, guarded by `web`, until a signal asks to stop. The configuration can
/// be read again from `source`; a `hangup` asks for that.
///
/// # Errors
/// The exporter cannot start, or a part ended.
pub(crate) async fn serve(
    config: Config,
    source: ConfigSource,
    hangup: EarlyHangup,
    web: Option<Checked>,
) -> Result<(), Error> {
    let stop = stop_signal().map_err(Error::Signals)?;
    let hangup = hangup.receive().map_err(Error::Signals)?;
    let ports = Ports::open(&config.web, web)?;
    let config = Arc::new(config);
    let exporter = Exporter::new(Arc::clone(&config), &Clock::system(), &Tuning::default())?;
    log_addresses(&ports);
    if exposes_users(&config, ports.exposure()) {
        warn_of_exposure();
    }
    exporter.reloading(source, hangup).run(ports, stop).await
}

/// Serves the simulated API alone until a signal asks to stop. `print` gets the API's address as the first line, then the
/// variables with which the other commands ask it, and then what happens in a story.
///
/// # Errors
/// The address cannot be bound, or the scenario is invalid.
pub(crate) async fn simulate(
    listen: &Listen,
    scenario: Scenario,
    print: impl Fn(&str) + Send + Sync + 'static,
) -> Result<(), Error> {
    let stop = stop_signal().map_err(Error::Signals)?;
    let listener = bind(listen)?;
    let address = listener.local_addr().map_err(Error::Address)?;
    let base_url = format!("http://{address}/client/v4");
    print(&format!("{base_url}\n"));
    if let Some(exports) = paste::exports_of(&base_url, &scenario) {
        print(&exports);
    }
    log_building();
    Ok(simulator::serve(listener, scenario, Clock::system(), Box::new(print), stop).await?)
}

/// Explains why nothing answers yet: building a million users takes seconds.
fn log_building() {
    tracing::info!("building the simulated world");
}

fn log_addresses(ports: &Ports) {
    let version = env!("CARGO_PKG_VERSION");
    for socket in &ports.sockets.main {
        if let Ok(address) = socket.local_addr() {
            tracing::info!(%address, version, "serving {}", ports.metrics_path);
        }
    }
    if let Some(Ok(address)) = ports.sockets.health.as_ref().map(TcpListener::local_addr) {
        tracing::info!(%address, "serving /-/healthy and /-/ready");
    }
}

/// Whether anyone on the network can read who is at risk.
fn exposes_users(config: &Config, exposure: Exposure) -> bool {
    let identify = matches!(config.users.identity, IdentityPolicy::Id | IdentityPolicy::Email);
    config.users.limit > 0 && identify && exposure == Exposure::Open
}

fn warn_of_exposure() {
    tracing::warn!(
        "the metrics identify users, and neither TLS nor a password protects the port; set web.config_file, or \
         listen on loopback only"
    );
}
