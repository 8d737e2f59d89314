//! The commands that show and change users, behaviors and integrations. Those about users ask all accounts, or one.
//!
//! They send requests to Cloudflare directly and do not contact a running exporter. Results go to standard output, with
//! names and e-mail addresses, because the user asked for them. Remarks and errors go to standard error, without names
//! and addresses. A change is shown, confirmed, sent once, and logged ([`change_log`]); the last line says what was done. At a
//! terminal this line replaces the log.

pub(super) mod args;
mod baseline;
mod behaviors;
mod change_log;
mod find_user;
mod integrations;
mod people;
mod reset;
mod saved_events;
mod scope;
mod user;
mod users;

use std::io;

use clap::Subcommand;

use super::terminal::sheet::Sheet;
use super::terminal::{self, counted, printable};
use super::{Failure, Outcome, setup};
use crate::app::logging::{self, Colour};
use crate::clock::Clock;
use crate::config::Config;
use args::Selection;
pub(super) use find_user::Named;
use scope::Scope;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Admin {
    Users(args::Users),
    User(args::User),
    Reset(args::Reset),
    Behaviors(args::Behaviors),
    Integrations(args::Integrations),
}

/// What a command prints, and how it ends.
#[derive(Debug, Default)]
pub(crate) struct Report {
    result: Option<Printed>,
    remarks: Vec<String>,
    done: Option<Done>,
    failure: Option<Failure>,
}

/// What goes to standard output.
#[derive(Debug)]
enum Printed {
    Sheet(Sheet),
    /// A file, as it is.
    Text(String),
}

/// A change that was made.
#[derive(Debug)]
struct Done {
    /// What was changed, as a sentence.
    what: String,
    /// The command that shows it, without the flags that name the account.
    look: String,
    /// The account in which it is shown, if that is another than the flags name.
    account: Option<String>,
}

impl Admin {
    pub(crate) fn run(&self) -> Outcome {
        let selection = self.selection();
        let config = setup::with_found(setup::configure_dialogue(&selection.flags())?)?;
        let report = setup::block_on(self.report(&config, &Clock::system()))?;
        // The log is written by a thread of its own, and the result comes after it.
        logging::finish();
        let colour = Colour::for_stream(&io::stdout());
        let printed = terminal::print(match &report.result {
            Some(Printed::Sheet(sheet)) => sheet.render(selection.output, colour, terminal::width()),
            Some(Printed::Text(text)) => text.clone(),
            None => String::new(),
        });
        for remark in &report.remarks {
            terminal::remark(remark);
        }
        if let Some(Done { what, look, account: other }) = &report.done {
            let repeated = printable(&selection.repeated(other.as_deref().or(selection.account)));
            terminal::remark(&format!("done: {what}; see it with `zt-risk-exporter {look}{repeated}`"));
        }
        // The result of a change matters more than a failure to print it.
        report.failure.map_or(Ok(()), Err).and(printed)
    }

    async fn report(&self, config: &Config, clock: &Clock) -> Report {
        let account = self.selection().account;
        let any = || Scope::any(config, account, clock);
        let one = || Scope::one(config, account, clock)?.session();
        let done = async {
            match self {
                Self::Users(users) => users::list(&any()?, users).await,
                Self::User(user) => user::show(&any()?, &user.user).await,
                Self::Reset(reset) => reset::run(&any()?, reset).await,
                Self::Behaviors(behaviors) => behaviors::run(&one()?, &behaviors.action()).await,
                Self::Integrations(integrations) => integrations::run(&one()?, &integrations.action()).await,
            }
        };
        let done: Result<Report, Failure> = done.await;
        done.unwrap_or_else(|failure| Report::default().failing(Some(failure)))
    }

    fn selection(&self) -> Selection<'_> {
        match self {
            Self::Users(users) => users.accounts.selection(),
            Self::User(user) => user.accounts.selection(),
            Self::Reset(reset) => reset.accounts.selection(),
            Self::Behaviors(behaviors) => behaviors.selection(),
            Self::Integrations(integrations) => integrations.common().selection(),
        }
    }
}

impl Report {
    fn found(sheet: Sheet) -> Self {
        Self { result: Some(Printed::Sheet(sheet)), ..Self::default() }
    }

    fn text(text: String) -> Self {
        Self { result: Some(Printed::Text(text)), ..Self::default() }
    }

    fn remarking(mut self, remarks: Vec<String>) -> Self {
        self.remarks.extend(remarks);
        self
    }

    /// With the change that was made, and the command that shows it.
    fn done(mut self, what: String, look: impl Into<String>) -> Self {
        self.done = Some(Done { what, look: look.into(), account: None });
        self
    }

    /// With the account in which the command shows the change.
    fn shown_in(mut self, account: Option<String>) -> Self {
        if let Some(done) = &mut self.done {
            done.account = account;
        }
        self
    }

    fn failing(mut self, failure: Option<Failure>) -> Self {
        self.failure = failure;
        self
    }
}

/// The user that `text` names on the risk list of this account, or of all without one.
///
/// # Errors
/// No user or several users match, or no list can be read, or that of the user is incomplete.
pub(super) async fn user_on_lists(
    config: &Config,
    account: Option<&str>,
    clock: &Clock,
    text: &str,
) -> Result<Named, Failure> {
    find_user::named(&Scope::any(config, account, clock)?, text).await
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
