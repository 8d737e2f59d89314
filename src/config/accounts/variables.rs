//! The single account that Cloudflare's own variables name.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::super::baseline::BaselineFile;
use super::super::error::{Error, Mistakes, Origin};
use super::super::secret_files::{CredentialSource, Secrets, sendable};
use super::super::sources::{CloudflareVariables, Setting};
use super::super::yaml::Document;
use super::{Account, AccountOrigin, DEFAULT_SHARE, Loaded, account_id, checked_email};

/// The account, if there is one, and warnings about the variables.
pub(super) fn account(
    variables: &CloudflareVariables,
    document: Option<&Document>,
    secrets: Secrets,
    baseline: Option<Arc<BaselineFile>>,
    mistakes: &mut Mistakes,
) -> Loaded {
    let mut warnings = Vec::new();
    let Some(id) = &variables.account_id else {
        match (document, secrets) {
            (Some(document), Secrets::Skip) => warnings.push(format!(
                "{} lists no accounts, so CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN must be set where the exporter runs",
                document.path()
            )),
            _ => mistakes.add(no_account(document)),
        }
        return Loaded { warnings, ..Loaded::default() };
    };
    // A line end after it is as common as after the token, and means nothing.
    let id = account_id(&setting("CLOUDFLARE_ACCOUNT_ID", id.trim_end_matches(['\r', '\n'])));
    let id = mistakes.note(id);
    let credentials = mistakes.note(credentials(variables, secrets, &mut warnings)).flatten();
    let account = id.zip(credentials).map(|(id, credentials)| Account {
        alias: id.clone(),
        id,
        credentials,
        credential: 0,
        budget_share: DEFAULT_SHARE,
        baseline,
        origin: AccountOrigin::Configured,
    });
    let read = account.as_ref().and_then(|account| mistakes.note(account.credentials.read()));
    let credentials = read.map(|credentials| vec![credentials]);
    Loaded { accounts: account.into_iter().collect(), credentials, warnings, ..Loaded::default() }
}

fn no_account(document: Option<&Document>) -> Error {
    const NEEDED: &str = "set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN";
    Error::new(match document {
        Some(document) => format!("{} lists no accounts: list one there, or {NEEDED}", document.path()),
        None => format!("no account is configured: {NEEDED}, or name a file with --config.file"),
    })
}

/// The credential; `None` if it may be missing here.
fn credentials(
    variables: &CloudflareVariables,
    secrets: Secrets,
    warnings: &mut Vec<String>,
) -> Result<Option<CredentialSource>, Error> {
    let email = variables.email.as_deref().map(|email| checked_email(&setting("CLOUDFLARE_EMAIL", email)));
    match (&variables.api_token, email, &variables.api_key) {
        (Some(token), _, key) => {
            warnings.extend(key.as_ref().map(|_| {
                "CLOUDFLARE_API_TOKEN and CLOUDFLARE_API_KEY are both set; the token is used, because it can do less"
                    .to_owned()
            }));
            secret("CLOUDFLARE_API_TOKEN", token).map(CredentialSource::Token).map(Some)
        }
        (None, Some(email), Some(key)) => {
            Ok(Some(CredentialSource::Key { email: email?, key: secret("CLOUDFLARE_API_KEY", key)? }))
        }
        (None, None, Some(_)) => Err(Error::new("CLOUDFLARE_API_KEY is set, but CLOUDFLARE_EMAIL is not")),
        (None, email, None) => {
            let (problem, missing) = match email.transpose()? {
                Some(_) => ("CLOUDFLARE_EMAIL is set, but CLOUDFLARE_API_KEY is not", "CLOUDFLARE_API_KEY"),
                None => {
                    ("CLOUDFLARE_ACCOUNT_ID is set, but CLOUDFLARE_API_TOKEN is not", "CLOUDFLARE_API_TOKEN")
                }
            };
            match secrets {
                Secrets::Read => Err(Error::new(problem)),
                Secrets::Skip => {
                    warnings
                        .push(format!("{missing} is not set here; it must be set where the exporter runs"));
                    Ok(None)
                }
            }
        }
    }
}

/// One warning if variables are set that are only used if the file lists no accounts.
pub(super) fn ignored(variables: &CloudflareVariables) -> Option<String> {
    let names = [
        ("CLOUDFLARE_ACCOUNT_ID", variables.account_id.is_some()),
        ("CLOUDFLARE_API_TOKEN", variables.api_token.is_some()),
        ("CLOUDFLARE_EMAIL", variables.email.is_some()),
        ("CLOUDFLARE_API_KEY", variables.api_key.is_some()),
        ("CLOUDFLARE_BASE_URL", variables.base_url.is_some()),
    ];
    let set: Vec<&str> = names.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    (!set.is_empty())
        .then(|| format!("not used, because the configuration names accounts: {}", set.join(", ")))
}

fn setting(name: &str, text: &str) -> Setting {
    Setting { name: name.to_owned(), text: text.to_owned(), origin: Origin::Environment }
}

fn secret(name: &str, secret: &SecretString) -> Result<SecretString, Error> {
    sendable(secret.expose_secret()).map_err(|problem| Error::new(format!("{name} {problem}")))
}
