//! What commands print, and what they ask at a terminal.
//!
//! [`table`] lays out rows, [`sheet`] writes a result in the format that was asked for, [`ago`] is the only place that says how
//! long ago something was, and [`wrap`] the only one that breaks prose into lines.

pub(crate) mod ago;
pub(crate) mod confirm;
mod escape;
pub(crate) mod interrupt;
pub(crate) mod progress;
pub(crate) mod sheet;
pub(crate) mod table;
pub(crate) mod wrap;

use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;

use terminal_size::{Width, terminal_size_of};
use unicode_width::UnicodeWidthStr as _;

use super::{Failure, Outcome};
pub(crate) use escape::printable;
use wrap::wrapped;

/// Writes to standard output. A reader that closed its end early is not a failure.
///
/// # Errors
/// Standard output cannot be written, for example because the disk is full.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Outcome {
    match io::stdout().lock().write_all(text.as_ref()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes sentences and short tables to standard output, in lines that fit its terminal.
///
/// # Errors
/// As for [`print`].
pub(crate) fn print_wrapped(text: &str) -> Outcome {
    print(wrapped(text.trim_end_matches('\n'), width()) + "\n")
}

/// Writes a remark to standard error, in lines that fit its terminal; a failure to write it is ignored.
pub(crate) fn remark(text: &str) {
    let text = wrapped(&format!("zt-risk-exporter: {text}"), width_of(io::stderr()));
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes what clap says of a command line. Its errors do not fit the terminal by themselves, and lose their colors if they
/// are wrapped. A failure to write it is ignored.
pub(crate) fn refusal(error: &clap::Error) {
    let text = error.render().to_string();
    match width_of(io::stderr()) {
        Some(columns) if error.use_stderr() && text.lines().any(|line| line.width() > columns) => {
            let _ = writeln!(io::stderr(), "{}", wrapped(&text, Some(columns)));
        }
        _ => {
            let _ = error.print();
        }
    }
}

/// The number of columns of standard output, if it is a terminal that says it.
pub(crate) fn width() -> Option<usize> {
    width_of(io::stdout())
}

/// The number of columns of this stream, if it is a terminal that says it.
pub(crate) fn width_of(stream: impl AsFd) -> Option<usize> {
    terminal_size_of(stream).map(|(Width(columns), _)| usize::from(columns))
}

/// A number and its noun, with an `s` unless the number is 1.
pub(crate) fn counted(number: impl fmt::Display, noun: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// `was` after one thing, `were` after several.
pub(crate) const fn was(number: usize) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        for (found, wanted) in [
            (counted(0, "user"), "0 users"),
            (counted(1, "user"), "1 user"),
            (counted(2, "user"), "2 users"),
            (counted(11, "user"), "11 users"),
            (counted("1.0", "change"), "1.0 changes"),
        ] {
            assert_eq!(found, wanted);
        }
        assert_eq!([0, 1, 2].map(was), ["were", "was", "were"]);
    }
}
