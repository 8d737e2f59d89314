//! What the web configuration refuses, and when its certificate expires.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::f;
use crate::clock::Timestamp;
use crate::metrics::encode::Writer;

/// Why a request was refused before it was routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No user name with its password.
    Auth,
    /// Too many other passwords of the same peer wait to be compared.
    AuthLimit,
    /// More requests than the rate limit allows.
    RateLimit,
    /// The web configuration cannot be used.
    Config,
}

impl Rejection {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Auth, Self::AuthLimit, Self::RateLimit, Self::Config];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthLimit => "auth_limit",
            Self::RateLimit => "rate_limit",
            Self::Config => "config",
        }
    }
}

/// Counts of the guard before the server.
#[derive(Debug)]
pub(super) struct WebCounts {
    rejected: [AtomicU64; Rejection::ALL.len()],
    failed_handshakes: AtomicU64,
    /// In milliseconds; [`Timestamp::UNKNOWN`] if TLS is off.
    certificate_end: AtomicI64,
}

impl WebCounts {
    pub(super) fn new() -> Self {
        Self {
            rejected: Default::default(),
            failed_handshakes: AtomicU64::new(0),
            certificate_end: AtomicI64::new(Timestamp::UNKNOWN.millis()),
        }
    }

    pub(super) fn rejected(&self, reason: Rejection) {
        self.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn handshake_failed(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn certificate_ends(&self, date: Timestamp) {
        self.certificate_end.store(date.millis(), Ordering::Relaxed);
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let mut out = writer.family(&f::WEB_REJECTED);
        for (reason, count) in Rejection::ALL.iter().zip(&self.rejected) {
            out.put([reason.as_str()], count.load(Ordering::Relaxed));
        }
        let failed = self.failed_handshakes.load(Ordering::Relaxed);
        writer.family(&f::WEB_HANDSHAKE_FAILURES).put([], failed);
        let end = Timestamp::from_millis(self.certificate_end.load(Ordering::Relaxed));
        if end != Timestamp::UNKNOWN {
            writer.family(&f::WEB_CERTIFICATE_NOT_AFTER).put([], end.seconds());
        }
    }
}
