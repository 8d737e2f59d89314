//! The `Host` of a request: HTTP/1.1 requires exactly one.

use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{Request, Version};

/// Why the `Host` of a request cannot be used (RFC 9112, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHost {
    Missing,
    Repeated,
    Malformed,
}

impl BadHost {
    /// The text of the answer.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "the header Host is missing\n",
            Self::Repeated => "the header Host occurs more than once\n",
            Self::Malformed => "the header Host is not a host and a port\n",
        }
    }
}

/// Checks that an HTTP/1.1 request has one `Host`, and that requests of other versions have at most one.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), BadHost> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => Err(BadHost::Missing),
        (None, _) => Ok(()),
        (Some(_), Some(_)) => Err(BadHost::Repeated),
        // An empty value is allowed: the target has no authority.
        (Some(host), None) if host.is_empty() => Ok(()),
        (Some(host), None) => match Authority::try_from(host.as_bytes()) {
            Ok(authority) if !authority.as_str().contains('@') => Ok(()),
            _ => Err(BadHost::Malformed),
        },
    }
}
