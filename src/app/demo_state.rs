//! What a drill needs beside the simulator: a state file that is gone afterwards, and which may say that the
//! account has been watched for a while.

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

/// More than the whole state of a few hundred users.
const CACHE_BYTES: usize = 1024 * 1024;

/// A directory of this process alone, removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// Makes one among the system's temporary files.
    ///
    /// # Errors
    /// It cannot be made there.
    pub(crate) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("zt-risk-exporter-{}", uuid::Uuid::new_v4()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// A state file in it.
    pub(crate) fn state(&self) -> store::Settings {
        store::Settings { path: self.0.join("state.redb"), cache_bytes: CACHE_BYTES }
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a temporary directory stays");
        }
    }
}

/// Why the past of an account could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The list of users could not be read.
    #[error("the list of users: {0}")]
    List(#[from] Error),
    /// The state could not be written.
    #[error(transparent)]
    State(#[from] store::Error),
}

/// Leaves a state as of an exporter that began to watch so long ago and has seen the same list ever since.
///
/// # Errors
/// The list cannot be read, or the state not be written.
pub(crate) async fn pretend(
    client: &Client,
    watched: Duration,
    settings: Settings,
    file: &store::Settings,
    clock: &Clock,
) -> Result<(), PastError> {
    let began = clock.date() - watched;
    let mut summary = client.summary().await?;
    summary.date = Some(began);
    let (state, _) = State::open(file, vec![settings.name.id.clone()], clock, Saved::add)?;
    let mut account = Account::new(settings);
    account.summary_read(&summary, clock.now(), began);
    poller::save(&mut account, &state, &mut state.generation(), clock);
    state.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_is_gone_with_all_that_is_in_it() {
        let scratch = TempDir::new().unwrap();
        let file = scratch.state().path;
        fs::write(&file, "x").unwrap();
        drop(scratch);
        assert!(file.parent().is_some_and(|directory| !directory.exists()));
    }
}
