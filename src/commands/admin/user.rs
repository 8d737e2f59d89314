//! `user`: shows one user: level, events with their details, last reset.

use std::cmp::Reverse;

use serde::Serialize;
use serde_json::Value;

use super::behaviors::Catalogue;
use super::find_user::{Target, target};
use super::people::People;
use super::{Failure, Report, unreadable};
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

const FIELDS: &[&str] = &["timestamp", "behavior", "name", "risk_level", "id", "details"];

/// # Errors
/// The name is unclear, or a request failed.
pub(super) async fn show(session: &Session, text: &str) -> Result<Report, Failure> {
    let user = match UserId::try_parse(text) {
        // An id with hyphens cannot be a hash, so the list need not be read.
        Ok(user) if text.contains('-') => user,
        _ => {
            let people = People::read(session).await?;
            match target(session, &people, text)? {
                Target::Listed(person) => person.id,
                Target::Unlisted(user) => user,
                Target::Several(report) => return Ok(report),
            }
        }
    };
    let mut risk =
        session.client.user_in_detail(user).await.map_err(|error| Failure::request_for_one(&error))?;
    risk.events.sort_by_key(|detailed| Reverse(detailed.event.timestamp));
    let catalogue = Catalogue::read_if_allowed(session).await;
    let mut remarks = catalogue.remarks();
    if let Completeness::Partial(reason) | Completeness::Unfinished(reason) = &risk.completeness {
        remarks.push(format!("the list of events is incomplete: {reason}"));
    }
    remarks.extend(unreadable(risk.rejected, "event"));
    Ok(Report::found(events(session, user, &risk, &catalogue)).remarking(remarks))
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
        vec![shown.timestamp.clone(), behavior, name, level, id, details(shown)]
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
