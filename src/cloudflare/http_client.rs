//! The HTTP client below everything: TLS, no redirects, no retries of its own, and a proxy only for remote hosts.

use std::time::Duration;

use super::base_url::Site;
use super::connect_error;
use super::setup_error::SetupError;
use super::tls;

/// Builds the client for this kind of place.
pub(super) fn build(site: Site, connect_wait: Duration) -> Result<reqwest::Client, SetupError> {
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
        .connect_timeout(connect_wait);
    let builder = match site {
        Site::Remote => builder,
        // In clear text to a proxy elsewhere the credentials would leave the machine.
        Site::Loopback => builder.no_proxy(),
    };
    builder.build().map_err(|error| SetupError::Http(connect_error::cause(&error)))
}
