//! Whether a failed attempt may be repeated, and after how long.

use std::time::Duration;

use reqwest::Method;

use super::error::{Error, Kind};
use super::request::Request;

/// A failed attempt, and whether a retry may follow.
pub(super) struct FailedAttempt {
    pub(super) error: Error,
    pub(super) retry: Retry,
}

/// Which requests may be retried after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// A retry would fail in the same way.
    No,
    /// Nothing was sent, so any request may be retried.
    Always,
    /// The request may have arrived, so only a request that changes nothing may be retried.
    IfRead,
}

impl FailedAttempt {
    pub(super) fn new(request: &Request, kind: Kind, reason: String, retry: Retry) -> Self {
        Self { error: Error::new(request.operation, kind, reason), retry }
    }

    /// A failure for which a retry would not help.
    pub(super) fn for_good(error: Error) -> Self {
        let retry = Retry::No;
        Self { error, retry }
    }

    /// How long to wait before a retry, if one may help: 0.5 s, then 2 s, each with a jitter of 50 %, and at least as
    /// long as the server asked for.
    pub(super) fn retry_in(&self, method: &Method, attempt: u32) -> Option<Duration> {
        let helps = match self.retry {
            Retry::No => false,
            Retry::Always => true,
            Retry::IfRead => *method == Method::GET,
        };
        let pause = Duration::from_millis(500) * 4_u32.pow(attempt - 1);
        let pause = pause.mul_f64(0.5 + fastrand::f64());
        helps.then(|| pause.max(self.error.retry_after().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::Url;

    use crate::cloudflare::operation::Operation;

    #[test]
    fn retries_wait_longer_each_time_and_never_repeat_a_change_that_may_have_happened() {
        let base = Url::parse("https://example.com").unwrap();
        let request = Request::new(Operation::Summary, &base, &[]);
        for (retry, method, helps) in [
            (Retry::No, Method::GET, false),
            (Retry::IfRead, Method::GET, true),
            (Retry::IfRead, Method::POST, false),
            (Retry::Always, Method::POST, true),
        ] {
            let failure = FailedAttempt::new(&request, Kind::Unavailable, String::new(), retry);
            assert_eq!(failure.retry_in(&method, 1).is_some(), helps, "{retry:?} {method}");
        }
        let failure = FailedAttempt::new(&request, Kind::Unavailable, String::new(), Retry::Always);
        for (attempt, least, most) in [(1, 250, 750), (2, 1_000, 3_000)] {
            let wait = failure.retry_in(&Method::GET, attempt).unwrap().as_millis();
            assert!((least..=most).contains(&wait), "{wait} ms before attempt {}", attempt + 1);
        }
        let told =
            FailedAttempt { error: failure.error.after(Some(Duration::from_secs(9))), retry: Retry::Always };
        assert_eq!(told.retry_in(&Method::GET, 2), Some(Duration::from_secs(9)));
    }
}
