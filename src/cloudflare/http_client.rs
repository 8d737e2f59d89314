//! Builds the HTTP client: TLS, no redirects, no retries of its own, and a proxy only for remote hosts.

use std::time::Duration;

use super::base_url::Site;
use super::connect_error;
use super::proxy::Proxy;
use super::setup_error::SetupError;
use super::tls;

/// How many connections without a request are kept. Each keeps a read buffer of up to some 400 kB, and hundreds of accounts
/// that are read every 30 s rarely have more requests under way at a time.
const IDLE_CONNECTIONS: usize = 16;

pub(super) fn build(
    site: Site,
    proxy: Option<&Proxy>,
    connect_timeout: Duration,
) -> Result<reqwest::Client, SetupError> {
    let failed = |error: reqwest::Error| SetupError::Http(connect_error::cause(&error));
    let tls = match site {
        Site::Remote => tls::with_anchors().map_err(SetupError::Trust)?,
        Site::Loopback => tls::without_anchors(),
    };
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        // Only the proxy that was checked.
        .no_proxy()
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .connect_timeout(connect_timeout);
    let builder = match proxy {
        Some(proxy) => builder.proxy(proxy.for_client().map_err(failed)?),
        None => builder,
    };
    builder.build().map_err(failed)
}
