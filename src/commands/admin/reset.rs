//! `reset`: resets the risk of users, one after the other, and stops at the first failure.

use std::collections::BTreeMap;
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
use crate::commands::terminal::interrupt::Interrupt;
use crate::commands::terminal::progress::Progress;
use crate::commands::terminal::sheet::{Sheet, json};
use crate::commands::terminal::table::{Cell, Column, Tone};
use crate::commands::terminal::wrap::wrapped;
use crate::commands::terminal::{counted, printable, was};
use crate::model::{EventCount, Level, UserId};

/// Printed above the question.
const WARNING: &str = "Cloudflare's API reference says that a reset clears the accumulated risk history of a user. \
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
    let width = confirm::width();
    let preview = sheet(session, &people, &targets, 0, 0);
    let preview = preview.table(reset.common.output.extent(width), Colour::Off, width);
    let warning = wrapped(WARNING, width);
    let question = format!("Reset the risk of {}?", counted(targets.len(), "user"));
    confirmation.confirm(format!("{preview}{warning}\n"), question).await?;
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
    let Ended { done, failure } = all(session, &actor, &targets, stopping).await;
    let count = done.iter().filter(|(outcome, _)| *outcome == Outcome::Done).count();
    // A refused reset changed nothing, and so needs no other request.
    let after = if count > 0 { Some(After::read(session).await) } else { None };
    let found = Report::found(outcomes(session, &targets, &done, after.as_ref()));
    let report = found.remarking(after.map(|after| after.remarks).unwrap_or_default());
    let is_whole = failure.is_none();
    let report = report.failing(failure);
    Ok(if is_whole {
        report.done(made(&targets, count, reset.save.as_deref()), look(&targets))
    } else {
        report
    })
}

/// What was done, as a sentence.
fn made(targets: &[Person], count: usize, save: Option<&Path>) -> String {
    let ids = match targets {
        [only] => format!("user {} was reset", only.id),
        _ => format!("{} {} reset", counted(count, "user"), was(count)),
    };
    match save {
        Some(path) => {
            format!("{ids}, and the events are saved in {}", printable(&path.display().to_string()))
        }
        None => ids,
    }
}

/// The command that shows the users who were reset.
fn look(targets: &[Person]) -> String {
    match targets {
        [only] => format!("user {}", only.id),
        _ => "users".to_owned(),
    }
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

/// The outcomes so far, each with the CF-Ray id, and why there are no more.
struct Ended {
    done: Vec<(Outcome, Option<String>)>,
    failure: Option<Failure>,
}

async fn all(session: &Session, actor: &Actor, targets: &[Person], mut stopping: Interrupt) -> Ended {
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
    Ended { done, failure }
}

/// What Cloudflare says of the users after the reset.
struct After {
    /// `None` if the list could not be read.
    levels: Option<BTreeMap<UserId, Level>>,
    remarks: Vec<String>,
}

impl After {
    async fn read(session: &Session) -> Self {
        match People::read(session).await {
            Ok(people) => Self {
                levels: match people.incomplete() {
                    None => Some(people.rows().iter().map(|row| (row.user, row.tuple.level)).collect()),
                    Some(_) => None,
                },
                remarks: people.remarks(),
            },
            Err(failure) => Self {
                levels: None,
                remarks: vec![format!("the level after the reset could not be read: {failure}")],
            },
        }
    }

    /// The level of a user, `none` for a user who is no longer on the list.
    fn level(&self, user: UserId) -> Option<&'static str> {
        let levels = self.levels.as_ref()?;
        Some(levels.get(&user).map_or("none", |level| level.as_str()))
    }
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
    risk_level_after: Option<&'static str>,
}

const OUTCOME: Column = Column::new("OUTCOME");
const BEFORE: Column = Column::new("BEFORE");
const AFTER: Column = Column::new("AFTER");
const EVENTS: Column = Column::new("EVENTS").right();
const NAME: Column = Column::new("NAME").cut();
const EMAIL: Column = Column::new("EMAIL").cut();
const ID: Column = Column::new("ID");
const CF_RAY: Column = Column::new("CF-RAY").wide();

/// For people. The token may not read e-mail addresses; then only the id tells users apart.
const WITH_ADDRESS: &[Column] = &[OUTCOME, BEFORE, AFTER, EVENTS, NAME, EMAIL, ID.wide(), CF_RAY];
const WITHOUT_ADDRESS: &[Column] = &[OUTCOME, BEFORE, AFTER, EVENTS, NAME, EMAIL, ID, CF_RAY];

/// The result for each user, with the level and the count from before the reset. Users without an outcome were not tried.
fn outcomes(
    session: &Session,
    targets: &[Person],
    done: &[(Outcome, Option<String>)],
    after: Option<&After>,
) -> Sheet {
    const FIELDS: &[&str] =
        &["id", "name", "email", "risk_level", "event_count", "outcome", "cf_ray", "risk_level_after"];
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
            risk_level_after: after
                .filter(|_| *outcome != Outcome::NotTried)
                .and_then(|after| after.level(person.id)),
        })
        .collect();
    let cells = |reset: &Shown<'_>| -> Vec<Cell> {
        vec![
            outcome_cell(reset.outcome),
            Cell::level(reset.risk_level),
            reset.risk_level_after.map_or_else(|| "".into(), Cell::level),
            reset.event_count.to_string().into(),
            reset.name.into(),
            reset.email.into(),
            reset.id.as_str().into(),
            reset.cf_ray.unwrap_or_default().into(),
        ]
    };
    let texts = |reset: &Shown<'_>| {
        let [name, email, level, outcome, ray, after] = [
            reset.name,
            reset.email,
            reset.risk_level,
            reset.outcome,
            reset.cf_ray.unwrap_or_default(),
            reset.risk_level_after.unwrap_or_default(),
        ]
        .map(str::to_owned);
        vec![reset.id.clone(), name, email, level, reset.event_count.to_string(), outcome, ray, after]
    };
    let have_addresses = targets.iter().all(|person| !person.email.is_empty());
    Sheet {
        heading: format!("account {}", session.alias),
        columns: if have_addresses { WITH_ADDRESS } else { WITHOUT_ADDRESS },
        rows: resets.iter().map(cells).collect(),
        fields: FIELDS,
        records: resets.iter().map(texts).collect(),
        document: json(&Document { account: &session.alias, resets: &resets }),
    }
}

fn outcome_cell(outcome: &'static str) -> Cell {
    let tone = match outcome {
        "done" => Tone::Good,
        "not_tried" => Tone::Caution,
        _ => Tone::Bad,
    };
    Cell::toned(outcome, tone)
}
