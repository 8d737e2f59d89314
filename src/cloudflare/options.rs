//! The settings of a client, and their defaults.

use std::time::Duration;

use super::base_url::BASE_URL;
use super::decode::{Bounds, Pii};
use super::operation_limits::Limits;
use super::report::Observer;

/// The settings of a client; the defaults suit the daemon.
#[derive(Clone)]
pub struct Options {
    /// The base URL of the API; plain HTTP only to a loopback address.
    pub base_url: String,
    /// Whether names and e-mail addresses are kept.
    pub pii: Pii,
    /// The largest response that is accepted.
    pub bounds: Bounds,
    /// Time limit for connecting, TLS handshake included.
    pub connect_timeout: Duration,
    /// Time limit for the headers of a response, and between any two parts of its body.
    pub idle_timeout: Duration,
    /// How long an operation may take, and how often a request is attempted.
    pub limits: Limits,
    /// How long a request may wait for the budget or for the end of a block before it fails.
    pub permit_timeout: Duration,
    /// The longest `Retry-After` (of a 429 or 5xx) that the operation waits for. If the server asks for more, the
    /// operation fails.
    pub max_retry_wait: Duration,
    /// The page size to ask for once a list turns out to have pages.
    pub page_size: u32,
    /// Called after each attempt.
    pub observer: Option<Observer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_url: BASE_URL.to_owned(),
            pii: Pii::Drop,
            bounds: Bounds::default(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            limits: Limits::default(),
            permit_timeout: Duration::from_secs(60),
            max_retry_wait: Duration::from_secs(60),
            page_size: 1_000,
            observer: None,
        }
    }
}
