//! `check`: tries the configuration, the credentials and each resource of every account once, and reports what is missing.
//!
//! It sends the requests that the exporter would send, changes nothing, and prints no personal data. With `--offline` it
//! checks only the configuration.

mod local;
mod report;
mod trial;

use std::io;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use super::candidates::accounts;
use super::each_account::{Budgets, each};
use super::found_accounts::{self, FoundOf};
use super::session::{Session, foreground};
use super::terminal::counted;
use super::{Failure, Outcome, setup, terminal};
use crate::app::logging::Colour;
use crate::clock::Clock;
use crate::cloudflare::{Limits, OperationLimits, Options};
use crate::config::{Account, Config, Flags, Mistakes, Outlined, find_account};
use crate::model::Resource;
use crate::web::Checked;
use local::Beside;
pub use report::Report;
use report::{Finding, Mode, Subject, Verdict};
use trial::Trial;

/// Try the configuration, the credentials and each resource once, and report what is missing
#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    /// Check only the configuration: send no requests and read no secrets
    #[arg(long)]
    offline: bool,
    /// Only this account, by alias or id; may be repeated
    #[arg(long, value_name = "ALIAS", add = ArgValueCandidates::new(accounts))]
    account: Vec<String>,
    /// The format of the result
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    output: Output,
    // Those of `serve`, so that what it would be started with can be judged.
    #[command(flatten)]
    flags: Flags,
}

/// The format of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Tables for people; of several accounts, those that are well have one line each.
    Table,
    /// The same with every check of every account.
    Wide,
    /// One JSON document.
    Json,
}

impl Check {
    pub(crate) fn run(&self) -> Outcome {
        let report = if self.offline { self.offline() } else { self.online() }?;
        terminal::print(match self.output {
            Output::Table => report.render(Colour::for_stream(&io::stdout()), terminal::width()),
            Output::Wide => report.render_wide(Colour::for_stream(&io::stdout()), terminal::width()),
            Output::Json => report.json(),
        })?;
        match (report.mistakes(), report.failures()) {
            (0, 0) => Ok(()),
            (0, 1) => Err(Failure::runtime("one check failed")),
            (0, failures) => Err(Failure::Runtime(format!("{failures} checks failed"))),
            (mistakes, _) => {
                Err(Failure::Usage(format!("the configuration has {}", counted(mistakes, "error"))))
            }
        }
    }

    fn online(&self) -> Result<Report, Failure> {
        let clock = Clock::system();
        let mut mistakes = Mistakes::default();
        let Outlined { result, outline } = Config::load_outlined(&self.flags(), std::env::vars_os());
        let config = mistakes.note(result);
        let baselines = local::baselines(&outline, &mut mistakes);
        if config.is_none() {
            // With the configuration, these are judged by their use below.
            local::beside(&outline, clock.date(), &mut mistakes);
        }
        let config = match mistakes.finish(config) {
            Ok(config) => config,
            Err(mistakes) => return Ok(Report::of_mistakes(Mode::Online, mistakes)),
        };
        setup::start_log(&config)?;
        let (mut config, found) = setup::block_on(found_accounts::find(config, &clock))?;
        config.accounts = self.selected(config.accounts)?;
        let web = match config.web.config_file.as_deref().map(Checked::load).transpose() {
            Ok(web) => web,
            Err(mistakes) => return Ok(Report::of_mistakes(Mode::Online, mistakes)),
        };
        let web = web.map(|web| web.summary(clock.date()));
        let mut findings = local::configuration(config.accounts.len(), &config.warnings);
        findings.extend(config.token_files.iter().flat_map(|files| local::token_files(files)));
        findings.extend(found.into_iter().map(found_finding));
        findings.extend(web.iter().flat_map(local::web));
        findings.extend(baselines);
        findings.extend(config.feed.iter().flat_map(local::feed));
        findings.extend(setup::block_on(try_all(&config, &clock))?);
        Ok(Report::new(Mode::Online, findings).with_web(web))
    }

    fn offline(&self) -> Result<Report, Failure> {
        let mut mistakes = Mistakes::default();
        let Outlined { result, outline } = Config::check_offline(&self.flags, std::env::vars_os());
        let offline = mistakes.note(result);
        let baselines = local::baselines_offline(&outline, &mut mistakes);
        let Beside { mut findings, web } = local::beside(&outline, Clock::system().date(), &mut mistakes);
        findings.extend(baselines);
        let mut offline = match mistakes.finish(offline) {
            Ok(offline) => offline,
            Err(mistakes) => return Ok(Report::of_mistakes(Mode::Offline, mistakes)),
        };
        offline.accounts = self.selected(offline.accounts)?;
        Ok(Report::new(Mode::Offline, local::offline(&offline, findings)).with_web(web))
    }

    /// The flags of the configuration for the network. An account that is named may belong to any shard.
    fn flags(&self) -> Flags {
        let flags = self.flags.clone();
        match self.account.is_empty() {
            true => flags,
            false => Flags { shard_index: Some("0".to_owned()), shard_total: Some("1".to_owned()), ..flags },
        }
    }

    /// The accounts that are named, in the order of the configuration; all if none is.
    fn selected(&self, mut accounts: Vec<Account>) -> Result<Vec<Account>, Failure> {
        if self.account.is_empty() {
            return Ok(accounts);
        }
        let named = |name: &String| find_account(&accounts, name).map(|account| account.id.clone());
        let ids = self.account.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        accounts.retain(|account| ids.contains(&account.id));
        Ok(accounts)
    }
}

/// Tries each account, several at a time, each with one request after the other.
pub async fn run(config: &Config, clock: &Clock) -> Report {
    Report::new(Mode::Online, try_all(config, clock).await)
}

/// What was found with a token.
fn found_finding((label, found): FoundOf) -> Finding {
    match found {
        Ok(accounts) => Finding::new(
            Subject::Discovery,
            Verdict::Passed,
            format!("{label}: {}", counted(accounts, "account")),
        ),
        Err(failure) => Finding {
            remark: Some(failure.to_string()),
            kind: failure.kind(),
            ..Finding::new(Subject::Discovery, Verdict::Failed, format!("{label}: no accounts found"))
        },
    }
}

async fn try_all(config: &Config, clock: &Clock) -> Vec<Finding> {
    let budgets = Budgets::of(&config.accounts, clock);
    let trials = each("checking account", &config.accounts, clock, async |account| {
        let mut trial = Trial { account, clock, findings: Vec::new() };
        // A retry would hide that the first attempt failed.
        let once = OperationLimits { attempts: 1, ..OperationLimits::default() };
        let options = Options { limits: Limits::all(once), ..foreground() };
        match Session::open(config, account, budgets.get(account), options, clock) {
            Ok(session) => trial.all(&session.client).await,
            Err(error) => {
                let problem = Some(error.to_string());
                trial.note(Resource::TokenVerify, Verdict::Failed, "no client", problem);
            }
        }
        trial.findings
    });
    trials.await.into_iter().flatten().collect()
}
