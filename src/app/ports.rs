//! Opens the sockets of the exporter: binds addresses, or takes those that systemd opened.

use listenfd::ListenFd;
use tokio::net::TcpListener;

use super::{Error, bind};
use crate::config::{Sockets, Web};
use crate::http::listen::Listen;
use crate::server;
use crate::web::{Checked, Protection, Transport};

/// Open sockets, and what is served on them.
pub struct Ports {
    /// The sockets.
    pub sockets: server::Sockets,
    /// The web policy of all sockets but the health socket; `None` without one.
    pub web: Option<Checked>,
    /// The path of the metrics.
    pub metrics_path: String,
}

/// A single socket without protection, with the metrics at `/metrics`.
impl From<TcpListener> for Ports {
    fn from(socket: TcpListener) -> Self {
        Self { sockets: socket.into(), web: None, metrics_path: "/metrics".to_owned() }
    }
}

impl Ports {
    /// Opens the sockets as configured. `web` is what `config.config_file` says.
    ///
    /// # Errors
    /// An address cannot be bound, or systemd passed no socket that can be used.
    pub(crate) fn open(config: &Web, web: Option<Checked>) -> Result<Self, Error> {
        let mut main = Vec::new();
        match &config.sockets {
            Sockets::Systemd => main = inherited()?,
            Sockets::Bind(addresses) => {
                for address in addresses {
                    main.push(bind(address)?);
                }
            }
        }
        let health = match &config.health_address {
            Some(address) => Some(bind(address)?),
            None => None,
        };
        let metrics_path = config.telemetry_path.clone();
        Ok(Self { sockets: server::Sockets { main, health }, web, metrics_path })
    }

    /// The addresses at which a process on this machine reaches the main sockets, as the beginning of a URL.
    pub(crate) fn urls(&self) -> Vec<String> {
        let scheme = match self.web.as_ref().map(Checked::transport) {
            Some(Transport::Tls) => "https",
            Some(Transport::Plain) | None => "http",
        };
        let bound = self.sockets.main.iter().filter_map(|socket| socket.local_addr().ok());
        bound.map(|address| format!("{scheme}://{}", Listen::reach(address))).collect()
    }

    /// Whether another machine can read the metrics without TLS and without a password.
    pub(crate) fn exposure(&self) -> Exposure {
        let is_local = |socket: &TcpListener| {
            socket.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
        };
        match &self.web {
            Some(web) if web.protection() == Protection::On => Exposure::Protected,
            _ if self.sockets.main.iter().all(is_local) => Exposure::Protected,
            _ => Exposure::Open,
        }
    }
}

/// Whether another machine can read the metrics without TLS and without a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposure {
    Open,
    Protected,
}

/// The sockets that systemd opened and passed to this process.
fn inherited() -> Result<Vec<TcpListener>, Error> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let socket = passed.take_tcp_listener(index).map_err(Error::Inherited)?;
        let Some(socket) = socket else { continue };
        socket.set_nonblocking(true).map_err(Error::Inherited)?;
        sockets.push(TcpListener::from_std(socket).map_err(Error::Inherited)?);
    }
    match sockets.is_empty() {
        true => Err(Error::NothingInherited),
        false => Ok(sockets),
    }
}
