//! The state file of a demo: temporary, and backdated if the demo continues the history of an account.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;
use crate::cloudflare::{Client, Error};
use crate::collector::account::{Account, Settings};
use crate::collector::persist::Saved;
use crate::collector::poller;
use crate::store::{self, State};

/// Holds the whole state of a few hundred users.
const CACHE_BYTES: usize = 1024 * 1024;

/// A directory that only this process uses. Dropping it removes the directory with its content.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// Creates the directory below the system's directory for temporary files.
    ///
    /// # Errors
    /// It cannot be created.
    pub(crate) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("zt-risk-exporter-{}", uuid::Uuid::new_v4()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// A state file in this directory.
    pub(crate) fn state(&self) -> store::Settings {
        store::Settings { path: self.0.join("state.redb"), cache_bytes: CACHE_BYTES }
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a temporary directory");
        }
    }
}

/// Why the state file could not be backdated.
#[derive(Debug, thiserror::Error)]
pub enum BackdateError {
    /// The list of users could not be read.
    #[error("cannot read the list of users: {0}")]
    List(#[from] Error),
    /// The state file could not be written.
    #[error(transparent)]
    State(#[from] store::Error),
}

/// Writes the state that an exporter would have if it had started `watched` ago and seen today's list of users ever
/// since.
///
/// # Errors
/// The list of users cannot be read, or the state file cannot be written.
pub(crate) async fn backdate(
    client: &Client,
    watched: Duration,
    settings: Settings,
    file: &store::Settings,
    clock: &Clock,
) -> Result<(), BackdateError> {
    let start = clock.date() - watched;
    let mut summary = client.summary().await?;
    summary.date = Some(start);
    let (state, _) = State::open(file, vec![settings.name.id.clone()], clock, Saved::add)?;
    let mut account = Account::new(settings);
    account.summary_read(&summary, clock.now(), start);
    poller::save(&mut account, &state, &mut state.generation(), clock);
    state.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_is_removed_with_its_content() {
        let directory = TempDir::new().unwrap();
        let file = directory.state().path;
        fs::write(&file, "x").unwrap();
        drop(directory);
        assert!(file.parent().is_some_and(|directory| !directory.exists()));
    }
}
