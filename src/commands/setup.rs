//! What a command needs before it starts: the configuration, the log, and a runtime.

use std::io::{self, IsTerminal as _};

use tokio::runtime::{Builder, Runtime};

use super::{Failure, found_accounts, terminal};
use crate::app::logging;
use crate::clock::Clock;
use crate::config::{self, Config, Flags, Local, Shard};
use crate::web::Checked;

/// Loads the configuration and starts logging as it says.
///
/// # Errors
/// The configuration is invalid, or logging was started before.
pub(crate) fn configure(flags: &Flags) -> Result<Config, Failure> {
    let config = Config::load(flags, std::env::vars_os())?;
    start_log(&config)?;
    logging::warn_of(&config);
    Ok(config)
}

/// The same as [`configure`], for a command that a person has a dialogue with. At a terminal it does not log, because log lines
/// would stand between the question and its answer: warnings are remarks, and the command says itself what it did. Only a
/// flag asks for the log there, since the level in the file is the exporter's.
///
/// # Errors
/// As [`configure`].
pub(crate) fn configure_dialogue(flags: &Flags) -> Result<Config, Failure> {
    let wants_log = flags.log.level.is_some() || flags.log.format.is_some();
    if wants_log || !io::stderr().is_terminal() {
        return configure(flags);
    }
    let config = Config::load(flags, std::env::vars_os())?;
    for warning in &config.warnings {
        terminal::remark(&format!("warning: {warning}"));
    }
    Ok(config)
}

/// The configuration with the accounts that its tokens have at Cloudflare. A token whose accounts cannot be found is a remark.
///
/// # Errors
/// The runtime cannot be started.
pub(crate) fn with_found(config: Config) -> Result<Config, Failure> {
    let (config, found) = block_on(found_accounts::find(config, &Clock::system()))?;
    for (token_file, failure) in found.into_iter().filter_map(|(label, found)| Some((label, found.err()?))) {
        terminal::remark(&format!("warning: cannot find the accounts of {token_file}: {failure}"));
    }
    Ok(config)
}

/// Starts logging as `config` says, for a command that shows the warnings about the configuration itself.
///
/// # Errors
/// Logging was started before.
pub(crate) fn start_log(config: &Config) -> Result<(), Failure> {
    logging::start(&config.log).map_err(Failure::runtime)?;
    log_shard(config);
    Ok(())
}

/// The same as [`configure`], for a command that needs no account.
///
/// # Errors
/// As [`configure`].
pub(crate) fn configure_local(flags: &Flags) -> Result<Local, Failure> {
    let local = Local::load(flags, std::env::vars_os())?;
    logging::start(&local.log).map_err(Failure::runtime)?;
    Ok(local)
}

/// Reads the web configuration, if there is one, and logs its warnings.
///
/// # Errors
/// It cannot be used.
pub(crate) fn web(config: &config::Web) -> Result<Option<Checked>, Failure> {
    let Some(path) = &config.config_file else { return Ok(None) };
    let checked = Checked::load(path)?;
    for warning in checked.summary(Clock::system().date()).warnings() {
        tracing::warn!(warning, "a warning about the web configuration");
    }
    Ok(Some(checked))
}

/// Logs the accounts of this shard, if there are several shards.
fn log_shard(config: &Config) {
    let Shard { index, total } = config.shard;
    let aliases: Vec<_> = config.accounts.iter().map(|account| account.alias.as_str()).collect();
    match aliases.as_slice() {
        _ if total == 1 => {}
        [] => tracing::info!(index, total, "this shard has no accounts; they all belong to other shards"),
        _ => tracing::info!(index, total, accounts = aliases.join(", "), "this shard has these accounts"),
    }
}

/// Runs a command that serves, on two threads: one may decode a long list while the other answers.
///
/// # Errors
/// The threads cannot be started.
pub(crate) fn block_on_threads<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    run(Builder::new_multi_thread().worker_threads(2), work)
}

/// Runs a command that sends one request after the other, on this thread.
///
/// # Errors
/// The runtime cannot be started.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    run(&mut Builder::new_current_thread(), work)
}

/// Runs `work` to its end. Does not wait for blocking threads, because a name lookup cannot be stopped.
fn run<T>(builder: &mut Builder, work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime: Runtime = builder.enable_all().build().map_err(Failure::runtime)?;
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_hangs_does_not_delay_the_end() {
        let work = || async {
            let (hanging, hangs) = std::sync::mpsc::sync_channel(1);
            tokio::task::spawn_blocking(move || {
                hanging.send(()).expect("somebody waits for it");
                loop {
                    std::thread::park();
                }
            });
            hangs.recv().is_ok()
        };
        assert_eq!(block_on_threads(work()), Ok(true));
        assert_eq!(block_on(work()), Ok(true));
    }
}
