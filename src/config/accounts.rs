//! The accounts: listed in the file, or a single one from Cloudflare's own variables.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::error::{Error, Origin};
use super::keys::{self, Key};
use super::secret_files::{CredentialSource, readable_by_all, sendable, unusable};
use super::sources::{CloudflareVariables, Layers, Setting, lists_accounts};
use super::yaml::{Document, Field, Kind, Node};
use super::{Account, parse};
use crate::cloudflare::Credentials;

/// A quarter of Cloudflare's limit leaves most of it to the dashboard and to other tools.
pub(crate) const DEFAULT_SHARE: f64 = 0.25;

/// The alias is a label, and so repeated in every sample.
const LONGEST_ALIAS: usize = 64;

/// The accounts, their distinct credentials by number, and warnings about them. Each credential file was read once.
pub(super) struct Loaded {
    pub(super) accounts: Vec<Account>,
    pub(super) credentials: Vec<Credentials>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn load(layers: &Layers) -> Result<Loaded, Error> {
    match &layers.document {
        Some(document) if lists_accounts(document) => {
            let (accounts, credentials) = from_file(document)?;
            let mut files: Vec<&Path> =
                accounts.iter().filter_map(|account| account.credentials.file()).collect();
            files.sort_unstable();
            files.dedup();
            let readable = files.into_iter().filter_map(readable_by_all);
            let warnings = ignored(&layers.cloudflare).into_iter().chain(readable).collect();
            Ok(Loaded { accounts, credentials, warnings })
        }
        document => from_variables(&layers.cloudflare, document.as_ref()),
    }
}

fn from_file(document: &Document) -> Result<(Vec<Account>, Vec<Credentials>), Error> {
    let Kind::Map(fields) = &document.root.kind else {
        return Ok(Default::default());
    };
    let Some(field) = fields.iter().find(|field| field.name == keys::ID.section) else {
        return Ok(Default::default());
    };
    let Kind::List(nodes) = &field.value.kind else {
        let problem = format!("accounts is {}, but must be a list", field.value.noun());
        return Err(Error::at(&document.origin(field.line), problem));
    };
    let mut accounts = Vec::new();
    let mut known = DistinctCredentials::default();
    for (index, node) in nodes.iter().enumerate() {
        let entry = Entry::new(document, index, node)?;
        let account = entry.account(&mut known)?;
        entry.check_against(&accounts, &account)?;
        accounts.push(account);
    }
    Ok((accounts, known.0))
}

/// The distinct credentials so far. The index of each is its number.
#[derive(Default)]
struct DistinctCredentials(Vec<Credentials>);

impl DistinctCredentials {
    fn number(&mut self, credential: Credentials) -> usize {
        let same = self.0.iter().position(|known| *known == credential);
        same.unwrap_or_else(|| {
            self.0.push(credential);
            self.0.len() - 1
        })
    }
}

/// An account in the file.
struct Entry<'a> {
    document: &'a Document,
    name: String,
    line: usize,
    fields: &'a [Field],
}

impl<'a> Entry<'a> {
    fn new(document: &'a Document, index: usize, node: &'a Node) -> Result<Self, Error> {
        let name = format!("{}[{index}]", keys::ID.section);
        let Kind::Map(fields) = &node.kind else {
            let problem = format!("{name} is {}, but must be a map with an id and a credential", node.noun());
            return Err(Error::at(&document.origin(node.line), problem));
        };
        for field in fields {
            keys::known(document, &format!("{name}."), field, &keys::names(keys::ID.section))?;
        }
        Ok(Self { document, name, line: node.line, fields })
    }

    fn refuse(&self, problem: &str) -> Error {
        Error::at(&self.document.origin(self.line), format!("{} {problem}", self.name))
    }

    fn get(&self, key: Key) -> Result<Option<Setting>, Error> {
        let Some(field) = self.fields.iter().find(|field| field.name == key.name) else {
            return Ok(None);
        };
        let (name, origin) = (format!("{}.{}", self.name, key.name), self.document.origin(field.line));
        match &field.value.kind {
            Kind::Null => Ok(None),
            Kind::Text(text) => Ok(Some(Setting { name, text: text.clone(), origin })),
            Kind::List(_) | Kind::Map(_) => {
                let problem = format!("{name} is {}, but must be a single value", field.value.noun());
                Err(Error::at(&origin, problem))
            }
        }
    }

    fn account(&self, known: &mut DistinctCredentials) -> Result<Account, Error> {
        let id = self.get(keys::ID)?.ok_or_else(|| self.refuse("has no id"))?;
        let id = account_id(&id)?;
        let alias = match self.get(keys::ALIAS)? {
            Some(alias) => checked_alias(&alias)?,
            None => id.clone(),
        };
        let budget_share = match self.get(keys::BUDGET_SHARE)? {
            Some(share) => share.parse(parse::share)?,
            None => DEFAULT_SHARE,
        };
        let (credentials, secret) = self.credentials()?;
        let directory = self.document.directory();
        let credential = credentials.read().map_err(|error| match credentials.file() {
            Some(file) => unusable(&secret, file, directory, &error),
            None => secret.refuse(&format!("cannot be used: {error}")),
        })?;
        Ok(Account { id, alias, credentials, credential: known.number(credential), budget_share })
    }

    /// The source of the credential, and the setting that names it.
    fn credentials(&self) -> Result<(CredentialSource, Setting), Error> {
        let mut given = Vec::new();
        for key in [keys::TOKEN, keys::TOKEN_FILE, keys::API_KEY, keys::API_KEY_FILE] {
            given.extend(self.get(key)?.map(|setting| (key.name, setting)));
        }
        let email = self.get(keys::EMAIL)?;
        if let [(first, _), (second, _), ..] = given.as_slice() {
            return Err(self.refuse(&format!("has both {first} and {second}, but must have one credential")));
        }
        let Some((kind, secret)) = given.pop() else {
            return Err(self.refuse(match email {
                Some(_) => "has an email, but neither api_key_file nor api_key",
                None => "has no credential: give it token_file, token, or email with api_key_file or api_key",
            }));
        };
        let source = match (kind, email) {
            ("token" | "token_file", Some(_)) => {
                return Err(self.refuse(&format!(
                    "has both {kind} and email, but an email goes with api_key_file or api_key"
                )));
            }
            ("token", None) => CredentialSource::Token(checked_secret(&secret)?),
            ("token_file", None) => CredentialSource::TokenFile(self.path(&secret)?),
            (_, None) => return Err(self.refuse(&format!("has {kind}, but no email"))),
            (_, Some(email)) => {
                let email = checked_email(&email)?;
                if kind == "api_key" {
                    CredentialSource::Key { email, key: checked_secret(&secret)? }
                } else {
                    CredentialSource::KeyFile { email, path: self.path(&secret)? }
                }
            }
        };
        Ok((source, secret))
    }

    fn path(&self, setting: &Setting) -> Result<PathBuf, Error> {
        parse::path(setting).map(|path| self.document.directory().join(path))
    }

    /// Ids and aliases must be unique, and accounts with one credential have one budget.
    fn check_against(&self, accounts: &[Account], account: &Account) -> Result<(), Error> {
        for (index, other) in accounts.iter().enumerate() {
            if other.id == account.id {
                return Err(self.refuse(&format!(
                    "has the id {} of accounts[{index}]; an account may be listed only once",
                    other.id
                )));
            }
            if other.alias == account.alias {
                return Err(self.refuse(&format!(
                    "has the alias {:?} of accounts[{index}]; aliases must differ",
                    other.alias
                )));
            }
            if other.credential == account.credential && other.budget_share != account.budget_share {
                return Err(self.refuse(&format!(
                    "has budget_share {}, but {:?} has {} with the same credential, and they share one budget",
                    account.budget_share, other.alias, other.budget_share
                )));
            }
        }
        Ok(())
    }
}

fn from_variables(variables: &CloudflareVariables, document: Option<&Document>) -> Result<Loaded, Error> {
    const NEEDED: &str = "set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN";
    let setting = |name: &str, text: &str| Setting {
        name: name.to_owned(),
        text: text.to_owned(),
        origin: Origin::from_words("environment"),
    };
    let Some(id) = &variables.account_id else {
        let problem = match document {
            Some(document) => format!("{} lists no accounts: list one there, or {NEEDED}", document.path()),
            None => format!("no account is configured: {NEEDED}, or name a file with --config.file"),
        };
        return Err(Error::new(problem));
    };
    // A line end after it is as common as after the token, and means nothing.
    let id = account_id(&setting("CLOUDFLARE_ACCOUNT_ID", id.trim_end_matches(['\r', '\n'])))?;
    let email = variables.email.as_deref();
    let (credentials, warning) = match (&variables.api_token, email, &variables.api_key) {
        (Some(token), _, key) => {
            let token = variable_secret("CLOUDFLARE_API_TOKEN", token)?;
            let both = key.as_ref().map(|_| {
                "CLOUDFLARE_API_TOKEN and CLOUDFLARE_API_KEY are both set; the token is used, because it can do less"
                    .to_owned()
            });
            (CredentialSource::Token(token), both)
        }
        (None, Some(email), Some(key)) => {
            let email = checked_email(&setting("CLOUDFLARE_EMAIL", email))?;
            let key = variable_secret("CLOUDFLARE_API_KEY", key)?;
            (CredentialSource::Key { email, key }, None)
        }
        (None, None, Some(_)) => {
            return Err(Error::new("CLOUDFLARE_API_KEY is set, but CLOUDFLARE_EMAIL is not"));
        }
        (None, Some(_), None) => {
            return Err(Error::new("CLOUDFLARE_EMAIL is set, but CLOUDFLARE_API_KEY is not"));
        }
        (None, None, None) => {
            return Err(Error::new("CLOUDFLARE_ACCOUNT_ID is set, but CLOUDFLARE_API_TOKEN is not"));
        }
    };
    let account = Account { alias: id.clone(), id, credentials, credential: 0, budget_share: DEFAULT_SHARE };
    let credentials = vec![account.credentials.read()?];
    Ok(Loaded { accounts: vec![account], credentials, warnings: warning.into_iter().collect() })
}

/// One warning if variables are set that are only used if the file lists no accounts.
fn ignored(variables: &CloudflareVariables) -> Option<String> {
    let names = [
        ("CLOUDFLARE_ACCOUNT_ID", variables.account_id.is_some()),
        ("CLOUDFLARE_API_TOKEN", variables.api_token.is_some()),
        ("CLOUDFLARE_EMAIL", variables.email.is_some()),
        ("CLOUDFLARE_API_KEY", variables.api_key.is_some()),
        ("CLOUDFLARE_BASE_URL", variables.base_url.is_some()),
    ];
    let set: Vec<&str> = names.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    (!set.is_empty()).then(|| format!("not used, because the file lists accounts: {}", set.join(", ")))
}

fn account_id(setting: &Setting) -> Result<String, Error> {
    let is_id = setting.text.len() == 32 && setting.text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        // The value is not shown, because it may be the token in the wrong place.
        return Err(setting.refuse("must be 32 hexadecimal digits, as in the address of the dashboard"));
    }
    Ok(setting.text.to_ascii_lowercase())
}

fn checked_alias(setting: &Setting) -> Result<String, Error> {
    let alias = &setting.text;
    let is_plain = alias.trim() == alias && !alias.is_empty() && !alias.chars().any(char::is_control);
    if !is_plain || alias.chars().count() > LONGEST_ALIAS {
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

fn variable_secret(name: &str, secret: &SecretString) -> Result<SecretString, Error> {
    sendable(secret.expose_secret()).map_err(|problem| Error::new(format!("{name} {problem}")))
}
