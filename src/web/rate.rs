//! A token bucket: `burst` requests at once, and then one in each interval.

use super::file::RateLimit;
use crate::clock::Instant;

/// The bucket, full at first.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    /// When the bucket is full again. What is ahead of now is missing from the bucket.
    full_at: Instant,
}

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    Refused,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, full_at: now }
    }

    /// Takes a token for a request at `now`.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        let RateLimit { interval, burst } = self.limit;
        let room = interval.saturating_mul(burst);
        let missing = self.full_at.since(now).saturating_add(interval);
        if burst == 0 || missing > room {
            return Admission::Refused;
        }
        self.full_at = now.max(self.full_at) + interval;
        Admission::Admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::after_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_burst_passes_at_once_and_then_one_request_in_each_interval() {
        let second = Duration::from_secs(1);
        for (interval, burst, requests) in [
            (second, 0, vec![(0, Admission::Refused), (5_000, Admission::Refused)]),
            (
                second,
                1,
                vec![
                    (0, Admission::Admitted),
                    (0, Admission::Refused),
                    (999, Admission::Refused),
                    (1_000, Admission::Admitted),
                    (1_001, Admission::Refused),
                    (60_000, Admission::Admitted),
                    (60_000, Admission::Refused),
                ],
            ),
            (
                second,
                3,
                vec![
                    (0, Admission::Admitted),
                    (0, Admission::Admitted),
                    (0, Admission::Admitted),
                    (0, Admission::Refused),
                    (1_000, Admission::Admitted),
                    (1_000, Admission::Refused),
                    (3_000, Admission::Admitted),
                    (3_000, Admission::Admitted),
                    (3_000, Admission::Refused),
                ],
            ),
        ] {
            let mut bucket = Bucket::new(RateLimit { interval, burst }, at(0));
            for (millis, wanted) in requests {
                assert_eq!(bucket.admit(at(millis)), wanted, "burst {burst} at {millis} ms");
            }
        }
    }
}
