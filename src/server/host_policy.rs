//! Against DNS rebinding: which hosts a request may name.
//!
//! A web page can give its own name the address 127.0.0.1. The browser then lets the page read what this machine serves on
//! loopback, because it comes from the page's own host. Such requests have the page's name as their `Host`.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::Request;
use hyper::header::HOST;
use hyper::http::uri::Authority;
use tokio::net::TcpListener;

/// The text of the answer to a request that is not allowed.
pub(super) const REFUSAL: &str =
    "this listener answers only for localhost, loopback addresses and the names in web.allowed_hosts\n";

/// Which hosts a request may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPolicy {
    /// All: other machines reach the listener under names that it does not know.
    Any,
    /// This machine's, and `names`, which are in lower case.
    Loopback { names: Vec<String> },
}

impl HostPolicy {
    /// The policy for a socket; `names` are allowed if it is bound to loopback.
    pub(super) fn of(socket: &TcpListener, names: &[String]) -> Self {
        // Without its address, the stricter policy applies.
        match socket.local_addr().map_or(true, |address| address.ip().is_loopback()) {
            true => Self::Loopback { names: names.to_vec() },
            false => Self::Any,
        }
    }

    /// Whether a request may be answered. A request that names no host is not from a browser.
    pub(super) fn allows<B>(&self, request: &Request<B>) -> bool {
        let Self::Loopback { names } = self else { return true };
        let header = || Authority::try_from(request.headers().get(HOST)?.as_bytes()).ok();
        // The target of the request takes precedence over the header (RFC 9112, section 3.2.2).
        let Some(authority) = request.uri().authority().cloned().or_else(header) else { return true };
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        host == "localhost" || is_loopback(host) || names.iter().any(|name| name == host)
    }
}

fn is_loopback(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ip) => ip.parse().is_ok_and(|ip: Ipv6Addr| ip.to_canonical().is_loopback()),
        None => host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_a_request_must_name_this_machine_or_a_configured_name() {
        let policy = HostPolicy::Loopback { names: vec!["exporter.internal".to_owned()] };
        for (target, host, allowed) in [
            ("/", Some("localhost"), true),
            ("/", Some("LocalHost:10069"), true),
            ("/", Some("localhost."), true),
            ("/", Some("127.0.0.1:10069"), true),
            ("/", Some("127.8.9.10"), true),
            ("/", Some("[::1]:10069"), true),
            ("/", Some("[::ffff:127.0.0.1]"), true),
            ("/", Some("exporter.internal:80"), true),
            ("/", Some("EXPORTER.internal."), true),
            ("/", Some(""), true),
            ("/", None, true),
            ("/", Some("attacker.example"), false),
            ("/", Some("localhost.attacker.example"), false),
            ("/", Some("127.0.0.1.attacker.example"), false),
            ("/", Some("other.exporter.internal"), false),
            ("/", Some("192.0.2.1"), false),
            ("/", Some("[2001:db8::1]"), false),
            ("/", Some("0.0.0.0"), false),
            ("/", Some("2130706433"), false),
            ("http://attacker.example/", Some("localhost"), false),
            ("http://localhost/", Some("attacker.example"), true),
        ] {
            let mut request = Request::get(target);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let request = request.body(()).unwrap();
            assert_eq!(policy.allows(&request), allowed, "{target} {host:?}");
            assert!(HostPolicy::Any.allows(&request), "{target} {host:?}");
        }
    }
}
