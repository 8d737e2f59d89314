//! The only room that reads a clock, and the two types of time that it returns.
//!
//! An [`Instant`] is monotonic: waits, budgets and schedules use it. A [`Timestamp`] is a date, by Cloudflare's clock or
//! this machine's, and is exported. A clock may run faster than real time: tests play a day in minutes, with the poller
//! and the simulator on the same clock.

pub(crate) mod duration;
pub(crate) mod moment;

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. Events are distinguished at this resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Stands for a date that Cloudflare does not say: earlier than every date, and never exported.
    pub const UNKNOWN: Self = Self(i64::MIN);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch, the unit that Prometheus uses.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339 in UTC up to the end of the year 9999, or `unknown`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNKNOWN {
            return f.write_str("unknown");
        }
        // The range of `jiff::Timestamp` ends a day before the last date of four digits, which many programs write for "never".
        let epoch = jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        match epoch.checked_add(jiff::SignedDuration::from_millis(self.0)) {
            Ok(date) => write!(f, "{date}Z"),
            Err(_) if self.0 > 0 => f.write_str("after the year 9999"),
            Err(_) => f.write_str("before the year -9999"),
        }
    }
}

/// The time since the clock was created: monotonic, for waits and windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(Duration);

impl Instant {
    /// The time `span` after the clock's start.
    pub const fn after_start(span: Duration) -> Self {
        Self(span)
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// Tells the time and sleeps, in real time or a multiple of it.
#[derive(Clone, Debug)]
pub struct Clock {
    started: std::time::Instant,
    /// The date at which a scaled clock started. `None` for the system's clock, which is read each time.
    origin: Option<Timestamp>,
    speed: f64,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self { started: instant(), origin: None, speed: 1.0 }
    }

    /// A clock that shows `origin` now and runs `speed` times as fast as real time.
    ///
    /// # Panics
    /// If `speed` is not a positive finite number.
    pub fn scaled(origin: Timestamp, speed: f64) -> Self {
        assert!(speed.is_finite() && speed > 0.0, "a clock's speed must be positive, not {speed}");
        Self { started: instant(), origin: Some(origin), speed }
    }

    /// The current monotonic time.
    pub fn now(&self) -> Instant {
        Instant(self.elapsed())
    }

    /// The current date.
    pub fn date(&self) -> Timestamp {
        match self.origin {
            Some(origin) => origin + self.elapsed(),
            None => wall(),
        }
    }

    /// Sleeps for `span` of this clock's time.
    pub async fn sleep(&self, span: Duration) {
        tokio::time::sleep(self.real(span)).await;
    }

    /// Sleeps until `moment`. Returns immediately if it has passed.
    pub async fn sleep_until(&self, moment: Instant) {
        self.sleep(moment.since(self.now())).await;
    }

    fn elapsed(&self) -> Duration {
        let real = instant().saturating_duration_since(self.started);
        if self.origin.is_some() { real.mul_f64(self.speed) } else { real }
    }

    /// How long `span` takes in real time.
    fn real(&self, span: Duration) -> Duration {
        Duration::try_from_secs_f64(span.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
fn instant() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the date")]
fn wall() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Times for tests of modules that take the time as an argument.
#[cfg(test)]
pub(crate) mod testing {
    use super::{Duration, Instant};

    pub(crate) fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    pub(crate) fn at(second: u64) -> Instant {
        Instant::after_start(seconds(second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_before_the_start_are_zero_and_dates_saturate() {
        let early = Timestamp::from_seconds(10);
        let late = Timestamp::from_seconds(12);
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(
            Timestamp::from_millis(i64::MAX) + Duration::from_secs(1),
            Timestamp::from_millis(i64::MAX)
        );
    }

    #[test]
    fn every_date_is_readable() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_219_200_250, "2026-11-21T00:00:00.25Z"),
            (-62_135_596_800_000, "0001-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "after the year 9999"),
            (i64::MAX, "after the year 9999"),
            (i64::MIN + 1, "before the year -9999"),
            (i64::MIN, "unknown"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text, "{millis}");
        }
    }

    #[test]
    fn a_scaled_clock_starts_at_its_origin_and_does_not_go_back() {
        let clock = Clock::scaled(Timestamp::from_seconds(1_000), 1_000.0);
        let (first, second) = (clock.date(), clock.date());
        assert!(first >= Timestamp::from_seconds(1_000), "{first}");
        assert!(second >= first, "{second} before {first}");
    }
}
