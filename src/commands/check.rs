//! `check`: tries the credentials and each resource of every account once, and reports what is missing.
//!
//! It sends the requests that the exporter would send, changes nothing, and prints no personal data.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use clap::Args;
use comfy_table::{Cell, Color};

use super::session::{Session, foreground};
use super::terminal::counted;
use super::terminal::table::{table, width};
use super::{Failure, Outcome, setup, terminal};
use crate::app::logging::Colour;
use crate::clock::{Clock, Timestamp};
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{Client, Error, Kind, Limiter, MissingGrant, Options, TokenState, TokenStatus};
use crate::config::{Account, Config, CredentialSource, FileFlags};
use crate::model::{Behavior, Completeness, Integration, Listing, Resource, Summary, UserId, UserRisk};
use crate::web::Checked;

/// Try the configuration, the credentials and each resource once, and report what is missing
#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    file: FileFlags,
}

impl Check {
    pub(crate) fn run(&self) -> Outcome {
        let config = setup::configure(&(&self.file).into())?;
        let web = config.web.config_file.as_deref().map(Checked::load).transpose()?;
        let report = setup::block_on(run(&config, &Clock::system()))?;
        let mut text = report.render(Colour::for_stream(&io::stdout()), width());
        if let Some(web) = &web {
            text.push_str(&format!("\n{}", web.summary()));
        }
        terminal::print(text)?;
        match report.failures() {
            0 => Ok(()),
            1 => Err(Failure::runtime("one check failed")),
            failures => Err(Failure::Runtime(format!("{failures} checks failed"))),
        }
    }
}

/// The findings, in the order of the requests.
#[derive(Debug)]
pub struct Report {
    findings: Vec<Finding>,
}

/// The result for one resource of one account.
#[derive(Debug)]
struct Finding {
    account: String,
    resource: Resource,
    verdict: Verdict,
    /// What was answered, or why there was no answer, in a few words.
    text: String,
    /// More about it in a sentence, such as what to do.
    remark: Option<String>,
    took: Option<Duration>,
    /// The kind of error, if it failed.
    kind: Option<Kind>,
    /// The permission that the token lacks, if that is why it failed.
    lacks: Option<&'static str>,
}

/// What is wrong with an answer, or why there is none.
struct Problem {
    /// In a few words.
    text: String,
    /// In a sentence, with what to do about it.
    remark: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Works,
    Fails,
    Unknown,
    Skipped,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Fails => "fails",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }

    const fn colour(self) -> Color {
        match self {
            Self::Works => Color::Green,
            Self::Fails => Color::Red,
            Self::Unknown | Self::Skipped => Color::Yellow,
        }
    }
}

/// Tries everything, one request after the other.
pub async fn run(config: &Config, clock: &Clock) -> Report {
    let mut budgets: BTreeMap<usize, Budget> = BTreeMap::new();
    let mut report = Report { findings: Vec::new() };
    for account in &config.accounts {
        let budget = budgets
            .entry(account.credential)
            .or_insert_with(|| Budget::new(account.budget_share, clock.clone()));
        let mut trial = Trial { account, clock, findings: &mut report.findings };
        // A retry would hide that the first attempt failed.
        let options = Options { attempts: 1, ..foreground() };
        match Session::open(config, account, budget.clone(), options, clock) {
            Ok(session) => trial.all(&session.client).await,
            Err(error) => {
                let problem = Some(error.to_string());
                trial.note(Resource::TokenVerify, Verdict::Fails, "no client", problem);
            }
        }
    }
    report
}

impl Report {
    /// The number of failed checks.
    pub fn failures(&self) -> usize {
        let failed = |finding: &&Finding| finding.verdict == Verdict::Fails;
        self.findings.iter().filter(failed).count()
    }

    /// A table for each account, at most `width` characters wide. Below it, because they are too long for a table: each
    /// remark once, and the permissions to add.
    pub fn render(&self, colour: Colour, width: Option<u16>) -> String {
        let same = |one: &Finding, other: &Finding| one.account == other.account;
        let accounts = self.findings.chunk_by(same).map(|findings| account(findings, colour, width));
        accounts.collect::<Vec<_>>().join("\n")
    }
}

/// The findings of one account.
fn account(findings: &[Finding], colour: Colour, width: Option<u16>) -> String {
    let mut table = table(colour, width);
    table.set_header(["resource", "result", "time", "answer"]);
    for Finding { resource, verdict, text, took, .. } in findings {
        let took = took.map(|took| format!("{:.2} s", took.as_secs_f64()));
        table.add_row([
            Cell::new(resource.as_str()),
            Cell::new(verdict.as_str()).fg(verdict.colour()),
            Cell::new(took.unwrap_or_default()),
            Cell::new(text),
        ]);
    }
    let name = findings.first().map_or("", |finding| &finding.account);
    let mut text = format!("account {name}\n{table}\n");
    for (resources, remark) in remarks(findings) {
        text.push_str(&format!("{}: {remark}\n", resources.join(", ")));
    }
    let mut lacking: Vec<&str> = Vec::new();
    for permission in findings.iter().filter_map(|finding| finding.lacks) {
        if !lacking.contains(&permission) {
            lacking.push(permission);
        }
    }
    if !lacking.is_empty() {
        text.push_str(&format!("add to the token: {}\n", lacking.join(" and ")));
    }
    text
}

/// Each remark once, with the resources it is about. Remarks that differ only in the CF-Ray id, which every request
/// has its own, count as one.
fn remarks(findings: &[Finding]) -> Vec<(Vec<&'static str>, &str)> {
    let without_ray = |remark: &str| remark.split(", CF-Ray ").next().map(str::to_owned);
    let mut remarks: Vec<(Vec<&'static str>, &str)> = Vec::new();
    for finding in findings {
        let (resource, Some(remark)) = (finding.resource.as_str(), finding.remark.as_deref()) else {
            continue;
        };
        match remarks.iter_mut().find(|(_, known)| without_ray(known) == without_ray(remark)) {
            Some((resources, _)) => resources.push(resource),
            None => remarks.push((vec![resource], remark)),
        }
    }
    remarks
}

/// Tries one account.
struct Trial<'a> {
    account: &'a Account,
    clock: &'a Clock,
    findings: &'a mut Vec<Finding>,
}

impl Trial<'_> {
    async fn all(&mut self, client: &Client) {
        match self.account.credentials {
            CredentialSource::Token(_) | CredentialSource::TokenFile(_) => {
                self.ask(Resource::TokenVerify, client.verify_token(), token).await;
            }
            CredentialSource::Key { .. } | CredentialSource::KeyFile { .. } => self.note(
                Resource::TokenVerify,
                Verdict::Skipped,
                "an API key is used",
                Some("an API key can do everything; a token with two permissions is safer".to_owned()),
            ),
        }
        self.ask(Resource::Behaviors, client.behaviors(), behaviors).await;
        self.ask(Resource::Integrations, client.integrations(), integrations).await;
        let summary = self.ask(Resource::Summary, client.summary(), summary).await;
        let first = summary.as_ref().map(|summary| summary.rows.first());
        match first {
            Some(Some(row)) => self.user(client, row.user).await,
            Some(None) => self.skip_user("the list has no users"),
            None => self.skip_user("the list of users could not be read"),
        }
        self.excuse_verification();
    }

    /// Corrects a failed verification: if the token works elsewhere, it belongs to an account, and tokens of accounts are
    /// verified at another address.
    fn excuse_verification(&mut self) {
        let alias = &self.account.alias;
        let of_account = |finding: &&mut Finding| finding.account == *alias;
        let works = |finding: &Finding| finding.account == *alias && finding.verdict == Verdict::Works;
        if !self.findings.iter().any(works) {
            return;
        }
        let refused = |finding: &&mut Finding| {
            finding.resource == Resource::TokenVerify
                && matches!(finding.kind, Some(Kind::Credentials | Kind::Refused | Kind::Forbidden(_)))
        };
        for finding in self.findings.iter_mut().filter(of_account).filter(refused) {
            finding.verdict = Verdict::Unknown;
            finding.lacks = None;
            finding.remark = Some(
                "a token that belongs to an account cannot be verified here, and need not be".to_owned(),
            );
        }
    }

    async fn user(&mut self, client: &Client, user: UserId) {
        self.ask(Resource::User, client.user(user), user_events).await;
    }

    fn skip_user(&mut self, why: &str) {
        self.note(Resource::User, Verdict::Skipped, why, None);
    }

    /// Sends one request. `judge` describes the answer, or what is wrong with it.
    async fn ask<T>(
        &mut self,
        resource: Resource,
        request: impl Future<Output = Result<T, Error>>,
        judge: impl FnOnce(&T) -> Result<String, Problem>,
    ) -> Option<T> {
        let before = self.clock.now();
        let answer = request.await;
        let took = Some(self.clock.now().since(before));
        let judged = match &answer {
            Ok(found) => judge(found),
            Err(error) => Err(Problem { text: in_short(error), remark: error.to_string() }),
        };
        let (verdict, text, remark) = match judged {
            Ok(text) => (Verdict::Works, text, None),
            Err(Problem { text, remark }) => (Verdict::Fails, text, Some(remark)),
        };
        let kind = answer.as_ref().err().map(Error::kind);
        let lacks = match &answer {
            Err(error) if error.kind() == Kind::Forbidden(MissingGrant::Permission) => error.permission(),
            _ => None,
        };
        let account = self.account.alias.clone();
        self.findings.push(Finding { account, resource, verdict, text, remark, took, kind, lacks });
        answer.ok()
    }

    fn note(&mut self, resource: Resource, verdict: Verdict, text: &str, remark: Option<String>) {
        self.findings.push(Finding {
            account: self.account.alias.clone(),
            resource,
            verdict,
            text: text.to_owned(),
            remark,
            took: None,
            kind: None,
            lacks: None,
        });
    }
}

/// The error in a few words, for the table. The whole sentence stands below it.
fn in_short(error: &Error) -> String {
    let words = match error.kind() {
        Kind::Credentials => "missing or malformed credentials",
        Kind::Refused => "refused",
        Kind::Forbidden(MissingGrant::Permission) => {
            // The name of the first permission that would be enough, without quotes.
            return match error.permission().and_then(|permission| permission.split('"').nth(1)) {
                Some(name) => format!("lacks {name}"),
                None => "refused".to_owned(),
            };
        }
        Kind::Forbidden(MissingGrant::Account) => "not for this account",
        Kind::NotEntitled => "no user risk scoring",
        Kind::NotFound => "not found",
        Kind::Limited(Limiter::Cloudflare) => "rate limit reached",
        Kind::Limited(Limiter::Budget) => "budget spent",
        Kind::Unavailable => "unavailable",
        Kind::Timeout => "no answer in time",
        Kind::Shape => "unexpected answer",
        Kind::Invalid => "request refused",
    };
    words.to_owned()
}

fn token(status: &TokenStatus) -> Result<String, Problem> {
    let problem =
        |text: &str, remark: &str| Err(Problem { text: text.to_owned(), remark: remark.to_owned() });
    let until = |expires: Timestamp| format!("active, expires {expires}");
    match status.state {
        TokenState::Active => Ok(status.expires.map_or_else(|| "active, does not expire".to_owned(), until)),
        TokenState::Disabled => problem("disabled", "the token is disabled; enable it, or create another"),
        TokenState::Expired => problem("expired", "the token has expired; roll it, or create another"),
        TokenState::Unknown => problem("not active", "Cloudflare does not call the token active"),
    }
}

fn behaviors(found: &Listing<Behavior>) -> Result<String, Problem> {
    let enabled = found.rows.iter().filter(|behavior| behavior.enabled).count();
    let text = format!("{}, {enabled} enabled", counted(found.rows.len(), "behavior"));
    whole(&Completeness::Complete, text, found.rejected as usize)
}

fn integrations(found: &Listing<Integration>) -> Result<String, Problem> {
    let active = found.rows.iter().filter(|integration| integration.active).count();
    let text = format!("{}, {active} active", counted(found.rows.len(), "integration"));
    whole(&Completeness::Complete, text, found.rejected as usize)
}

fn summary(found: &Summary) -> Result<String, Problem> {
    let unreadable = found.unreadable.len() + found.anonymous as usize;
    let users = counted(found.rows.len(), "user");
    let requests = counted(found.pages as usize, "request");
    whole(&found.completeness, format!("{users} in {requests}"), unreadable)
}

fn user_events(found: &UserRisk) -> Result<String, Problem> {
    let events = counted(found.events.len(), "event");
    whole(&found.completeness, format!("{events} of one user"), found.rejected as usize)
}

fn whole(completeness: &Completeness, text: String, unreadable: usize) -> Result<String, Problem> {
    match (completeness, unreadable) {
        (Completeness::Complete, 0) => Ok(text),
        (Completeness::Complete, _) => Ok(format!("{text}, {unreadable} unreadable")),
        (Completeness::Partial(reason), _) => {
            let remark = format!("the list is incomplete: {reason}");
            Err(Problem { text: format!("{text}, incomplete"), remark })
        }
    }
}
