//! The commands that show and change users, behaviors and integrations.
//!
//! They send requests to Cloudflare directly and do not contact a running exporter. Results go to standard output, with
//! names and e-mail addresses, because the user asked for them. Remarks and errors go to standard error, without names
//! and addresses. A change is shown, confirmed, sent once, and logged ([`change_log`]); the last line says what was done. At a
//! terminal this line replaces the log.

mod args;
mod baseline;
mod behaviors;
mod change_log;
mod find_user;
mod integrations;
mod people;
mod reset;
mod saved_events;
mod user;
mod users;

use std::io;

use clap::Subcommand;

use super::session::{FOREGROUND_WAIT, Session, foreground};
use super::terminal::sheet::Sheet;
use super::terminal::{self, counted, printable};
use super::{Failure, Outcome, setup};
use crate::app::logging::{self, Colour};
use crate::clock::Clock;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{Options, Pii};
use crate::config::{Account, Config};
use crate::model::UserId;
use args::Common;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Admin {
    Users(args::Users),
    User(args::User),
    Reset(args::Reset),
    Behaviors(args::Behaviors),
    Integrations(args::Integrations),
}

/// What a command prints, and how it ends.
#[derive(Debug)]
pub(crate) struct Report {
    sheet: Option<Sheet>,
    remarks: Vec<String>,
    done: Option<Done>,
    failure: Option<Failure>,
}

/// A change that was made.
#[derive(Debug)]
struct Done {
    /// What was changed, as a sentence.
    what: String,
    /// The command that shows it, without the flags that name the account.
    look: String,
}

impl Admin {
    pub(crate) fn run(&self) -> Outcome {
        let common = self.common();
        let config = setup::configure_dialogue(&common.flags())?;
        let report = setup::block_on(self.report(&config, &Clock::system()))?;
        // The log is written by a thread of its own, and the result comes after it.
        logging::finish();
        let colour = Colour::for_stream(&io::stdout());
        let sheet = report.sheet.as_ref();
        let text = sheet.map(|sheet| sheet.render(common.output, colour, terminal::width()));
        let printed = terminal::print(text.unwrap_or_default());
        for remark in &report.remarks {
            terminal::remark(remark);
        }
        if let Some(Done { what, look }) = &report.done {
            let repeated = printable(&common.repeated());
            terminal::remark(&format!("done: {what}; see it with `zt-risk-exporter {look}{repeated}`"));
        }
        // The result of a change matters more than a failure to print it.
        report.failure.map_or(Ok(()), Err).and(printed)
    }

    async fn report(&self, config: &Config, clock: &Clock) -> Report {
        let done = match open(config, self.common().account.as_deref(), clock) {
            Err(failure) => Err(failure),
            Ok(session) => match self {
                Self::Users(users) => users::list(&session, users).await,
                Self::User(user) => user::show(&session, &user.user).await,
                Self::Reset(reset) => reset::run(&session, reset).await,
                Self::Behaviors(behaviors) => behaviors::run(&session, &behaviors.action()).await,
                Self::Integrations(integrations) => integrations::run(&session, &integrations.action()).await,
            },
        };
        done.unwrap_or_else(|failure| Report {
            sheet: None,
            remarks: Vec::new(),
            done: None,
            failure: Some(failure),
        })
    }

    fn common(&self) -> &Common {
        match self {
            Self::Users(users) => &users.common,
            Self::User(user) => &user.common,
            Self::Reset(reset) => &reset.common,
            Self::Behaviors(behaviors) => behaviors.common(),
            Self::Integrations(integrations) => integrations.common(),
        }
    }
}

fn open(config: &Config, wanted: Option<&str>, clock: &Clock) -> Result<Session, Failure> {
    let account = config.account(wanted)?;
    let budget = Budget::new(account.budget_share, clock.clone());
    let options = Options { pii: Pii::Keep, max_retry_wait: FOREGROUND_WAIT, ..foreground() };
    Session::open(config, account, budget, options, clock)
        .map_err(|error| Failure::Usage(format!("account {}: {error}", account.alias)))
}

impl Report {
    fn found(sheet: Sheet) -> Self {
        Self { sheet: Some(sheet), remarks: Vec::new(), done: None, failure: None }
    }

    fn remarking(mut self, remarks: Vec<String>) -> Self {
        self.remarks.extend(remarks);
        self
    }

    /// With the change that was made, and the command that shows it.
    fn done(mut self, what: String, look: impl Into<String>) -> Self {
        self.done = Some(Done { what, look: look.into() });
        self
    }

    fn failing(mut self, failure: Option<Failure>) -> Self {
        self.failure = failure;
        self
    }
}

/// The user on the risk list of `account` whom `text` names, if there is one.
///
/// # Errors
/// Several users match, or the list cannot be read, or is incomplete.
pub(super) async fn id_on_list(
    config: &Config,
    account: &Account,
    clock: &Clock,
    text: &str,
) -> Result<Option<UserId>, Failure> {
    let session = open(config, Some(&account.alias), clock)?;
    let people = people::People::read(&session).await?;
    find_user::id(&people, text)
}

/// The remark for rows that could not be read.
fn unreadable(number: u32, noun: &str) -> Option<String> {
    (number > 0).then(|| format!("{} could not be read", counted(number, noun)))
}

/// Texts separated by commas, or "none".
fn listed<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<_> = texts.map(printable).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
