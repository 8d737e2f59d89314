//! What a command needs before it begins: the configuration, logs, and a runtime.

use tokio::runtime::{Builder, Runtime};

use super::Failure;
use crate::app::logging;
use crate::config::{Config, Flags, Local, Shard};

/// The checked configuration; from here on logs go where it says.
///
/// # Errors
/// The configuration must be corrected, or logging was started before.
pub(crate) fn configure(flags: &Flags) -> Result<Config, Failure> {
    let config = Config::load(flags, std::env::vars_os())?;
    logging::start(&config.log).map_err(Failure::runtime)?;
    for warning in &config.warnings {
        tracing::warn!(warning, "a part of the configuration is not used");
    }
    log_shard(&config);
    Ok(config)
}

/// The same for a command that needs no account.
///
/// # Errors
/// As [`configure`].
pub(crate) fn configure_local(flags: &Flags) -> Result<Local, Failure> {
    let local = Local::load(flags, std::env::vars_os())?;
    logging::start(&local.log).map_err(Failure::runtime)?;
    Ok(local)
}

/// Logs which accounts are watched here, if other shards watch others.
fn log_shard(config: &Config) {
    let Shard { index, total } = config.shard;
    let aliases: Vec<_> = config.accounts.iter().map(|account| account.alias.as_str()).collect();
    match aliases.as_slice() {
        _ if total == 1 => {}
        [] => tracing::info!(index, total, "no account is this shard's: the others have them all"),
        _ => tracing::info!(index, total, accounts = aliases.join(", "), "this shard has these accounts"),
    }
}

/// Runs a command that serves: one thread may be busy with a long list while another answers.
///
/// # Errors
/// The threads cannot be started.
pub(crate) fn serve<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    drive(Builder::new_multi_thread().worker_threads(2), work)
}

/// Runs a command that sends one request after the other.
///
/// # Errors
/// The runtime cannot be started.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    drive(&mut Builder::new_current_thread(), work)
}

/// Runs `work` to its end and waits for nothing else: a thread that looks up a name or builds a world cannot be
/// stopped.
fn drive<T>(builder: &mut Builder, work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime: Runtime = builder.enable_all().build().map_err(Failure::runtime)?;
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_hangs_delays_no_end() {
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
        assert_eq!(serve(work()), Ok(true));
        assert_eq!(wait(work()), Ok(true));
    }
}
