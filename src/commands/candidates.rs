//! The values that a shell is offered for an argument, beside those that the argument declares.
//!
//! They come from the configuration that the line names, and for behaviors from Cloudflare. Whatever fails gives no values: a
//! shell shows no errors. No user is offered, because names and addresses would stay on the screen.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;

use super::each_account::ALL;
use super::session::{Session, foreground};
use super::setup;
use crate::clock::Clock;
use crate::cloudflare::limit::Budget;
use crate::config::{Config, Flags};
use crate::model::Behavior;

/// How long somebody who pressed the tab key waits for Cloudflare.
const PATIENCE: Duration = Duration::from_secs(2);

/// The aliases of the configured accounts. Reads no secret.
pub(crate) fn accounts() -> Vec<CompletionCandidate> {
    let found = Config::check_offline(&flags(), std::env::vars_os());
    let accounts = found.result.map(|offline| offline.accounts).unwrap_or_default();
    accounts.into_iter().map(|account| CompletionCandidate::new(account.alias)).collect()
}

/// The same, and the word for all of them if there are several.
pub(crate) fn accounts_and_all() -> Vec<CompletionCandidate> {
    let mut found = accounts();
    if found.len() > 1 {
        found.push(CompletionCandidate::new(ALL).help(Some("all accounts".into())));
    }
    found
}

/// The ids of the account's behaviors. Sends one request.
pub(crate) fn behaviors() -> Vec<CompletionCandidate> {
    let candidate = |Behavior { id, name, .. }| CompletionCandidate::new(id).help(Some(name.into()));
    read_behaviors().unwrap_or_default().into_iter().map(candidate).collect()
}

fn read_behaviors() -> Option<Vec<Behavior>> {
    let config = Config::load(&flags(), std::env::vars_os()).ok()?;
    let alias = value_of("--account", words());
    let account = config.account(alias.as_ref().and_then(|alias| alias.to_str())).ok()?;
    let clock = Clock::system();
    let budget = Budget::new(account.budget_share, clock.clone());
    let session = Session::open(&config, account, budget, foreground(), &clock).ok()?;
    let answer = async { tokio::time::timeout(PATIENCE, session.client.behaviors()).await };
    Some(setup::block_on(answer).ok()?.ok()?.ok()?.rows)
}

/// The configuration that the line names, with the accounts of all shards.
fn flags() -> Flags {
    Flags {
        config_file: value_of("--config.file", words()).map(PathBuf::from),
        shard_index: Some("0".to_owned()),
        shard_total: Some("1".to_owned()),
        ..Flags::default()
    }
}

/// The words of the line. A shell gives them after two dashes.
fn words() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip_while(|word| word != "--")
}

/// The value of a flag. bash gives the `=` between them as a word.
fn value_of(flag: &str, words: impl Iterator<Item = OsString>) -> Option<OsString> {
    let mut words = words.filter(|word| word != "=");
    while let Some(word) = words.next() {
        if word == flag {
            return words.next();
        }
        if let Some(value) = word.to_str().and_then(|word| word.strip_prefix(flag)?.strip_prefix('=')) {
            return Some(value.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_has_its_value_in_every_form_that_shells_give() {
        for (words, wanted) in [
            (&["zt", "users", "--account", "acme", "--output"][..], Some("acme")),
            (&["zt", "users", "--account=acme"], Some("acme")),
            (&["zt", "users", "--account", "=", "acme"], Some("acme")),
            (&["zt", "users", "--account"], None),
            (&["zt", "users", "--accounts", "acme"], None),
            (&["zt"], None),
        ] {
            let found = value_of("--account", words.iter().map(OsString::from));
            assert_eq!(found, wanted.map(OsString::from), "{words:?}");
        }
    }
}
