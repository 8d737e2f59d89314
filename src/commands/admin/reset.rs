//! `reset`: resets the risk of users, one after the other, and stops at the first failure. They may be users of several
//! accounts.

mod outcomes;

use std::collections::BTreeMap;
use std::path::Path;

use super::args::Reset;
use super::change_log::{Actor, Change, Operation, Outcome, record_accepted, record_failed};
use super::find_user::{self, Lists};
use super::people::{People, Person};
use super::scope::{Asked, Scope};
use super::{Failure, Report, saved_events};
use crate::app::logging::Colour;
use crate::clock::Clock;
use crate::commands::session::Session;
use crate::commands::terminal::confirm::{self, Confirmation};
use crate::commands::terminal::interrupt::Interrupt;
use crate::commands::terminal::progress::Progress;
use crate::commands::terminal::wrap::wrapped;
use crate::commands::terminal::{counted, printable, was};
use crate::model::UserId;
use outcomes::{After, outcomes};

/// Printed above the question.
const WARNING: &str = "Cloudflare's API reference says that a reset clears the accumulated risk history of a user. \
                       --save FILE keeps the events.";

/// A user to reset.
struct Target<'a> {
    session: &'a Session,
    person: Person,
}

/// # Errors
/// Only before the first reset: a name is unclear, the change was not confirmed, or the budget is too small.
pub(super) async fn run(scope: &Scope<'_>, reset: &Reset) -> Result<Report, Failure> {
    let confirmation = reset.consent.confirmation()?;
    let lists = Lists::read(scope, &reset.users).await?;
    let targets = match targets(&lists, scope.asked(), &reset.users) {
        Ok(targets) => targets,
        Err(unclear) => return Ok(*unclear),
    };
    if let Some(path) = &reset.save {
        saved_events::refuse_existing(path)?;
    }
    affordable(&targets, reset.save.as_deref())?;
    let width = confirm::width();
    let people: Vec<Person> = targets.iter().map(|target| target.person.clone()).collect();
    let preview = lists.selection(&people).sheet();
    let output = reset.accounts.shared.output;
    let preview = preview.table(output.extent(width), Colour::Off, width);
    let warning = wrapped(WARNING, width);
    let question = format!("Reset the risk of {}?", counted(targets.len(), "user"));
    confirmation.confirm(format!("{preview}{warning}\n"), question).await?;
    if confirmation == Confirmation::AtTerminal {
        unchanged(&targets).await?;
    }
    let actors = actors(&targets).await;
    affordable(&targets, reset.save.as_deref())?;
    if let Some(path) = &reset.save {
        let users = targets.iter().map(|target| (target.session, &target.person));
        saved_events::save(users, scope.clock().date(), path).await?;
    }
    let stopping = Interrupt::listen()?;
    let Ended { done, failure } = all(&actors, &targets, scope.clock(), stopping).await;
    let count = done.iter().filter(|(outcome, _)| *outcome == Outcome::Done).count();
    // A refused reset changed nothing, and so needs no other request.
    let after = if count > 0 { Some(After::read(&sessions(&targets)).await) } else { None };
    let found = Report::found(outcomes(scope.asked(), &people, &done, after.as_ref()));
    let remarks = lists.gaps.remarks().into_iter().chain(after.into_iter().flat_map(|after| after.remarks));
    let report = found.remarking(remarks.collect());
    let is_whole = failure.is_none();
    let report = report.failing(failure);
    Ok(if is_whole {
        let report = report.done(made(&targets, count, reset.save.as_deref()), look(&targets));
        report.shown_in(shown_in(scope.asked(), &targets))
    } else {
        report
    })
}

/// The users that the texts name, each once.
///
/// # Errors
/// What is unclear about one of them: it holds all of them up.
fn targets<'a>(
    lists: &'a Lists<'_>,
    asked: Asked<'_>,
    texts: &[String],
) -> Result<Vec<Target<'a>>, Box<Report>> {
    let refused =
        |failure| Box::new(Report::default().remarking(lists.gaps.remarks()).failing(Some(failure)));
    let mut targets: Vec<Target<'a>> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match lists.target(index, text) {
            find_user::Target::Listed { by, .. } if !by.is_unique() && !lists.gaps.is_empty() => {
                return Err(refused(Failure::Unclear(
                    "nothing was reset: another account may have a user of the same name; name the user by id, or \
                     choose the account with --account"
                        .to_owned(),
                )));
            }
            find_user::Target::Listed { at, person, .. } => {
                if targets.iter().all(|target| target.person != person) {
                    targets.push(Target { session: &lists.account(at).session, person });
                }
            }
            find_user::Target::Unlisted(user) => return Err(refused(unlisted(lists, asked, user))),
            find_user::Target::Unclear(unclear) => return Err(Box::new(unclear.report())),
        }
    }
    Ok(targets)
}

fn unlisted(lists: &Lists<'_>, asked: Asked<'_>, user: UserId) -> Failure {
    match asked {
        Asked::One(account) => {
            let incomplete = lists.account(0).incomplete.clone();
            let message = || format!("the user {user} is not on the risk list of {account}");
            Failure::Unclear(incomplete.unwrap_or_else(message))
        }
        Asked::Several(accounts) if lists.gaps.is_empty() => {
            Failure::Unclear(format!("the user {user} is not on the risk lists of {accounts} accounts"))
        }
        Asked::Several(_) => {
            Failure::Incomplete(format!("the user {user} is not on the risk lists that could be read"))
        }
    }
}

/// The accounts of the targets, each once.
fn sessions<'a>(targets: &[Target<'a>]) -> BTreeMap<&'a str, &'a Session> {
    targets.iter().map(|target| (target.session.alias.as_str(), target.session)).collect()
}

/// Who makes the changes, by account: each may have a token of its own.
async fn actors<'a>(targets: &[Target<'a>]) -> BTreeMap<&'a str, Actor> {
    let mut actors = BTreeMap::new();
    for (alias, session) in sessions(targets) {
        actors.insert(alias, Actor::identify(session).await);
    }
    actors
}

/// What was done, as a sentence.
fn made(targets: &[Target<'_>], count: usize, save: Option<&Path>) -> String {
    let ids = match targets {
        [only] => format!("user {} was reset", only.person.id),
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
fn look(targets: &[Target<'_>]) -> String {
    match targets {
        [only] => format!("user {}", only.person.id),
        _ => "users".to_owned(),
    }
}

/// The account of the users who were reset, if several were asked and only one has them.
fn shown_in(asked: Asked<'_>, targets: &[Target<'_>]) -> Option<String> {
    let sessions = sessions(targets);
    match (asked, sessions.first_key_value()) {
        (Asked::Several(_), Some((alias, _))) if sessions.len() == 1 => Some((*alias).to_owned()),
        _ => None,
    }
}

/// Fails if a budget has too few requests: a reset of several users should not stop halfway for that.
fn affordable(targets: &[Target<'_>], save: Option<&Path>) -> Result<(), Failure> {
    // Saving the events takes another request for each user.
    let each = if save.is_some() { 2 } else { 1 };
    let mut by_budget: BTreeMap<usize, Vec<&Target<'_>>> = BTreeMap::new();
    for target in targets {
        by_budget.entry(target.session.credential).or_default().push(target);
    }
    for of_budget in by_budget.values() {
        let left = of_budget.iter().map(|target| target.session.budget().remaining).min().unwrap_or(0);
        if of_budget.len() * each > left as usize {
            return Err(Failure::Runtime(format!(
                "{} to reset, and the request budget has {} left; name fewer, or raise budget_share",
                counted(of_budget.len(), "user"),
                counted(left, "request"),
            )));
        }
    }
    Ok(())
}

/// Fails if a user's risk changed after the user confirmed the reset.
async fn unchanged(targets: &[Target<'_>]) -> Result<(), Failure> {
    let mut now = BTreeMap::new();
    for (alias, session) in sessions(targets) {
        now.insert(alias, People::read(session).await?);
    }
    let is_same = |target: &&Target<'_>| {
        let listed =
            now.get(target.person.account.as_str()).and_then(|people| people.listed(target.person.id));
        listed.as_ref() == Some(&target.person)
    };
    match targets.iter().find(|target| !is_same(target)) {
        None => Ok(()),
        Some(changed) => Err(Failure::Runtime(format!(
            "nothing was reset: the risk of {} changed meanwhile; review it and try again",
            changed.person.id
        ))),
    }
}

/// The outcomes so far, each with the CF-Ray id, and why there are no more.
struct Ended {
    done: Vec<(Outcome, Option<String>)>,
    failure: Option<Failure>,
}

async fn all(
    actors: &BTreeMap<&str, Actor>,
    targets: &[Target<'_>],
    clock: &Clock,
    mut stopping: Interrupt,
) -> Ended {
    let mut progress = Progress::new("resetting user", targets.len(), clock.now());
    let mut done: Vec<(Outcome, Option<String>)> = Vec::new();
    let mut failure = None;
    for Target { session, person } in targets {
        let actor =
            actors.get(session.alias.as_str()).expect("who makes the changes was read for each account");
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
        progress.set(done.len(), None, clock.now());
        if stopping.is_received() && done.len() < targets.len() {
            let text = format!("stopped by a signal; {} of {} users were reset", done.len(), targets.len());
            failure = Some(Failure::Runtime(text));
            break;
        }
    }
    Ended { done, failure }
}
