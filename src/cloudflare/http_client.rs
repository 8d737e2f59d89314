//! What a client needs before it can send: an address it may use, credentials, whom to trust.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::tls;
use crate::credentials::Credentials;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The account id is not the 32 hexadecimal digits that Cloudflare shows.
    #[error("the account id must be 32 hexadecimal digits")]
    Account,
    /// The base URL cannot be used; why.
    #[error("the base URL {0}")]
    BaseUrl(String),
    /// The credentials are empty or hold characters that no header can carry.
    #[error("the credentials are empty or hold characters that cannot be sent; check for stray line ends")]
    Credentials,
    /// There is nobody to trust.
    #[error("the trust anchors cannot be read: {0}")]
    Trust(String),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Http(String),
}

/// The credentials, as headers and as what must not be repeated.
pub(super) struct Auth {
    pub(super) headers: HeaderMap,
    pub(super) secrets: Vec<SecretString>,
}

/// Where the base URL leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// Over TLS, by a proxy if the environment says so.
    Remote,
    /// In clear text on this machine.
    Loopback,
}

/// What sends, for this kind of place.
pub(super) fn http(site: Site, connect_wait: Duration) -> Result<reqwest::Client, SetupError> {
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
    builder.build().map_err(|error| SetupError::Http(super::connect_error::cause(&error)))
}

/// Checks a base URL.
pub(super) fn base_url(text: &str) -> Result<(Url, Site), SetupError> {
    let refused = |reason: &str| SetupError::BaseUrl(reason.to_owned());
    let url = Url::parse(text).map_err(|error| SetupError::BaseUrl(format!("is no URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not hold a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("must end with its path"));
    }
    let loopback = url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    match url.scheme() {
        "https" => Ok((url, Site::Remote)),
        "http" if loopback => Ok((url, Site::Loopback)),
        "http" => Err(refused("must be https: over plain HTTP the credentials could be read on the way")),
        _ => Err(refused("must begin with https")),
    }
}

impl Auth {
    pub(super) fn new(credentials: Credentials) -> Result<Self, SetupError> {
        let value = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| SetupError::Credentials)?;
            value.set_sensitive(true);
            Ok::<_, SetupError>(value)
        };
        let mut headers = HeaderMap::new();
        let secrets = match credentials {
            Credentials::Token(token) => {
                headers.insert(AUTHORIZATION, value(&format!("Bearer {}", token.expose_secret()))?);
                vec![token]
            }
            Credentials::Key { email, key } => {
                headers.insert("x-auth-email", value(&email)?);
                headers.insert("x-auth-key", value(key.expose_secret())?);
                vec![key, SecretString::from(email)]
            }
        };
        if secrets.iter().any(|secret| secret.expose_secret().is_empty()) {
            return Err(SetupError::Credentials);
        }
        Ok(Self { headers, secrets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_loopback_is_a_base() {
        for (text, wanted) in [
            ("https://api.cloudflare.com/client/v4", Ok(Site::Remote)),
            ("http://127.0.0.1:8787/client/v4/", Ok(Site::Loopback)),
            ("http://[::1]:8787", Ok(Site::Loopback)),
            ("http://localhost:1/x", Ok(Site::Loopback)),
            ("http://2130706433/", Ok(Site::Loopback)),
            (
                "http://api.cloudflare.com/client/v4",
                Err("must be https: over plain HTTP the credentials could be read on the way"),
            ),
            (
                "http://127.0.0.1.example.com",
                Err("must be https: over plain HTTP the credentials could be read on the way"),
            ),
            ("ftp://127.0.0.1", Err("must begin with https")),
            ("https://me:secret@example.com", Err("must not hold a user name or a password")),
            ("https://example.com/?a=b", Err("must end with its path")),
            ("example.com", Err("is no URL: relative URL without a base")),
        ] {
            let site = base_url(text).map(|(_, site)| site).map_err(|error| error.to_string());
            assert_eq!(site, wanted.map_err(|reason| format!("the base URL {reason}")), "{text}");
        }
    }
}
