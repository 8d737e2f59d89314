//! The settings of a client, and their defaults.

use std::time::Duration;

use super::base_url::BASE_URL;
use super::decode::{Bounds, Pii};
use super::report::Observer;

/// The settings of a client; the defaults suit the daemon.
#[derive(Clone)]
pub struct Options {
    /// Where the API is; plain HTTP only on loopback.
    pub base_url: String,
    /// Whether names and e-mail addresses are kept.
    pub names: Pii,
    /// The largest answer that is accepted.
    pub bounds: Bounds,
    /// Limit for connecting, TLS included.
    pub connect_wait: Duration,
    /// Limit for the head of an answer, and between any two parts of its body.
    pub idle_wait: Duration,
    /// Limit for the time on the wire of one operation, with all its pages and retries.
    pub total_wait: Duration,
    /// How long a request may wait for the budget or for the end of a block. After that it fails.
    pub permit_wait: Duration,
    /// The largest number of attempts for one request; there is always one. By default the first attempt and two
    /// retries: if three in a row fail, the next poll tries again.
    pub attempts: u32,
    /// The longest `Retry-After` (of a 429 or 5xx) that the operation waits for. If the server asks for more, the
    /// operation fails.
    pub retry_wait: Duration,
    /// The page size that is tried once a list turns out to have pages.
    pub page_size: u32,
    /// Called after each attempt.
    pub observer: Option<Observer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_url: BASE_URL.to_owned(),
            names: Pii::Drop,
            bounds: Bounds::default(),
            connect_wait: Duration::from_secs(10),
            idle_wait: Duration::from_secs(30),
            total_wait: Duration::from_secs(300),
            permit_wait: Duration::from_secs(60),
            attempts: 3,
            retry_wait: Duration::from_secs(60),
            page_size: 1_000,
            observer: None,
        }
    }
}
