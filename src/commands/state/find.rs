//! Finds the user that a text names, as the command `user` does.
//!
//! A state file has ids only. A hash from the metrics is compared with the ids in the file; a name or an e-mail address is
//! looked up on the risk list, which needs the configuration of an account and a request.

use std::path::Path;

use secrecy::ExposeSecret as _;

use crate::clock::Clock;
use crate::collector::persist::Saved;
use crate::collector::user_label::UserLabel;
use crate::commands::admin::{Named, user_on_lists};
use crate::commands::{Failure, setup};
use crate::config::{Config, Flags, IdentityPolicy};
use crate::model::UserId;
use crate::store::offline::Inspected;

/// # Errors
/// No user or several users have that name, or the list cannot be read.
pub(super) fn user(text: &str, account: Option<&str>, flags: &Flags, path: &Path) -> Result<Named, Failure> {
    let id = UserId::try_parse(text).ok();
    // An id with hyphens cannot be a hash.
    if let Some(id) = id.filter(|_| text.contains('-')) {
        return Ok(Named::certain(id));
    }
    let config = match (Config::load(flags, std::env::vars_os()), id) {
        (Err(_), Some(id)) => return Ok(Named::certain(id)),
        (Err(error), None) => {
            return Err(Failure::Usage(format!(
                "only an id names a user without a configured account, on whose risk list the others are looked up: {error}"
            )));
        }
        (Ok(config), _) => config,
    };
    if let IdentityPolicy::Hash { key } = &config.users.identity
        && let Some(user) = with_label(path, &UserLabel::hash(key.expose_secret()), text)?
    {
        return Ok(Named::certain(user));
    }
    match id {
        Some(id) => Ok(Named::certain(id)),
        None => setup::block_on(user_on_lists(&config, account, &Clock::system(), text))?,
    }
}

/// The user in the file who has this label in the metrics.
fn with_label(path: &Path, labels: &UserLabel, text: &str) -> Result<Option<UserId>, Failure> {
    let found = Inspected::open(path, Saved::add).map_err(Failure::runtime)?;
    let users = found.accounts.values().flat_map(|saved| {
        let listed = saved.users.iter().map(|user| user.id);
        listed.chain(saved.records.keys().copied())
    });
    let user = { users }.find(|user| labels.label(*user).is_some_and(|label| label == text));
    found.close();
    Ok(user)
}
