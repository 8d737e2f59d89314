//! How far a command over many users is: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Elsewhere than on a terminal so many lines are written at most.
const LINES: usize = 10;

/// What is shown on standard error while a command works.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { what: &'static str, done: usize, total: usize },
}

impl Progress {
    /// `what` is done `total` times.
    pub(super) fn new(what: &'static str, total: usize) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { what, done: 0, total };
        }
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos} of {len}");
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr())
            .with_style(style.expect("the template is one"))
            .with_message(what);
        bar.tick();
        Self::Bar(bar)
    }

    /// One more is done.
    pub(super) fn step(&mut self) {
        match self {
            Self::Bar(bar) => bar.inc(1),
            Self::Lines { what, done, total } => {
                *done += 1;
                if is_told(*done, *total) {
                    // What nobody reads need not be written.
                    let _ = writeln!(io::stderr(), "{what} {done} of {total}");
                }
            }
        }
    }

    /// Does what writes to standard error too.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        match self {
            Self::Bar(bar) => bar.suspend(write),
            Self::Lines { .. } => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Whether a line is due: each of a few, each tenth of many, and the last; one alone needs none.
fn is_told(done: usize, total: usize) -> bool {
    total > 1 && (done == total || done.is_multiple_of(total.div_ceil(LINES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_users_have_a_line_for_each_tenth_and_one_for_the_last() {
        assert!(!is_told(1, 1));
        for total in [2, 9, 10, 11, 99, 100, 101, 12_345] {
            let told: Vec<usize> = (1..=total).filter(|done| is_told(*done, total)).collect();
            assert!(told.len() <= LINES + 1, "{told:?}");
            assert_eq!(told.last(), Some(&total));
            assert!(total > 10 || told.len() == total, "{told:?}");
        }
    }
}
