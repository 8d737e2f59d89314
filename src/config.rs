//! File, environment and flags in, checked configuration out.
//!
//! Flags win over the environment, the environment over the file. The way of a setting: [`keys`] knows its
//! name, [`document`] or the environment gives its text, [`layers`] lays one over the other, [`parse`] and
//! [`accounts`] check what it says. A refusal is one sentence that names the key and where it was written.
//! Secrets take another way: straight from the file or the environment into [`secrecy`]'s types.

mod accounts;
mod error;
mod flags;
mod keys;
pub(crate) mod parse;
mod secret_files;
mod shard;
mod sources;
mod yaml;

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretSlice;
use tracing_subscriber::filter::Targets;

pub(crate) use accounts::DEFAULT_SHARE;
pub use error::Error;
pub use flags::Flags;
pub(crate) use flags::{FileFlags, LogFlags};
pub use secret_files::CredentialSource;
pub(crate) use shard::Shard;

use crate::http::listen::Listen;
use crate::model::resource::Intervals;
use crate::store;
use sources::Layers;
use yaml::Document;

/// The page is built at most once a second, so that reading more often shows nothing new; a day without
/// reading is no monitoring.
pub(crate) const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// An audit asks for users one by one, for hours at a time.
pub(crate) const AUDIT_INTERVAL: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);

/// Everything that can be said before the start, checked.
#[derive(Debug)]
pub struct Config {
    /// Those of this shard: at least one, or none if there are other shards. Ids and aliases differ.
    pub accounts: Vec<Account>,
    /// Which part of all accounts these are.
    pub shard: Shard,
    /// Where the API is: https, or http on loopback; without a slash at the end unless the path is empty.
    pub base_url: Url,
    /// How often what is asked for.
    pub intervals: Intervals,
    /// What is shown of users.
    pub users: Users,
    /// What survives a restart; `None` for nothing.
    pub state: Option<store::Settings>,
    /// Where pages are served.
    pub web: Web,
    /// What is logged.
    pub log: Log,
    /// What a person should know about this configuration, to be logged at the start.
    pub warnings: Vec<String>,
}

/// An account to watch.
#[derive(Debug, Clone)]
pub struct Account {
    /// 32 hexadecimal digits, in lower case.
    pub id: String,
    /// The label `account`: what was configured, else the id.
    pub alias: String,
    /// What its requests prove themselves with.
    pub credentials: CredentialSource,
    /// Which credential that is: accounts with the same number had the same credential when the
    /// configuration was read, and share one budget (and have the same `budget_share`). Counted from 0.
    pub credential: usize,
    /// The part of the 1,200 requests in five minutes that may be spent, from 0.01 to 1.
    pub budget_share: f64,
}

/// What is shown of users.
#[derive(Debug)]
pub struct Users {
    /// How many users of each account have series of their own; 0 for none.
    pub limit: usize,
    /// How they are named.
    pub identity: IdentityPolicy,
}

/// How users are named on the page.
#[derive(Debug)]
pub enum IdentityPolicy {
    /// By Cloudflare's id.
    Id,
    /// By a keyed hash of the id.
    Hash {
        /// What `users.hash_key_file` holds, 16 to 1024 bytes.
        key: SecretSlice<u8>,
    },
    /// By the id, with `user_info` giving e-mail address and name.
    Email,
    /// Not at all: no series for single users.
    None,
}

/// Where pages are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// The addresses to try.
    pub listen: Listen,
    /// Whether there is anything for people.
    pub page: WebPage,
}

/// Whether the page at `/` is served, and the status that it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebPage {
    /// It is.
    On,
    /// There is nothing at these addresses.
    Off,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// What is logged.
    pub level: Filter,
    /// How.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Directives that [`Targets`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// The filter for tracing.
    pub fn to_targets(&self) -> Targets {
        self.0.parse().expect("the directives were parsed when they were read")
    }
}

/// What concerns only this process, for commands that need no account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// How often what is asked for.
    pub intervals: Intervals,
    /// What survives a restart; `None` for nothing.
    pub state: Option<store::Settings>,
    /// Where pages are served.
    pub web: Web,
    /// What is logged.
    pub log: Log,
}

impl Config {
    /// Reads and checks everything: the flags, the environment as `std::env::vars_os` gives it, the file
    /// they name, and the files with secrets that it names.
    ///
    /// # Errors
    /// The first thing that a person must mend.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let layers = Layers::load(flags, environment)?;
        let Local { intervals, state, web, log } = Local::from_layers(&layers)?;
        let base_url = parse::base_url(&layers.get_or_default(keys::BASE_URL))?;
        let users = Users {
            limit: parse::user_limit(&layers.get_or_default(keys::LIMIT))?,
            identity: identity(&layers)?,
        };
        let shard = Shard::load(&layers)?;
        let (accounts, mut warnings) = accounts::load(&layers)?;
        let accounts = shard.pick(accounts);
        let has_key = layers.get(keys::HASH_KEY_FILE).is_some();
        if has_key && !matches!(users.identity, IdentityPolicy::Hash { .. }) {
            warnings.push("users.hash_key_file is not used, because users.identity is not hash".to_owned());
        }
        Ok(Self { accounts, shard, base_url, intervals, users, state, web, log, warnings })
    }

    /// The account with this alias or id; without one, the only account.
    ///
    /// # Errors
    /// There is none of that name, or none was named and there are several.
    pub fn account(&self, name: Option<&str>) -> Result<&Account, Error> {
        let known =
            || self.accounts.iter().map(|account| account.alias.as_str()).collect::<Vec<_>>().join(", ");
        match (name, self.accounts.as_slice()) {
            (Some(name), accounts) => accounts
                .iter()
                .find(|account| account.alias == name)
                .or_else(|| accounts.iter().find(|account| account.id.eq_ignore_ascii_case(name)))
                .ok_or_else(|| {
                    Error::new(format!("no account {name:?} is configured; known are: {}", known()))
                }),
            (None, [only]) => Ok(only),
            (None, _) => Err(Error::new(format!(
                "several accounts are configured; name one by --account: {}",
                known()
            ))),
        }
    }

    /// How many accounts share the budget of this one, itself included.
    pub fn sharing(&self, account: &Account) -> u32 {
        let same = self.accounts.iter().filter(|other| other.credential == account.credential).count();
        u32::try_from(same).unwrap_or(u32::MAX)
    }
}

impl Local {
    /// As [`Config::load`], without a look at accounts and what concerns them.
    ///
    /// # Errors
    /// The first thing that a person must mend.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        Self::from_layers(&Layers::load(flags, environment)?)
    }

    fn from_layers(layers: &Layers) -> Result<Self, Error> {
        let path = layers.get(keys::STATE_PATH).map(|setting| parse::path(&setting)).transpose()?;
        let cache_bytes = parse::cache(&layers.get_or_default(keys::STATE_CACHE))?;
        let state = path.map(|path| store::Settings { path, cache_bytes });
        let web = Web {
            listen: layers.get_or_default(keys::LISTEN_ADDRESS).parse(str::parse::<Listen>)?,
            page: parse::web_page(&layers.get_or_default(keys::WEB_PAGE))?,
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

    #[test]
    fn the_example_shows_every_setting_once() {
        let mut section = "";
        let mut shown = Vec::new();
        for line in EXAMPLE.lines() {
            if let Some(name) = line.strip_suffix(':').filter(|name| !name.contains([' ', '#'])) {
                section = name;
            }
            if let Some((name, value)) = commented_out(line).and_then(|setting| setting.split_once(": ")) {
                shown.push((section, name, Some(value.trim_matches('"'))));
            } else if let Some((name, _)) = line.trim_start_matches([' ', '#', '-']).split_once(": ")
                && !name.contains(' ')
            {
                shown.push((section, name, None));
            }
        }
        let settings = keys::ALL.iter().map(|key| (key.section, key.name, key.default));
        let accounts = keys::ACCOUNT.iter().map(|name| {
            let default = (*name == "budget_share").then_some("0.25");
            (keys::ACCOUNTS, *name, default)
        });
        for wanted in settings.chain(accounts) {
            let times = shown.iter().filter(|found| **found == wanted).count();
            assert_eq!(times, 1, "{wanted:?} among {shown:?}");
        }
    }
}
