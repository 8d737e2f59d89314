//! The listen address: an address and a port, or `:10069` for a port on all interfaces.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait to be accepted; Linux allows 4,096 by default. One more is tried again by its client only
/// after a second, so a thousand that come at once would delay a scrape by this second.
const BACKLOG: u32 = 4_096;

/// The addresses to try in this order until one can be bound; never empty.
///
/// `:10069` means `[::]:10069`, which accepts IPv4 too (on Linux, unless `net.ipv6.bindv6only` is set), and
/// `0.0.0.0:10069` on a system without IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    addresses: Vec<SocketAddr>,
    text: String,
}

/// The text is not a listen address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an address and a port, such as :10069, 127.0.0.1:10069, [::1]:10069 or localhost:10069")]
pub struct NotAnAddress;

impl Listen {
    /// The addresses in the order in which [`Listen::bind`] tries them.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Listens on the first of the addresses that can be bound. Must be called in a runtime.
    ///
    /// # Errors
    /// No address can be bound; the error is that of the last one.
    pub fn bind(&self) -> io::Result<TcpListener> {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in &self.addresses {
            match bind(*address) {
                Ok(listener) => return Ok(listener),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// What to do about an error of [`Listen::bind`], if it is a common mistake.
    pub(crate) fn advice(error: &io::Error) -> &'static str {
        match error.kind() {
            io::ErrorKind::AddrInUse => "; stop the other process, or choose another port",
            io::ErrorKind::AddrNotAvailable => "; no interface of this machine has this address",
            io::ErrorKind::PermissionDenied => "; choose a port above 1023",
            _ => "",
        }
    }

    /// The address that is tried first.
    pub fn preferred(&self) -> SocketAddr {
        *self.addresses.first().expect("parsing gives at least one address")
    }

    /// Whether both cannot be bound at the same time. A port of 0 stands for a free one.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (one, other) = (self.preferred(), other.preferred());
        let [one_ip, other_ip] = [one, other].map(|address| address.ip().to_canonical());
        let takes = |ip: IpAddr, other: IpAddr| match ip {
            IpAddr::V4(v4) => v4.is_unspecified() && other.is_ipv4(),
            // It accepts IPv4 too.
            IpAddr::V6(v6) => v6.is_unspecified(),
        };
        // Addresses of one link may have the same bytes as those of another one.
        let is_same = one == other || (one_ip == other_ip && one_ip.is_ipv4());
        let is_one_port = one.port() == other.port() && one.port() != 0;
        is_one_port && (is_same || takes(one_ip, other_ip) || takes(other_ip, one_ip))
    }

    /// The address at which a process on the same machine can connect to a listener that is bound to `bound`.
    pub fn reach(bound: SocketAddr) -> SocketAddr {
        let ip = match bound.ip() {
            ip if !ip.is_unspecified() => ip,
            // `[::]` accepts IPv4 too, and loopback has IPv4 even where IPv6 is off.
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        SocketAddr::new(ip, bound.port())
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // So that a restart does not wait for connections that ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl FromStr for Listen {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let ips: &[IpAddr] = match text.rsplit_once(':') {
            Some(("", _)) => &[IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
            Some(("localhost", _)) => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            _ => &[],
        };
        let addresses = if ips.is_empty() {
            vec![text.parse().map_err(|_| NotAnAddress)?]
        } else {
            let port = text.rsplit_once(':').map_or("", |(_, port)| port);
            let port = port.parse().map_err(|_| NotAnAddress)?;
            ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
        };
        Ok(Self { addresses, text: text.to_owned() })
    }
}

/// The text that was parsed.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tried_in_order_and_reached_over_loopback() {
        let table: [(&str, &[&str], &str); 5] = [
            (":10069", &["[::]:10069", "0.0.0.0:10069"], "127.0.0.1:10069"),
            ("0.0.0.0:1", &["0.0.0.0:1"], "127.0.0.1:1"),
            ("[::1]:65535", &["[::1]:65535"], "[::1]:65535"),
            ("10.0.0.7:0", &["10.0.0.7:0"], "10.0.0.7:0"),
            ("localhost:80", &["127.0.0.1:80", "[::1]:80"], "127.0.0.1:80"),
        ];
        for (text, addresses, reached) in table {
            let listen: Listen = text.parse().unwrap();
            let found: Vec<String> = listen.addresses().iter().map(ToString::to_string).collect();
            assert_eq!(found, addresses, "{text}");
            assert_eq!(Listen::reach(listen.preferred()).to_string(), reached, "{text}");
            assert_eq!(listen.to_string(), text);
        }
    }

    #[test]
    fn addresses_overlap_if_they_cannot_be_bound_at_the_same_time() {
        for (one, other, wanted) in [
            (":5", ":5", true),
            (":5", ":6", false),
            (":0", ":0", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            (":5", "127.0.0.1:5", true),
            (":5", "0.0.0.0:5", true),
            (":5", "[::1]:5", true),
            ("[::]:5", "localhost:5", true),
            ("127.0.0.1:5", "localhost:5", true),
            ("127.0.0.1:5", "[::ffff:127.0.0.1]:5", true),
            ("127.0.0.1:5", "[::1]:5", false),
            ("127.0.0.1:5", "127.0.0.2:5", false),
            ("0.0.0.0:5", "192.0.2.1:5", true),
            ("0.0.0.0:5", "[2001:db8::1]:5", false),
            ("[2001:db8::1]:5", "[2001:DB8:0::1]:5", true),
            ("[fe80::1%2]:5", "[fe80::1%3]:5", false),
        ] {
            let [a, b] = [one, other].map(|text| text.parse::<Listen>().unwrap());
            assert_eq!([a.overlaps(&b), b.overlaps(&a)], [wanted; 2], "{one} and {other}");
        }
    }

    #[test]
    fn anything_else_is_no_address() {
        for text in ["", ":", "10069", "127.0.0.1", ":65536", ":-1", "::1:80", "example.com:80", ":http"] {
            assert_eq!(text.parse::<Listen>(), Err(NotAnAddress), "{text}");
        }
    }
}
