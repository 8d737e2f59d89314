//! Reads the configuration, also again while the exporter runs, and knows what may not change then.

use std::ffi::OsString;
use std::mem;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretSlice};

use super::background::read_within;
use super::canonical;
use super::error::Error;
use super::keys::{self, Change, Key};
use super::sources::Layers;
use super::yaml::Accepted;
use super::{Account, AccountOrigin, Config, CredentialSource, Flags, IdentityPolicy};

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

    /// Reads the configuration as its files are now. This may block, but not on a pipe: its reader would wait even after the pipe
    /// was replaced by a file.
    ///
    /// # Errors
    /// The configuration is invalid; the error lists all mistakes.
    pub(crate) fn load(&self) -> Result<Config, Error> {
        Config::read(&self.flags, self.environment.iter().cloned(), Accepted::Regular).result
    }

    /// What `read` makes of the flags and the environment. Without a limit, a pipe to which nobody writes, or a file system that
    /// hangs, would stop a command without a word.
    ///
    /// # Errors
    /// The files cannot be read in time.
    pub(super) fn read_within<T: Send + 'static>(
        self,
        wait: Duration,
        read: impl FnOnce(&Flags, Vec<(OsString, OsString)>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let files = self.files();
        read_within("configuration", wait, move || read(&self.flags, self.environment))
            .map_err(|problem| Error::new(format!("{files}: {problem}")))
    }

    /// The files of the configuration, for a message that concerns one of them.
    pub(crate) fn files(&self) -> String {
        let is_file =
            |(name, value): &&(OsString, OsString)| name == keys::FILE_VARIABLE && !value.is_empty();
        let variable = || self.environment.iter().rfind(is_file).map(|(_, value)| Path::new(value));
        match self.flags.config_file.as_deref().or_else(variable) {
            Some(path) => format!("configuration {}, or a file that it names", path.display()),
            None => "a file that the configuration names".to_owned(),
        }
    }
}

/// The texts of all settings that are not in a list, in the order of the manual. They are not secrets.
#[derive(Debug, Default, Clone)]
pub struct SettingTexts(Vec<(Key, Option<String>)>);

impl SettingTexts {
    pub(super) fn of(layers: &Layers) -> Self {
        let keys = keys::ALL.iter().filter(|key| !key.is_in_list());
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
        } else if let (Some(before), Some(after)) = (self.feed_key(), new.feed_key())
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

    /// The same configuration, in which the accounts of `before` whose token files cannot be used now keep the credentials that they
    /// have, and so their shard. `None` if there are no such accounts.
    pub(crate) fn keeping(&self, before: &Self) -> Option<Self> {
        let mut kept = self.unread.iter().filter_map(|unread| {
            let mut all = before.accounts.iter().chain(&before.others);
            let known = all.find(|account| account.id == unread.id)?;
            let credentials = CredentialSource::TokenFile(unread.path.clone());
            let (alias, baseline) = (unread.alias.clone(), unread.baseline.clone());
            let origin = AccountOrigin::Configured;
            let account = Account { alias, credentials, baseline, origin, ..known.clone() };
            Some((account, before.credentials.get(known.credential)?))
        });
        let first = kept.next()?;
        let mut new = self.clone();
        let mut all = [mem::take(&mut new.accounts), mem::take(&mut new.others)].concat();
        for (account, credential) in std::iter::once(first).chain(kept) {
            let number = new.credentials.iter().position(|known| known == credential).unwrap_or_else(|| {
                new.credentials.push(credential.clone());
                new.credentials.len() - 1
            });
            all.push(Account { credential: number, ..account });
        }
        (new.accounts, new.others) = new.shard.divide(all);
        Some(new)
    }

    /// The directory of tokens, if it has no file of an account any more, but had some in the configuration `before`. A volume that
    /// is not mounted looks like this, with or without files of other names.
    pub(crate) fn emptied_tokens_dir(&self, before: &Self) -> Option<&Path> {
        let (now, then) = (self.token_files.as_ref()?, before.token_files.as_ref()?);
        let is_emptied =
            now.names_no_account() && !then.names_no_account() && now.directory == then.directory;
        is_emptied.then_some(&*now.directory)
    }

    /// The key that the records of the feed hash ids with.
    fn feed_key(&self) -> Option<&SecretSlice<u8>> {
        match self.feed.as_ref().map(|feed| &feed.identity) {
            Some(IdentityPolicy::Hash { key }) => Some(key),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn files_that_cannot_be_read_in_time_are_an_error_that_names_the_configuration() {
        let flag = Some(PathBuf::from("/etc/flag.yaml"));
        for (config_file, variable, wanted) in [
            (flag.clone(), "", "configuration /etc/flag.yaml, or a file that it names"),
            (flag, "/etc/variable.yaml", "configuration /etc/flag.yaml, or a file that it names"),
            (None, "/etc/variable.yaml", "configuration /etc/variable.yaml, or a file that it names"),
            (None, "", "a file that the configuration names"),
        ] {
            let environment = [("PATH".into(), "/bin".into()), (keys::FILE_VARIABLE.into(), variable.into())];
            let flags = Flags { config_file: config_file.clone(), ..Flags::default() };
            let source = ConfigSource::new(flags, environment);
            let (release, held) = sync_channel::<()>(0);
            let hangs = source.clone().read_within(Duration::ZERO, move |_, _| held.recv().is_ok());
            let told = hangs.unwrap_err().to_string();
            assert_eq!(told, format!("{wanted}: the file cannot be read within 0 s"));
            drop(release);
            let given = source.read_within(Duration::from_secs(60), |flags, variables| {
                (flags.config_file.clone(), variables.len())
            });
            assert_eq!(given.unwrap(), (config_file, 2));
        }
    }
}
