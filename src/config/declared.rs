//! What file, environment and flags declare, before a file with a key for hashes is read.
//!
//! The start of the exporter, `check` and `check --offline` read the same declaration, so they find the same mistakes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Url;

use super::accounts::{self, Loaded, TokensDir, Unread};
use super::addresses;
use super::baseline::{BaselineFile, Baselines};
use super::discovery::{self, Discovery};
use super::error::{Error, Mistakes};
use super::feed::DeclaredFeed;
use super::files::Files;
use super::naming::Naming;
use super::secret_files::Secrets;
use super::sources::Layers;
use super::yaml::Accepted;
use super::{Account, Config, ConfigSource, Flags, LOAD_WAIT, Local};
use super::{MOST_USERS, Shard, keys, parse};
use crate::cloudflare::Credentials;
use crate::feed::sinks::Settings;

/// A configuration without its key for hashes. What is missing is a mistake.
pub(super) struct Declared {
    pub(super) local: Option<Local>,
    pub(super) base_url: Option<Url>,
    pub(super) limit: Option<usize>,
    pub(super) naming: Option<Naming>,
    pub(super) feed: Option<Option<DeclaredFeed>>,
    pub(super) shard: Option<Shard>,
    /// The accounts of all shards.
    pub(super) accounts: Vec<Account>,
    /// The distinct credentials by number; `None` if one of them was not read.
    pub(super) credentials: Option<Vec<Credentials>>,
    pub(super) baselines: Baselines,
    /// Accounts whose token files cannot be used.
    pub(super) unread: Vec<Unread>,
    pub(super) tokens_dir: TokensDir,
    /// The directory of tokens, and its unusable files.
    pub(super) token_files: Files,
    pub(super) discovery: Vec<Discovery>,
    pub(super) warnings: Vec<String>,
}

impl Declared {
    pub(super) fn from_layers(layers: &Layers, secrets: Secrets, mistakes: &mut Mistakes) -> Self {
        let local = Local::from_layers(layers, mistakes);
        addresses::refuse_overlaps(layers, mistakes);
        let base_url = mistakes.note(parse::base_url(&layers.get_or_default(keys::BASE_URL)));
        let limit = layers.get_or_default(keys::LIMIT).parse(parse::whole_number(0..=MOST_USERS));
        let limit = mistakes.note(limit);
        let identity = layers.get_or_default(keys::IDENTITY);
        let naming = Naming::of(layers, &identity, "id, hash, email or none", mistakes);
        let feed = DeclaredFeed::from_layers(layers, mistakes);
        let shard = Shard::load(layers, mistakes);
        let Loaded { accounts, credentials, mut baselines, unread, tokens_dir, files: token_files, warnings } =
            accounts::load(layers, secrets, mistakes);
        let document = layers.document.as_ref();
        let mut discovery =
            document.map(|document| discovery::load(document, secrets, mistakes)).unwrap_or_default();
        for one in &mut discovery {
            one.baseline = baselines.of(None);
        }
        let mut warnings = [layers.warnings.clone(), warnings].concat();
        if let Some(Some(feed)) = &feed {
            let state = local.iter().filter_map(|local| local.state.as_ref());
            let states = state.map(|state| ("state.path", state.path.as_path()));
            let web = local.iter().filter_map(|local| local.web.config_file.as_deref());
            let key = naming.as_ref().and_then(Naming::key_file).or_else(|| feed.key_file());
            let of_accounts = accounts.iter().filter_map(|account| account.credentials.file());
            let unread_files = unread.iter().map(|unread| unread.path.as_path());
            let used = states
                .chain(layers.files.paths().map(|path| ("the configuration file", path)))
                .chain(web.map(|path| ("web.config_file", path)))
                .chain(key.map(|path| ("users.hash_key_file", path)))
                .chain(of_accounts.chain(unread_files).map(|path| ("a file with a token or key", path)))
                .chain(token_files.paths().map(|path| ("in use for accounts_from.tokens_dir", path)))
                .chain(baselines.files.paths().map(|path| ("a baseline", path)));
            feed.refuse_used(used, layers, mistakes);
        }
        let has_key = layers.get(keys::HASH_KEY_FILE).is_some();
        let is_used_by_feed = feed.iter().flatten().any(|feed| feed.key_file().is_some());
        if has_key && !is_used_by_feed && matches!(naming, Some(Naming::Id | Naming::Email | Naming::None)) {
            warnings.push("users.hash_key_file is not used, because users.identity is not hash".to_owned());
        }
        Self {
            local,
            base_url,
            limit,
            naming,
            feed,
            shard,
            accounts,
            credentials,
            baselines,
            unread,
            tokens_dir,
            token_files,
            discovery,
            warnings,
        }
    }
}

/// A configuration that was checked without a secret: only the configuration file was read.
#[derive(Debug)]
pub struct Offline {
    /// The accounts of all shards. Accounts whose credentials are in different files have different numbers of a
    /// credential.
    pub accounts: Vec<Account>,
    /// The directory of tokens, of which only the names were read.
    pub(crate) tokens_dir: TokensDir,
    /// The tokens whose accounts are found at Cloudflare.
    pub(crate) discovery: Vec<Discovery>,
    /// The file with the key for hashes.
    pub hash_key_file: Option<PathBuf>,
    /// The part that does not concern accounts.
    pub local: Local,
    /// Where the feed is written to, if there is one.
    pub(crate) feed: Option<Settings>,
    /// What is allowed, but probably not meant.
    pub warnings: Vec<String>,
}

/// A configuration, or why it cannot be used, and what can be known in both cases.
#[derive(Debug)]
pub struct Outlined<T> {
    /// The configuration. The error lists all mistakes, or says that the files cannot be read in time.
    pub result: Result<T, Error>,
    /// What other checks need to know.
    pub(crate) outline: Outline,
}

impl<T> Outlined<T> {
    /// Nothing could be read.
    pub(super) fn unreadable(error: Error) -> Self {
        Self { result: Err(error), outline: Outline::default() }
    }
}

/// What other checks need to know of a configuration, even of one with mistakes.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// The web configuration.
    pub(crate) web_config_file: Option<PathBuf>,
    /// The address of the API.
    pub(crate) base_url: Option<Url>,
    /// The baselines of the accounts.
    pub(crate) baselines: Vec<Arc<BaselineFile>>,
}

impl Outline {
    /// What can be known although there may be mistakes, which are not reported here.
    pub(super) fn of(layers: &Layers) -> Self {
        let web_config_file = layers.get(keys::WEB_CONFIG_FILE);
        Self {
            web_config_file: web_config_file.and_then(|setting| parse::path(&setting).ok()),
            base_url: parse::base_url(&layers.get_or_default(keys::BASE_URL)).ok(),
            baselines: Vec::new(),
        }
    }
}

impl Config {
    /// Checks everything that [`Config::load`] checks, except the files with secrets.
    pub fn check_offline(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Outlined<Offline> {
        let source = ConfigSource::new(flags.clone(), environment);
        source.read_within(LOAD_WAIT, Offline::read).unwrap_or_else(Outlined::unreadable)
    }
}

impl Offline {
    fn read(flags: &Flags, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Outlined<Self> {
        let mut mistakes = Mistakes::default();
        let layers = Layers::load(flags, environment, Accepted::Any, &mut mistakes);
        let mut outline = layers.as_ref().map(Outline::of).unwrap_or_default();
        let offline = mistakes.note(layers).and_then(|layers| {
            let Declared {
                local, naming, feed, accounts, baselines, tokens_dir, discovery, warnings, ..
            } = Declared::from_layers(&layers, Secrets::Skip, &mut mistakes);
            outline.baselines = baselines.all();
            let (naming, feed) = (naming?, feed?);
            let of_feed = || feed.as_ref().and_then(DeclaredFeed::key_file);
            let hash_key_file = naming.key_file().or_else(of_feed).map(Path::to_owned);
            let feed = feed.map(|feed| feed.settings);
            Some(Self { accounts, tokens_dir, discovery, hash_key_file, local: local?, feed, warnings })
        });
        Outlined { result: mistakes.finish(offline), outline }
    }
}
