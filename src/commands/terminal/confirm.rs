//! Asking a person whether something is to be done.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use comfy_table::Table;

use crate::commands::Failure;

/// Whether a command that changes something asks first.
#[derive(Debug, Clone, Args)]
pub(crate) struct Consent {
    /// Do it without asking; without a terminal nothing is done unless this is given
    #[arg(long)]
    yes: bool,
}

/// How a change is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// By `--yes`.
    Given,
    /// By the user, who is still to be asked.
    DetailRequest,
}

/// How wide the terminal is at which a person is asked, wherever standard output goes.
pub(crate) fn width() -> Option<u16> {
    Table::new().use_stderr().width()
}

impl Consent {
    /// How the change will be confirmed. The question goes to standard error and the answer comes from standard
    /// input, so both must be a terminal.
    ///
    /// # Errors
    /// There is no terminal, and `--yes` was not given.
    pub(crate) fn confirmation(&self) -> Result<Confirmation, Failure> {
        if self.yes {
            return Ok(Confirmation::Given);
        }
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(Confirmation::DetailRequest);
        }
        Err(Failure::Unconfirmed("nothing was done: there is no terminal to ask at; give --yes".to_owned()))
    }
}

impl Confirmation {
    /// Shows what will be done and asks, unless it was confirmed already.
    ///
    /// # Errors
    /// The answer is not yes, or none came.
    pub(crate) async fn confirm(self, preview: String, question: String) -> Result<(), Failure> {
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
            Err(error) => Err(Failure::Runtime(format!("nothing was done: the terminal fails: {error}"))),
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
