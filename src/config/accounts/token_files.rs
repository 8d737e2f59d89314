//! The accounts of a directory of tokens: a file for each, whose name says which account it is.
//!
//! A file that cannot be used is reported, and concerns no other account. A directory that cannot be listed is a mistake of the
//! configuration as a whole, so a reload removes no account because of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{
    Account, AccountOrigin, DEFAULT_SHARE, DistinctCredentials, Identification, LONGEST_ALIAS, is_alias,
    is_id,
};
use crate::config::baseline::BaselineFile;
use crate::config::directory::visible_names;
use crate::config::error::Error;
use crate::config::files::Files;
use crate::config::secret_files::{CredentialSource, Secrets};
use crate::config::sources::Setting;
use crate::model::token_files::{TokenFileProblem, TokenFileResult, TokenFiles};

/// A token has at least 37 characters. Of a longer name that is not an account's, only the beginning is shown.
const LONGEST_SHOWN: usize = 36;
const SHOWN_BEGINNING: usize = 8;

/// How many digits of the id follow an alias that several accounts have.
const DISTINGUISHING_DIGITS: usize = 8;

/// The directory that the configuration names.
#[derive(Debug, Default)]
pub(crate) enum TokensDir {
    /// It names none.
    #[default]
    None,
    /// It is not here. That is no mistake where no secrets are read.
    Elsewhere(PathBuf),
    /// What was found in it.
    Listed(TokenFiles),
}

impl TokensDir {
    /// What was found in it.
    pub(crate) fn listed(self) -> Option<TokenFiles> {
        match self {
            Self::None | Self::Elsewhere(_) => None,
            Self::Listed(files) => Some(files),
        }
    }
}

/// What was found in a directory.
#[derive(Default)]
pub(super) struct FoundAccounts {
    pub(super) accounts: Vec<Account>,
    pub(super) unread: Vec<Unread>,
    pub(super) directory: TokensDir,
    /// The directory, and the files that no poller reads again.
    pub(super) files: Files,
}

/// An account whose file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) id: String,
    pub(crate) alias: String,
    /// Its file.
    pub(crate) path: PathBuf,
    pub(crate) baseline: Option<Arc<BaselineFile>>,
}

/// A file with the name of an account.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    file: String,
    id: String,
    alias: String,
    path: PathBuf,
}

/// Finds the accounts in the directory that `setting` names, beside those `listed`. Their credentials are added to `known`.
///
/// # Errors
/// The directory cannot be listed.
pub(super) fn load(
    setting: &Setting,
    directory: PathBuf,
    listed: &[Account],
    known: &mut DistinctCredentials,
    baseline: Option<&Arc<BaselineFile>>,
    secrets: Secrets,
) -> Result<FoundAccounts, Error> {
    let mut files = Files::of([&*directory]);
    let names = match visible_names(&directory) {
        Ok(names) => names,
        Err(error) if secrets == Secrets::Skip && error.kind() == io::ErrorKind::NotFound => {
            let directory = TokensDir::Elsewhere(directory);
            return Ok(FoundAccounts { accounts: Vec::new(), unread: Vec::new(), directory, files });
        }
        Err(error) => {
            let problem = format!("cannot be used: cannot list {}: {error}", directory.display());
            return Err(setting.refuse(&problem));
        }
    };
    let Sorted { named, own, mut problems } = sort_out(&directory, names, listed);
    let (mut named, credentials) = choose(named, &mut problems, |path| identify(path, secrets, &mut files));
    problems.extend(distinguish(&mut named, listed));
    let (mut accounts, mut unread) = (Vec::new(), Vec::new());
    for (Named { file, id, alias, path }, credential) in named.into_iter().zip(credentials) {
        match credential {
            Ok(credential) => {
                let credential = known.number(credential);
                let same = |account: &&Account| account.credential == credential;
                // They share one budget.
                let budget_share = listed.iter().find(same).map_or(DEFAULT_SHARE, |other| other.budget_share);
                let credentials = CredentialSource::TokenFile(path);
                let (baseline, origin) = (baseline.cloned(), AccountOrigin::Configured);
                accounts.push(Account { id, alias, credentials, credential, budget_share, baseline, origin });
            }
            Err(error) => {
                // One result for each file: that it has no token is the worse one.
                problems.retain(|problem| problem.file != file);
                problems.push(without_token(file, &error));
                unread.push(Unread { id, alias, path, baseline: baseline.cloned() });
            }
        }
    }
    problems.sort_by(|one, other| one.file.cmp(&other.file));
    let renamed = problems.iter().filter(|problem| problem.result == TokenFileResult::DuplicateAlias).count();
    let used = accounts.len() - renamed + own;
    let directory = TokensDir::Listed(TokenFiles { directory, used, problems });
    Ok(FoundAccounts { accounts, unread, directory, files })
}

/// The credential in the file, if it is to be read. If it cannot be used, the file is added to `files`, so that a change of it is
/// noticed.
fn identify(path: &Path, secrets: Secrets, files: &mut Files) -> Result<Identification, Error> {
    if secrets == Secrets::Skip {
        return Ok(Identification::Place(None, path.to_owned()));
    }
    let source = CredentialSource::TokenFile(path.to_owned());
    let read = source.read().or_else(|_| {
        files.extend([path]);
        source.read()
    });
    read.map(Identification::Content)
}

/// What is in a directory, by the names of its files.
struct Sorted {
    /// The files that are named like an account that is not listed, in the order of their names.
    named: Vec<Named>,
    /// How many files have the token of a listed account.
    own: usize,
    /// What is wrong with the other files.
    problems: Vec<TokenFileProblem>,
}

/// Sorts the files out by their names. A listed account takes precedence over a file, and may itself have its token in one of these
/// files.
fn sort_out(directory: &Path, names: Vec<OsString>, listed: &[Account]) -> Sorted {
    let (mut named, mut own, mut problems) = (Vec::new(), 0, Vec::new());
    let mut refuse = |file: &str, result, reason| {
        problems.push(TokenFileProblem { file: file.to_owned(), result, reason });
    };
    let by_id: BTreeMap<&str, &Account> =
        listed.iter().map(|account| (account.id.as_str(), account)).collect();
    let of_listed: BTreeSet<PathBuf> =
        listed.iter().filter_map(|account| account.credentials.file()).map(real_path).collect();
    for name in names {
        let path = directory.join(&name);
        if of_listed.contains(&real_path(&path)) {
            own += 1;
            continue;
        }
        let Some((id, alias)) = name.to_str().and_then(account_of) else {
            // Such as lost+found.
            if !path.is_dir() {
                let reason = "its name must be an account id, which has 32 hexadecimal digits, or an id, a dot and an alias";
                refuse(&shown(&name.to_string_lossy()), TokenFileResult::BadName, reason.to_owned());
            }
            continue;
        };
        let file = name.to_string_lossy().into_owned();
        if let Some(account) = by_id.get(id.as_str()) {
            let reason = format!("its account is listed under accounts, as {:?}", account.alias);
            refuse(&file, TokenFileResult::DuplicateAccount, reason);
        } else {
            named.push(Named { file, id, alias, path });
        }
    }
    Sorted { named, own, problems }
}

/// Where the file is, through all links. The path itself if the file cannot be reached.
fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The file of each account, with what `read` makes of it: the first one with a usable token, or the first one if none has.
/// What is wrong with the others is added to `problems`.
fn choose(
    files: Vec<Named>,
    problems: &mut Vec<TokenFileProblem>,
    mut read: impl FnMut(&Path) -> Result<Identification, Error>,
) -> (Vec<Named>, Vec<Result<Identification, Error>>) {
    let mut chosen: Vec<Named> = Vec::new();
    let mut contents: Vec<Result<Identification, Error>> = Vec::new();
    let mut by_id: BTreeMap<String, usize> = BTreeMap::new();
    for named in files {
        let content = read(&named.path);
        let Some(&at) = by_id.get(&named.id) else {
            by_id.insert(named.id.clone(), chosen.len());
            chosen.push(named);
            contents.push(content);
            continue;
        };
        match (&contents[at], content) {
            (Err(error), Ok(content)) => {
                problems.push(without_token(chosen[at].file.clone(), error));
                (chosen[at], contents[at]) = (named, Ok(content));
            }
            (_, Err(error)) => problems.push(without_token(named.file, &error)),
            (Ok(_), Ok(_)) => problems.push(TokenFileProblem {
                file: named.file,
                result: TokenFileResult::DuplicateAccount,
                reason: format!("the file {:?} is of the same account", chosen[at].file),
            }),
        }
    }
    (chosen, contents)
}

fn without_token(file: String, error: &Error) -> TokenFileProblem {
    TokenFileProblem { file, result: TokenFileResult::Unusable, reason: error.to_string() }
}

/// The account that a file of this name has the token of: its id, and its alias. An alias that looks like a token is none, because
/// it would be a label.
fn account_of(name: &str) -> Option<(String, String)> {
    let (id, alias) = match name.split_once('.') {
        Some((id, alias)) => (id, Some(alias)),
        None => (name, None),
    };
    let id = is_id(id).then(|| id.to_ascii_lowercase())?;
    let alias = alias.map_or_else(|| id.clone(), str::to_owned);
    (is_alias(&alias) && !looks_like_token(&alias)).then_some((id, alias))
}

fn looks_like_token(text: &str) -> bool {
    let is_of_token = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    text.len() > LONGEST_SHOWN && text.chars().all(is_of_token)
}

/// Gives each account that has the alias of another one an alias that ends with digits of its id. This does not depend on the
/// order of the files, so an account that was there before gets such an alias too when another one with its alias comes.
fn distinguish(named: &mut [Named], listed: &[Account]) -> Vec<TokenFileProblem> {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    let aliases = listed.iter().map(|account| &account.alias).chain(named.iter().map(|file| &file.alias));
    for alias in aliases {
        *uses.entry(alias.clone()).or_default() += 1;
    }
    let mut taken: BTreeSet<String> = uses.keys().cloned().collect();
    let mut problems = Vec::new();
    for Named { file, id, alias, .. } in named {
        if uses.get(alias) == Some(&1) {
            continue;
        }
        let short = id.get(..DISTINGUISHING_DIGITS).unwrap_or(id);
        let new = [short, id].map(|digits| ending_with(alias, digits));
        let new = new.into_iter().find(|new| !taken.contains(new)).unwrap_or_else(|| id.clone());
        taken.insert(new.clone());
        let reason = format!("another account has the alias {alias:?}, so this one is {new:?}");
        problems.push(TokenFileProblem {
            file: file.clone(),
            result: TokenFileResult::DuplicateAlias,
            reason,
        });
        *alias = new;
    }
    problems
}

/// The alias with these digits after it, and not longer than an alias may be.
pub(in crate::config) fn ending_with(alias: &str, digits: &str) -> String {
    let kept: String = alias.chars().take(LONGEST_ALIAS - 1 - digits.len()).collect();
    format!("{kept}-{digits}")
}

/// A name that is not that of an account: it may be a token in the wrong place.
fn shown(name: &str) -> String {
    match name.chars().count() {
        ..=LONGEST_SHOWN => name.to_owned(),
        count => {
            let beginning: String = name.chars().take(SHOWN_BEGINNING).collect();
            format!("{beginning}... ({count} characters)")
        }
    }
}

#[cfg(test)]
mod tests;
