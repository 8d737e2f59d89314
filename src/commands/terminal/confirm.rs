//! Asks the user to confirm a change.

use std::io::{self, BufRead, IsTerminal, Write};

use super::width_of;
use super::wrap::wrapped;
use crate::commands::Failure;
use clap::Args;

/// The flag of commands that change something.
#[derive(Debug, Clone, Args)]
pub(crate) struct Consent {
    /// Do not ask for confirmation; required if there is no terminal
    #[arg(long)]
    yes: bool,
}

/// How a change is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// By `--yes`.
    Given,
    /// By the user, who will be asked at the terminal.
    AtTerminal,
}

/// The width of the terminal that shows the question. Standard output may go elsewhere.
pub(crate) fn width() -> Option<usize> {
    width_of(io::stderr())
}

impl Consent {
    /// How the change will be confirmed. The question goes to standard error and the answer comes from standard input,
    /// so both must be terminals.
    ///
    /// # Errors
    /// There is no terminal, and `--yes` was not given.
    pub(crate) fn confirmation(&self) -> Result<Confirmation, Failure> {
        if self.yes {
            return Ok(Confirmation::Given);
        }
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(Confirmation::AtTerminal);
        }
        Err(Failure::Unconfirmed(
            "nothing was done: there is no terminal to confirm it; give --yes".to_owned(),
        ))
    }
}

impl Confirmation {
    /// Shows the change, the `preview` of lines that fit the terminal, and asks, unless `--yes` was given.
    ///
    /// # Errors
    /// The answer is not yes, or there is none.
    pub(crate) async fn confirm(self, preview: String, question: String) -> Result<(), Failure> {
        if self == Self::Given {
            return Ok(());
        }
        let question = wrapped(&question, width());
        // On a separate thread, so that the client notices connections that are closed in the meantime.
        let answer = tokio::task::spawn_blocking(move || {
            ask(&preview, &question, &mut io::stdin().lock(), &mut io::stderr().lock())
        });
        match answer.await.map_err(io::Error::other).flatten() {
            Ok(Answer::Yes) => Ok(()),
            Ok(Answer::No) => Err(Failure::Unconfirmed("nothing was done".to_owned())),
            Err(error) => {
                Err(Failure::Runtime(format!("nothing was done: cannot use the terminal: {error}")))
            }
        }
    }
}

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
