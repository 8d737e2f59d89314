//! Against DNS rebinding: which hosts a request may name.
//!
//! A web page can give its own name the address 127.0.0.1. The browser then lets the page read what this machine serves on
//! loopback, because it comes from the page's own host. Such requests have the page's name as their `Host`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Request;
use hyper::header::HOST;
use hyper::http::uri::Authority;

/// The text of the answer to a request that is not allowed.
pub(super) const REFUSAL: &str = "over loopback, requests are answered only for localhost, loopback addresses and the names in web.allowed_hosts\n";

/// Whether a request may be answered that came to the address `local` of this machine. Other machines reach the server under
/// names that it does not know, so only requests over loopback must name this machine, or one of `names`, which are in lower
/// case. What counts is the address of the connection: a socket for all interfaces is reached over loopback too. A request that
/// names no host is not from a browser.
pub(super) fn allows<B>(local: Option<IpAddr>, names: &[String], request: &Request<B>) -> bool {
    // Without the address, the stricter rule applies.
    if local.is_some_and(|local| !local.to_canonical().is_loopback()) {
        return true;
    }
    let header = || Authority::try_from(request.headers().get(HOST)?.as_bytes()).ok();
    // The target of the request takes precedence over the header (RFC 9112, section 3.2.2).
    let Some(authority) = request.uri().authority().cloned().or_else(header) else { return true };
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    host == "localhost" || is_loopback(host) || names.iter().any(|name| name == host)
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
    fn over_loopback_a_request_must_name_this_machine_or_a_configured_name() {
        let names = ["exporter.internal".to_owned()];
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
            for local in [None, Some("127.0.0.1"), Some("127.1.2.3"), Some("::1"), Some("::ffff:127.0.0.1")] {
                let local = local.map(|local| local.parse().unwrap());
                assert_eq!(allows(local, &names, &request), allowed, "{target} {host:?} {local:?}");
            }
            for local in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
                assert!(allows(Some(local.parse().unwrap()), &names, &request), "{target} {host:?} {local}");
            }
        }
    }
}
