//! The proxy on the way to a remote host, from the environment.
//!
//! The HTTP library ignores a value that it cannot read, and an empty variable hides the others. A request that avoids
//! the proxy can fail for reasons that are hard to find, or break a policy. So the variables are read here: blanks
//! around a value are removed, empty variables are skipped, and any other value must be the URL of a proxy.

use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use reqwest::header::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::base_url::{Site, host_and_port};
use super::setup_error::SetupError;

/// In this order; the first that is not empty counts. The base URL of a remote host is always https.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The hosts that are reached without a proxy.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// How long the proxy may take to repeat its refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A proxy that the environment names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    /// The environment variable that names it.
    pub(super) variable: &'static str,
    url: Url,
    /// User name and password, as `Proxy-Authorization`.
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy for `base`, if the environment names one. Through a proxy to this machine, the credentials would leave the
    /// machine in clear text, so there is none.
    pub(super) fn from_environment(base: &Url, site: Site) -> Result<Option<Self>, SetupError> {
        let variable = |name: &'static str| {
            std::env::var_os(name).map(|value| {
                value
                    .into_string()
                    .map_err(|_| SetupError::Proxy { variable: name, reason: "it is not UTF-8".to_owned() })
            })
        };
        match site {
            Site::Remote => Self::choose(base, variable),
            Site::Loopback => Ok(None),
        }
    }

    fn choose(
        base: &Url,
        variable: impl Fn(&'static str) -> Option<Result<String, SetupError>>,
    ) -> Result<Option<Self>, SetupError> {
        let first_of = |names: &[&'static str]| {
            for name in names {
                let value = variable(name).transpose()?.unwrap_or_default();
                if !value.trim().is_empty() {
                    return Ok(Some((*name, value.trim().to_owned())));
                }
            }
            Ok::<_, SetupError>(None)
        };
        let Some((variable, value)) = first_of(&VARIABLES)? else { return Ok(None) };
        let url = parse(&value).map_err(|reason| SetupError::Proxy { variable, reason })?;
        let exceptions = first_of(&EXCEPTIONS)?.map(|(_, hosts)| hosts).unwrap_or_default();
        let matcher = Matcher::builder().all(url.as_str().to_owned()).no(exceptions).build();
        let intercept = base.as_str().parse().ok().and_then(|base| matcher.intercept(&base));
        Ok(intercept.map(|intercept| Self { variable, url, authorization: intercept.basic_auth().cloned() }))
    }

    /// Host and port, without the user name and the password.
    pub(super) fn host(&self) -> String {
        host_and_port(self.url.host_str(), self.url.port_or_known_default())
    }

    pub(super) fn for_client(&self) -> reqwest::Result<reqwest::Proxy> {
        reqwest::Proxy::all(self.url.as_str())
    }

    /// The HTTP status with which the proxy refuses a connection to `host`. The HTTP library does not say it, so the
    /// proxy is asked again. Only a proxy in clear text is.
    pub(super) async fn refusal(&self, host: &str, port: u16) -> Option<u16> {
        if self.url.scheme() != "http" {
            return None;
        }
        let status = async {
            let proxy = (self.url.host_str()?.trim_matches(['[', ']']), self.url.port_or_known_default()?);
            let mut stream = TcpStream::connect(proxy).await.ok()?;
            let mut request =
                format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
            if let Some(authorization) = &self.authorization {
                request.extend_from_slice(b"Proxy-Authorization: ");
                request.extend_from_slice(authorization.as_bytes());
                request.extend_from_slice(b"\r\n");
            }
            request.extend_from_slice(b"\r\n");
            stream.write_all(&request).await.ok()?;
            let mut line = Vec::new();
            while !line.contains(&b'\n') && line.len() < 1_024 {
                if stream.read_buf(&mut line).await.ok()? == 0 {
                    break;
                }
            }
            let line = String::from_utf8_lossy(&line);
            line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.trim().parse().ok()
        };
        tokio::time::timeout(REFUSAL_TIMEOUT, status).await.ok()?
    }
}

/// The URL of a proxy, or what is wrong with it. The value is not quoted: it may contain a password.
fn parse(value: &str) -> Result<Url, String> {
    if value.contains(|letter: char| letter.is_control() || letter.is_whitespace()) {
        return Err("it contains blanks or control characters".to_owned());
    }
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&url).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it must start with http:// or https://".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("it must end with host and port".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(variables: &[(&str, &str)]) -> Result<Option<(&'static str, String)>, String> {
        let base = Url::parse("https://api.cloudflare.com/client/v4").unwrap();
        let variable = |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| Ok((*value).to_owned()))
        };
        match Proxy::choose(&base, variable) {
            Ok(proxy) => Ok(proxy.map(|proxy| (proxy.variable, proxy.host()))),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_first_variable_that_is_not_empty_counts_without_blanks_around_it() {
        for (variables, wanted) in [
            (&[][..], None),
            (&[("HTTPS_PROXY", "http://proxy:3128\n")][..], Some(("HTTPS_PROXY", "proxy:3128"))),
            (&[("HTTPS_PROXY", " http://proxy:3128 ")][..], Some(("HTTPS_PROXY", "proxy:3128"))),
            (
                &[("HTTPS_PROXY", ""), ("https_proxy", "http://proxy:3128")][..],
                Some(("https_proxy", "proxy:3128")),
            ),
            (&[("HTTPS_PROXY", " \r\n"), ("ALL_PROXY", "proxy:3128")][..], Some(("ALL_PROXY", "proxy:3128"))),
            (&[("https_proxy", "http://me:secret@proxy")][..], Some(("https_proxy", "proxy:80"))),
            (&[("all_proxy", "https://[::1]:8443/")][..], Some(("all_proxy", "[::1]:8443"))),
            (&[("HTTP_PROXY", "http://proxy:3128")][..], None),
            (&[("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", "cloudflare.com")][..], None),
            (
                &[("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", ""), ("no_proxy", " cloudflare.com\n")]
                    [..],
                None,
            ),
            (
                &[("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", "example.com")][..],
                Some(("HTTPS_PROXY", "proxy:3128")),
            ),
        ] {
            let wanted = wanted.map(|(variable, host): (&'static str, &str)| (variable, host.to_owned()));
            assert_eq!(choose(variables), Ok(wanted), "{variables:?}");
        }
    }

    #[test]
    fn a_value_that_is_not_a_proxy_is_refused_without_being_quoted() {
        for (value, reason) in [
            ("http://pro xy:3128", "it contains blanks or control characters"),
            ("http://me:secret@proxy:3128\nhttp://other", "it contains blanks or control characters"),
            ("socks5://me:secret@proxy:1080", "it must start with http:// or https://"),
            ("http://", "empty host"),
            ("http://proxy:port", "invalid port number"),
            ("http://proxy:3128/secret", "it must end with host and port"),
            ("://", "relative URL without a base"),
        ] {
            let error = choose(&[("https_proxy", value)]).unwrap_err();
            assert_eq!(error, format!("https_proxy is not the URL of a proxy: {reason}"), "{value:?}");
        }
    }
}
