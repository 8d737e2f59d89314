//! `reset`: resets the risk of users, one after the other, and stops at the first failure.

use serde::Serialize;

use super::args::Reset;
use super::change_log::{Operation, Outcome, record};
use super::find_user::{Target, target};
use super::people::{People, Person, sheet};
use super::{Failure, Report};
use crate::app::logging::Colour;
use crate::commands::session::Session;
use crate::commands::terminal::confirm::{self, Confirmation};
use crate::commands::terminal::counted;
use crate::commands::terminal::interrupt::Interrupt;
use crate::commands::terminal::progress::Progress;
use crate::commands::terminal::table::{Column, Sheet};

/// # Errors
/// Only before the first reset: a name is unclear, the change was not confirmed, or the budget is too small.
pub(super) async fn run(session: &Session, reset: &Reset) -> Result<Report, Failure> {
    let confirmation = reset.consent.confirmation()?;
    let people = People::read(session).await?;
    let mut targets: Vec<Person> = Vec::new();
    for text in &reset.users {
        match target(session, &people, text)? {
            Target::Listed(person) if targets.contains(&person) => {}
            Target::Listed(person) => targets.push(person),
            Target::Unlisted(user) => {
                let message = format!("the user {user} is not on the risk list of {}", session.alias);
                return Err(Failure::Unclear(people.incomplete().unwrap_or(message)));
            }
            Target::Several(report) => return Ok(report),
        }
    }
    affordable(session, &targets)?;
    let preview = sheet(session, &people, &targets, 0, 0).table(Colour::Off, confirm::width());
    let question = format!("Reset the risk of {}?", counted(targets.len(), "user"));
    confirmation.confirm(preview, question).await?;
    if confirmation == Confirmation::AtTerminal {
        let now = People::read(session).await?;
        unchanged(&targets, &now)?;
        affordable(session, &targets)?;
    }
    let stopping = Interrupt::listen()?;
    Ok(all(session, &targets, stopping).await)
}

/// Fails if the budget has too few requests: a reset of several users should not stop halfway for that.
fn affordable(session: &Session, targets: &[Person]) -> Result<(), Failure> {
    let left = session.budget().remaining as usize;
    if targets.len() <= left {
        return Ok(());
    }
    Err(Failure::Runtime(format!(
        "{} to reset, and the request budget has {} left; name fewer, or raise budget_share",
        counted(targets.len(), "user"),
        counted(left, "request"),
    )))
}

/// Fails if a user's risk changed after the user confirmed the reset.
fn unchanged(targets: &[Person], now: &People<'_>) -> Result<(), Failure> {
    match targets.iter().find(|person| now.listed(person.id).as_ref() != Some(*person)) {
        None => Ok(()),
        Some(person) => Err(Failure::Runtime(format!(
            "nothing was reset: the risk of {} changed meanwhile; review it and try again",
            person.id
        ))),
    }
}

async fn all(session: &Session, targets: &[Person], mut stopping: Interrupt) -> Report {
    let mut progress = Progress::new("resetting user", targets.len(), session.clock.now());
    let mut done: Vec<(Outcome, Option<String>)> = Vec::new();
    let mut failure = None;
    for person in targets {
        let result = stopping.after(session.client.reset(person.id)).await;
        let subject = person.id.to_string();
        progress.suspend(|| record(session, Operation::ResetUser, &subject, None, &result));
        let ray = match &result {
            Ok(()) => session.ray(),
            Err(error) => error.response().and_then(|answer| answer.ray.clone()),
        };
        done.push((Outcome::of(&result), ray));
        if let Err(error) = result {
            let why = Failure::change(&error, &format!("user {subject}"));
            let (before, total) = (done.len() - 1, targets.len());
            let text = format!(
                "user {subject}: {why}; {before} of {total} users were reset, and the command stopped"
            );
            failure = Some(if total == 1 { why } else { Failure::Runtime(text) });
            break;
        }
        progress.set(done.len(), None, session.clock.now());
        if stopping.is_received() && done.len() < targets.len() {
            let text = format!("stopped by a signal; {} of {} users were reset", done.len(), targets.len());
            failure = Some(Failure::Runtime(text));
            break;
        }
    }
    drop(progress);
    Report::found(outcomes(session, targets, &done)).failing(failure)
}

#[derive(Serialize)]
struct Document<'a> {
    account: &'a str,
    resets: &'a [Shown<'a>],
}

#[derive(Serialize)]
struct Shown<'a> {
    id: String,
    name: &'a str,
    email: &'a str,
    risk_level: &'static str,
    event_count: u32,
    outcome: &'static str,
    cf_ray: Option<&'a str>,
}

/// The result for each user, with the level and the count from before the reset. Users without an outcome were not tried.
fn outcomes(session: &Session, targets: &[Person], done: &[(Outcome, Option<String>)]) -> Sheet {
    const COLUMNS: &[Column] = &[
        Column::Stacked("id"),
        Column::Stacked("name"),
        Column::CsvOnly("email"),
        Column::Plain("risk_level"),
        Column::Plain("event_count"),
        Column::Plain("outcome"),
        Column::CsvOnly("cf_ray"),
    ];
    let not_tried = (Outcome::NotTried, None);
    let outcomes = done.iter().chain(std::iter::repeat(&not_tried));
    let resets: Vec<Shown<'_>> = targets
        .iter()
        .zip(outcomes)
        .map(|(person, (outcome, ray))| Shown {
            id: person.id.to_string(),
            name: &person.name,
            email: &person.email,
            risk_level: person.level.as_str(),
            event_count: person.events,
            outcome: outcome.as_str(),
            cf_ray: ray.as_deref(),
        })
        .collect();
    let texts = |reset: &Shown<'_>| {
        let [name, email, level, outcome, ray] =
            [reset.name, reset.email, reset.risk_level, reset.outcome, reset.cf_ray.unwrap_or_default()]
                .map(str::to_owned);
        vec![reset.id.clone(), name, email, level, reset.event_count.to_string(), outcome, ray]
    };
    let rows = resets.iter().map(texts).collect();
    let document = Document { account: &session.alias, resets: &resets };
    Sheet::new(format!("account {}", session.alias), COLUMNS, rows, &document)
}
