//! The connections of a server, for metrics. Reading them waits for nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why the server closed a connection, or could not accept one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// No further request came in time.
    Idle,
    /// No first request came in time.
    NoRequest,
    /// The client did not receive an answer in time.
    SlowReader,
    /// Answers that clients had not received yet took too much memory.
    UnsentBytes,
    /// The peer opened one more connection than it may have.
    PeerLimit,
    /// One more connection was opened than the server may have.
    ConnectionLimit,
    /// The operating system gave no connection, for example because too many files are open.
    AcceptFailed,
}

impl CloseReason {
    /// All reasons, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::NoRequest,
        Self::SlowReader,
        Self::UnsentBytes,
        Self::PeerLimit,
        Self::ConnectionLimit,
        Self::AcceptFailed,
    ];

    /// The word for it in labels and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::NoRequest => "no_request",
            Self::SlowReader => "slow_reader",
            Self::UnsentBytes => "unsent_bytes",
            Self::PeerLimit => "peer_limit",
            Self::ConnectionLimit => "connection_limit",
            Self::AcceptFailed => "accept_failed",
        }
    }
}

/// What happened to the connections since the process started.
#[derive(Debug, Default)]
pub struct ConnectionStats {
    open: AtomicU64,
    unsent_bytes: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
}

// The numbers are independent of each other, so relaxed ordering is enough.
impl ConnectionStats {
    /// Open connections.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// The size of the answers that clients have not received yet. A buffer that several answers share counts once.
    pub fn unsent_bytes(&self) -> u64 {
        self.unsent_bytes.load(Ordering::Relaxed)
    }

    /// How many connections were closed for `reason`.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize].load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, open: usize, unsent_bytes: usize) {
        self.open.store(open as u64, Ordering::Relaxed);
        self.unsent_bytes.store(unsent_bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn add(&self, reason: CloseReason) {
        self.closed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}
