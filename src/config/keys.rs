//! Every setting, declared once: its names, default and meaning.
//!
//! The help of the flags is made from this list, and tests hold the manual, the example file and the schema of the
//! Helm chart against it.

use std::collections::BTreeSet;

use super::error::{Error, Mistakes, shown, shown_key};
use super::yaml::{Document, Field, Kind};

/// The prefix of this program's environment variables. It ends with two underscores, because Kubernetes sets
/// `ZT_RISK_EXPORTER_PORT` and the like for a service named `zt-risk-exporter`.
pub(super) const PREFIX: &str = "ZT_RISK_EXPORTER__";

/// The variable for `--config.file`, which is not a key of the file itself.
pub(super) const FILE_VARIABLE: &str = "ZT_RISK_EXPORTER__CONFIG__FILE";

/// A setting: everything that the program and its manual say about it, except how its text is read.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The section of the file; [`ACCOUNTS`] for the fields of an account.
    pub section: &'static str,
    /// The name within the section.
    pub name: &'static str,
    /// The value that applies if the key is left out.
    pub default: Option<&'static str>,
    /// What the setting does, as the manual says it.
    pub meaning: &'static str,
    /// The variable of Cloudflare's own tools that sets it too.
    pub cloudflare_variable: Option<&'static str>,
    /// When a changed value takes effect.
    pub change: Change,
    pub(super) form: Form,
    pub(super) spelling: Spelling,
    /// The name of its flag, without the dashes, where it is not the key's own.
    flag: Option<&'static str>,
}

/// When a changed value of a setting takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// When the configuration is reloaded.
    Reload,
    /// At the next start. A reload that changes it is refused.
    Restart,
}

impl Change {
    /// The word in the manual.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
        }
    }
}

/// In which ways the value of a key may be spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Each text has its own meaning.
    Text,
    /// `0m30s` or `30s`.
    Duration,
    /// `032` or `32`.
    Number,
    /// `/a/./b` or `/a//b`.
    Path,
    /// `:1, [::1]:2` or `:1,[0::1]:2`.
    Addresses,
    /// `B.example, a.example` or `a.example,b.example`.
    HostNames,
    /// `https://API.example:443/v4/` or `https://api.example/v4`.
    Url,
    /// `info, hyper=warn` or `info,hyper=warn`.
    Filter,
}

/// What the text of a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Complete as written.
    Value,
    /// A path; in the file, relative to the file's directory.
    Path,
    /// Several values, separated by commas; in the file, they may be a list.
    List,
}

impl Key {
    const fn new(section: &'static str, name: &'static str, meaning: &'static str) -> Self {
        Self {
            section,
            name,
            default: None,
            meaning,
            cloudflare_variable: None,
            change: Change::Restart,
            form: Form::Value,
            spelling: Spelling::Text,
            flag: None,
        }
    }

    const fn default(self, value: &'static str) -> Self {
        Self { default: Some(value), ..self }
    }

    const fn or_variable(self, name: &'static str) -> Self {
        Self { cloudflare_variable: Some(name), ..self }
    }

    const fn file(self) -> Self {
        Self { form: Form::Path, spelling: Spelling::Path, ..self }
    }

    /// A reload may change it.
    const fn reloads(self) -> Self {
        Self { change: Change::Reload, ..self }
    }

    /// Different texts may mean the same value.
    const fn spelled(self, spelling: Spelling) -> Self {
        Self { spelling, ..self }
    }

    const fn list(self) -> Self {
        Self { form: Form::List, ..self }
    }

    const fn flag_name(self, name: &'static str) -> Self {
        Self { flag: Some(name), ..self }
    }

    /// Its name in messages, such as `intervals.summary`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Whether it is a field in a list, such as that of the accounts, so that the file may hold it several times.
    pub fn is_in_list(&self) -> bool {
        LISTS.contains(&self.section)
    }

    /// Its environment variable, such as `ZT_RISK_EXPORTER__INTERVALS__SUMMARY`; a field in a list has none.
    pub fn variable(&self) -> Option<String> {
        let name = || format!("{PREFIX}{}__{}", self.section.to_uppercase(), self.name.to_uppercase());
        (!self.is_in_list()).then(name)
    }

    /// The name of its flag, without the dashes, for a key that has a flag.
    pub(super) fn flag(&self) -> String {
        self.flag.map_or_else(|| self.path().replace('_', "-"), str::to_owned)
    }

    /// The help text of its flag.
    pub(super) fn help(&self) -> String {
        let meaning = self.meaning.replace('`', "");
        let default = self.default.map(|value| format!(" [default: {value}]"));
        format!("{}{}", meaning.trim_end_matches('.'), default.unwrap_or_default())
    }
}

/// Declares each key once, as a constant, and lists them all.
macro_rules! keys {
    ($($name:ident = $key:expr;)*) => {
        $(pub(super) const $name: Key = $key;)*

        /// Every key, in the order of the manual.
        pub const ALL: &[Key] = &[$($name),*];
    };
}

keys! {
    ID = Key::new(ACCOUNTS, "id", "The account, 32 hexadecimal digits.").or_variable("CLOUDFLARE_ACCOUNT_ID")
    .reloads();
    ALIAS = Key::new(ACCOUNTS, "alias", "The label `account`, 1 to 64 characters. The id if left out.")
    .reloads();
    TOKEN = Key::new(ACCOUNTS, "token", "The API token itself.").or_variable("CLOUDFLARE_API_TOKEN")
    .reloads();
    TOKEN_FILE = Key::new(ACCOUNTS, "token_file", "A file with the API token, instead of `token`.").file()
    .reloads();
    EMAIL = Key::new(
        ACCOUNTS,
        "email",
        "Instead of a token: a user's e-mail address, together with that user's global API key.",
    )
    .or_variable("CLOUDFLARE_EMAIL")
    .reloads();
    API_KEY = Key::new(ACCOUNTS, "api_key", "The global API key itself.").or_variable("CLOUDFLARE_API_KEY")
    .reloads();
    API_KEY_FILE =
        Key::new(ACCOUNTS, "api_key_file", "A file with the global API key, instead of `api_key`.").file()
    .reloads();
    BUDGET_SHARE = Key::new(
        ACCOUNTS,
        "budget_share",
        "The share of Cloudflare's limit (1,200 requests in 5 minutes) that the exporter may use, 0.01 to 1.",
    )
    .default("0.25")
    .reloads();
    ACCOUNT_BASELINE = Key::new(
        ACCOUNTS,
        "behaviors_baseline",
        "A file for this account, instead of `behaviors.baseline`.",
    )
    .file()
    .reloads();
    TOKENS_DIR = Key::new(
        "accounts_from",
        "tokens_dir",
        "A directory with one file for each account: its name is the account id, or the id, a dot and an alias, and its \
         content the API token.",
    )
    .file()
    .reloads();
    DISCOVERY_TOKEN_FILE = Key::new(
        DISCOVERY,
        "token_file",
        "A file with a user's API token. The accounts that it may read are watched.",
    )
    .file()
    .reloads();
    DISCOVERY_INCLUDE = Key::new(
        DISCOVERY,
        "include",
        "Only accounts whose id or name is this, or one of a list; `*` stands for any characters.",
    )
    .list()
    .reloads();
    DISCOVERY_EXCLUDE =
        Key::new(DISCOVERY, "exclude", "No accounts whose id or name is this, or one of a list.").list()
    .reloads();
    DISCOVERY_ALIAS =
        Key::new(DISCOVERY, "alias", "The alias of a found account: its `name` or its `id`.").default("name")
    .reloads();
    DISCOVERY_INTERVAL =
        Key::new(DISCOVERY, "interval", "How often the list of accounts is read, 1m to 1d.").default("10m")
    .reloads();
    DISCOVERY_SHARE = Key::new(
        DISCOVERY,
        "budget_share",
        "The share of Cloudflare's limit that all accounts of this token may use together, 0.01 to 1.",
    )
    .default("0.25")
    .reloads();
    BASE_URL = Key::new(
        "cloudflare",
        "base_url",
        "The address of the API: https, or http on loopback.",
    )
    .default("https://api.cloudflare.com/client/v4")
    .or_variable("CLOUDFLARE_BASE_URL")
    .spelled(Spelling::Url);
    SUMMARY =
        Key::new("intervals", "summary", "How often the list of users is read, 1s to 1d.").default("30s")
    .reloads()
    .spelled(Spelling::Duration);
    BEHAVIORS =
        Key::new("intervals", "behaviors", "How often the behaviors are read, 1s to 1d.").default("5m")
    .reloads()
    .spelled(Spelling::Duration);
    INTEGRATIONS =
        Key::new("intervals", "integrations", "How often the integrations are read, 1s to 1d.").default("5m")
    .reloads()
    .spelled(Spelling::Duration);
    AUDIT = Key::new(
        "intervals",
        "audit",
        "How often unchanged users are re-read: each at most once in this time, 1m to 30d.",
    )
    .default("6h")
    .reloads()
    .spelled(Spelling::Duration);
    BASELINE = Key::new(
        "behaviors",
        "baseline",
        "A file with the settings that behaviors should have. Metrics and an alert show behaviors that differ from it.",
    )
    .file()
    .reloads();
    LIMIT = Key::new(
        "users",
        "limit",
        "How many users of each account get their own series, 0 to 100000. The users most at risk come first.",
    )
    .default("100")
    .reloads()
    .spelled(Spelling::Number);
    IDENTITY =
        Key::new("users", "identity", "How metrics name a user: `id`, `hash`, `email` or `none`.").default("id")
    .reloads();
    HASH_KEY_FILE =
        Key::new("users", "hash_key_file", "The key for `hash`: a file of 16 to 1024 bytes.").file();
    STATE_PATH = Key::new(
        "state",
        "path",
        "The file that keeps counters across restarts. Without it, counters start from 0 at each start.",
    )
    .file();
    STATE_CACHE = Key::new(
        "state",
        "cache_mib",
        "How much of that file may be cached in memory, 1 to 4096 MiB.",
    )
    .default("32")
    .spelled(Spelling::Number);
    FEED_PATH = Key::new(
        "feed",
        "path",
        "The file that gets one record for each event, change of level and reset. It needs `state.path`.",
    )
    .file();
    FEED_STDOUT = Key::new("feed", "stdout", "Whether the records are written to standard output.")
    .default("false");
    FEED_FORMAT = Key::new("feed", "format", "The format of a record: `json`, `ocsf` or `ecs`.").default("json").reloads();
    FEED_ROTATE = Key::new(
        "feed",
        "rotate_mib",
        "The size at which the file is renamed and a new one begins, 1 to 1048576 MiB.",
    )
    .default("64")
    .spelled(Spelling::Number);
    FEED_KEEP = Key::new("feed", "keep", "How many renamed files are kept, 1 to 10000.")
    .default("10")
    .spelled(Spelling::Number);
    FEED_MODE = Key::new("feed", "mode", "The mode of new files.").default("0640");
    FEED_IDENTITY = Key::new(
        "feed",
        "identity",
        "How records name a user: `inherit` (as `users.identity`), `id`, `hash`, `email` or `none`.",
    )
    .default("inherit")
    .reloads();
    FEED_DETAILS = Key::new(
        "feed",
        "details",
        "Whether records have the details of events, which may be personal.",
    )
    .default("false")
    .reloads();
    FEED_HISTORY = Key::new(
        "feed",
        "history",
        "Whether the first list of an account writes a record for each user on it.",
    )
    .default("false");
    FEED_BUFFER = Key::new(
        "feed",
        "buffer_records",
        "How many records of all accounts may wait while they cannot be written, 100 to 10000000.",
    )
    .default("100000")
    .spelled(Spelling::Number);
    LISTEN_ADDRESS = Key::new(
        "web",
        "listen_address",
        "The address to listen on, or a list of them. Without a host before the port: all interfaces.",
    )
    .default(":10069")
    .list()
    .spelled(Spelling::Addresses);
    SYSTEMD_SOCKET = Key::new(
        "web",
        "systemd_socket",
        "Whether to use the sockets that systemd opened, instead of `web.listen_address`.",
    )
    .default("false");
    WEB_CONFIG_FILE = Key::new(
        "web",
        "config_file",
        "The file with TLS, passwords, headers and the rate limit, in the format of the Prometheus exporters.",
    )
    .file()
    .flag_name("web.config.file");
    TELEMETRY_PATH =
        Key::new("web", "telemetry_path", "The path of the metrics.").default("/metrics");
    HEALTH_ADDRESS = Key::new(
        "web",
        "health_address",
        "A second address with `/-/healthy` and `/-/ready` only, without TLS and password, for probes.",
    )
    .spelled(Spelling::Addresses);
    ALLOWED_HOSTS = Key::new(
        "web",
        "allowed_hosts",
        "Further names, separated by commas, that a request's `Host` may have over loopback.",
    )
    .spelled(Spelling::HostNames);
    WEB_PAGE = Key::new(
        "web",
        "page",
        "Whether to serve the live page at `/` and its JSON at `/api/v1/status`.",
    )
    .default("true");
    GRAFANA_URL = Key::new(
        "web",
        "grafana_url",
        "Where your Grafana is, with its path: the live page links to the dashboards there.",
    )
    .spelled(Spelling::Url);
    ENABLE_LIFECYCLE = Key::new(
        "web",
        "enable_lifecycle",
        "Whether a POST or PUT request to `/-/reload` reloads the configuration.",
    )
    .default("false");
    SHARD_INDEX = Key::new("shard", "index", "Which of several exporters this is, counted from 0.")
    .spelled(Spelling::Number);
    SHARD_TOTAL = Key::new(
        "shard",
        "total",
        "The number of shards: how many exporters share the accounts, 1 to 1000.",
    )
    .default("1")
    .spelled(Spelling::Number);
    LOG_LEVEL = Key::new(
        "log",
        "level",
        "`off`, `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,hyper=warn`.",
    )
    .default("info")
    .reloads()
    .spelled(Spelling::Filter);
    LOG_FORMAT = Key::new("log", "format", "`text` or `json`.").default("text");
    AUTO_RELOAD = Key::new(
        "config",
        "auto_reload",
        "Whether to reload the configuration when the content of its files changes.",
    )
    .default("false");
    AUTO_RELOAD_INTERVAL = Key::new(
        "config",
        "auto_reload_interval",
        "How often those files are checked for changes, 1s to 1d.",
    )
    .default("30s")
    .spelled(Spelling::Duration);
}

/// The sections that are lists; all others are maps.
const LISTS: [&str; 2] = [ACCOUNTS, DISCOVERY];
const ACCOUNTS: &str = "accounts";
const DISCOVERY: &str = "discovery";

/// The names within a section, in the order of the manual.
pub(super) fn names(section: &str) -> Vec<&'static str> {
    ALL.iter().filter(|key| key.section == section).map(|key| key.name).collect()
}

/// Finds unknown keys in the file, and sections that are not maps. Returns the sections and keys that the unknown ones
/// probably stand for: they are not missing, but misspelled.
///
/// # Errors
/// The file as a whole is not a map.
pub(super) fn check_file(document: &Document, mistakes: &mut Mistakes) -> Result<BTreeSet<String>, Error> {
    let Kind::Map(fields) = &document.root.kind else {
        let problem = format!(
            "the configuration is {}, but must be a map of sections such as accounts and intervals",
            document.root.noun()
        );
        return Err(Error::at(&document.origin(document.root.line), problem));
    };
    let mut sections: Vec<&str> = ALL.iter().map(|key| key.section).collect();
    sections.dedup();
    let mut misspelled = BTreeSet::new();
    for field in fields {
        if mistakes.note(known(document, "", field, &sections)).is_none() {
            misspelled.extend(meant(field, &sections).map(str::to_owned));
            continue;
        }
        if LISTS.contains(&field.name.as_str()) {
            continue;
        }
        match &field.value.kind {
            Kind::Null => {}
            Kind::Map(inner) => {
                let (parent, names) = (format!("{}.", field.name), names(&field.name));
                for field in inner {
                    if mistakes.note(known(document, &parent, field, &names)).is_none() {
                        misspelled.extend(meant(field, &names).map(|name| format!("{parent}{name}")));
                    }
                }
            }
            Kind::Text(_) | Kind::List(_) => {
                let problem = format!("{} is {}, but must be a map", field.name, field.value.noun());
                mistakes.add(Error::at(&document.origin(field.line), problem));
            }
        }
    }
    Ok(misspelled)
}

/// The one of `names` that an unknown field probably stands for.
pub(crate) fn meant<'a>(field: &Field, names: &[&'a str]) -> Option<&'a str> {
    nearest(&field.name, names.iter().copied())
}

/// Refuses the field if it is not one of `names`. `parent` is put before the names in the message.
pub(crate) fn known(document: &Document, parent: &str, field: &Field, names: &[&str]) -> Result<(), Error> {
    if names.contains(&field.name.as_str()) {
        return Ok(());
    }
    let hint = match meant(field, names) {
        Some(name) => format!("did you mean {parent}{name}?"),
        None => format!("known keys: {}", names.join(", ")),
    };
    let problem = format!("{parent}{} is not a known key; {hint}", shown_key(&field.name));
    Err(Error::at(&document.origin(field.line), problem))
}

/// The key that the environment variable `name` sets, or an error that suggests one.
pub(super) fn for_variable(name: &str) -> Result<Key, Error> {
    if let Some(key) = ALL.iter().find(|key| key.variable().as_deref() == Some(name)) {
        return Ok(*key);
    }
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let hint = if rest.starts_with("ACCOUNTS__") {
        "accounts are set in the configuration file, or a single one by CLOUDFLARE_ACCOUNT_ID and \
         CLOUDFLARE_API_TOKEN"
            .to_owned()
    } else {
        let variables: Vec<String> = ALL.iter().filter_map(Key::variable).collect();
        match nearest(name, variables.iter().map(String::as_str).chain([FILE_VARIABLE])) {
            Some(variable) => format!("did you mean {variable}?"),
            None => format!("a name is {PREFIX}, a section, two underscores and a key of that section"),
        }
    };
    let name = shown(name);
    Err(Error::new(format!("environment variable {} is not known; {hint}", name.trim_matches('"'))))
}

/// The variable of this program that `name` would be with other underscores: `ZT_RISK_EXPORTER_LOG_LEVEL` looks right,
/// and has no effect.
pub(super) fn with_other_underscores(name: &str) -> Option<String> {
    let words = |name: &str| -> Vec<String> {
        name.split('_').filter(|word| !word.is_empty()).map(str::to_uppercase).collect()
    };
    if name.starts_with(PREFIX) {
        return None;
    }
    let variables = ALL.iter().filter_map(Key::variable).chain([FILE_VARIABLE.to_owned()]);
    variables.into_iter().find(|variable| words(variable) == words(name))
}

/// The name that was probably meant by `word`: at most a third of its characters differ.
fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase().replace('-', "_");
    names
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| distance * 3 <= name.len())
        .map(|(_, name)| name)
}
