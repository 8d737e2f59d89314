//! The base URL of the API: which URLs a client accepts, and whether they lead to a remote host or to this machine.

use reqwest::Url;

use super::envelope::sanitize;
use super::setup_error::SetupError;

/// The base URL of Cloudflare's API.
pub const BASE_URL: &str = "https://api.cloudflare.com/client/v4";

/// Where the base URL leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// To a remote host over TLS, through a proxy if the environment names one.
    Remote,
    /// To this machine, in clear text.
    Loopback,
}

/// Checks a base URL: HTTPS anywhere, plain HTTP on loopback alone.
pub(super) fn parse(text: &str) -> Result<(Url, Site), SetupError> {
    let refused = |reason: &str| SetupError::BaseUrl(reason.to_owned());
    let url = Url::parse(text).map_err(|error| SetupError::BaseUrl(format!("is not a URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not contain a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("must not have a query or a fragment"));
    }
    let loopback = url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    match url.scheme() {
        "https" => Ok((url, Site::Remote)),
        "http" if loopback => Ok((url, Site::Loopback)),
        "http" => Err(refused("must use https: plain HTTP would expose the credentials")),
        _ => Err(refused("must start with https://")),
    }
}

/// A host with its port, for messages.
pub(super) fn host_and_port(host: Option<&str>, port: Option<u16>) -> String {
    let host = sanitize(host.unwrap_or("unknown host"), 100);
    port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
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
                Err("must use https: plain HTTP would expose the credentials"),
            ),
            ("http://127.0.0.1.example.com", Err("must use https: plain HTTP would expose the credentials")),
            ("ftp://127.0.0.1", Err("must start with https://")),
            ("https://me:secret@example.com", Err("must not contain a user name or a password")),
            ("https://example.com/?a=b", Err("must not have a query or a fragment")),
            ("example.com", Err("is not a URL: relative URL without a base")),
        ] {
            let site = parse(text).map(|(_, site)| site).map_err(|error| error.to_string());
            assert_eq!(site, wanted.map_err(|reason| format!("the base URL {reason}")), "{text}");
        }
    }
}
