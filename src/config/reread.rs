//! Reads the configuration again while the exporter runs, and knows what may not change then.

use std::collections::BTreeMap;
use std::ffi::OsString;

use secrecy::ExposeSecret;

use super::error::Error;
use super::keys::{self, Change, Key};
use super::sources::Layers;
use super::{Config, Flags, IdentityPolicy};

/// Where a configuration is read from: the flags, the environment, and the files that they name.
#[derive(Debug, Clone)]
pub(crate) struct ConfigSource {
    flags: Flags,
    environment: Vec<(OsString, OsString)>,
}

impl ConfigSource {
    /// The configuration that these flags and this environment lead to.
    pub(crate) fn new(flags: Flags, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self { flags, environment: environment.into_iter().collect() }
    }

    /// Reads the configuration as its files are now.
    ///
    /// # Errors
    /// All mistakes.
    pub(crate) fn load(&self) -> Result<Config, Error> {
        Config::load(&self.flags, self.environment.iter().cloned())
    }
}

/// The texts of the settings that need a restart to change, by key. Their values are not secrets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fixed(BTreeMap<String, Option<String>>);

impl Fixed {
    pub(super) fn of(layers: &Layers) -> Self {
        // The key for hashes is compared by its content, because another path may lead to the same key.
        let compared = |key: &&Key| key.change == Change::Restart && key.path() != keys::HASH_KEY_FILE.path();
        let text = |key: &Key| (key.path(), layers.get(*key).map(|setting| setting.text));
        Self(keys::ALL.iter().filter(compared).map(text).collect())
    }
}

impl Config {
    /// The settings that differ in `new`, but need a restart to change.
    pub fn need_restart(&self, new: &Self) -> Vec<String> {
        let Fixed(texts) = &self.fixed;
        let differs = |key: &&String| texts.get(*key) != new.fixed.0.get(*key);
        let mut differing: Vec<String> = texts.keys().filter(differs).cloned().collect();
        if let (IdentityPolicy::Hash { key: before }, IdentityPolicy::Hash { key: after }) =
            (&self.users.identity, &new.users.identity)
            && before.expose_secret() != after.expose_secret()
        {
            differing.push(keys::HASH_KEY_FILE.path());
        }
        differing
    }
}
