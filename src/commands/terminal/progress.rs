//! Progress of a command that sends one request per user: a bar on a terminal, occasional lines elsewhere. Progress over
//! accounts, which takes seconds, has no lines.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::{Instant, duration};

/// Without a terminal, one line is written per tenth of the work.
const LINES: u64 = 10;

/// If a tenth takes longer than this, a line is written anyway.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// The progress that is shown on standard error.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    shown: Shown,
}

enum Shown {
    /// One step needs no progress, and a test no lines.
    Nothing,
    Bar(ProgressBar),
    Lines {
        last: Instant,
    },
}

impl Progress {
    /// Starts the progress of something (`what`, such as "resetting user") that is done `total` times.
    pub(crate) fn new(what: &'static str, total: usize, now: Instant) -> Self {
        let total = total as u64;
        if total <= 1 {
            return Self { what, total, shown: Shown::Nothing };
        }
        if !io::stderr().is_terminal() {
            return Self { what, total, shown: Shown::Lines { last: now } };
        }
        Self::bar(what, total)
    }

    /// The same, but shown only on a terminal.
    pub(crate) fn at_terminal(what: &'static str, total: usize) -> Self {
        if total <= 1 || !io::stderr().is_terminal() {
            return Self::hidden();
        }
        Self::bar(what, total as u64)
    }

    fn bar(what: &'static str, total: u64) -> Self {
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos} of {len}{msg}");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
            .with_style(style.expect("the template is valid"))
            .with_prefix(what);
        bar.tick();
        Self { what, total, shown: Shown::Bar(bar) }
    }

    /// Progress that is not shown.
    pub(crate) const fn hidden() -> Self {
        Self { what: "", total: 0, shown: Shown::Nothing }
    }

    /// Shows that `done` are done, and how long the rest takes, if that is known.
    pub(crate) fn set(&mut self, done: usize, left: Option<Duration>, now: Instant) {
        let done = done as u64;
        let whole_seconds = |left: Duration| Duration::from_secs(left.as_secs_f64().ceil() as u64);
        let left =
            left.map(|left| format!(", {} left", duration::spell(whole_seconds(left)))).unwrap_or_default();
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_message(left);
                bar.set_position(done);
            }
            Shown::Lines { last } => {
                if is_tenth(done, self.total) || now.since(*last) >= LINE_INTERVAL {
                    *last = now;
                    // A closed standard error has no reader.
                    let _ = writeln!(io::stderr(), "{} {done} of {}{left}", self.what, self.total);
                }
            }
        }
    }

    /// Runs `write`, which writes to standard error itself, without mixing its lines with the bar.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(write),
            Shown::Nothing | Shown::Lines { .. } => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// Whether another tenth of the work is complete. With fewer than ten, that is after each.
fn is_tenth(done: u64, total: u64) -> bool {
    done > 0 && (done == total || done.is_multiple_of(total.div_ceil(LINES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_users_have_a_line_for_each_tenth_and_one_for_the_last() {
        for total in [2, 9, 10, 11, 99, 100, 101, 12_345] {
            let told: Vec<u64> = (0..=total).filter(|done| is_tenth(*done, total)).collect();
            assert!(told.len() as u64 <= LINES + 1, "{told:?}");
            assert_eq!(told.last(), Some(&total));
            assert!(total > 10 || told.len() as u64 == total, "{told:?}");
        }
    }
}
