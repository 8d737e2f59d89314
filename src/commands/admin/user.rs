//! `user`: shows one user: level, events with their details, last reset.

use std::cmp::Reverse;

use serde::Serialize;
use serde_json::Value;

use super::behaviors::Catalogue;
use super::find_user::{Listed, Lists, Target};
use super::scope::{Answers, Asked, Scope};
use super::{Failure, Report, listed, unreadable};
use crate::cloudflare::Kind;
use crate::commands::session::Session;
use crate::commands::terminal::ago::{ago, ago_with_date};
use crate::commands::terminal::sheet::{Sheet, json};
use crate::commands::terminal::table::{Cell, Column};
use crate::commands::terminal::{counted, printable};
use crate::model::{Completeness, DetailedEvent, Identity, UserId, UserRisk};

const COLUMNS: &[Column] = &[
    Column::new("WHEN"),
    Column::new("TIME").wide(),
    Column::new("LEVEL"),
    Column::new("BEHAVIOR"),
    Column::new("NAME").wide(),
    Column::new("ID").wide(),
    Column::new("DETAILS").cut(),
];

const FIELDS: &[&str] = &["timestamp", "behavior", "name", "risk_level", "id", "details", "account"];

/// # Errors
/// The user could not be found or read.
pub(super) async fn show(scope: &Scope<'_>, text: &str) -> Result<Report, Failure> {
    match UserId::try_parse(text) {
        // An id with hyphens cannot be a hash, so no list need be read.
        Ok(user) if text.contains('-') => return by_id(scope, user).await,
        _ => {}
    }
    let lists = Lists::read(scope, &[text.to_owned()]).await?;
    match lists.target(0, text) {
        Target::Listed { at, person, by } => {
            let Listed { session, .. } = lists.account(at);
            let risk = session.client.user_in_detail(person.id).await;
            let risk = risk.map_err(|error| Failure::request_for_one(&error))?;
            let report = details(session, person.id, risk).await.remarking(lists.gaps.remarks());
            // Another account may have a user of the same name, but none of the same id.
            Ok(report.failing(if by.is_unique() { None } else { lists.gaps.failure() }))
        }
        Target::Unlisted(user) => by_id(scope, user).await,
        Target::Unclear(unclear) => Ok(unclear.report()),
    }
}

/// The user with this id, who may be on no list: each account is asked for it.
async fn by_id(scope: &Scope<'_>, user: UserId) -> Result<Report, Failure> {
    let ask = async |session: Session| {
        let risk = session.client.user_in_detail(user).await;
        match (risk, scope.asked()) {
            (Ok(risk), Asked::One(_)) => Ok(Some((session, risk))),
            (Err(error), Asked::One(_)) => Err(Failure::request_for_one(&error)),
            (Ok(risk), Asked::Several(_)) => Ok(is_known(&risk).then_some((session, risk))),
            (Err(error), Asked::Several(_)) if error.kind() == Kind::NotFound => Ok(None),
            (Err(error), Asked::Several(_)) => Err(Failure::request(&error)),
        }
    };
    let Answers { read, gaps } = scope.each(ask).await?;
    let asked = read.len();
    let mut found: Vec<_> = read.into_iter().flatten().collect();
    let report = match (found.pop(), found.as_slice()) {
        (Some((session, risk)), []) => {
            return Ok(details(&session, user, risk).await.remarking(gaps.remarks()));
        }
        (None, _) if gaps.is_empty() => {
            let text = format!("none of the {asked} accounts has the user {user}");
            Report::default().failing(Some(Failure::Unclear(text)))
        }
        (None, _) => {
            let text = format!("no account that could be read has the user {user}");
            Report::default().failing(Some(Failure::Incomplete(text)))
        }
        (Some((last, _)), others) => {
            let aliases = others.iter().map(|(session, _)| session).chain([&last]);
            let aliases = listed(aliases.map(|session| session.alias.as_str()));
            let text = format!("several accounts have the user {user}; choose one with --account: {aliases}");
            Report::default().failing(Some(Failure::Unclear(text)))
        }
    };
    Ok(report.remarking(gaps.remarks()))
}

/// Whether the answer says anything about the user. An account may answer a question for any id.
fn is_known(risk: &UserRisk<DetailedEvent>) -> bool {
    let has_name =
        |identity: &Identity| [&identity.email, &identity.name].iter().any(|text| !text.is_empty());
    risk.identity.as_ref().is_some_and(has_name)
        || !risk.events.is_empty()
        || risk.rejected > 0
        || risk.level.is_some()
        || risk.last_reset.is_some()
}

/// What Cloudflare says of the user.
async fn details(session: &Session, user: UserId, mut risk: UserRisk<DetailedEvent>) -> Report {
    risk.events.sort_by_key(|detailed| Reverse(detailed.event.timestamp));
    let catalogue = Catalogue::read_if_allowed(session).await;
    let mut remarks = catalogue.remarks();
    if let Completeness::Partial(reason) | Completeness::Unfinished(reason) = &risk.completeness {
        remarks.push(format!("the list of events is incomplete: {reason}"));
    }
    remarks.extend(unreadable(risk.rejected, "event"));
    Report::found(events(session, user, &risk, &catalogue)).remarking(remarks)
}

#[derive(Serialize)]
struct Document<'a> {
    account: &'a str,
    id: String,
    name: &'a str,
    email: &'a str,
    risk_level: Option<&'static str>,
    last_reset: Option<String>,
    events: Vec<Shown<'a>>,
    whole: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    behavior: &'a str,
    name: &'a str,
    risk_level: &'static str,
    timestamp: String,
    details: Option<Value>,
}

fn events(session: &Session, user: UserId, risk: &UserRisk<DetailedEvent>, catalogue: &Catalogue) -> Sheet {
    let nobody = Identity { email: String::new(), name: String::new() };
    let identity = risk.identity.as_ref().unwrap_or(&nobody);
    let events: Vec<Shown<'_>> = risk
        .events
        .iter()
        .map(|DetailedEvent { event, details }| Shown {
            id: &event.id,
            behavior: catalogue.id(&event.name),
            name: catalogue.name(&event.name),
            risk_level: event.level.as_str(),
            timestamp: event.timestamp.to_string(),
            details: details.as_deref().and_then(|json| serde_json::from_str(json).ok()),
        })
        .collect();
    let now = session.clock.date();
    let details = |event: &Shown<'_>| event.details.as_ref().map(Value::to_string).unwrap_or_default();
    let cells = |(detailed, shown): (&DetailedEvent, &Shown<'_>)| -> Vec<Cell> {
        vec![
            ago(detailed.event.timestamp, now).into(),
            shown.timestamp.as_str().into(),
            Cell::level(shown.risk_level),
            shown.behavior.into(),
            shown.name.into(),
            shown.id.into(),
            details(shown).into(),
        ]
    };
    let texts = |shown: &Shown<'_>| {
        let [behavior, name, level, id] =
            [shown.behavior, shown.name, shown.risk_level, shown.id].map(str::to_owned);
        vec![shown.timestamp.clone(), behavior, name, level, id, details(shown), session.alias.clone()]
    };
    let rows = risk.events.iter().zip(&events).map(cells).collect();
    let records = events.iter().map(texts).collect();
    let document = Document {
        account: &session.alias,
        id: user.to_string(),
        name: &identity.name,
        email: &identity.email,
        risk_level: risk.level.map(|level| level.as_str()),
        last_reset: risk.last_reset.map(|date| date.to_string()),
        events,
        whole: risk.completeness == Completeness::Complete,
    };
    let heading = format!(
        "account {}\nuser {}\n{} <{}>\nrisk level {}, {}, last reset {}",
        session.alias,
        user,
        printable(&identity.name),
        printable(&identity.email),
        document.risk_level.unwrap_or("none"),
        counted(risk.events.len(), "event"),
        risk.last_reset.map_or_else(|| "unknown".to_owned(), |date| ago_with_date(date, now)),
    );
    Sheet { heading, columns: COLUMNS, rows, fields: FIELDS, records, document: json(&document) }
}
