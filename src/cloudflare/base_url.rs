//! The address of the API: which base URLs a client accepts, and which kind of place each leads to.

use reqwest::Url;

use super::setup_error::SetupError;

/// Cloudflare's own address of the API.
pub const BASE_URL: &str = "https://api.cloudflare.com/client/v4";

/// Where the base URL leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// Over TLS, by a proxy if the environment says so.
    Remote,
    /// In clear text on this machine.
    Loopback,
}

/// Checks a base URL: HTTPS anywhere, plain HTTP on loopback alone.
pub(super) fn parse(text: &str) -> Result<(Url, Site), SetupError> {
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
            let site = parse(text).map(|(_, site)| site).map_err(|error| error.to_string());
            assert_eq!(site, wanted.map_err(|reason| format!("the base URL {reason}")), "{text}");
        }
    }
}
