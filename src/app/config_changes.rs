//! What a reload changes: the difference between two configurations. Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::cloudflare::Credentials;
use crate::config::{Account, Config, Discovery, SettingChange};
use crate::model::token_files::{NAMED, TokenFileProblem};

/// A difference between the configuration that is in use and the next one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// An account is new.
    Added { alias: String },
    /// An account is gone.
    Removed { alias: String },
    /// An account has another alias.
    Renamed { from: String, to: String },
    /// An account has another credential, or another file with it.
    Credential { alias: String },
    /// An account has another share of the request limit.
    Share { alias: String, from: f64, to: f64 },
    /// Accounts have another baseline, or the same file has another content.
    Baseline { aliases: Vec<String> },
    /// A token whose accounts are found is new, has other settings, or is gone.
    Discovery { label: String, what: &'static str },
    /// There is something wrong with a token file.
    TokenFile(TokenFileProblem),
    /// There is nothing wrong with it any more, or it is gone.
    TokenFileOver { file: String },
    /// More token files have a problem, or none any more.
    MoreTokenFiles { count: usize },
    /// A setting has another value.
    Setting(SettingChange),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { alias } => write!(f, "account {alias:?} was added"),
            Self::Removed { alias } => write!(f, "account {alias:?} was removed"),
            Self::Renamed { from, to } => write!(f, "account {from:?} is called {to:?} now"),
            Self::Credential { alias } => write!(f, "the credential of account {alias:?} changed"),
            Self::Share { alias, from, to } => {
                write!(f, "budget_share of account {alias:?} changed from {from} to {to}")
            }
            Self::Baseline { aliases } => match aliases.as_slice() {
                [only] => write!(f, "the baseline of account {only:?} changed"),
                several => write!(f, "the baseline of {} accounts changed", several.len()),
            },
            Self::Discovery { label, what } => write!(f, "discovery with {label:?} {what}"),
            Self::TokenFile(problem) => write!(f, "{problem}"),
            Self::TokenFileOver { file } => write!(f, "token file {file:?} has no problem any more"),
            Self::MoreTokenFiles { count } => write!(f, "the problems of {count} more token files changed"),
            Self::Setting(SettingChange { key, from, to }) => write!(f, "{key} is {to}, was {from}"),
        }
    }
}

/// The differences: accounts in the order of `after`, then those that are gone, then token files, then settings.
pub(super) fn changes(before: &Config, after: &Config) -> Vec<Change> {
    let known: BTreeMap<&str, &Account> =
        before.accounts.iter().map(|account| (account.id.as_str(), account)).collect();
    let (mut changes, mut with_baseline) = (Vec::new(), Vec::new());
    for account in &after.accounts {
        let alias = account.alias.clone();
        let Some(known) = known.get(account.id.as_str()) else {
            changes.push(Change::Added { alias });
            continue;
        };
        if known.alias != alias {
            changes.push(Change::Renamed { from: known.alias.clone(), to: alias.clone() });
        }
        if is_recredentialed((before, known), (after, account)) {
            changes.push(Change::Credential { alias: alias.clone() });
        }
        if known.budget_share != account.budget_share {
            let (from, to) = (known.budget_share, account.budget_share);
            changes.push(Change::Share { alias: alias.clone(), from, to });
        }
        if known.baseline != account.baseline {
            with_baseline.push(alias);
        }
    }
    let is_gone = |account: &&Account| after.accounts.iter().all(|other| other.id != account.id);
    let gone = before.accounts.iter().filter(is_gone);
    changes.extend(gone.map(|account| Change::Removed { alias: account.alias.clone() }));
    if !with_baseline.is_empty() {
        changes.push(Change::Baseline { aliases: with_baseline });
    }
    changes.extend(discoveries(&before.discovery, &after.discovery));
    changes.extend(token_files(problems(before), problems(after)));
    changes.extend(before.setting_changes(after).into_iter().map(Change::Setting));
    changes
}

fn discoveries(before: &[Discovery], after: &[Discovery]) -> Vec<Change> {
    let change = |label: &String, what| Change::Discovery { label: label.clone(), what };
    let with = |all: &[Discovery], one: &Discovery| {
        all.iter().find(|other| other.token_file == one.token_file).cloned()
    };
    let new = after.iter().filter_map(|one| match with(before, one) {
        None => Some(change(&one.label, "was added")),
        Some(known) if !known.is_same(one) => Some(change(&one.label, "changed")),
        Some(_) => None,
    });
    let gone = before.iter().filter(|one| with(after, one).is_none());
    new.chain(gone.map(|one| change(&one.label, "was removed"))).collect()
}

fn problems(config: &Config) -> &[TokenFileProblem] {
    config.token_files.as_ref().map(|files| files.problems.as_slice()).unwrap_or_default()
}

fn token_files(before: &[TokenFileProblem], after: &[TokenFileProblem]) -> Vec<Change> {
    let new = after.iter().filter(|problem| !before.contains(problem)).cloned().map(Change::TokenFile);
    let is_over = |problem: &&TokenFileProblem| after.iter().all(|other| other.file != problem.file);
    let over = before.iter().filter(is_over);
    let over = over.map(|problem| Change::TokenFileOver { file: problem.file.clone() });
    let mut changes: Vec<Change> = new.chain(over).collect();
    let count = changes.len().saturating_sub(NAMED);
    if count > 0 {
        changes.truncate(NAMED);
        changes.push(Change::MoreTokenFiles { count });
    }
    changes
}

/// Whether the credential of an account, or the file that it is in, is another one.
pub(super) fn is_recredentialed(before: (&Config, &Account), after: (&Config, &Account)) -> bool {
    before.1.credentials.file() != after.1.credentials.file() || credential(before) != credential(after)
}

fn credential<'a>((config, account): (&'a Config, &Account)) -> Option<&'a Credentials> {
    config.credentials.get(account.credential)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    /// The configuration in a file with this content.
    fn loaded(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        let flags = Flags { config_file: Some(path), ..Flags::default() };
        Config::load(&flags, []).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    const ONE: &str = "id: 11111111111111111111111111111111";
    const TWO: &str = "id: 22222222222222222222222222222222";

    #[test]
    fn every_kind_of_difference_is_named_and_nothing_else() {
        let one = format!("accounts: [{{ {ONE}, alias: one, token: a }}]");
        for (before, after, wanted) in [
            (one.clone(), one.clone(), vec![]),
            (
                one.clone(),
                format!("accounts: [{{ {TWO}, alias: two, token: a }}, {{ {ONE}, alias: one, token: a }}]"),
                vec!["account \"two\" was added"],
            ),
            (
                one.clone(),
                format!("accounts: [{{ {TWO}, alias: one, token: a }}]"),
                vec!["account \"one\" was added", "account \"one\" was removed"],
            ),
            (
                one.clone(),
                format!("accounts: [{{ {ONE}, alias: uno, token: b, budget_share: 0.5 }}]"),
                vec![
                    "account \"one\" is called \"uno\" now",
                    "the credential of account \"uno\" changed",
                    "budget_share of account \"uno\" changed from 0.25 to 0.5",
                ],
            ),
            (
                format!("accounts: [{{ {ONE}, alias: one, token: a }}, {{ {TWO}, alias: two, token: a }}]"),
                format!(
                    "accounts: [{{ {ONE}, alias: one, token: a, behaviors_baseline: /none/such }}, \
                     {{ {TWO}, alias: two, token: a }}]"
                ),
                vec!["the baseline of account \"one\" changed"],
            ),
            (
                format!("accounts: [{{ {ONE}, alias: one, token: a }}, {{ {TWO}, alias: two, token: a }}]"),
                format!(
                    "behaviors: {{ baseline: /none/such }}\n\
                     accounts: [{{ {ONE}, alias: one, token: a }}, {{ {TWO}, alias: two, token: a }}]"
                ),
                vec!["the baseline of 2 accounts changed", "behaviors.baseline is /none/such, was not set"],
            ),
            (
                one.clone(),
                format!("accounts: [{{ {ONE}, alias: one, email: a@b, api_key: a }}]"),
                vec!["the credential of account \"one\" changed"],
            ),
            (
                one.clone(),
                format!(
                    "{one}\nintervals: {{ summary: 1m, behaviors: 90s, integrations: 1h, audit: 1d }}\n\
                     users: {{ limit: 5, identity: none }}\nlog: {{ level: 'debug' }}"
                ),
                vec![
                    "intervals.summary is 1m, was 30s",
                    "intervals.behaviors is 90s, was 5m",
                    "intervals.integrations is 1h, was 5m",
                    "intervals.audit is 1d, was 6h",
                    "users.limit is 5, was 100",
                    "users.identity is none, was id",
                    "log.level is debug, was info",
                ],
            ),
        ] {
            let found = changes(&loaded(&before), &loaded(&after));
            let found: Vec<String> = found.iter().map(Change::to_string).collect();
            assert_eq!(found, wanted, "{before}\n{after}");
        }
    }
}
