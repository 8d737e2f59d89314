//! Where the API is, and the connections to it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::base_url;
use super::connect_error::Target;
use super::http_client;
use super::proxy::Proxy;
use super::setup_error::SetupError;

/// Where the API is, and the connections to it. Clones share the connections, and so do all clients of one endpoint: a
/// request belongs to a credential, and a connection to nobody.
#[derive(Clone)]
pub struct Endpoint {
    pub(super) base: Url,
    pub(super) http: reqwest::Client,
    pub(super) target: Arc<Target>,
    pub(super) connect_timeout: Duration,
}

impl Endpoint {
    /// Reads what the environment says about trust anchors and proxies, and connects when the first request is sent.
    /// `connect_timeout` includes the TLS handshake.
    ///
    /// # Errors
    /// The base URL, the trust anchors or the proxy cannot be used.
    pub fn new(base_url: &str, connect_timeout: Duration) -> Result<Self, SetupError> {
        let (base, site) = base_url::parse(base_url)?;
        let proxy = Proxy::from_environment(&base, site)?;
        Ok(Self {
            http: http_client::build(site, proxy.as_ref(), connect_timeout)?,
            target: Arc::new(Target::new(&base, proxy)),
            base,
            connect_timeout,
        })
    }
}
