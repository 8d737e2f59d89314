//! Reads and checks the configuration: file, environment and flags.
//!
//! Flags take precedence over the environment, and the environment over the file. [`keys`] declares every setting;
//! [`yaml`] and the environment give their texts; [`sources`] merges them; [`parse`] and [`accounts`] check them. An error
//! is one sentence with the key and the place where it was written. Secrets do not pass through the merge: they go
//! straight from the file or the environment into the types of [`secrecy`].

mod accounts;
mod background;
mod error;
mod files;
mod flags;
pub(crate) mod keys;
pub(crate) mod parse;
mod reread;
mod secret_files;
mod shard;
mod sources;
pub(crate) mod yaml;

use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretSlice;
use tracing_subscriber::filter::Targets;

pub(crate) use accounts::DEFAULT_SHARE;
pub(crate) use background::BackgroundRead;
pub use error::Error;
pub(crate) use error::{shown, shown_key};
pub(crate) use files::Files;
pub(crate) use flags::{FileFlags, LogFlags};
pub use flags::{Flags, WebFlags};
pub(crate) use reread::{ConfigSource, Fixed};
pub use secret_files::CredentialSource;
pub(crate) use shard::Shard;

use crate::cloudflare::Credentials;
use crate::http::listen::Listen;
use crate::model::resource::Intervals;
use crate::store;
use sources::Layers;
use yaml::Document;

/// The exposition is encoded at most once a second, so reading more often shows nothing new. A day without reading is no
/// longer monitoring.
pub(crate) const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// An audit reads users one by one, which takes hours.
pub(crate) const AUDIT_INTERVAL: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);

/// The highest `users.limit`: it already gives half a million series, so a higher number is a mistake.
const MOST_USERS: usize = 100_000;

/// The bounds of `state.cache_mib`. With less than 1 MiB every commit reads again what the last one wrote.
const CACHE_MIB: RangeInclusive<usize> = 1..=4_096;

/// The checked configuration of the exporter.
#[derive(Debug)]
pub struct Config {
    /// The accounts of this shard. If there is only one shard, it has at least one. Ids and aliases are unique.
    pub accounts: Vec<Account>,
    /// The shard.
    pub shard: Shard,
    /// The address of the API: https, or http on loopback. It has no trailing slash, unless the path is empty.
    pub base_url: Url,
    /// How often each resource is read.
    pub intervals: Intervals,
    /// How users appear in the metrics.
    pub users: Users,
    /// The state file; without one nothing survives a restart.
    pub state: Option<store::Settings>,
    /// The HTTP server.
    pub web: Web,
    /// The log.
    pub log: Log,
    /// Warnings to log.
    pub warnings: Vec<String>,
    /// The credentials, by [`Account::credential`], as they were when the configuration was read.
    pub credentials: Vec<Credentials>,
    /// How often the files are compared with what was read; `None` if they are not.
    pub auto_reload: Option<Duration>,
    /// The files that were read, apart from those with credentials: the pollers read these again themselves.
    pub files: Files,
    /// What a reload must not change.
    pub fixed: Fixed,
}

/// An account to watch.
#[derive(Debug, Clone)]
pub struct Account {
    /// 32 hexadecimal digits, in lower case.
    pub id: String,
    /// The label `account`: what was configured, else the id.
    pub alias: String,
    /// Where its credentials are.
    pub credentials: CredentialSource,
    /// The number of its credential, from 0. Accounts with the same number had the same credential when the configuration
    /// was read; they share one budget and have the same `budget_share`.
    pub credential: usize,
    /// The share of the 1,200 requests in five minutes that may be used, from 0.01 to 1.
    pub budget_share: f64,
}

/// How users appear in the metrics.
#[derive(Debug)]
pub struct Users {
    /// How many users of each account get their own series; 0 for none.
    pub limit: usize,
    /// How the metrics name them.
    pub identity: IdentityPolicy,
}

/// How the metrics name users.
#[derive(Debug)]
pub enum IdentityPolicy {
    /// By Cloudflare's id.
    Id,
    /// By a keyed hash of the id.
    Hash {
        /// What `users.hash_key_file` holds, 16 to 1024 bytes.
        key: SecretSlice<u8>,
    },
    /// By the id, and `user_info` has the e-mail address and the name.
    Email,
    /// Not at all: no user gets series of their own.
    None,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// Where the sockets come from.
    pub sockets: Sockets,
    /// The web configuration, with TLS and passwords.
    pub config_file: Option<PathBuf>,
    /// The path of the metrics.
    pub telemetry_path: String,
    /// The second address, which has the health alone.
    pub health_address: Option<Listen>,
    /// Names that `Host` may have on a loopback address, in lower case.
    pub allowed_hosts: Vec<String>,
    /// Whether the live page is served.
    pub page: WebPage,
    /// Whether a request may reload the configuration.
    pub lifecycle: Lifecycle,
}

/// Whether `/-/reload` reloads the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// It does.
    Enabled,
    /// It is 403.
    Disabled,
}

/// Where the sockets to listen on come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sockets {
    /// They are bound to these addresses; there is at least one.
    Bind(Vec<Listen>),
    /// systemd opened them.
    Systemd,
}

/// Whether the live page at `/` and its JSON are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebPage {
    /// They are served.
    On,
    /// Both are 404.
    Off,
}

/// The settings of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Which lines are logged.
    pub level: Filter,
    /// The format of a line.
    pub format: LogFormat,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

/// A log filter that was checked: directives for [`Targets`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Filter {
    /// The filter for tracing.
    pub fn to_targets(&self) -> Targets {
        self.0.parse().expect("the directives were parsed when they were read")
    }
}

/// The part of the configuration that does not concern accounts, for commands that need none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// How often each resource is read.
    pub intervals: Intervals,
    /// The state file; without one nothing survives a restart.
    pub state: Option<store::Settings>,
    /// The HTTP server.
    pub web: Web,
    /// The log.
    pub log: Log,
}

impl Config {
    /// Reads and checks everything: the flags, the environment (from `std::env::vars_os`), the configuration file, and the
    /// files with secrets.
    ///
    /// # Errors
    /// The first problem that was found.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let layers = Layers::load(flags, environment)?;
        let mut files = layers.files.clone();
        let Local { intervals, state, web, log } = Local::from_layers(&layers)?;
        let key_file = hash_key_file(&layers)?;
        files.extend(key_file.as_deref());
        let base_url = parse::base_url(&layers.get_or_default(keys::BASE_URL))?;
        let users = Users {
            limit: layers.get_or_default(keys::LIMIT).parse(parse::whole_number(0..=MOST_USERS))?,
            identity: identity(&layers)?,
        };
        let shard = Shard::load(&layers)?;
        let accounts::Loaded { accounts, credentials, mut warnings } = accounts::load(&layers)?;
        let accounts = shard.pick(accounts);
        warnings.splice(0..0, layers.warnings.iter().cloned());
        if let Some(path) = &key_file {
            warnings.extend(secret_files::readable_by_all(path));
        }
        let auto_reload = auto_reload(&layers)?;
        let fixed = Fixed::of(&layers);
        let has_key = layers.get(keys::HASH_KEY_FILE).is_some();
        if has_key && !matches!(users.identity, IdentityPolicy::Hash { .. }) {
            warnings.push("users.hash_key_file is not used, because users.identity is not hash".to_owned());
        }
        Ok(Self {
            accounts,
            shard,
            base_url,
            intervals,
            users,
            state,
            web,
            log,
            warnings,
            credentials,
            auto_reload,
            files,
            fixed,
        })
    }

    /// The account with this alias or id; without a name, the only account.
    ///
    /// # Errors
    /// No account has that name, or there are several and none was named.
    pub fn account(&self, name: Option<&str>) -> Result<&Account, Error> {
        let known =
            || self.accounts.iter().map(|account| account.alias.as_str()).collect::<Vec<_>>().join(", ");
        match (name, self.accounts.as_slice()) {
            (Some(name), accounts) => accounts
                .iter()
                .find(|account| account.alias == name)
                .or_else(|| accounts.iter().find(|account| account.id.eq_ignore_ascii_case(name)))
                .ok_or_else(|| {
                    Error::new(format!("no account {name:?} is configured; the accounts are: {}", known()))
                }),
            (None, [only]) => Ok(only),
            (None, _) => Err(Error::new(format!(
                "several accounts are configured; choose one with --account: {}",
                known()
            ))),
        }
    }

    /// How many accounts share the budget of this account, including itself.
    pub fn sharing(&self, account: &Account) -> u32 {
        let same = self.accounts.iter().filter(|other| other.credential == account.credential).count();
        u32::try_from(same).unwrap_or(u32::MAX)
    }
}

impl Local {
    /// The same as [`Config::load`], without the accounts.
    ///
    /// # Errors
    /// The first problem that was found.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        Self::from_layers(&Layers::load(flags, environment)?)
    }

    fn from_layers(layers: &Layers) -> Result<Self, Error> {
        let path = layers.get(keys::STATE_PATH).map(|setting| parse::path(&setting)).transpose()?;
        let cache_mib = layers.get_or_default(keys::STATE_CACHE).parse(parse::whole_number(CACHE_MIB))?;
        let state = path.map(|path| store::Settings { path, cache_bytes: cache_mib << 20 });
        let web = Web {
            sockets: parse::sockets(layers)?,
            config_file: layers
                .get(keys::WEB_CONFIG_FILE)
                .map(|setting| parse::path(&setting))
                .transpose()?,
            telemetry_path: parse::telemetry_path(&layers.get_or_default(keys::TELEMETRY_PATH))?,
            health_address: layers
                .get(keys::HEALTH_ADDRESS)
                .map(|setting| setting.parse(str::parse::<Listen>))
                .transpose()?,
            allowed_hosts: match layers.get(keys::ALLOWED_HOSTS) {
                Some(setting) => setting.parse(parse::host_names)?,
                None => Vec::new(),
            },
            page: parse::switch(&layers.get_or_default(keys::WEB_PAGE), WebPage::On, WebPage::Off)?,
            lifecycle: parse::switch(
                &layers.get_or_default(keys::ENABLE_LIFECYCLE),
                Lifecycle::Enabled,
                Lifecycle::Disabled,
            )?,
        };
        let log = Log {
            level: layers.get_or_default(keys::LOG_LEVEL).parse(str::parse::<Filter>)?,
            format: parse::log_format(&layers.get_or_default(keys::LOG_FORMAT))?,
        };
        let interval = |key| layers.get_or_default(key).parse(parse::interval);
        let intervals = Intervals {
            summary: interval(keys::SUMMARY)?,
            behaviors: interval(keys::BEHAVIORS)?,
            integrations: interval(keys::INTEGRATIONS)?,
            audit: layers.get_or_default(keys::AUDIT).parse(parse::audit_interval)?,
        };
        Ok(Self { intervals, state, web, log })
    }
}

fn auto_reload(layers: &Layers) -> Result<Option<Duration>, Error> {
    let interval = layers.get_or_default(keys::AUTO_RELOAD_INTERVAL).parse(parse::interval)?;
    parse::switch(&layers.get_or_default(keys::AUTO_RELOAD), Some(interval), None)
}

/// The path of the key for hashes, if users are named by a hash and a key is set.
fn hash_key_file(layers: &Layers) -> Result<Option<PathBuf>, Error> {
    if layers.get_or_default(keys::IDENTITY).text != "hash" {
        return Ok(None);
    }
    layers.get(keys::HASH_KEY_FILE).map(|file| parse::path(&file)).transpose()
}

fn identity(layers: &Layers) -> Result<IdentityPolicy, Error> {
    let setting = layers.get_or_default(keys::IDENTITY);
    Ok(match setting.text.as_str() {
        "id" => IdentityPolicy::Id,
        "email" => IdentityPolicy::Email,
        "none" => IdentityPolicy::None,
        "hash" => {
            let Some(file) = layers.get(keys::HASH_KEY_FILE) else {
                return Err(setting.refuse("is hash, but users.hash_key_file is not set"));
            };
            let path = parse::path(&file)?;
            let directory = layers.document.as_ref().map_or(Path::new(""), Document::directory);
            let key = secret_files::hash_key(&path)
                .map_err(|error| secret_files::unusable(&file, &path, directory, &error))?;
            IdentityPolicy::Hash { key }
        }
        _ => return Err(setting.must_be("id, hash, email or none")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../deploy/zt-risk-exporter.example.yaml");

    /// What the example says, with its token in a file that exists.
    fn load(example: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let (file, token) = (directory.path().join("zt.yaml"), directory.path().join("token"));
        let example = example.replace("/run/secrets/cloudflare-token", "token");
        std::fs::write(&file, example).unwrap();
        std::fs::write(token, "secret").unwrap();
        let flags = Flags { config_file: Some(file), ..Flags::default() };
        let config = Config::load(&flags, []).map_err(|error| error.to_string());
        let text = format!("{:?}", config.unwrap());
        text.replace(&directory.path().display().to_string(), "")
    }

    /// The setting that stands on a line as `#key: value`.
    fn commented_out(line: &str) -> Option<&str> {
        let setting = line.trim_start().strip_prefix('#')?;
        setting.starts_with(|c: char| c.is_ascii_lowercase()).then_some(setting)
    }

    #[test]
    fn the_example_loads_and_what_it_comments_out_are_the_defaults() {
        let uncommented: Vec<String> = EXAMPLE
            .lines()
            .map(|line| match commented_out(line) {
                Some(_) => line.replacen('#', "", 1),
                None => line.to_owned(),
            })
            .collect();
        assert_eq!(load(&uncommented.join("\n")), load(EXAMPLE));
    }
}
