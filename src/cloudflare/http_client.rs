//! Builds the HTTP client: TLS, no redirects, no retries of its own, and a proxy only for remote hosts.

use std::time::Duration;

use super::base_url::Site;
use super::connect_error;
use super::setup_error::SetupError;
use super::tls;

pub(super) fn build(site: Site, connect_timeout: Duration) -> Result<reqwest::Client, SetupError> {
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
        .pool_max_idle_per_host(2)
        .connect_timeout(connect_timeout);
    let builder = match site {
        Site::Remote => builder,
        // Through a proxy, the credentials would leave the machine in clear text.
        Site::Loopback => builder.no_proxy(),
    };
    builder.build().map_err(|error| SetupError::Http(connect_error::cause(&error)))
}
