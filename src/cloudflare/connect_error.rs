//! Why the API cannot be connected to: names the host, the proxy, the cause, and what to check.

use std::error::Error as StdError;
use std::{fmt, io};

use reqwest::Url;
use rustls::CertificateError;

use super::base_url::host_and_port;
use super::envelope::sanitize;
use super::proxy::Proxy;

/// The longest cause that a message quotes, in characters.
const MAX_CAUSE: usize = 300;

/// The host that a connection leads to, and the proxy on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Host and port as in the base URL.
    host: String,
    base: Url,
    proxy: Option<Proxy>,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConnectFailure {
    pub(super) cause: String,
    /// What to do, if trying again later is not enough.
    pub(super) remedy: Option<String>,
    pub(super) permanence: Permanence,
}

/// Whether another attempt may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permanence {
    /// Another attempt may succeed.
    Transient,
    /// A person must change something first.
    Permanent,
}

/// `api.cloudflare.com`, or `api.cloudflare.com through the proxy proxy.example.com:3128`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match &self.proxy {
            Some(proxy) => write!(f, " through the proxy {}", proxy.host()),
            None => Ok(()),
        }
    }
}

impl Target {
    pub(super) fn new(base: &Url, proxy: Option<Proxy>) -> Self {
        Self { host: host_and_port(base.host_str(), base.port()), base: base.clone(), proxy }
    }

    /// What to do if there is no connection for a transient reason.
    pub(super) fn remedy(&self) -> Option<String> {
        self.proxy.as_ref().map(|proxy| format!("check {}, and retry later", proxy.variable))
    }

    /// Why a connection to this target failed with `error`.
    pub(super) async fn failure(&self, error: &reqwest::Error) -> ConnectFailure {
        match tls(error) {
            Some(rustls::Error::InvalidCertificate(error)) => ConnectFailure {
                cause: certificate(error).to_owned(),
                remedy: Some("check SSL_CERT_FILE, and whether a proxy inspects TLS".to_owned()),
                permanence: Permanence::Permanent,
            },
            _ => ConnectFailure {
                cause: match self.refusal(error).await {
                    Some(status) => format!("the proxy refuses the connection (HTTP {status})"),
                    None => cause(error),
                },
                remedy: self.remedy(),
                permanence: Permanence::Transient,
            },
        }
    }

    /// The HTTP status with which the proxy refused the connection.
    async fn refusal(&self, error: &reqwest::Error) -> Option<u16> {
        let proxy = self.proxy.as_ref()?;
        // The type of this error is private to the library.
        let is_tunnel = |cause: &(dyn StdError + 'static)| cause.to_string().starts_with("tunnel error: ");
        if !causes(error).any(is_tunnel) {
            return None;
        }
        if causes(error).any(|cause| cause.to_string().ends_with("proxy authorization required")) {
            return Some(407);
        }
        proxy.refusal(self.base.host_str()?, self.base.port_or_known_default()?).await
    }
}

/// The innermost cause of an error. The outer errors only say where in the HTTP client it occurred, and the outermost
/// contains the URL.
pub(super) fn cause(error: &reqwest::Error) -> String {
    match (tls(error), causes(error).last()) {
        (Some(error), _) => handshake(error).to_owned(),
        (None, Some(cause)) => sanitize(&cause.to_string(), MAX_CAUSE),
        (None, None) => "unknown cause".to_owned(),
    }
}

fn tls(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The causes of an error, the innermost last.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| match cause.downcast_ref::<io::Error>() {
        // The source of an `io::Error` is the source of the wrapped error, so it would skip the wrapped error itself.
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
        None => cause.source(),
    })
}

/// The library's own messages contain names of enum variants, which an operator cannot use.
fn handshake(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS",
        rustls::Error::AlertReceived(_) => "the server aborted the TLS handshake",
        rustls::Error::PeerIncompatible(_) => {
            "the server supports no TLS version or cipher that is still considered safe"
        }
        _ => "the TLS connection failed",
    }
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer => "its certificate is not signed by a trusted authority",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired, according to this machine's clock"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, according to this machine's clock"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        CertificateError::Revoked => "its certificate is revoked",
        _ => "its certificate cannot be trusted",
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, InvalidMessage, OtherError, PeerIncompatible};

    use super::*;

    #[test]
    fn tls_errors_are_explained_without_variant_names() {
        let other = CertificateError::Other(OtherError(std::sync::Arc::new(io::Error::other("CaUsed"))));
        for (error, wanted) in [
            (
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "its certificate is not signed by a trusted authority",
            ),
            (rustls::Error::InvalidCertificate(other), "its certificate cannot be trusted"),
            (
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "the server does not speak TLS",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::HandshakeFailure),
                "the server aborted the TLS handshake",
            ),
            (
                rustls::Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon),
                "the server supports no TLS version or cipher that is still considered safe",
            ),
            (rustls::Error::DecryptError, "the TLS connection failed"),
        ] {
            assert_eq!(handshake(&error), wanted);
        }
    }

    #[test]
    fn a_target_is_named_with_its_port() {
        let to = |base: &str| Url::parse(base).unwrap();
        let direct = Target::new(&to("http://127.0.0.1:8787/client/v4"), None);
        assert_eq!((direct.to_string().as_str(), direct.remedy()), ("127.0.0.1:8787", None));
    }
}
