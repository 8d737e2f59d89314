//! What commands print, and what they ask at a terminal.

pub(crate) mod confirm;
pub(crate) mod interrupt;
pub(crate) mod progress;
pub(crate) mod table;

use std::fmt;
use std::io::{self, Write};

use super::{Failure, Outcome};

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

/// Writes a remark to standard error; a failure to write it is ignored.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "zt-risk-exporter: {text}");
}

/// A number and its noun, with an `s` unless the number is 1.
pub(crate) fn counted(number: impl fmt::Display, noun: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
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
    }
}
