//! `man`: writes the manual pages, one per command, from the declarations of the command line and of the settings.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, Failure, Outcome};
use crate::clock::{Clock, Timestamp};
use crate::config::keys;

/// The exit codes, as in the manual of the commands.
const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "Success."),
    ("1", "Something failed while running."),
    ("2", "The command line, the configuration or the baseline is invalid."),
    ("3", "behaviors diff: there is a difference."),
    ("4", "The user, behavior or integration does not exist, or several match."),
    ("5", "The confirmation was refused, or there was no terminal to ask."),
    ("6", "Some of several accounts could not be read. What the others answered is shown."),
];

/// Write the manual pages to a directory, one for each command
#[derive(Debug, Clone, Args)]
pub(crate) struct Man {
    /// The directory; it is created if it does not exist
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(&self) -> Outcome {
        std::fs::create_dir_all(&self.directory).map_err(|error| failure(&self.directory, &error))?;
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let date = date(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref(), Clock::system().date());
        for (name, text) in pages(&command, &date) {
            let path = self.directory.join(name);
            std::fs::write(&path, text).map_err(|error| failure(&path, &error))?;
        }
        Ok(())
    }
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::Runtime(format!("{}: {error}", path.display()))
}

/// The day of the pages: that of the source, if the build says it, so that the same source always gives the same pages.
fn date(source: Option<&str>, now: Timestamp) -> String {
    let source = source.and_then(|seconds| seconds.parse().ok()).map(Timestamp::from_seconds);
    source.unwrap_or(now).to_string().chars().take("2026-11-20".len()).collect()
}

/// The name and the text of the page of a command, and those of the commands below it.
fn pages(command: &Command, date: &str) -> Vec<(String, String)> {
    let page = Page::new(command.clone().subcommand_value_name("COMMAND")).date(date);
    let page = page.source(format!("zt-risk-exporter {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    write_page(command, &page, &mut text).expect("memory can be written");
    let below = command.get_subcommands().flat_map(|command| pages(command, date));
    [(page.get_filename(), tidy(&text))].into_iter().chain(below).collect()
}

/// The page as linters want it: without spaces at the end of lines, and without line breaks around an empty line.
fn tidy(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: String = text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
    lines.replace("\n.br\n\n.br\n", "\n.sp\n")
}

fn write_page(command: &Command, page: &Page, text: &mut dyn Write) -> io::Result<()> {
    page.render_title(text)?;
    page.render_name_section(text)?;
    page.render_synopsis_section(text)?;
    page.render_description_section(text)?;
    page.render_options_section(text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(text)?;
    }
    let mut rest = Roff::new();
    let is_root = command.get_display_name().is_none_or(|name| name == command.get_name());
    if is_root {
        environment(&mut rest);
    }
    rest.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        entry(&mut rest, code, meaning);
    }
    if !is_root {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([bold("zt-risk-exporter"), roman("(1)")]);
    }
    rest.to_writer(text)
}

/// The variables of the settings, with what the manual says of them.
fn environment(page: &mut Roff) {
    page.control("SH", ["ENVIRONMENT"]);
    page.text([roman(
        "A flag takes precedence over a variable, and a variable over the configuration file. The colors of \
         the output are off if NO_COLOR is set.",
    )]);
    for key in keys::ALL {
        let variables = [key.cloudflare_variable.map(str::to_owned), key.variable()];
        let meaning = key.meaning.replace('`', "");
        for variable in variables.into_iter().flatten() {
            entry(page, &variable, &meaning);
        }
    }
}

fn entry(page: &mut Roff, term: &str, meaning: &str) {
    page.control("TP", []);
    page.text([bold(term)]);
    page.text([roman(meaning)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_source_if_the_build_says_it() {
        let now = Timestamp::from_seconds(2_000_000_000);
        for (source, wanted) in [
            (None, "2033-05-18"),
            (Some("1793491200"), "2026-11-01"),
            (Some(""), "2033-05-18"),
            (Some("yesterday"), "2033-05-18"),
        ] {
            assert_eq!(date(source, now), wanted, "{source:?}");
        }
    }
}
