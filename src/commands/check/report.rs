//! The findings of a check, and how they are shown: what failed first, and the totals last.

mod tables;

use std::time::Duration;

use serde::Serialize;

use crate::app::logging::Colour;
use crate::cloudflare::Kind;
use crate::commands::terminal::counted;
use crate::commands::terminal::sheet::json;
use crate::commands::terminal::table::Tone;
use crate::commands::terminal::wrap::wrapped;
use crate::config;
use crate::model::Resource;
use crate::web::Summary;
use tables::{brief_tables, render_table, title};

/// What was found.
#[derive(Debug)]
pub struct Report {
    mode: Mode,
    findings: Vec<Finding>,
    /// What the web configuration does, in a few lines.
    web: Option<Summary>,
    /// What is wrong with the configuration, so that nothing else could be checked.
    mistakes: Option<config::Error>,
}

/// Whether Cloudflare was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    Online,
    Offline,
}

/// The result of one check.
#[derive(Debug)]
pub(super) struct Finding {
    /// The alias of the account that it is about.
    pub(super) account: Option<String>,
    pub(super) subject: Subject,
    pub(super) verdict: Verdict,
    /// What was answered, or why there was no answer, in a few words.
    pub(super) text: String,
    /// More about it in a sentence, such as what to do.
    pub(super) remark: Option<String>,
    pub(super) took: Option<Duration>,
    /// The kind of error, if it failed.
    pub(super) kind: Option<Kind>,
    /// The permission that the token lacks, if that is why it failed.
    pub(super) lacks: Option<&'static str>,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The file, the environment and the flags.
    Configuration,
    /// The directory of tokens.
    TokenFiles,
    /// A token whose accounts are found.
    Discovery,
    /// TLS, passwords and limits of the port.
    WebConfiguration,
    /// The certificate of the port.
    WebCertificate,
    /// The file with the credential of an account.
    Credential,
    /// The file with the key for hashes.
    HashKey,
    /// The file with the settings that behaviors should have.
    Baseline,
    /// The state file.
    State,
    /// Where the feed is written to.
    Feed,
    /// The proxy that the environment names.
    Proxy,
    /// The trust anchors that the environment names.
    TrustAnchors,
    /// One request to Cloudflare.
    Endpoint(Resource),
}

impl Subject {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::TokenFiles => "token_files",
            Self::Discovery => "discovery",
            Self::WebConfiguration => "web_configuration",
            Self::WebCertificate => "web_certificate",
            Self::Credential => "credential",
            Self::HashKey => "hash_key",
            Self::Baseline => "baseline",
            Self::State => "state",
            Self::Feed => "feed",
            Self::Proxy => "proxy",
            Self::TrustAnchors => "trust_anchors",
            Self::Endpoint(resource) => resource.as_str(),
        }
    }
}

/// The result, with the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Failed,
    /// It works, but a person should look.
    Warning,
    Passed,
    /// It was not tried.
    Skipped,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Warning => "warning",
            Self::Passed => "passed",
            Self::Skipped => "skipped",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Passed => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Warning | Self::Skipped => Tone::Caution,
        }
    }
}

impl Finding {
    pub(super) fn new(subject: Subject, verdict: Verdict, text: String) -> Self {
        Self { account: None, subject, verdict, text, remark: None, took: None, kind: None, lacks: None }
    }

    /// The account whose table it is in. The checks that need no request have a table of their own.
    fn table(&self) -> Option<&str> {
        match self.subject {
            Subject::Endpoint(_) => self.account.as_deref(),
            Subject::Configuration
            | Subject::TokenFiles
            | Subject::Discovery
            | Subject::WebConfiguration
            | Subject::WebCertificate
            | Subject::Credential
            | Subject::HashKey
            | Subject::Baseline
            | Subject::State
            | Subject::Feed
            | Subject::Proxy
            | Subject::TrustAnchors => None,
        }
    }
}

impl Report {
    /// The findings, in the order of the checks. Those of one account are together.
    pub(super) fn new(mode: Mode, findings: Vec<Finding>) -> Self {
        let mut tables: Vec<Vec<Finding>> = Vec::new();
        for finding in findings {
            match tables.last_mut() {
                Some(last) if last.first().is_some_and(|one| one.table() == finding.table()) => {
                    last.push(finding);
                }
                _ => tables.push(vec![finding]),
            }
        }
        for table in &mut tables {
            table.sort_by_key(|finding| finding.verdict);
        }
        tables.sort_by_key(|table| table.first().map(|finding| finding.verdict));
        Self { mode, findings: tables.into_iter().flatten().collect(), web: None, mistakes: None }
    }

    /// A configuration that cannot be used.
    pub(super) fn of_mistakes(mode: Mode, mistakes: config::Error) -> Self {
        let text = counted(mistakes.count(), "error");
        let findings = vec![Finding::new(Subject::Configuration, Verdict::Failed, text)];
        Self { mode, findings, web: None, mistakes: Some(mistakes) }
    }

    /// The report with what the web configuration does, if there is one.
    pub(super) fn with_web(self, web: Option<Summary>) -> Self {
        Self { web, ..self }
    }

    /// The number of failed checks.
    pub fn failures(&self) -> usize {
        self.count(Verdict::Failed)
    }

    /// The number of mistakes in the configuration.
    pub(super) fn mistakes(&self) -> usize {
        self.mistakes.as_ref().map_or(0, config::Error::count)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    fn accounts(&self) -> usize {
        let mut accounts: Vec<&str> =
            self.findings.iter().filter_map(|finding| finding.account.as_deref()).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts.len()
    }

    /// A table for each account, in lines of at most `width` columns; but if there are several, those that are well share one
    /// table, with a line each, and so do those with the same trouble. Below a table, because they are too long for it: each
    /// remark once, and the permissions to add. Mistakes in the configuration are lines instead, as compilers write them.
    pub fn render(&self, colour: Colour, width: Option<usize>) -> String {
        match self.accounts() {
            0 | 1 => self.render_wide(colour, width),
            _ => self.joined(brief_tables(&self.tables(), colour, width), width),
        }
    }

    /// The same with a table for each account.
    pub fn render_wide(&self, colour: Colour, width: Option<usize>) -> String {
        let tables = self.tables();
        let tables = tables.iter().map(|findings| render_table(&title(findings), *findings, colour, width));
        self.joined(tables.collect(), width)
    }

    /// The findings of each table.
    fn tables(&self) -> Vec<&[Finding]> {
        self.findings.chunk_by(|one, other| one.table() == other.table()).collect()
    }

    /// The tables, with what else is known.
    fn joined(&self, tables: Vec<String>, width: Option<usize>) -> String {
        if let Some(mistakes) = &self.mistakes {
            return format!("{}\n{}\n", wrapped(&mistakes.lines(), width), self.totals());
        }
        let web = self.web.iter().map(|web| format!("{}\n", wrapped(web.to_string().trim_end(), width)));
        let parts = tables.into_iter().chain(web).chain([format!("{}\n", self.totals())]);
        parts.collect::<Vec<_>>().join("\n")
    }

    /// Such as `12 checks of 3 accounts: 10 passed, 1 warning, 1 failed`. Mistakes in the configuration are one failed check, whose
    /// errors are counted too.
    fn totals(&self) -> String {
        let of_accounts = match self.accounts() {
            0 => String::new(),
            accounts => format!(" of {}", counted(accounts, "account")),
        };
        let number = |verdict| match (verdict, self.count(verdict)) {
            (_, 0) => None,
            (Verdict::Warning, count) => Some(counted(count, "warning")),
            (_, count) => Some(format!("{count} {}", verdict.as_str())),
        };
        let numbers: Vec<String> = [Verdict::Passed, Verdict::Warning, Verdict::Failed, Verdict::Skipped]
            .into_iter()
            .filter_map(number)
            .collect();
        let errors = match self.mistakes() {
            0 => String::new(),
            mistakes => format!(" with {}", counted(mistakes, "error")),
        };
        format!("{}{of_accounts}: {}{errors}", counted(self.findings.len(), "check"), numbers.join(", "))
    }

    /// The same as one JSON document.
    pub fn json(&self) -> String {
        let shown = self.mistakes.as_ref().map(config::Error::shown).unwrap_or_default();
        json(&Document {
            mode: self.mode,
            errors: shown.iter().map(ErrorRow::new).collect(),
            omitted: self.mistakes() - shown.len(),
            checks: self.findings.iter().map(CheckRow::new).collect(),
            web: self.web.as_ref(),
            totals: Totals {
                accounts: self.accounts(),
                checks: self.findings.len(),
                passed: self.count(Verdict::Passed),
                warning: self.count(Verdict::Warning),
                failed: self.count(Verdict::Failed),
                skipped: self.count(Verdict::Skipped),
                errors: self.mistakes(),
            },
        })
    }
}

/// The JSON document. Its fields are in the manual.
#[derive(Serialize)]
struct Document<'a> {
    mode: Mode,
    errors: Vec<ErrorRow<'a>>,
    omitted: usize,
    checks: Vec<CheckRow<'a>>,
    web: Option<&'a Summary>,
    totals: Totals,
}

#[derive(Serialize)]
struct ErrorRow<'a> {
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    variable: Option<&'a str>,
    flag: Option<&'a str>,
    message: &'a str,
}

#[derive(Serialize)]
struct CheckRow<'a> {
    account: Option<&'a str>,
    check: &'static str,
    result: &'static str,
    answer: &'a str,
    remark: Option<&'a str>,
    permission: Option<&'static str>,
    seconds: Option<f64>,
}

#[derive(Serialize)]
struct Totals {
    accounts: usize,
    checks: usize,
    passed: usize,
    warning: usize,
    failed: usize,
    skipped: usize,
    errors: usize,
}

impl<'a> ErrorRow<'a> {
    fn new(mistake: &'a config::Mistake) -> Self {
        let position = mistake.position();
        Self {
            file: position.map(|(file, ..)| file),
            line: position.map(|(_, line, _)| line),
            column: position.and_then(|(.., column)| column),
            variable: mistake.variable(),
            flag: mistake.flag(),
            message: mistake.problem(),
        }
    }
}

impl<'a> CheckRow<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            account: finding.account.as_deref(),
            check: finding.subject.as_str(),
            result: finding.verdict.as_str(),
            answer: &finding.text,
            remark: finding.remark.as_deref(),
            permission: finding.lacks,
            seconds: finding.took.map(|took| took.as_secs_f64()),
        }
    }
}
