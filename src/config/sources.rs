//! Merges file, environment and flags, and keeps the place where each value was written.
//!
//! The merge holds texts only, so that nothing is converted on the way; [`super::parse`] decides what they mean. Secrets
//! are not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Config as Merged, ConfigError, Map, Source, Value};
use secrecy::SecretString;

use super::error::{Error, Mistakes, Origin, shown};
use super::files::Files;
use super::flags::Flags;
use super::keys::{self, Form, Key};
use super::yaml::{Accepted, Document, Kind, Node};

/// The settings of the file, the environment and the flags.
pub(super) struct Layers {
    merged: Map<String, Value>,
    /// The places of all values, by their text: the merge carries a place as text only.
    places: BTreeMap<String, Origin>,
    /// The sections and keys that are not missing from the file, but misspelled.
    misspelled: BTreeSet<String>,
    /// The configuration file, if there is one.
    pub(super) document: Option<Document>,
    /// The configuration file, if there is one, as it was just before it was read.
    pub(super) files: Files,
    pub(super) cloudflare: CloudflareVariables,
    /// One for each variable that is probably meant for this program, but does not have its prefix.
    pub(super) warnings: Vec<String>,
}

/// The variables of Cloudflare's own tools that are set and not empty.
#[derive(Default)]
pub(super) struct CloudflareVariables {
    pub(super) account_id: Option<String>,
    pub(super) api_token: Option<SecretString>,
    pub(super) email: Option<String>,
    pub(super) api_key: Option<SecretString>,
    pub(super) base_url: Option<String>,
}

/// The text of a setting, and the place where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Its name in messages.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

impl Setting {
    /// The error for an invalid value.
    pub(crate) fn must_be(&self, allowed: &str) -> Error {
        let problem = format!("{} is {}, but must be {allowed}", self.name, shown(&self.text));
        Error::at(&self.origin, problem)
    }

    /// Parses the text. The error of `grammar` begins with "must be".
    pub(crate) fn parse<T, E: fmt::Display>(
        &self,
        grammar: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Error> {
        grammar(&self.text).map_err(|wanted| {
            let problem = format!("{} is {}, but {wanted}", self.name, shown(&self.text));
            Error::at(&self.origin, problem)
        })
    }

    /// The error for a `problem`. The message does not show the value.
    pub(crate) fn refuse(&self, problem: &str) -> Error {
        Error::at(&self.origin, format!("{} {problem}", self.name))
    }
}

impl Layers {
    /// Reads the file that the flags or the environment name, and merges everything that can be used.
    ///
    /// # Errors
    /// The file cannot be read, or is not YAML with sections, so that nothing more can be said about it.
    pub(super) fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        accepted: Accepted,
        mistakes: &mut Mistakes,
    ) -> Result<Self, Error> {
        let Environment { mut ours, cloudflare, warnings } = split(environment, mistakes);
        let variable = ours.remove(keys::FILE_VARIABLE).map(PathBuf::from);
        let file = flags.config_file.clone().or(variable);
        let files = Files::of(file.as_deref());
        let document = file.as_deref().map(|file| Document::read(file, accepted, mistakes)).transpose()?;

        let mut misspelled = BTreeSet::new();
        let mut layers = Vec::new();
        if let Some(document) = &document {
            misspelled = keys::check_file(document, mistakes)?;
            layers.push(from_file(document, mistakes));
        }
        layers.push(from_variables(ours, mistakes));
        let names_accounts = document.as_ref().is_some_and(lists_accounts)
            || layers.iter().any(|layer| layer.has(keys::TOKENS_DIR));
        if let Some(url) = &cloudflare.base_url
            && !names_accounts
        {
            let origin = Origin::variable("CLOUDFLARE_BASE_URL");
            // The variable of this program takes precedence.
            layers.insert(layers.len() - 1, Layer(vec![(keys::BASE_URL, url.clone(), origin)]));
        }
        layers.push(from_flags(flags));
        let entries = layers.iter().flat_map(|Layer(entries)| entries);
        let places = entries.map(|(_, _, origin)| (origin.to_string(), origin.clone())).collect();
        let merged = layers
            .into_iter()
            .fold(Merged::builder(), |builder, layer| builder.add_source(layer))
            .build()
            .and_then(|merged| merged.collect())
            .map_err(|error| Error::new(error.to_string()))?;
        Ok(Self { merged, places, misspelled, document, files, cloudflare, warnings })
    }

    /// Whether the file has an unknown key that probably stands for this one, or an unknown section that probably stands
    /// for this key's section.
    pub(super) fn is_misspelled(&self, key: Key) -> bool {
        self.misspelled.contains(key.section) || self.misspelled.contains(&key.path())
    }

    /// The text of `key`, or its default if it has one.
    pub(super) fn get(&self, key: Key) -> Option<Setting> {
        let (text, origin) = match self.find(key) {
            Some(said) => said,
            None => (key.default?.to_owned(), Origin::Default),
        };
        Some(Setting { name: key.path(), text, origin })
    }

    /// The text of a key that has a default.
    pub(super) fn get_or_default(&self, key: Key) -> Setting {
        self.get(key).expect("asked only for keys with a default")
    }

    fn find(&self, key: Key) -> Option<(String, Origin)> {
        let mut section = self.merged.get(key.section)?.clone().into_table().ok()?;
        let value = section.remove(key.name)?;
        let origin = self.places.get(value.origin()?)?.clone();
        Some((value.into_string().ok()?, origin))
    }
}

/// Whether the file lists at least one account, or a token whose accounts are found.
pub(super) fn lists_accounts(document: &Document) -> bool {
    let Kind::Map(fields) = &document.root.kind else {
        return false;
    };
    let lists = [keys::ID.section, keys::DISCOVERY_TOKEN_FILE.section];
    fields.iter().filter(|field| lists.contains(&field.name.as_str())).any(|field| match &field.value.kind {
        Kind::Null => false,
        Kind::List(accounts) => !accounts.is_empty(),
        // Not a list: reading the accounts refuses it.
        Kind::Text(_) | Kind::Map(_) => true,
    })
}

/// The settings of one source: key, text, and place.
#[derive(Debug, Clone)]
struct Layer(Vec<(Key, String, Origin)>);

impl Layer {
    fn has(&self, key: Key) -> bool {
        self.0.iter().any(|(other, ..)| other.path() == key.path())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let entry = |(key, text, origin): &(Key, String, Origin)| {
            (key.path(), Value::new(Some(&origin.to_string()), text.clone()))
        };
        Ok(self.0.iter().map(entry).collect())
    }
}

fn from_file(document: &Document, mistakes: &mut Mistakes) -> Layer {
    let mut layer = Vec::new();
    let Kind::Map(sections) = &document.root.kind else {
        return Layer(layer);
    };
    for section in sections {
        let Kind::Map(fields) = &section.value.kind else {
            continue;
        };
        for field in fields {
            let is_this = |key: &Key| key.section == section.name && key.name == field.name;
            let Some(key) = keys::ALL.iter().find(|key| is_this(key)) else {
                continue;
            };
            let origin = document.origin(field.line);
            match &field.value.kind {
                Kind::Null => {}
                Kind::Text(text) => {
                    layer.push((*key, in_directory(key.form, document.directory(), text), origin));
                }
                Kind::List(items) if key.form == Form::List => {
                    if let Some(text) = joined(items) {
                        layer.push((*key, text, origin));
                    } else {
                        let problem = format!("{} must be a list of texts", key.path());
                        mistakes.add(Error::at(&origin, problem));
                    }
                }
                Kind::List(_) | Kind::Map(_) => {
                    let problem =
                        format!("{} is {}, but must be a single value", key.path(), field.value.noun());
                    mistakes.add(Error::at(&origin, problem));
                }
            }
        }
    }
    Layer(layer)
}

/// A path in a file is relative to the file's directory, as in Prometheus, because the working directory of a service
/// can be anything.
fn in_directory(form: Form, directory: &Path, text: &str) -> String {
    match form {
        Form::Path if !text.is_empty() => directory.join(text).display().to_string(),
        Form::Path | Form::Value | Form::List => text.to_owned(),
    }
}

/// The values of a list as one text; `None` if one of them is not a text.
fn joined(items: &[Node]) -> Option<String> {
    let text = |item: &Node| match &item.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    };
    Some(items.iter().map(text).collect::<Option<Vec<_>>>()?.join(","))
}

fn from_variables(variables: BTreeMap<String, String>, mistakes: &mut Mistakes) -> Layer {
    let entry = |(name, text): (String, String)| {
        let key = mistakes.note(keys::for_variable(&name))?;
        Some((key, text, Origin::variable(&name)))
    };
    Layer(variables.into_iter().filter_map(entry).collect())
}

fn from_flags(flags: &Flags) -> Layer {
    let web = &flags.web;
    let addresses = (!web.listen_address.is_empty()).then(|| web.listen_address.join(","));
    let entries = [
        (keys::AUTO_RELOAD, &flags.auto_reload),
        (keys::AUTO_RELOAD_INTERVAL, &flags.auto_reload_interval),
        (keys::ENABLE_LIFECYCLE, &flags.enable_lifecycle),
        (keys::LISTEN_ADDRESS, &addresses),
        (keys::SYSTEMD_SOCKET, &web.systemd_socket),
        (keys::WEB_CONFIG_FILE, &web.web_config_file),
        (keys::TELEMETRY_PATH, &web.telemetry_path),
        (keys::HEALTH_ADDRESS, &web.health_address),
        (keys::SHARD_INDEX, &flags.shard_index),
        (keys::SHARD_TOTAL, &flags.shard_total),
        (keys::LOG_LEVEL, &flags.log.level),
        (keys::LOG_FORMAT, &flags.log.format),
    ];
    let entry =
        |(key, text): (Key, &Option<String>)| text.clone().map(|text| (key, text, Origin::flag(&key.flag())));
    Layer(entries.into_iter().filter_map(entry).collect())
}

/// The part of the environment that concerns this program.
#[derive(Default)]
struct Environment {
    /// The variables with the prefix of this program.
    ours: BTreeMap<String, String>,
    cloudflare: CloudflareVariables,
    warnings: Vec<String>,
}

/// The variables of this program and those of Cloudflare's tools. Empty variables count as unset.
fn split(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    mistakes: &mut Mistakes,
) -> Environment {
    let Environment { mut ours, mut cloudflare, mut warnings } = Environment::default();
    for (name, value) in environment {
        let Ok(name) = name.into_string() else {
            continue;
        };
        let is_cloudflare = name.starts_with("CLOUDFLARE_");
        if !value.is_empty()
            && let Some(variable) = keys::with_other_underscores(&name)
        {
            warnings.push(format!("environment variable {name} is not used; did you mean {variable}?"));
        }
        if value.is_empty() || !(is_cloudflare || name.starts_with(keys::PREFIX)) {
            continue;
        }
        let mut text = |value: OsString| {
            let refuse = |_| Error::new(format!("environment variable {name} is not UTF-8 text"));
            mistakes.note(value.into_string().map_err(refuse))
        };
        match name.as_str() {
            "CLOUDFLARE_ACCOUNT_ID" => cloudflare.account_id = text(value),
            "CLOUDFLARE_API_TOKEN" => cloudflare.api_token = text(value).map(SecretString::from),
            "CLOUDFLARE_EMAIL" => cloudflare.email = text(value),
            "CLOUDFLARE_API_KEY" => cloudflare.api_key = text(value).map(SecretString::from),
            "CLOUDFLARE_BASE_URL" => cloudflare.base_url = text(value),
            // Other variables of Cloudflare's tools mean nothing here.
            _ if is_cloudflare => {}
            _ => {
                let value = text(value);
                ours.extend(value.map(|value| (name, value)));
            }
        }
    }
    Environment { ours, cloudflare, warnings }
}
