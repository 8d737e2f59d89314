//! `state`: reads the state file of an exporter that is not running, and removes users from it.

mod find;
mod inspect;
mod user;

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use super::admin::Named;
use super::candidates::accounts_and_all;
use super::{Failure, Outcome, terminal};
use crate::clock::Clock;
use crate::config::{Flags, Local};

/// Show, check or clean up a state file; its exporter must not be running
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum State {
    /// Show what the file holds, as a whole or about one user
    Show {
        /// Show everything that the file holds about this user, named as for the command user
        #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
        user: Option<String>,
        /// The account on whose risk list the user is looked up by name or address, by alias or id, or all [default: all]
        #[arg(long, value_name = "ALIAS", requires = "user", add = ArgValueCandidates::new(accounts_and_all))]
        account: Option<String>,
        #[command(flatten)]
        file: StateFile,
    },
    /// Verify the file without changing it
    Check(StateFile),
    /// Remove everything that the file holds about a user; counters stay as they are
    Forget {
        /// The user, named as for the command user; only an id needs no request to Cloudflare
        #[arg(value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
        user: String,
        /// The account on whose risk list the user is looked up by name or address, by alias or id, or all [default: all]
        #[arg(long, value_name = "ALIAS", add = ArgValueCandidates::new(accounts_and_all))]
        account: Option<String>,
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
    #[arg(long = "state.path", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl State {
    pub(crate) fn run(&self) -> Outcome {
        let text = match self {
            Self::Show { user: None, file, .. } => {
                inspect::render(&file.path()?).map_err(Failure::runtime)?
            }
            Self::Show { user: Some(user), account, file } => {
                let (path, named) = (file.path()?, file.user(user, account.as_deref())?);
                let Named { id, remarks, incomplete } = named;
                terminal::print_wrapped(&user::render(&path, id)?)?;
                for remark in &remarks {
                    terminal::remark(remark);
                }
                return incomplete.map_or(Ok(()), Err);
            }
            Self::Check(file) => inspect::check(&file.path()?).map_err(Failure::runtime)?,
            Self::Forget { user, account, file } => {
                let (path, named) = (file.path()?, file.user(user, account.as_deref())?);
                let Named { id, remarks, incomplete } = named;
                if incomplete.is_some() {
                    return Err(Failure::Unclear(format!(
                        "{}\nnothing was removed: another account may have a user of the same name; name the user by \
                         id, or choose the account with --account",
                        remarks.join("\n")
                    )));
                }
                user::forget(&path, id, Clock::system().date())?
            }
        };
        terminal::print_wrapped(&text)
    }
}

impl StateFile {
    /// The file that the flag names, or else the configuration.
    fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.path {
            return Ok(path.clone());
        }
        let local = Local::load(&self.flags(), std::env::vars_os())?;
        let missing = "no state file is named: give --state.path, or a configuration with state.path";
        local.state.map(|state| state.path).ok_or_else(|| Failure::Usage(missing.to_owned()))
    }

    /// The user that `text` names.
    fn user(&self, text: &str, account: Option<&str>) -> Result<Named, Failure> {
        find::user(text, account, &self.flags(), &self.path()?)
    }

    /// The configuration with all of its accounts: shards only divide the work of exporters.
    fn flags(&self) -> Flags {
        Flags {
            config_file: self.config_file.clone(),
            shard_index: Some("0".to_owned()),
            shard_total: Some("1".to_owned()),
            ..Flags::default()
        }
    }
}
