//! Reads the configuration again while the exporter runs, and knows what may not change then.

use std::ffi::OsString;

use secrecy::{ExposeSecret as _, SecretSlice};

use super::canonical;
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
    /// The configuration is invalid; the error lists all mistakes.
    pub(crate) fn load(&self) -> Result<Config, Error> {
        Config::load(&self.flags, self.environment.iter().cloned())
    }
}

/// The texts of all settings that are not fields of an account, in the order of the manual. They are not secrets.
#[derive(Debug, Default, Clone)]
pub struct SettingTexts(Vec<(Key, Option<String>)>);

impl SettingTexts {
    pub(super) fn of(layers: &Layers) -> Self {
        let keys = keys::ALL.iter().filter(|key| !key.is_of_account());
        Self(keys.map(|key| (*key, layers.get(*key).map(|setting| setting.text))).collect())
    }
}

/// A setting with another value than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingChange {
    pub(crate) key: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Config {
    /// The settings that differ in `new`, but need a restart to change. `hash_key` is the key that ids were hashed with since the
    /// start, even if they are not any more.
    pub(crate) fn need_restart(&self, new: &Self, hash_key: Option<&SecretSlice<u8>>) -> Vec<String> {
        // The key for hashes is compared by its content, because another path may lead to the same key.
        let differing = self.differing(new, Change::Restart).into_iter().map(|setting| setting.key);
        let mut differing: Vec<String> = differing.filter(|key| *key != keys::HASH_KEY_FILE.path()).collect();
        if let (Some(before), IdentityPolicy::Hash { key: after }) = (hash_key, &new.users.identity)
            && before.expose_secret() != after.expose_secret()
        {
            differing.push(keys::HASH_KEY_FILE.path());
        }
        differing
    }

    /// The settings that differ in `new`, and that a reload may change; without the fields of accounts.
    pub(crate) fn setting_changes(&self, new: &Self) -> Vec<SettingChange> {
        self.differing(new, Change::Reload)
    }

    fn differing(&self, new: &Self, change: Change) -> Vec<SettingChange> {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "not set".to_owned());
        let pairs = self.setting_texts.0.iter().zip(&new.setting_texts.0);
        pairs
            .filter(|((key, before), (_, after))| {
                key.change == change && !canonical::is_same(key, before.as_deref(), after.as_deref())
            })
            .map(|((key, from), (_, to))| SettingChange { key: key.path(), from: text(from), to: text(to) })
            .collect()
    }
}
