//! The commands by which a person looks at users, behaviors and integrations, and changes them.
//!
//! They ask Cloudflare themselves and know nothing of a running exporter. What was found goes to standard
//! output, with names and e-mail addresses, because a person asked for it; what else is to be said goes to
//! standard error, without them. A change is shown, agreed to, sent once, and logged ([`record`]).

mod account;
mod baseline;
mod behaviors;
mod integrations;
mod output;
mod people;
mod progress;
mod question;
mod record;
mod reset;
mod stopping;
mod target;
mod user;
mod users;

use crate::cli::Output;
use crate::cli::operator::Operator;
use crate::clock::Clock;
use crate::cloudflare::{Effect, Error, Kind};
use crate::config::Config;
use crate::log::Colour;
use account::Session;
use output::Sheet;

/// What a command has to say, and how it ends.
#[derive(Debug)]
pub struct Report {
    sheet: Option<Sheet>,
    remarks: Vec<String>,
    failure: Option<Failure>,
}

/// Why a command did not do what it was asked to; each kind has its exit code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Something failed while running: 1.
    #[error("{0}")]
    Failed(String),
    /// The command line, or a file it names, must be mended: 2.
    #[error("{0}")]
    Usage(String),
    /// What is differs from what should be: 3.
    #[error("{0}")]
    Differs(String),
    /// What is named is not there, or may be several: 4.
    #[error("{0}")]
    Unclear(String),
    /// Nobody agreed: 5.
    #[error("{0}")]
    Unconfirmed(String),
}

/// Does what is asked.
pub async fn run(command: &Operator, config: &Config, clock: &Clock) -> Report {
    let done = match Session::open(config, command.common().account.as_deref(), clock) {
        Err(failure) => Err(failure),
        Ok(session) => match command {
            Operator::Users(users) => users::list(&session, users).await,
            Operator::User(user) => user::show(&session, &user.user).await,
            Operator::Reset(reset) => reset::run(&session, reset).await,
            Operator::Behaviors(behaviors) => behaviors::run(&session, &behaviors.action()).await,
            Operator::Integrations(integrations) => integrations::run(&session, &integrations.action()).await,
        },
    };
    done.unwrap_or_else(|failure| Report { sheet: None, remarks: Vec::new(), failure: Some(failure) })
}

impl Report {
    fn found(sheet: Sheet) -> Self {
        Self { sheet: Some(sheet), remarks: Vec::new(), failure: None }
    }

    fn remarking(mut self, remarks: Vec<String>) -> Self {
        self.remarks.extend(remarks);
        self
    }

    fn failing(mut self, failure: Option<Failure>) -> Self {
        self.failure = failure;
        self
    }

    /// What was found, for standard output; a table is at most `width` columns wide.
    pub fn show(&self, output: Output, colour: Colour, width: Option<u16>) -> String {
        self.sheet.as_ref().map(|sheet| sheet.show(output, colour, width)).unwrap_or_default()
    }

    /// What else a person should know, for standard error.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// How it ends.
    ///
    /// # Errors
    /// What was asked for was not done.
    pub fn end(self) -> Result<(), Failure> {
        self.failure.map_or(Ok(()), Err)
    }
}

impl Failure {
    /// The code with which the process ends.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Differs(_) => 3,
            Self::Unclear(_) => 4,
            Self::Unconfirmed(_) => 5,
        }
    }

    /// A question to Cloudflare that was not answered.
    fn asking(error: &Error) -> Self {
        Self::Failed(format!("{}: {error}", error.endpoint().as_str()))
    }

    /// The same for one thing that a person named.
    fn asking_for_one(error: &Error) -> Self {
        match Self::asking(error) {
            Self::Failed(text) if error.kind() == Kind::NotFound => Self::Unclear(text),
            failure => failure,
        }
    }

    /// A change that failed; `look` is the command that shows what is so now.
    fn changing(error: &Error, look: &str) -> Self {
        match (Self::asking(error), error.effect()) {
            (failure, Effect::Nothing) => failure,
            (failure, Effect::Unknown) => Self::Failed(format!(
                "{failure}; it may have happened all the same: see `zt-risk-exporter {look}` before you repeat it"
            )),
        }
    }
}

/// The remark for rows that could not be read.
fn unreadable(number: u32, noun: &str) -> Option<String> {
    (number > 0).then(|| format!("{} could not be read", counted(number as usize, noun)))
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Texts with commas between them, or a word for none.
fn listed<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<_> = texts.map(output::visible).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
