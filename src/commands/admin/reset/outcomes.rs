//! What resets did, and what Cloudflare says of the users afterwards.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::commands::admin::change_log::Outcome;
use crate::commands::admin::people::{ACCOUNT, People, Person, accounts_of, heading};
use crate::commands::admin::scope::{Asked, of_accounts};
use crate::commands::session::Session;
use crate::commands::terminal::sheet::{Sheet, json};
use crate::commands::terminal::table::{Cell, Column, Tone};
use crate::model::{EventCount, Level, UserId};

/// What Cloudflare says of the users after the reset.
pub(super) struct After {
    /// The levels on the lists that could be read, by account.
    levels: BTreeMap<String, BTreeMap<UserId, Level>>,
    pub(super) remarks: Vec<String>,
}

impl After {
    /// Reads the lists of the accounts, which are given by alias.
    pub(super) async fn read(sessions: &BTreeMap<&str, &Session>) -> Self {
        let (mut levels, mut said) = (BTreeMap::new(), Vec::new());
        for (&alias, session) in sessions {
            let mut remark = |text| said.push((alias.to_owned(), text));
            match People::read(session).await {
                Ok(people) => {
                    if people.incomplete().is_none() {
                        let rows = people.rows().iter().map(|row| (row.user, row.tuple.level));
                        levels.insert(alias.to_owned(), rows.collect());
                    }
                    people.remarks().into_iter().for_each(remark);
                }
                Err(failure) => {
                    remark(format!("the level after the reset could not be read: {failure}"));
                }
            }
        }
        let remarks = match sessions.len() {
            1 => said.into_iter().map(|(_, text)| text).collect(),
            _ => of_accounts(said),
        };
        Self { levels, remarks }
    }

    /// The level of a user, `none` for a user who is no longer on the list; `None` if the list could not be read.
    fn level(&self, person: &Person) -> Option<&'static str> {
        let levels = self.levels.get(&person.account)?;
        Some(levels.get(&person.id).map_or("none", |level| level.as_str()))
    }
}

#[derive(Serialize)]
struct Document<'a> {
    /// `None` if the users are of several accounts.
    account: Option<&'a str>,
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
    account: &'a str,
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

/// The same with several accounts. Accounts and ids leave little room in 80 columns.
const WITH_ADDRESS_BY_ACCOUNT: &[Column] =
    &[ACCOUNT, OUTCOME, BEFORE, AFTER, EVENTS, NAME, EMAIL, ID.wide(), CF_RAY];
const WITHOUT_ADDRESS_BY_ACCOUNT: &[Column] =
    &[ACCOUNT, OUTCOME, BEFORE, AFTER, EVENTS.wide(), NAME.wide(), EMAIL.wide(), ID, CF_RAY];

/// The result for each user, with the level and the count from before the reset. Users without an outcome were not tried.
pub(super) fn outcomes(
    asked: Asked<'_>,
    people: &[Person],
    done: &[(Outcome, Option<String>)],
    after: Option<&After>,
) -> Sheet {
    const FIELDS: &[&str] = &[
        "id",
        "name",
        "email",
        "risk_level",
        "event_count",
        "outcome",
        "cf_ray",
        "risk_level_after",
        "account",
    ];
    let is_by_account = accounts_of(people) > 1;
    let not_tried = (Outcome::NotTried, None);
    let outcomes = done.iter().chain(std::iter::repeat(&not_tried));
    let resets: Vec<Shown<'_>> = people
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
                .and_then(|after| after.level(person)),
            account: &person.account,
        })
        .collect();
    let cells = |reset: &Shown<'_>| -> Vec<Cell> {
        let account = is_by_account.then(|| reset.account.into());
        let cells = [
            outcome_cell(reset.outcome),
            Cell::level(reset.risk_level),
            reset.risk_level_after.map_or_else(|| "".into(), Cell::level),
            reset.event_count.to_string().into(),
            reset.name.into(),
            reset.email.into(),
            reset.id.as_str().into(),
            reset.cf_ray.unwrap_or_default().into(),
        ];
        account.into_iter().chain(cells).collect()
    };
    let texts = |reset: &Shown<'_>| {
        let [name, email, level, outcome, ray, after, account] = [
            reset.name,
            reset.email,
            reset.risk_level,
            reset.outcome,
            reset.cf_ray.unwrap_or_default(),
            reset.risk_level_after.unwrap_or_default(),
            reset.account,
        ]
        .map(str::to_owned);
        vec![
            reset.id.clone(),
            name,
            email,
            level,
            reset.event_count.to_string(),
            outcome,
            ray,
            after,
            account,
        ]
    };
    let have_addresses = people.iter().all(|person| !person.email.is_empty());
    let account = match (asked, people) {
        (Asked::One(account), _) => Some(account),
        (Asked::Several(_), [first, ..]) if !is_by_account => Some(first.account.as_str()),
        (Asked::Several(_), _) => None,
    };
    Sheet {
        heading: heading(asked, people),
        columns: match (have_addresses, is_by_account) {
            (true, false) => WITH_ADDRESS,
            (false, false) => WITHOUT_ADDRESS,
            (true, true) => WITH_ADDRESS_BY_ACCOUNT,
            (false, true) => WITHOUT_ADDRESS_BY_ACCOUNT,
        },
        rows: resets.iter().map(cells).collect(),
        fields: FIELDS,
        records: resets.iter().map(texts).collect(),
        document: json(&Document { account, resets: &resets }),
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
