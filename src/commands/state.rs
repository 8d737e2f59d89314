//! `state`: reads the state file of an exporter that is not running, and removes users from it.

mod inspect;
mod user;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Failure, Outcome, terminal};
use crate::clock::Clock;
use crate::config::{Flags, Local};

/// Show, check or clean up a state file; its exporter must not be running
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum State {
    /// Show what the file holds, as a whole or about one user
    Show {
        /// Show everything that the file holds about this user, by Cloudflare's id, a UUID
        #[arg(long, value_name = "USER")]
        user: Option<Uuid>,
        #[command(flatten)]
        file: StateFile,
    },
    /// Verify the file without changing it
    Check(StateFile),
    /// Remove everything that the file holds about a user; counters stay as they are
    Forget {
        /// Cloudflare's id of the user, a UUID
        user: Uuid,
        #[command(flatten)]
        file: StateFile,
    },
}

/// The flags that name the state file.
#[derive(Debug, Clone, Args)]
pub(crate) struct StateFile {
    /// The configuration file of the exporter, which has the state.path
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// The state file; the configured one if left out
    #[arg(long = "state.path", value_name = "FILE", conflicts_with = "config_file")]
    path: Option<PathBuf>,
}

impl State {
    pub(crate) fn run(&self) -> Outcome {
        let text = match self {
            Self::Show { user: None, file } => inspect::render(&file.path()?).map_err(Failure::runtime),
            Self::Show { user: Some(user), file } => {
                user::render(&file.path()?, *user).map_err(Failure::runtime)
            }
            Self::Check(file) => inspect::check(&file.path()?).map_err(Failure::runtime),
            Self::Forget { user, file } => {
                user::forget(&file.path()?, *user, Clock::system().date()).map_err(Failure::runtime)
            }
        };
        terminal::print(text?)
    }
}

impl StateFile {
    /// The file that the flag names, or else the configuration.
    fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.path {
            return Ok(path.clone());
        }
        let flags = Flags { config_file: self.config_file.clone(), ..Flags::default() };
        let local = Local::load(&flags, std::env::vars_os())?;
        let missing = "no state file is named: give --state.path, or a configuration with state.path";
        local.state.map(|state| state.path).ok_or_else(|| Failure::Usage(missing.to_owned()))
    }
}
