//! The checks that need no request. Each is one function here and one entry in a list.

use std::path::Path;

use super::report::{Finding, Subject, Verdict};
use crate::commands::terminal::counted;
use crate::config::{Account, Error, Offline};
use crate::web::{Checked, Summary};

/// Everything that can be said without a network and without a secret, and what was not looked at.
///
/// # Errors
/// The web configuration cannot be used.
pub(super) fn offline(offline: &Offline) -> Result<Vec<Finding>, Error> {
    let findings = [
        configuration(offline.accounts.len(), &offline.warnings),
        web_offline(offline.local.web.config_file.as_deref())?,
        credentials(offline),
        left(Subject::HashKey, offline.hash_key_file.as_deref()),
        left(Subject::State, offline.local.state.as_ref().map(|state| state.path.as_path())),
    ]
    .into_iter()
    .flatten();
    Ok(findings.collect())
}

/// A valid configuration.
pub(super) fn configuration(accounts: usize, warnings: &[String]) -> Vec<Finding> {
    valid(Subject::Configuration, counted(accounts, "account"), warnings)
}

/// A web configuration that can be used.
pub(super) fn web(summary: &Summary) -> Vec<Finding> {
    valid(Subject::WebConfiguration, "can be used".to_owned(), summary.warnings())
}

/// A web configuration, if it is here, without the certificates and keys that it names.
fn web_offline(path: Option<&Path>) -> Result<Vec<Finding>, Error> {
    Ok(match path {
        None => Vec::new(),
        Some(path) if !path.exists() => left(Subject::WebConfiguration, Some(path)),
        Some(path) => {
            let text = "valid; the files that it names were not looked at".to_owned();
            valid(Subject::WebConfiguration, text, &Checked::without_files(path)?)
        }
    })
}

/// What is valid: its warnings, or that there are none.
fn valid(subject: Subject, text: String, warnings: &[String]) -> Vec<Finding> {
    if warnings.is_empty() {
        return vec![Finding::new(subject, Verdict::Passed, text)];
    }
    let warning = |warning: &String| Finding {
        remark: Some(warning.clone()),
        ..Finding::new(subject, Verdict::Warning, "see below".to_owned())
    };
    warnings.iter().map(warning).collect()
}

/// The credential of each account, if it is in the configuration.
fn credentials(offline: &Offline) -> Vec<Finding> {
    let credential = |account: &Account| {
        let (verdict, text) = match account.credentials.file() {
            Some(file) => (Verdict::Skipped, not_looked_at(file)),
            None => (Verdict::Passed, "is in the configuration".to_owned()),
        };
        let text = format!("{}: {text}", account.alias);
        Finding { account: Some(account.alias.clone()), ..Finding::new(Subject::Credential, verdict, text) }
    };
    offline.accounts.iter().map(credential).collect()
}

/// A file that may be elsewhere.
fn left(subject: Subject, file: Option<&Path>) -> Vec<Finding> {
    let skipped = |file| Finding::new(subject, Verdict::Skipped, not_looked_at(file));
    file.map(skipped).into_iter().collect()
}

fn not_looked_at(file: &Path) -> String {
    format!("{} was not looked at", file.display())
}
