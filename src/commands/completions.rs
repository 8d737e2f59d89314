//! `completions`: writes a completion script for a shell, and answers such scripts.
//!
//! A script knows no flags. It runs this program with the words of the line, and the program says what may come next, from the
//! declarations of its command line. So a script stays right when the program is upgraded, and the shell can be offered what
//! only the program knows, such as accounts.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Command, CommandFactory};
use clap_complete::engine::complete;
use clap_complete::env::{self, CompleteEnv, EnvCompleter, Shells};

use super::{Cli, Outcome, terminal};

const NAME: &str = "zt-risk-exporter";

/// The variable that a script sets when it asks. Its value is the name of the shell.
const VARIABLE: &str = "_ZT_RISK_EXPORTER_COMPLETE";

const SHELLS: Shells<'static> = Shells(&[&Bash, &env::Elvish, &env::Fish, &env::Powershell, &Zsh]);

/// Write a completion script for a shell to standard output
#[derive(Debug, Clone, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Outcome {
        let shell = SHELLS.completer(&self.shell.to_string()).expect("every shell has a script");
        let mut script = Vec::new();
        shell.write_registration(VARIABLE, NAME, NAME, NAME, &mut script).expect("memory can be written");
        terminal::print(script)
    }
}

/// Answers a script, if one runs this program; returns whether it does.
pub(super) fn answer() -> bool {
    let asked = CompleteEnv::with_factory(Cli::command).var(VARIABLE).shells(SHELLS);
    let directory = std::env::current_dir().ok();
    asked.try_complete(std::env::args_os(), directory.as_deref()).unwrap_or_else(|error| {
        let _ = error.print();
        true
    })
}

/// The library's adapter for bash, except that it understands `--flag=value`.
struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        env::Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        env::Bash.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        env::Bash.write_registration(var, name, bin, completer, buf)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let index = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
        let separator = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        let (words, index) = without_equals_signs(words, index.unwrap_or_default());
        let candidates = complete(command, words, index, directory)?;
        let values = candidates.iter().map(|candidate| candidate.get_value().to_string_lossy());
        write!(buf, "{}", values.collect::<Vec<_>>().join(&separator))
    }
}

/// The words without those that are an equals sign, and the index of the same word. bash makes three words of `--flag=value`, and
/// replaces only the last of them, so that `--flag value` has the same completions.
fn without_equals_signs(words: Vec<OsString>, index: usize) -> (Vec<OsString>, usize) {
    let before = words.iter().take(index).filter(|word| *word == "=").count();
    (words.into_iter().filter(|word| word != "=").collect(), index - before)
}

/// The library's adapter for zsh, except that a script in `$fpath` completes the first time too.
struct Zsh;

impl EnvCompleter for Zsh {
    fn name(&self) -> &'static str {
        env::Zsh.name()
    }

    fn is(&self, name: &str) -> bool {
        env::Zsh.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        env::Zsh.write_registration(var, name, bin, completer, buf)?;
        // The first completion runs the whole script as a function, which until here only defines another one.
        let function = format!("_clap_dynamic_completer_{}", name.replace('-', "_"));
        writeln!(buf, "[[ $funcstack[1] == _{bin} ]] && {function} \"$@\" || true")
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        env::Zsh.write_complete(command, words, directory, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_completes_after_an_equals_sign_as_after_a_space() {
        for (words, index, wanted, place) in [
            (&["zt", "users", "--level", "=", "hi"][..], 4, &["zt", "users", "--level", "hi"][..], 3),
            // bash replaces the word at the cursor, which is the sign itself, by what stands after it: nothing.
            (&["zt", "users", "--level", ""], 3, &["zt", "users", "--level", ""], 3),
            (&["zt", "a", "=", "b", "=", "c"], 3, &["zt", "a", "b", "c"], 2),
            (&["zt"], 0, &["zt"], 0),
        ] {
            let words = words.iter().map(OsString::from).collect();
            let wanted: Vec<OsString> = wanted.iter().map(OsString::from).collect();
            assert_eq!(without_equals_signs(words, index), (wanted, place));
        }
    }
}
