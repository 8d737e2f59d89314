//! The settings of a client, and their defaults.

use std::time::Duration;

use super::base_url::BASE_URL;
use super::decode::{Bounds, Names};
use super::report::Observer;

/// What a client may be told; the defaults suit the daemon.
#[derive(Clone)]
pub struct Options {
    /// Where the API is; plain HTTP only on loopback.
    pub base_url: String,
    /// Whether names and e-mail addresses are kept.
    pub names: Names,
    /// What an answer may hold at most.
    pub bounds: Bounds,
    /// To connect, TLS included.
    pub connect_wait: Duration,
    /// For the head of an answer, and between any two parts of it.
    pub idle_wait: Duration,
    /// On the wire for one operation, all its pages and retries together.
    pub total_wait: Duration,
    /// How long a request may wait for its turn, in the budget or behind a block, before it is given up.
    pub permit_wait: Duration,
    /// How often one request is tried at most; it is always tried once. By default the first attempt and two
    /// retries: what three in a row do not cure is for the next poll.
    pub attempts: u32,
    /// A server that says for how long it wants no request (a 429, a 5xx with `Retry-After`) is asked again
    /// within the operation if it is for at most this long; else that is the answer.
    pub retry_wait: Duration,
    /// The page size that is tried once a list turns out to have pages.
    pub page_size: u32,
    /// Told of each attempt.
    pub observer: Option<Observer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_url: BASE_URL.to_owned(),
            names: Names::Drop,
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
