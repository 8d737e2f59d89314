//! The checks that need no request. Each is one function here and one entry in a list.

use std::path::Path;

use super::report::{Finding, Subject, Verdict};
use crate::commands::terminal::counted;
use crate::config::{Config, Offline};

/// The checks before those of the accounts.
pub(super) fn online(config: &Config) -> Vec<Finding> {
    configuration(config.accounts.len(), &config.warnings)
}

/// Everything that can be said without a network and without a secret, and what was not looked at.
pub(super) fn offline(offline: &Offline) -> Vec<Finding> {
    [
        configuration(offline.accounts.len(), &offline.warnings),
        credentials(offline),
        left(Subject::HashKey, offline.hash_key_file.as_deref()),
        left(Subject::State, offline.local.state.as_ref().map(|state| state.path.as_path())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A valid configuration: its warnings, or that there are none.
fn configuration(accounts: usize, warnings: &[String]) -> Vec<Finding> {
    if warnings.is_empty() {
        return vec![Finding::new(Subject::Configuration, Verdict::Passed, counted(accounts, "account"))];
    }
    let warning = |warning: &String| Finding {
        remark: Some(warning.clone()),
        ..Finding::new(Subject::Configuration, Verdict::Warning, "see below".to_owned())
    };
    warnings.iter().map(warning).collect()
}

/// The credential of each account, if it is in the configuration.
fn credentials(offline: &Offline) -> Vec<Finding> {
    let credential = |account: &crate::config::Account| {
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
