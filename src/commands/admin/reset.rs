//! `reset`: resets the risk of users, one after the other, and stops at the first failure.

use std::path::Path;

use serde::Serialize;

use super::args::Reset;
use super::change_log::{Actor, Change, Operation, Outcome, record_accepted, record_failed};
use super::find_user::{Target, target};
use super::people::{People, Person, sheet};
use super::{Failure, Report, saved_events};
use crate::app::logging::Colour;
use crate::commands::session::Session;
use crate::commands::terminal::confirm::{self, Confirmation};
use crate::commands::terminal::counted;
use crate::commands::terminal::interrupt::Interrupt;
use crate::commands::terminal::progress::Progress;
use crate::commands::terminal::table::{Column, Sheet};
use crate::model::EventCount;

/// Printed above the question.
const WARNING: &str = "Cloudflare's API reference says that a reset clears the accumulated\nrisk history of a user. \
                       --save FILE keeps the events.";

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
    if let Some(path) = &reset.save {
        saved_events::refuse_existing(path)?;
    }
    affordable(session, &targets, reset.save.as_deref())?;
    let preview = sheet(session, &people, &targets, 0, 0).table(Colour::Off, confirm::width());
    let question = format!("Reset the risk of {}?", counted(targets.len(), "user"));
    confirmation.confirm(format!("{preview}{WARNING}\n"), question).await?;
    if confirmation == Confirmation::AtTerminal {
        let now = People::read(session).await?;
        unchanged(&targets, &now)?;
    }
    let actor = Actor::identify(session).await;
    affordable(session, &targets, reset.save.as_deref())?;
    if let Some(path) = &reset.save {
        saved_events::save(session, &targets, path).await?;
    }
    let stopping = Interrupt::listen()?;
    Ok(all(session, &actor, &targets, stopping).await)
}

/// Fails if the budget has too few requests: a reset of several users should not stop halfway for that.
fn affordable(session: &Session, targets: &[Person], save: Option<&Path>) -> Result<(), Failure> {
    let left = session.budget().remaining as usize;
    // Saving the events takes another request for each user.
    let needed = if save.is_some() { 2 * targets.len() } else { targets.len() };
    if needed <= left {
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

async fn all(session: &Session, actor: &Actor, targets: &[Person], mut stopping: Interrupt) -> Report {
    let mut progress = Progress::new("resetting user", targets.len(), session.clock.now());
    let mut done: Vec<(Outcome, Option<String>)> = Vec::new();
    let mut failure = None;
    for person in targets {
        let result = stopping.after(session.client.reset(person.id)).await;
        let subject = person.id.to_string();
        let logged = Change { operation: Operation::ResetUser, subject: &subject, change: None };
        let ray = match &result {
            Ok(()) => session.ray(),
            Err(error) => error.response().and_then(|answer| answer.ray.clone()),
        };
        let outcome = result.as_ref().err().map_or(Outcome::Done, Outcome::of_failure);
        progress.suspend(|| match &result {
            Ok(()) => record_accepted(session, actor, logged, outcome, ray.as_deref()),
            Err(error) => record_failed(session, actor, logged, error),
        });
        done.push((outcome, ray));
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
    event_count: EventCount,
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
