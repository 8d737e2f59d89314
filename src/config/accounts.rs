//! The accounts: listed in the file, found in a directory of tokens, or a single one from Cloudflare's own variables.

mod token_files;
mod variables;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;

use super::baseline::{BaselineFile, Baselines};
use super::entry::Entry;
use super::error::{Error, Mistakes};
use super::files::Files;
use super::keys::{self, Key};
use super::secret_files::{CredentialSource, Secrets, sendable, some_readable_by_all, unusable};
use super::sources::{Layers, Setting, lists_accounts};
use super::yaml::Document;
use super::{Account, AccountOrigin, parse};
use crate::cloudflare::Credentials;
use token_files::FoundAccounts;
pub(crate) use token_files::TokensDir;
pub(super) use token_files::{Unread, ending_with};

/// A quarter of Cloudflare's limit leaves most of it to the dashboard and to other tools.
pub(crate) const DEFAULT_SHARE: f64 = 0.25;

/// The alias is a label, and so repeated in every sample.
const LONGEST_ALIAS: usize = 64;

/// The accounts, their distinct credentials by number, and warnings about them. Each credential file was read once, or
/// never.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) accounts: Vec<Account>,
    /// `None` if one of them was not read.
    pub(super) credentials: Option<Vec<Credentials>>,
    pub(super) baselines: Baselines,
    /// Those that were found, but whose files cannot be used.
    pub(super) unread: Vec<Unread>,
    pub(super) tokens_dir: TokensDir,
    /// Files that no poller re-reads: the directory of tokens, and its unusable files.
    pub(super) files: Files,
    pub(super) warnings: Vec<String>,
}

pub(super) fn load(layers: &Layers, secrets: Secrets, mistakes: &mut Mistakes) -> Loaded {
    let mut baselines = Baselines::from_layers(layers, mistakes);
    let directory = layers.get(keys::TOKENS_DIR);
    let (listed, mut known) = match &layers.document {
        Some(document) if lists_accounts(document) => from_file(document, secrets, &mut baselines, mistakes),
        _ if directory.is_some() => Default::default(),
        // The accounts are in the file, but under a misspelled key.
        _ if [keys::ID, keys::TOKENS_DIR, keys::DISCOVERY_TOKEN_FILE]
            .map(|key| layers.is_misspelled(key))
            .contains(&true) =>
        {
            return Loaded::default();
        }
        document => {
            let baseline = baselines.of(None);
            let loaded =
                variables::account(&layers.cloudflare, document.as_ref(), secrets, baseline, mistakes);
            return Loaded { baselines, ..loaded };
        }
    };
    let found = directory.and_then(|setting| {
        let directory = mistakes.note(parse::directory(&setting))?;
        let baseline = baselines.of(None);
        mistakes.note(token_files::load(&setting, directory, &listed, &mut known, baseline.as_ref(), secrets))
    });
    let FoundAccounts { accounts: found, unread, directory: tokens_dir, files } = found.unwrap_or_default();
    let mut warnings: Vec<String> = variables::ignored(&layers.cloudflare).into_iter().collect();
    let accounts = [listed, found].concat();
    if secrets == Secrets::Read {
        warnings.extend(some_readable_by_all(&files_of(&accounts)));
    }
    Loaded { accounts, credentials: known.contents(), baselines, unread, tokens_dir, files, warnings }
}

/// The files with the credentials of these accounts, each once.
fn files_of(accounts: &[Account]) -> Vec<&Path> {
    let mut files: Vec<&Path> = accounts.iter().filter_map(|account| account.credentials.file()).collect();
    files.sort_unstable();
    files.dedup();
    files
}

fn from_file(
    document: &Document,
    secrets: Secrets,
    baselines: &mut Baselines,
    mistakes: &mut Mistakes,
) -> (Vec<Account>, DistinctCredentials) {
    let mut known = DistinctCredentials::default();
    let mut listed: Vec<Listed> = Vec::new();
    for entry in Entry::all(document, keys::ID.section, "an id and a credential", mistakes) {
        let account = entry.listed(&mut known, secrets, baselines, mistakes);
        entry.check_against(&listed, &account, mistakes);
        listed.push(account);
    }
    (listed.into_iter().filter_map(Listed::account).collect(), known)
}

/// The distinct credentials so far. The index of each is its number.
#[derive(Default)]
struct DistinctCredentials(Vec<Identification>);

/// What identifies a credential.
#[derive(PartialEq)]
enum Identification {
    Content(Credentials),
    /// It was not read. The same file, with the same address, has the same credential.
    Place(Option<String>, PathBuf),
}

impl DistinctCredentials {
    fn number(&mut self, credential: Identification) -> usize {
        let same = self.0.iter().position(|known| *known == credential);
        same.unwrap_or_else(|| {
            self.0.push(credential);
            self.0.len() - 1
        })
    }

    /// The credentials by number; `None` if one of them was not read.
    fn contents(self) -> Option<Vec<Credentials>> {
        let content = |credential| match credential {
            Identification::Content(credentials) => Some(credentials),
            Identification::Place(..) => None,
        };
        self.0.into_iter().map(content).collect()
    }
}

/// What the file says of an account. What is missing is a mistake.
struct Listed {
    index: usize,
    id: Option<String>,
    alias: Option<String>,
    credentials: Option<CredentialSource>,
    credential: Option<usize>,
    budget_share: Option<f64>,
    baseline: Option<Arc<BaselineFile>>,
}

impl Listed {
    fn account(self) -> Option<Account> {
        let Self { id, alias, credentials, credential, budget_share, baseline, .. } = self;
        Some(Account {
            id: id?,
            alias: alias?,
            credentials: credentials?,
            credential: credential?,
            budget_share: budget_share?,
            baseline,
            origin: AccountOrigin::Configured,
        })
    }

    /// Its name in a message about another account.
    fn name(&self) -> String {
        self.alias.clone().unwrap_or_else(|| format!("{}[{}]", keys::ID.section, self.index))
    }
}

impl Entry<'_> {
    fn listed(
        &self,
        known: &mut DistinctCredentials,
        secrets: Secrets,
        baselines: &mut Baselines,
        mistakes: &mut Mistakes,
    ) -> Listed {
        let misspelled = self.check_names(mistakes);
        let id = mistakes.note(self.get(keys::ID)).and_then(|id| match id {
            Some(id) => mistakes.note(account_id(&id)),
            None => {
                if !misspelled.contains(&keys::ID.name) {
                    mistakes.add(self.refuse("has no id"));
                }
                None
            }
        });
        let alias = mistakes.note(self.get(keys::ALIAS)).and_then(|alias| match alias {
            Some(alias) => mistakes.note(checked_alias(&alias)),
            None => id.clone(),
        });
        let budget_share = mistakes.note(self.get(keys::BUDGET_SHARE)).and_then(|share| match share {
            Some(share) => mistakes.note(share.parse(parse::share)),
            None => Some(DEFAULT_SHARE),
        });
        let (credentials, secret) = self.credentials(&misspelled, mistakes).unzip();
        let credential = credentials.as_ref().zip(secret).and_then(|(source, secret)| {
            let found = self.identify(source, &secret, secrets);
            mistakes.note(found).map(|identification| known.number(identification))
        });
        let own = mistakes.note(self.get(keys::ACCOUNT_BASELINE)).flatten();
        let own = mistakes.note(own.map(|setting| self.path(&setting)).transpose()).flatten();
        let baseline = baselines.of(own);
        Listed { index: self.index, id, alias, credentials, credential, budget_share, baseline }
    }

    /// Reads the credential, if its file is to be read. `secret` is the setting that names it.
    fn identify(
        &self,
        source: &CredentialSource,
        secret: &Setting,
        secrets: Secrets,
    ) -> Result<Identification, Error> {
        match (secrets, source.file()) {
            (Secrets::Skip, Some(file)) => {
                Ok(Identification::Place(source.email().map(str::to_owned), file.to_owned()))
            }
            (_, file) => source.read().map(Identification::Content).map_err(|error| match file {
                Some(file) => unusable(secret, file, self.document.directory(), &error),
                None => error,
            }),
        }
    }

    /// The source of the credential, and the setting that names it. `misspelled` are the keys that are not missing.
    fn credentials(
        &self,
        misspelled: &[&str],
        mistakes: &mut Mistakes,
    ) -> Option<(CredentialSource, Setting)> {
        const KINDS: [Key; 4] = [keys::TOKEN, keys::TOKEN_FILE, keys::API_KEY, keys::API_KEY_FILE];
        let found = KINDS.map(|key| (key.name, mistakes.note(self.get(key))));
        let email = mistakes.note(self.get(keys::EMAIL));
        // What has the wrong type was refused already, and related fields cannot be checked.
        let found: Option<Vec<_>> = found.into_iter().map(|(kind, found)| Some((kind, found?))).collect();
        let given = found?.into_iter().filter_map(|(kind, setting)| Some((kind, setting?)));
        let (given, email): (Vec<_>, _) = (given.collect(), email?);
        let (problem, missing): (String, &[Key]) = match (given.as_slice(), &email) {
            ([(first, _), (second, _), ..], _) => {
                (format!("has both {first} and {second}, but must have one credential"), &[])
            }
            ([], Some(_)) => (
                "has an email, but neither api_key_file nor api_key".to_owned(),
                &[keys::API_KEY, keys::API_KEY_FILE],
            ),
            ([], None) => (
                "has no credential: give it token_file, token, or email with api_key_file or api_key"
                    .to_owned(),
                &KINDS,
            ),
            ([(kind @ ("token" | "token_file"), _)], Some(_)) => {
                (format!("has both {kind} and email, but an email goes with api_key_file or api_key"), &[])
            }
            ([(kind @ ("api_key" | "api_key_file"), _)], None) => {
                (format!("has {kind}, but no email"), &[keys::EMAIL])
            }
            ([(kind, secret)], email) => {
                let source = self.source(kind, secret, email.as_ref(), mistakes)?;
                return Some((source, secret.clone()));
            }
        };
        if !missing.iter().any(|key| misspelled.contains(&key.name)) {
            mistakes.add(self.refuse(&problem));
        }
        None
    }

    /// The source of a credential of this kind. Only an API key has an address.
    fn source(
        &self,
        kind: &str,
        secret: &Setting,
        email: Option<&Setting>,
        mistakes: &mut Mistakes,
    ) -> Option<CredentialSource> {
        let email = mistakes.note(email.map(checked_email).transpose());
        if kind == keys::TOKEN.name || kind == keys::API_KEY.name {
            let secret = mistakes.note(checked_secret(secret));
            Some(match email? {
                None => CredentialSource::Token(secret?),
                Some(email) => CredentialSource::Key { email, key: secret? },
            })
        } else {
            let path = mistakes.note(self.path(secret));
            Some(match email? {
                None => CredentialSource::TokenFile(path?),
                Some(email) => CredentialSource::KeyFile { email, path: path? },
            })
        }
    }

    /// Ids and aliases must be unique, and accounts with one credential have one budget.
    fn check_against(&self, others: &[Listed], account: &Listed, mistakes: &mut Mistakes) {
        let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
        let same_id = others.iter().find(|other| same(&other.id, &account.id));
        let same_alias = others.iter().find(|other| same(&other.alias, &account.alias));
        if let (Some(other), Some(id)) = (same_id, &account.id) {
            mistakes.add(self.refuse(&format!(
                "has the id {id} of accounts[{}]; an account may be listed only once",
                other.index
            )));
        } else if let (Some(other), Some(alias)) = (same_alias, &account.alias) {
            mistakes.add(self.refuse(&format!(
                "has the alias {alias:?} of accounts[{}]; aliases must differ",
                other.index
            )));
        }
        let shares = |other: &&Listed| other.credential.is_some() && other.credential == account.credential;
        if let Some(other) = others.iter().find(shares)
            && let (Some(own), Some(others)) = (account.budget_share, other.budget_share)
            && own != others
        {
            mistakes.add(self.refuse(&format!(
                "has budget_share {own}, but {:?} has {others} with the same credential, and they share one budget",
                other.name()
            )));
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_alias(text: &str) -> bool {
    let is_plain = text.trim() == text && !text.is_empty() && !text.chars().any(char::is_control);
    is_plain && text.chars().count() <= LONGEST_ALIAS
}

fn account_id(setting: &Setting) -> Result<String, Error> {
    if !is_id(&setting.text) {
        // The value is not shown, because it may be the token in the wrong place.
        return Err(setting.refuse("must be 32 hexadecimal digits, as in the address of the dashboard"));
    }
    Ok(setting.text.to_ascii_lowercase())
}

fn checked_alias(setting: &Setting) -> Result<String, Error> {
    let alias = &setting.text;
    if !is_alias(alias) {
        return Err(setting.must_be(&format!(
            "1 to {LONGEST_ALIAS} characters on one line, without leading or trailing spaces"
        )));
    }
    Ok(alias.clone())
}

fn checked_email(setting: &Setting) -> Result<String, Error> {
    // The longest address that mail can carry has 254 characters.
    let is_address = setting.text.contains('@')
        && setting.text.len() <= 254
        && setting.text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_address {
        return Err(setting.refuse("must be an e-mail address in ASCII"));
    }
    Ok(setting.text.clone())
}

fn checked_secret(setting: &Setting) -> Result<SecretString, Error> {
    sendable(&setting.text).map_err(|problem| setting.refuse(problem))
}
