//! Tries the credentials and each endpoint of every account once, and says what is missing.
//!
//! It asks for what the exporter asks for and nothing else, changes nothing, and shows no user.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

use crate::budget::Budget;
use crate::clock::{Clock, Timestamp};
use crate::cloudflare::{Client, Error, Kind, Lack, Options, TokenState, TokenStatus};
use crate::config::{Account, Config, CredentialSource};
use crate::log::Colour;
use crate::model::{Behavior, Endpoint, Extent, Integration, Listing, Summary, UserId, UserRisk};

/// A person waits: a block or a spent budget is said, and not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found, in the order in which it was tried.
#[derive(Debug)]
pub struct Report {
    findings: Vec<Finding>,
}

/// How one endpoint of one account did.
#[derive(Debug)]
struct Finding {
    account: String,
    endpoint: Endpoint,
    verdict: Verdict,
    /// What came, or why nothing came and what to do.
    text: String,
    took: Option<Duration>,
    /// The permission that the token lacks, if that is what failed.
    lacks: Option<&'static str>,
}

/// What is to be said of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Works,
    Fails,
    NotTried,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Fails => "fails",
            Self::NotTried => "not tried",
        }
    }

    const fn colour(self) -> Color {
        match self {
            Self::Works => Color::Green,
            Self::Fails => Color::Red,
            Self::NotTried => Color::Yellow,
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
        match client(config, account, budget.clone()) {
            Ok(client) => trial.all(&client).await,
            Err(problem) => trial.note(Endpoint::TokenVerify, Verdict::Fails, problem),
        }
    }
    report
}

impl Report {
    /// How many endpoints failed.
    pub fn failures(&self) -> usize {
        let failed = |finding: &&Finding| finding.verdict == Verdict::Fails;
        self.findings.iter().filter(failed).count()
    }

    /// A table, and below it the permissions to add; fitted to the terminal, if there is one.
    pub fn show(&self, colour: Colour) -> String {
        let mut table = Table::new();
        table
            .load_preset(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(["account", "endpoint", "result", "time", "what came, or what to do"]);
        match colour {
            Colour::On => table.enforce_styling(),
            Colour::Off => table.force_no_tty(),
        };
        for finding in &self.findings {
            let Finding { account, endpoint, verdict, text, took, lacks: _ } = finding;
            let took = took.map(|took| format!("{:.2} s", took.as_secs_f64()));
            table.add_row([
                Cell::new(account),
                Cell::new(endpoint.as_str()),
                Cell::new(verdict.as_str()).fg(verdict.colour()),
                Cell::new(took.unwrap_or_default()),
                Cell::new(text),
            ]);
        }
        let mut lacking: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for finding in &self.findings {
            if let Some(permission) = finding.lacks {
                let permissions = lacking.entry(&finding.account).or_default();
                if !permissions.contains(&permission) {
                    permissions.push(permission);
                }
            }
        }
        let mut text = format!("{table}\n");
        for (account, permissions) in lacking {
            text.push_str(&format!("{account}: add to the token: {}\n", permissions.join(" and ")));
        }
        text
    }
}

/// The trial of one account.
struct Trial<'a> {
    account: &'a Account,
    clock: &'a Clock,
    findings: &'a mut Vec<Finding>,
}

impl Trial<'_> {
    async fn all(&mut self, client: &Client) {
        match self.account.credentials {
            CredentialSource::Token(_) | CredentialSource::TokenFile(_) => {
                self.ask(Endpoint::TokenVerify, client.verify_token(), token).await;
            }
            CredentialSource::Key { .. } | CredentialSource::KeyFile { .. } => self.note(
                Endpoint::TokenVerify,
                Verdict::NotTried,
                "an API key is used; a token with two permissions may do less".to_owned(),
            ),
        }
        self.ask(Endpoint::Behaviors, client.behaviors(), behaviors).await;
        self.ask(Endpoint::Integrations, client.integrations(), integrations).await;
        let summary = self.ask(Endpoint::Summary, client.summary(), summary).await;
        let first = summary.as_ref().map(|summary| summary.rows.first());
        match first {
            Some(Some(row)) => self.user(client, row.user).await,
            Some(None) => self.not_tried("nobody is on the list"),
            None => self.not_tried("the summary names the users, and could not be read"),
        }
    }

    async fn user(&mut self, client: &Client, user: UserId) {
        self.ask(Endpoint::User, client.user(user), user_events).await;
    }

    fn not_tried(&mut self, why: &str) {
        self.note(Endpoint::User, Verdict::NotTried, why.to_owned());
    }

    /// Asks once; `judge` says what came, or what is wrong with it.
    async fn ask<T>(
        &mut self,
        endpoint: Endpoint,
        request: impl Future<Output = Result<T, Error>>,
        judge: impl FnOnce(&T) -> Result<String, String>,
    ) -> Option<T> {
        let before = self.clock.now();
        let answer = request.await;
        let took = Some(self.clock.now().since(before));
        let (verdict, text) = match answer.as_ref().map(judge) {
            Ok(Ok(text)) => (Verdict::Works, text),
            Ok(Err(problem)) => (Verdict::Fails, problem),
            Err(error) => (Verdict::Fails, error.to_string()),
        };
        let lacks = match &answer {
            Err(error) if error.kind() == Kind::Forbidden(Lack::Permission) => Some(error.permission()),
            _ => None,
        };
        self.findings.push(Finding {
            account: self.account.alias.clone(),
            endpoint,
            verdict,
            text,
            took,
            lacks,
        });
        answer.ok()
    }

    fn note(&mut self, endpoint: Endpoint, verdict: Verdict, text: String) {
        self.findings.push(Finding {
            account: self.account.alias.clone(),
            endpoint,
            verdict,
            text,
            took: None,
            lacks: None,
        });
    }
}

fn client(config: &Config, account: &Account, budget: Budget) -> Result<Client, String> {
    let credentials = account.credentials.read().map_err(|error| error.to_string())?;
    // Whoever tries something wants to see how it goes, not how it goes at the third time.
    let (base_url, attempts) = (config.base_url.to_string(), 1);
    let options = Options { base_url, attempts, patience: PATIENCE, ..Options::default() };
    Client::new(&account.id, credentials, budget, options).map_err(|error| error.to_string())
}

fn token(status: &TokenStatus) -> Result<String, String> {
    let until = |expires: Timestamp| format!("active, expires {expires}");
    match status.state {
        TokenState::Active => Ok(status.expires.map_or_else(|| "active, does not expire".to_owned(), until)),
        TokenState::Disabled => Err("the token is disabled; enable it, or create another".to_owned()),
        TokenState::Expired => Err("the token has expired; roll it, or create another".to_owned()),
        TokenState::Unknown => Err("Cloudflare does not call the token active".to_owned()),
    }
}

fn behaviors(found: &Listing<Behavior>) -> Result<String, String> {
    let enabled = found.rows.iter().filter(|behavior| behavior.enabled).count();
    let text = format!("{}, {enabled} enabled", counted(found.rows.len(), "behavior"));
    whole(&Extent::Whole, text, found.rejected as usize)
}

fn integrations(found: &Listing<Integration>) -> Result<String, String> {
    let active = found.rows.iter().filter(|integration| integration.active).count();
    let text = format!("{}, {active} active", counted(found.rows.len(), "integration"));
    whole(&Extent::Whole, text, found.rejected as usize)
}

fn summary(found: &Summary) -> Result<String, String> {
    let unreadable = found.unreadable.len() + found.anonymous as usize;
    let users = counted(found.rows.len(), "user");
    let requests = counted(found.pages as usize, "request");
    whole(&found.extent, format!("{users} in {requests}"), unreadable)
}

fn user_events(found: &UserRisk) -> Result<String, String> {
    let events = counted(found.events.len(), "event");
    whole(&found.extent, format!("{events} of one user"), found.rejected as usize)
}

fn whole(extent: &Extent, text: String, unreadable: usize) -> Result<String, String> {
    match (extent, unreadable) {
        (Extent::Whole, 0) => Ok(text),
        (Extent::Whole, _) => Ok(format!("{text}, and {unreadable} that cannot be read")),
        (Extent::Partial(reason), _) => Err(format!("{text}, but not all: {reason}")),
    }
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
