//! The checks that need no request. Each is one function here and one entry in a list.

use std::path::Path;
use std::sync::Arc;

use reqwest::Url;

use super::report::{Finding, Subject, Verdict};
use crate::clock::Timestamp;
use crate::cloudflare::SetupError;
use crate::cloudflare::surroundings::{self, Anchors, Judged};
use crate::commands::terminal::counted;
use crate::config::{
    Account, BaselineFile, Error, Feed, IdentityPolicy, Mistakes, Offline, Outline, TokensDir,
};
use crate::feed::record::Details;
use crate::feed::sinks::Stdout;
use crate::model::token_files::{NAMED, TokenFiles};
use crate::web::{Checked, Summary};

/// What is said of what is beside the configuration.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) findings: Vec<Finding>,
    /// What the web configuration does, if it is here.
    pub(super) web: Option<Summary>,
}

/// What can be said of a valid configuration without a network and without a secret, and what was not checked. `beside` is
/// what is said of other things.
pub(super) fn offline(offline: &Offline, beside: Vec<Finding>) -> Vec<Finding> {
    let findings = [
        configuration(offline.accounts.len(), &offline.warnings),
        match &offline.tokens_dir {
            TokensDir::None => Vec::new(),
            TokensDir::Elsewhere(directory) => left(Subject::TokenFiles, Some(directory)),
            TokensDir::Listed(files) => token_files(files),
        },
        offline.discovery.iter().flat_map(|one| left(Subject::Discovery, Some(&one.token_file))).collect(),
        beside,
        credentials(offline),
        left(Subject::HashKey, offline.hash_key_file.as_deref()),
        left(Subject::State, offline.local.state.as_ref().map(|state| state.path.as_path())),
        left(
            Subject::Feed,
            offline.feed.as_ref().and_then(|feed| feed.file.as_ref()).map(|file| file.path.as_path()),
        ),
    ];
    findings.into_iter().flatten().collect()
}

/// The same of what can be judged although the configuration may have mistakes: the web configuration, and what the
/// environment says about connections. Mistakes are added to `mistakes`.
pub(super) fn beside(outline: &Outline, now: Timestamp, mistakes: &mut Mistakes) -> Beside {
    let base_url = outline.base_url.as_ref().map(Url::as_str);
    let Beside { findings, web } =
        mistakes.note(web_offline(outline.web_config_file.as_deref(), now)).unwrap_or_default();
    let findings = [
        findings,
        base_url.map(|base_url| proxy(base_url, mistakes)).unwrap_or_default(),
        base_url.map(|base_url| trust_anchors(base_url, mistakes)).unwrap_or_default(),
    ];
    Beside { findings: findings.into_iter().flatten().collect(), web }
}

/// A valid configuration.
pub(super) fn configuration(accounts: usize, warnings: &[String]) -> Vec<Finding> {
    valid(Subject::Configuration, counted(accounts, "account"), warnings)
}

/// The directory of tokens: each file that is not used, or not as it is, fails.
pub(super) fn token_files(files: &TokenFiles) -> Vec<Finding> {
    let directory = files.directory.display();
    let mut findings: Vec<Finding> = files
        .problems
        .iter()
        .take(NAMED)
        .map(|problem| Finding {
            remark: Some(problem.to_string()),
            ..Finding::new(Subject::TokenFiles, Verdict::Failed, problem.result.as_str().replace('_', " "))
        })
        .collect();
    let others = files.problems.len().saturating_sub(NAMED);
    if others > 0 {
        let answer = format!("{others} more are not used as they are");
        findings.push(Finding::new(Subject::TokenFiles, Verdict::Failed, answer));
    }
    findings.push(match files.names_no_account() {
        true => {
            Finding::new(Subject::TokenFiles, Verdict::Warning, format!("{directory} has no token files"))
        }
        false => {
            Finding::new(Subject::TokenFiles, Verdict::Passed, format!("{} used in {directory}", files.used))
        }
    });
    findings
}

/// What the feed writes where.
pub(super) fn feed(feed: &Feed) -> Vec<Finding> {
    let users = match feed.identity {
        IdentityPolicy::Id => "users by id",
        IdentityPolicy::Hash { .. } => "users by the hash of their id",
        IdentityPolicy::Email => "users by id, e-mail address and name",
        IdentityPolicy::None => "without users",
    };
    let details = match feed.details {
        Details::Kept => "with the details of events",
        Details::Dropped => "without the details of events",
    };
    let what = format!("{} records, {users}, {details}", feed.format.as_str());
    let to = |place: String| Finding::new(Subject::Feed, Verdict::Passed, format!("{place}: {what}"));
    let mut findings = Vec::new();
    if let Some(file) = &feed.settings.file {
        findings.push(match file.problem() {
            None => to(file.path.display().to_string()),
            Some(problem) => Finding {
                remark: Some(format!("the exporter would not start: {problem}")),
                ..Finding::new(
                    Subject::Feed,
                    Verdict::Failed,
                    format!("{} cannot be written", file.path.display()),
                )
            },
        });
    }
    if feed.settings.stdout == Stdout::Used {
        findings.push(to("standard output".to_owned()));
    }
    findings
}

/// A web configuration that can be used.
pub(super) fn web(summary: &Summary) -> Vec<Finding> {
    valid(Subject::WebConfiguration, "can be used".to_owned(), summary.warnings())
}

/// The baselines of behaviors. Mistakes are added to `mistakes`.
pub(super) fn baselines(outline: &Outline, mistakes: &mut Mistakes) -> Vec<Finding> {
    outline.baselines.iter().filter_map(|file| baseline(file, mistakes)).collect()
}

/// The same of those that are here.
pub(super) fn baselines_offline(outline: &Outline, mistakes: &mut Mistakes) -> Vec<Finding> {
    let found = |file: &Arc<BaselineFile>| match file.path.exists() {
        true => baseline(file, mistakes),
        false => left(Subject::Baseline, Some(&file.path)).pop(),
    };
    outline.baselines.iter().filter_map(found).collect()
}

fn baseline(file: &BaselineFile, mistakes: &mut Mistakes) -> Option<Finding> {
    let declared = mistakes.note(file.declared.clone())?;
    let text = format!("{}: {}", file.path.display(), counted(declared.count(), "behavior"));
    Some(Finding::new(Subject::Baseline, Verdict::Passed, text))
}

/// A web configuration, if it is here, without keys and the CAs of clients.
///
/// # Errors
/// All its mistakes.
fn web_offline(path: Option<&Path>, now: Timestamp) -> Result<Beside, Error> {
    let Some(path) = path else { return Ok(Beside::default()) };
    let Some(web) = Checked::without_secrets(path, now)? else {
        return Ok(Beside { findings: left(Subject::WebConfiguration, Some(path)), web: None });
    };
    let mut findings = valid(Subject::WebConfiguration, "valid".to_owned(), web.warnings());
    findings.extend(left(Subject::WebCertificate, web.unread_certificate()));
    Ok(Beside { findings, web: Some(web) })
}

/// The proxy on the way to the API, if the environment names one.
fn proxy(base_url: &str, mistakes: &mut Mistakes) -> Vec<Finding> {
    match surroundings::proxy(base_url) {
        Ok(None) => Vec::new(),
        Ok(Some((variable, host))) => {
            vec![Finding::new(Subject::Proxy, Verdict::Passed, format!("{host}, from {variable}"))]
        }
        Err(error) => {
            mistakes.add(match &error {
                SetupError::Proxy { variable, .. } => Error::of_variable(variable, error.to_string()),
                _ => Error::new(error.to_string()),
            });
            Vec::new()
        }
    }
}

/// The trust anchors that replace those of the platform, if the environment names some.
fn trust_anchors(base_url: &str, mistakes: &mut Mistakes) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (Anchors { variable, path }, judged) in surroundings::anchors(base_url) {
        match judged {
            Judged::Usable => {
                let text = format!("{}, from {variable}", path.display());
                findings.push(Finding::new(Subject::TrustAnchors, Verdict::Passed, text));
            }
            Judged::Elsewhere => findings.extend(left(Subject::TrustAnchors, Some(&path))),
            Judged::Unusable(error) => mistakes.add(Error::of_variable(variable, error.to_string())),
        }
    }
    findings
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
    format!("{} was not checked", file.display())
}
