//! Asking a person whether something is to be done.

use std::io::{self, BufRead, IsTerminal, Write};

use comfy_table::Table;

use super::Failure;
use crate::cli::operator::Consent;

/// By what a change is agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// By `--yes`.
    Given,
    /// By a person, who is still to be asked.
    Asked,
}

/// How wide the terminal is at which a person is asked, wherever standard output goes.
pub(super) fn width() -> Option<u16> {
    Table::new().use_stderr().width()
}

/// Whether a person is to be asked, and can be: the question goes to standard error, the answer comes from
/// standard input, and both must be a terminal.
///
/// # Errors
/// Nobody can be asked, and `--yes` is not there.
pub(super) fn leave(consent: &Consent) -> Result<Leave, Failure> {
    if consent.yes {
        return Ok(Leave::Given);
    }
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(Leave::Asked);
    }
    Err(Failure::Unconfirmed("nothing was done: there is no terminal to ask at; give --yes".to_owned()))
}

impl Leave {
    /// Shows what is to be done and asks, unless leave was given already.
    ///
    /// # Errors
    /// The answer is not yes, or none came.
    pub(super) async fn obtain(self, preview: String, question: String) -> Result<(), Failure> {
        if self == Self::Given {
            return Ok(());
        }
        // On a thread of its own: connections that end while a person thinks are noticed meanwhile.
        let answer = tokio::task::spawn_blocking(move || {
            ask(&preview, &question, &mut io::stdin().lock(), &mut io::stderr().lock())
        });
        match answer.await.map_err(io::Error::other).flatten() {
            Ok(Answer::Yes) => Ok(()),
            Ok(Answer::No) => Err(Failure::Unconfirmed("nothing was done".to_owned())),
            Err(error) => Err(Failure::Failed(format!("nothing was done: the terminal fails: {error}"))),
        }
    }
}

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

/// Only `y` and `yes` mean yes; the end of input means no.
fn ask(
    preview: &str,
    question: &str,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<Answer> {
    write!(output, "{preview}{question} [y/N] ")?;
    output.flush()?;
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        writeln!(output)?;
    }
    Ok(match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Answer::Yes,
        _ => Answer::No,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (typed, wanted) in [
            ("y\n", Answer::Yes),
            (" YES \r\n", Answer::Yes),
            ("yes", Answer::Yes),
            ("\n", Answer::No),
            ("", Answer::No),
            ("n\n", Answer::No),
            ("yep\n", Answer::No),
            ("no\nyes\n", Answer::No),
        ] {
            let mut shown = Vec::new();
            let answer = ask("a table\n", "Do it?", &mut typed.as_bytes(), &mut shown).unwrap();
            assert_eq!(answer, wanted, "{typed:?}");
            assert!(shown.starts_with(b"a table\nDo it? [y/N] "));
        }
    }
}
