//! Reads and checks the configuration: file, environment and flags.
//!
//! Flags take precedence over the environment, and the environment over the file. [`keys`] declares every setting;
//! [`yaml`] and the environment give their texts; [`sources`] merges them; [`parse`] and [`accounts`] check them. All
//! mistakes are found at once, each a sentence with the key and the place where it was written. Secrets do not pass
//! through the merge: they go straight from the file or the environment into the types of [`secrecy`].

mod accounts;
mod addresses;
mod background;
mod baseline;
mod canonical;
mod declared;
mod directory;
mod discovery;
mod entry;
mod error;
mod feed;
mod files;
mod flags;
mod found;
pub(crate) mod keys;
mod naming;
pub(crate) mod parse;
mod reading;
mod regular_file;
mod reread;
mod secret_files;
mod shard;
mod sources;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretSlice;
use tracing_subscriber::filter::Targets;

pub(crate) use accounts::{DEFAULT_SHARE, TokensDir};
pub(crate) use background::{BackgroundRead, read_within};
pub(crate) use baseline::BaselineFile;
pub(crate) use baseline::parse as parse_baseline;
pub(crate) use declared::{Offline, Outline, Outlined};
pub(crate) use discovery::{Discovery, FoundAlias};
pub use error::Error;
pub(crate) use error::{Mistake, Mistakes, shown_key};
pub use feed::Feed;
pub(crate) use files::Files;
pub(crate) use flags::{FileFlags, LogFlags};
pub use flags::{Flags, WebFlags};
pub(crate) use found::{FoundAccount, FoundList};
pub(crate) use regular_file::read_regular_file;
pub(crate) use reread::{ConfigSource, SettingChange, SettingTexts};
pub use secret_files::CredentialSource;
pub(crate) use secret_files::readable_by_all;
pub(crate) use shard::Shard;
pub(crate) use sources::Setting;

use crate::cloudflare::Credentials;
use crate::http::listen::Listen;
use crate::model::resource::Intervals;
use crate::model::token_files::TokenFiles;
use crate::store;
use accounts::Unread;
use addresses::Addresses;
use declared::Declared;
use feed::DeclaredFeed;
use naming::Naming;
use reading::Reading;
use secret_files::Secrets;
use sources::Layers;
use yaml::Accepted;

/// The exposition is encoded at most once a second, so reading more often shows nothing new. A day without reading is no
/// longer monitoring.
pub(crate) const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// An audit reads users one by one, which takes hours.
pub(crate) const AUDIT_INTERVAL: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);

/// Accounts come and go rarely, and a list of hundreds takes several requests.
const DISCOVERY_INTERVAL: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(86_400);

/// How long a command waits for the files when it starts. A network file system may have to be mounted first.
pub(crate) const LOAD_WAIT: Duration = Duration::from_secs(10);

/// The highest `users.limit`: it already gives half a million series, so a higher number is a mistake.
const MOST_USERS: usize = 100_000;

/// The bounds of `state.cache_mib`. With less than 1 MiB every commit reads again what the last one wrote.
const CACHE_MIB: RangeInclusive<usize> = 1..=4_096;

/// The checked configuration of the exporter.
#[derive(Debug, Clone)]
pub struct Config {
    /// The accounts of this shard. If there is only one shard and no directory of tokens, it has at least one. Ids and aliases
    /// are unique.
    pub accounts: Vec<Account>,
    /// The accounts of the other shards.
    pub(crate) others: Vec<Account>,
    /// What is in the directory of tokens, if there is one.
    pub(crate) token_files: Option<Arc<TokenFiles>>,
    /// Accounts of all shards whose token files cannot be used.
    pub(crate) unread: Vec<Unread>,
    /// The tokens whose accounts are found at Cloudflare.
    pub discovery: Vec<Discovery>,
    /// What the accounts of all shards are called that are not found at Cloudflare, by id.
    pub(crate) named: Arc<BTreeMap<String, String>>,
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
    /// The feed, if there is one.
    pub feed: Option<Feed>,
    /// The HTTP server.
    pub web: Web,
    /// The log.
    pub log: Log,
    /// Warnings to log.
    pub warnings: Vec<String>,
    /// The credentials, by [`Account::credential`], as they were when the files were read last.
    pub credentials: Vec<Credentials>,
    /// How often the files are compared with what was read; `None` if they are not.
    pub auto_reload: Option<Duration>,
    /// The files that were read, apart from those with credentials: the pollers read these again themselves.
    pub files: Files,
    /// What a reload compares, apart from the accounts.
    pub setting_texts: SettingTexts,
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
    /// The number of its credential, from 0. Accounts with the same number have the same credential and share one budget. They
    /// have the same `budget_share`, unless their files came to have the same credential later.
    pub credential: usize,
    /// The share of the 1,200 requests in five minutes that may be used, from 0.01 to 1.
    pub budget_share: f64,
    /// The settings that its behaviors should have, if a file declares them.
    pub baseline: Option<Arc<BaselineFile>>,
    /// Where it comes from.
    pub origin: AccountOrigin,
}

/// Where an account comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountOrigin {
    /// It is listed, or has a token file of its own.
    Configured,
    /// It was found at Cloudflare.
    Discovered,
}

/// How users appear in the metrics.
#[derive(Debug, Clone)]
pub struct Users {
    /// How many users of each account get their own series; 0 for none.
    pub limit: usize,
    /// How the metrics name them.
    pub identity: IdentityPolicy,
}

/// How the metrics name users.
#[derive(Debug, Clone)]
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
    /// The second address, which serves only the health endpoints.
    pub health_address: Option<Listen>,
    /// Names that `Host` may have on a loopback address, in lower case.
    pub allowed_hosts: Vec<String>,
    /// Whether the live page is served.
    pub page: WebPage,
    /// The address of Grafana, without a slash at its end.
    pub grafana_url: Option<String>,
    /// Whether a request may reload the configuration.
    pub lifecycle: Lifecycle,
}

/// Whether `/-/reload` reloads the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// `/-/reload` reloads the configuration.
    Enabled,
    /// `/-/reload` answers 403.
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
    /// How often the files are compared with what was read; `None` if they are not.
    pub auto_reload: Option<Duration>,
}

impl Config {
    /// Reads and checks everything: the flags, the environment (from `std::env::vars_os`), the configuration file, and the
    /// files with secrets.
    ///
    /// # Errors
    /// The configuration is invalid; the error lists all mistakes. Or its files cannot be read in time.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        Self::load_outlined(flags, environment).result
    }

    /// The same, with what is known although there may be mistakes.
    pub(crate) fn load_outlined(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Outlined<Self> {
        let source = ConfigSource::new(flags.clone(), environment);
        let read = |flags: &Flags, environment| Self::read(flags, environment, Accepted::Any);
        source.read_within(LOAD_WAIT, read).unwrap_or_else(Outlined::unreadable)
    }

    /// The same without a limit of time, from one of the `accepted` files.
    fn read(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        accepted: Accepted,
    ) -> Outlined<Self> {
        let mut mistakes = Mistakes::default();
        let layers = Layers::load(flags, environment, accepted, &mut mistakes);
        let mut outline = layers.as_ref().map(Outline::of).unwrap_or_default();
        let config = layers.map(|layers| {
            let declared = Declared::from_layers(&layers, Secrets::Read, &mut mistakes);
            let Declared { local, base_url, limit, naming, feed, .. } = declared;
            let Declared { shard, accounts, credentials, baselines, unread, .. } = declared;
            let Declared { tokens_dir, token_files, discovery, mut warnings, .. } = declared;
            let mut files = layers.files.clone();
            outline.baselines = baselines.all();
            files.append(baselines.files);
            files.append(token_files);
            files.extend(naming.as_ref().and_then(Naming::key_file));
            files.extend(feed.iter().flatten().find_map(DeclaredFeed::key_file));
            warnings.extend(naming.as_ref().and_then(Naming::warning));
            let identity = naming.and_then(|naming| mistakes.note(naming.policy()));
            let feed = feed.and_then(|feed| match (feed, &identity) {
                (None, _) => Some(None),
                (Some(feed), Some(identity)) => mistakes.note(feed.with_key(identity)).map(Some),
                (Some(_), None) => None,
            });
            let Local { intervals, state, web, log, auto_reload } = local?;
            let named = Arc::new(names(&accounts, &unread));
            let known = credentials.as_deref().unwrap_or_default();
            let discovery = discovery.into_iter().map(|one| one.grouped(&accounts, known)).collect();
            let (accounts, others) = shard?.divide(accounts);
            Some(Self {
                named,
                discovery,
                accounts,
                others,
                token_files: tokens_dir.listed().map(Arc::new),
                unread,
                shard: shard?,
                base_url: base_url?,
                intervals,
                users: Users { limit: limit?, identity: identity? },
                state,
                feed: feed?,
                web,
                log,
                warnings,
                credentials: credentials?,
                auto_reload,
                files,
                setting_texts: SettingTexts::of(&layers),
            })
        });
        let config = mistakes.note(config).flatten();
        Outlined { result: mistakes.finish(config), outline }
    }

    /// The account with this alias or id; without a name, the only account.
    ///
    /// # Errors
    /// No account has that name, or there are several and none was named.
    pub fn account(&self, name: Option<&str>) -> Result<&Account, Error> {
        match (name, self.accounts.as_slice()) {
            (Some(name), accounts) => find_account(accounts, name),
            (None, [only]) => Ok(only),
            (None, accounts) => Err(Error::new(format!(
                "several accounts are configured; choose one with --account: {}",
                aliases(accounts)
            ))),
        }
    }

    /// The same configuration, in which the accounts with these ids have other credentials.
    pub(crate) fn with_credentials(&self, renewed: &BTreeMap<String, Credentials>) -> Self {
        let mut new = self.clone();
        let mut distinct: Vec<Credentials> = Vec::new();
        // Accounts with the same token file have the same token.
        let is_renewed = |account: &&Account| renewed.contains_key(&account.id);
        let token_files = self.accounts.iter().filter(is_renewed).filter_map(|account| {
            let CredentialSource::TokenFile(path) = &account.credentials else { return None };
            Some((path.as_path(), renewed.get(&account.id)?))
        });
        let token_files: BTreeMap<&Path, &Credentials> = token_files.collect();
        for discovery in &mut new.discovery {
            if let Some(token) = token_files.get(discovery.token_file.as_path()) {
                discovery.credential = Some((*token).clone());
            }
        }
        for account in new.accounts.iter_mut().chain(&mut new.others) {
            let before = || self.credentials.get(account.credential).expect("every account has a credential");
            let of_file = || match &account.credentials {
                CredentialSource::TokenFile(path) => token_files.get(path.as_path()).copied(),
                _ => None,
            };
            let own = renewed.get(&account.id).or_else(of_file).unwrap_or_else(before);
            account.credential = distinct.iter().position(|known| known == own).unwrap_or_else(|| {
                distinct.push(own.clone());
                distinct.len() - 1
            });
        }
        Self { credentials: distinct, ..new }
    }

    /// How many accounts share the budget of this account, including itself.
    pub fn sharing(&self, account: &Account) -> u32 {
        let same = self.accounts.iter().filter(|other| other.credential == account.credential).count();
        u32::try_from(same).unwrap_or(u32::MAX)
    }
}

/// The ids of these accounts, with their aliases.
fn names(accounts: &[Account], unread: &[Unread]) -> BTreeMap<String, String> {
    let unread = unread.iter().map(|account| (account.id.clone(), account.alias.clone()));
    accounts.iter().map(|account| (account.id.clone(), account.alias.clone())).chain(unread).collect()
}

/// The account with this alias or id.
///
/// # Errors
/// No account has that name.
pub(crate) fn find_account<'a>(accounts: &'a [Account], name: &str) -> Result<&'a Account, Error> {
    accounts
        .iter()
        .find(|account| account.alias == name)
        .or_else(|| accounts.iter().find(|account| account.id.eq_ignore_ascii_case(name)))
        .ok_or_else(|| {
            Error::new(format!("no account {name:?} is configured; the accounts are: {}", aliases(accounts)))
        })
}

fn aliases(accounts: &[Account]) -> String {
    accounts.iter().map(|account| account.alias.as_str()).collect::<Vec<_>>().join(", ")
}

impl Local {
    /// The same as [`Config::load`], without the accounts.
    ///
    /// # Errors
    /// All mistakes that do not concern accounts. Or the configuration file cannot be read in time.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        ConfigSource::new(flags.clone(), environment).read_within(LOAD_WAIT, Self::read)?
    }

    fn read(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let mut mistakes = Mistakes::default();
        let layers = Layers::load(flags, environment, Accepted::Any, &mut mistakes);
        let local = mistakes.note(layers).and_then(|layers| Self::from_layers(&layers, &mut mistakes));
        mistakes.finish(local)
    }

    /// `None` if there are mistakes.
    fn from_layers(layers: &Layers, mistakes: &mut Mistakes) -> Option<Self> {
        // Each value is read before the first one that is missing ends this function, so that all mistakes are found.
        let addresses = Addresses::from_layers(layers, mistakes);
        let mut read = Reading::new(layers, mistakes);
        let path = read.optional(keys::STATE_PATH, parse::path);
        let cache_mib = read.value(keys::STATE_CACHE, |it| it.parse(parse::whole_number(CACHE_MIB)));
        let config_file = read.optional(keys::WEB_CONFIG_FILE, parse::path);
        let telemetry_path = read.value(keys::TELEMETRY_PATH, parse::telemetry_path);
        let hosts = read.optional(keys::ALLOWED_HOSTS, |it| it.parse(parse::host_names));
        let page = read.value(keys::WEB_PAGE, |it| parse::switch(it, WebPage::On, WebPage::Off));
        let grafana = read.optional(keys::GRAFANA_URL, parse::grafana_url);
        let lifecycle = read
            .value(keys::ENABLE_LIFECYCLE, |it| parse::switch(it, Lifecycle::Enabled, Lifecycle::Disabled));
        let level = read.value(keys::LOG_LEVEL, |it| it.parse(str::parse::<Filter>));
        let format = read.value(keys::LOG_FORMAT, parse::log_format);
        let [summary, behaviors, integrations, comparisons] =
            [keys::SUMMARY, keys::BEHAVIORS, keys::INTEGRATIONS, keys::AUTO_RELOAD_INTERVAL]
                .map(|key| read.value(key, |it| it.parse(parse::interval)));
        let audit = read.value(keys::AUDIT, |it| it.parse(parse::audit_interval));
        let auto_reload = read.value(keys::AUTO_RELOAD, |it| parse::switch(it, comparisons, None));
        let cache_bytes = cache_mib? << 20;
        let Addresses { sockets, health } = addresses?;
        Some(Self {
            intervals: Intervals {
                summary: summary?,
                behaviors: behaviors?,
                integrations: integrations?,
                audit: audit?,
            },
            state: path?.map(|path| store::Settings { path, cache_bytes }),
            web: Web {
                sockets,
                config_file: config_file?,
                telemetry_path: telemetry_path?,
                health_address: health,
                allowed_hosts: hosts?.unwrap_or_default(),
                page: page?,
                grafana_url: grafana?,
                lifecycle: lifecycle?,
            },
            log: Log { level: level?, format: format? },
            auto_reload: auto_reload?,
        })
    }
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
        let mut section = "";
        let uncommented: Vec<String> = EXAMPLE
            .lines()
            .map(|line| {
                section = line.strip_suffix(':').filter(|name| !name.contains([' ', '#'])).unwrap_or(section);
                match commented_out(line) {
                    // An entry of this list needs a token, which the example does not have.
                    Some(_) if section != "discovery" => line.replacen('#', "", 1),
                    _ => line.to_owned(),
                }
            })
            .collect();
        assert_eq!(load(&uncommented.join("\n")), load(EXAMPLE));
    }
}
