//! The limits of a server.

use std::time::Duration;

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum of open connections. One more closes the connection that has been idle or slow for longest.
    pub connections: usize,
    /// The same for the connections of one peer: an IPv4 address, or a /64 network of IPv6.
    pub connections_of_one_peer: usize,
    /// The time from accepting a connection to the end of the first request's header.
    pub first_header_wait: Duration,
    /// The time from an answer to the end of the next request's header.
    pub header_wait: Duration,
    /// The maximum size of a request's header, at least 8 KiB.
    pub header_bytes: usize,
    /// The time from the end of a request's header to the answer, and again until the client has received the answer.
    pub answer_wait: Duration,
    /// How much memory answers may take that clients have not received yet; a buffer that several answers share counts
    /// once. The limit is three times the largest buffer if that is more.
    pub unsent_bytes: usize,
    /// The time that running requests get to end after `stop`.
    pub drain: Duration,
}
