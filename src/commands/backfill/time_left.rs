//! How far it is and how long it will take: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::budget::Level;
use crate::clock::Moment;
use crate::config::duration;
use crate::rate_limit::WINDOW;

/// Between two lines, where there is no terminal.
const PAUSE: Duration = Duration::from_secs(60);

/// Where progress is shown.
pub(super) enum Meter {
    Bar(ProgressBar),
    Lines { total: u64, next: Moment },
}

impl Meter {
    /// On standard error, for so many users.
    pub(super) fn new(total: u64, now: Moment) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { total, next: now };
        }
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} users, {msg} left");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        Self::Bar(bar.with_style(style.expect("the template is one")))
    }

    /// So many users are read, and the rest takes so long.
    pub(super) fn show(&mut self, done: u64, left: Duration, now: Moment) {
        let left = duration::spell(Duration::from_secs(left.as_secs_f64().ceil() as u64));
        match self {
            Self::Bar(bar) => {
                bar.set_message(left);
                bar.set_position(done);
            }
            Self::Lines { total, next } if now >= *next => {
                *next = now + PAUSE;
                // What nobody reads need not be written.
                let _ = writeln!(io::stderr(), "{done} of {total} users, {left} left");
            }
            Self::Lines { .. } => {}
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// How long so many requests take that last `each`, with this left of the budget.
pub(super) fn time_left(requests: u64, each: Duration, budget: Level, now: Moment) -> Duration {
    let block = budget.blocked_until.map_or(Duration::ZERO, |until| until.since(now));
    let later = requests.saturating_sub(budget.remaining.into());
    let windows = later as f64 / f64::from(budget.limit.max(1));
    block + WINDOW.mul_f64(windows).max(each.mul_f64(requests as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{at, seconds};

    #[test]
    fn the_rest_takes_as_long_as_the_budget_or_the_answers() {
        let level = |remaining, blocked_until| Level { limit: 300, remaining, blocked_until };
        for (requests, budget, wanted) in [
            (0, level(0, None), 0),
            (100, level(200, None), 10),
            (200, level(200, None), 20),
            (500, level(200, None), 300),
            (6_000, level(0, None), 6_000),
            (100, level(200, Some(at(160))), 160),
        ] {
            let left = time_left(requests, Duration::from_millis(100), budget, at(10));
            assert_eq!(left, seconds(wanted), "{requests} with {budget:?}");
        }
    }
}
