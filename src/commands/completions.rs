//! `completions`: writes a completion script for a shell.

use clap::{Args, CommandFactory};

use super::{Cli, Outcome, terminal};

/// Write a completion script for a shell to standard output
#[derive(Debug, Clone, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "zt-risk-exporter", &mut script);
        terminal::print(script)
    }
}
