//! The names of all settings, once: for the file, for the environment, and for what is said of a wrong one.

use super::error::{Error, shown, shown_key};
use super::yaml::{Document, Field, Kind};

/// What starts the environment variables that are ours. Kubernetes sets `ZT_RISK_EXPORTER_PORT` and the
/// like for a service of that name; those have one underscore and are not looked at.
pub(super) const PREFIX: &str = "ZT_RISK_EXPORTER__";

/// The variable for `--config.file`, which is no setting of the file itself.
pub(super) const FILE_VARIABLE: &str = "ZT_RISK_EXPORTER__CONFIG__FILE";

/// A setting that is a single value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// The map in which it stands.
    pub(super) section: &'static str,
    /// Its name there.
    pub(super) name: &'static str,
    /// What holds when it is left out, if anything does.
    pub(super) default: Option<&'static str>,
    /// What its text is.
    pub(super) form: Form,
}

/// What the text of a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Complete as written.
    Value,
    /// A path; in the file, relative to the file's directory.
    Path,
}

impl Key {
    /// Its name in messages, such as `intervals.summary`.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Its environment variable, such as `ZT_RISK_EXPORTER__INTERVALS__SUMMARY`.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}__{}", self.section.to_uppercase(), self.name.to_uppercase())
    }
}

const fn value(section: &'static str, name: &'static str, default: &'static str) -> Key {
    Key { section, name, default: Some(default), form: Form::Value }
}

const fn path(section: &'static str, name: &'static str) -> Key {
    Key { section, name, default: None, form: Form::Path }
}

pub(super) const BASE_URL: Key = value("cloudflare", "base_url", "https://api.cloudflare.com/client/v4");
pub(super) const SUMMARY: Key = value("intervals", "summary", "30s");
pub(super) const BEHAVIORS: Key = value("intervals", "behaviors", "5m");
pub(super) const INTEGRATIONS: Key = value("intervals", "integrations", "5m");
pub(super) const AUDIT: Key = value("intervals", "audit", "6h");
pub(super) const LIMIT: Key = value("users", "limit", "100");
pub(super) const IDENTITY: Key = value("users", "identity", "id");
pub(super) const HASH_KEY_FILE: Key = path("users", "hash_key_file");
pub(super) const STATE_PATH: Key = path("state", "path");
pub(super) const STATE_CACHE: Key = value("state", "cache_mib", "32");
pub(super) const LISTEN_ADDRESS: Key = value("web", "listen_address", ":10069");
pub(super) const WEB_PAGE: Key = value("web", "page", "true");
pub(super) const SHARD_INDEX: Key = Key { section: "shard", name: "index", default: None, form: Form::Value };
pub(super) const SHARD_TOTAL: Key = value("shard", "total", "1");
pub(super) const LOG_LEVEL: Key = value("log", "level", "info");
pub(super) const LOG_FORMAT: Key = value("log", "format", "text");

/// Every single value outside the list of accounts.
pub(super) const ALL: [Key; 16] = [
    BASE_URL,
    SUMMARY,
    BEHAVIORS,
    INTEGRATIONS,
    AUDIT,
    LIMIT,
    IDENTITY,
    HASH_KEY_FILE,
    STATE_PATH,
    STATE_CACHE,
    LISTEN_ADDRESS,
    WEB_PAGE,
    SHARD_INDEX,
    SHARD_TOTAL,
    LOG_LEVEL,
    LOG_FORMAT,
];

/// The list of accounts, the one setting that is not a single value.
pub(super) const ACCOUNTS: &str = "accounts";

/// What may be said of an account.
pub(super) const ACCOUNT: [&str; 8] =
    ["id", "alias", "token", "token_file", "email", "api_key", "api_key_file", "budget_share"];

/// Refuses every key of the file that is not known, and every section that is no map.
pub(super) fn check_file(document: &Document) -> Result<(), Error> {
    let Kind::Map(fields) = &document.root.kind else {
        let problem = format!(
            "the configuration is {}, but must be a map of sections such as accounts and intervals",
            document.root.noun()
        );
        return Err(Error::at(&document.origin(document.root.line), problem));
    };
    let mut sections: Vec<&str> = vec![ACCOUNTS];
    for key in ALL {
        if !sections.contains(&key.section) {
            sections.push(key.section);
        }
    }
    for field in fields {
        known(document, "", field, &sections)?;
        if field.name == ACCOUNTS {
            continue;
        }
        let names: Vec<&str> =
            ALL.iter().filter(|key| key.section == field.name).map(|key| key.name).collect();
        match &field.value.kind {
            Kind::Null => {}
            Kind::Map(inner) => inner
                .iter()
                .try_for_each(|inner| known(document, &format!("{}.", field.name), inner, &names))?,
            _ => {
                let problem = format!("{} is {}, but must be a map", field.name, field.value.noun());
                return Err(Error::at(&document.origin(field.line), problem));
            }
        }
    }
    Ok(())
}

/// Refuses the field if it is none of `names`; `parent` is put before the names that are shown.
pub(super) fn known(document: &Document, parent: &str, field: &Field, names: &[&str]) -> Result<(), Error> {
    if names.contains(&field.name.as_str()) {
        return Ok(());
    }
    let hint = match nearest(&field.name, names.iter().copied()) {
        Some(name) => format!("did you mean {parent}{name}?"),
        None => format!("known here: {}", names.join(", ")),
    };
    let problem = format!("{parent}{} is not a known key; {hint}", shown_key(&field.name));
    Err(Error::at(&document.origin(field.line), problem))
}

/// The setting that the variable `name` is for, or a refusal that suggests one.
pub(super) fn for_variable(name: &str) -> Result<Key, Error> {
    if let Some(key) = ALL.into_iter().find(|key| key.variable() == name) {
        return Ok(key);
    }
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let hint = if rest.starts_with("ACCOUNTS__") {
        "accounts are listed in the configuration file, or there is one of CLOUDFLARE_ACCOUNT_ID with \
         CLOUDFLARE_API_TOKEN"
            .to_owned()
    } else {
        let variables: Vec<String> = ALL.iter().map(Key::variable).collect();
        match nearest(name, variables.iter().map(String::as_str).chain([FILE_VARIABLE])) {
            Some(variable) => format!("did you mean {variable}?"),
            None => format!("known are {PREFIX} with a section, two underscores and a key of the file"),
        }
    };
    let name = shown(name);
    Err(Error::new(format!("environment variable {} is not known; {hint}", name.trim_matches('"'))))
}

/// The name that `word` was probably meant to be: at most a third of it differs.
fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase().replace('-', "_");
    names
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| distance * 3 <= name.len())
        .map(|(_, name)| name)
}
