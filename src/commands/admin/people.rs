//! The users on the risk list, and which of them a text names.

use serde::Serialize;

use super::{Failure, unreadable};
use crate::clock::Timestamp;
use crate::commands::session::Session;
use crate::commands::terminal::ago::ago;
use crate::commands::terminal::sheet::{Sheet, json};
use crate::commands::terminal::table::{Cell, Column};
use crate::model::{Completeness, EventCount, Level, Row, Summary, UserId};

/// A user on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) id: UserId,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) level: Level,
    pub(super) events: EventCount,
    pub(super) last_event: Timestamp,
    /// The number of events of the behavior that `--behavior` names.
    pub(super) behavior_events: Option<usize>,
}

/// A rule that compares name and e-mail address with a text, and the match if one user satisfies it.
type Rule = (fn((&str, &str), &str) -> bool, fn(Person) -> Match);

/// The risk list, read once.
pub(super) struct People<'a> {
    session: &'a Session,
    summary: Summary,
}

/// The users that a text names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// One user on the list, by hash, id or e-mail address.
    Listed(Person),
    /// One user on the list, by name: a user who is missing from the list may have the same name.
    Named(Person),
    /// A user who is not on the list, by id.
    Unlisted(UserId),
    Several(Vec<Person>),
    Nobody,
}

impl<'a> People<'a> {
    pub(super) async fn read(session: &'a Session) -> Result<Self, Failure> {
        let summary = session.client.summary().await.map_err(|error| Failure::request(&error))?;
        Ok(Self { session, summary })
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.summary.rows
    }

    /// Why the list is incomplete, if it is.
    pub(super) fn incomplete(&self) -> Option<String> {
        match &self.summary.completeness {
            Completeness::Complete => None,
            Completeness::Partial(reason) | Completeness::Unfinished(reason) => {
                Some(format!("the list of users is incomplete: {reason}"))
            }
        }
    }

    /// What the user should know about the list.
    pub(super) fn remarks(&self) -> Vec<String> {
        let lost = self.summary.unreadable.len() as u32 + self.summary.anonymous;
        self.incomplete().into_iter().chain(unreadable(lost, "user")).collect()
    }

    /// The name and the e-mail address of a user.
    pub(super) fn identity(&self, user: UserId) -> (&str, &str) {
        let identities = self.summary.identities.as_ref();
        let (email, name) = identities.and_then(|all| all.get(user)).unwrap_or_default();
        (name, email)
    }

    pub(super) fn person(&self, row: &Row) -> Person {
        let (name, email) = self.identity(row.user);
        Person {
            id: row.user,
            name: name.to_owned(),
            email: email.to_owned(),
            level: row.tuple.level,
            events: row.tuple.count,
            last_event: row.tuple.last_event,
            behavior_events: None,
        }
    }

    pub(super) fn listed(&self, user: UserId) -> Option<Person> {
        let at = self.rows().binary_search_by_key(&user, |row| row.user).ok()?;
        self.rows().get(at).map(|row| self.person(row))
    }

    /// The users that `text` names, by the first of these that matches: hash, id, e-mail address, whole name, part of
    /// the name.
    pub(super) fn resolve(&self, text: &str) -> Match {
        if let Some(naming) = &self.session.hashes
            && let Some(row) =
                self.rows().iter().find(|row| naming.label(row.user).is_some_and(|hash| hash == text))
        {
            return Match::Listed(self.person(row));
        }
        if let Ok(user) = UserId::try_parse(text) {
            return self.listed(user).map_or(Match::Unlisted(user), Match::Listed);
        }
        let text = text.to_lowercase();
        let rules: [Rule; 3] = [
            (|(_, email), text| email.to_lowercase() == text, Match::Listed),
            (|(name, _), text| name.to_lowercase() == text, Match::Named),
            (|(name, _), text| name.to_lowercase().contains(text), Match::Named),
        ];
        for (fits, found) in rules {
            let fitting = self.rows().iter().filter(|row| fits(self.identity(row.user), &text));
            let mut people: Vec<Person> = fitting.map(|row| self.person(row)).collect();
            match (people.pop(), people.is_empty()) {
                (None, _) => {}
                (Some(person), true) => return found(person),
                (Some(person), false) => {
                    people.push(person);
                    return Match::Several(people);
                }
            }
        }
        Match::Nobody
    }
}

const LEVEL: Column = Column::new("LEVEL");
const EVENTS: Column = Column::new("EVENTS").right();
const LAST: Column = Column::new("LAST");
const NAME: Column = Column::new("NAME").cut();
const EMAIL: Column = Column::new("EMAIL").cut();
const ID: Column = Column::new("ID");
const LAST_EVENT: Column = Column::new("LAST EVENT").wide();

/// For people. The token may not read e-mail addresses; then only the id tells users apart.
const WITH_ADDRESS: &[Column] = &[LEVEL, EVENTS, LAST, NAME, EMAIL, ID.wide(), LAST_EVENT];
const WITHOUT_ADDRESS: &[Column] = &[LEVEL, EVENTS, LAST, NAME, EMAIL, ID, LAST_EVENT];

/// The `shown` users. `omitted` more match, and `unread` were not checked.
pub(super) fn sheet(
    session: &Session,
    people: &People<'_>,
    shown: &[Person],
    omitted: usize,
    unread: usize,
) -> Sheet {
    let users: Vec<Shown<'_>> = shown.iter().map(Shown::from).collect();
    let whole = people.incomplete().is_none();
    let have_addresses = shown.iter().all(|person| !person.email.is_empty());
    Sheet {
        heading: format!("account {}", session.alias),
        columns: if have_addresses { WITH_ADDRESS } else { WITHOUT_ADDRESS },
        rows: shown.iter().map(|person| person.cells(session.clock.date())).collect(),
        fields: FIELDS,
        records: users.iter().map(Shown::texts).collect(),
        document: json(&Document { account: &session.alias, users: &users, omitted, unread, whole }),
    }
}

/// The `candidates` that a name may mean, in a table with the ids to choose by.
pub(super) fn candidates(session: &Session, people: &People<'_>, candidates: &[Person]) -> Sheet {
    const COLUMNS: &[Column] = &[ID, NAME, EMAIL];
    let cells = |person: &Person| -> Vec<Cell> {
        vec![person.id.to_string().into(), person.name.as_str().into(), person.email.as_str().into()]
    };
    let rows = candidates.iter().map(cells).collect();
    Sheet { columns: COLUMNS, rows, ..sheet(session, people, candidates, 0, 0) }
}

impl Person {
    /// The cells of [`WITH_ADDRESS`].
    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            Cell::level(self.level.as_str()),
            self.events.to_string().into(),
            ago(self.last_event, now).into(),
            self.name.as_str().into(),
            self.email.as_str().into(),
            self.id.to_string().into(),
            self.last_event.to_string().into(),
        ]
    }
}

/// The fields of [`Shown`].
const FIELDS: &[&str] =
    &["id", "name", "email", "risk_level", "event_count", "last_event", "behavior_events"];

#[derive(Serialize)]
struct Document<'a> {
    account: &'a str,
    users: &'a [Shown<'a>],
    omitted: usize,
    unread: usize,
    whole: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    id: String,
    name: &'a str,
    email: &'a str,
    risk_level: &'static str,
    event_count: EventCount,
    last_event: String,
    behavior_events: Option<usize>,
}

impl<'a> From<&'a Person> for Shown<'a> {
    fn from(person: &'a Person) -> Self {
        Self {
            id: person.id.to_string(),
            name: &person.name,
            email: &person.email,
            risk_level: person.level.as_str(),
            event_count: person.events,
            last_event: person.last_event.to_string(),
            behavior_events: person.behavior_events,
        }
    }
}

impl Shown<'_> {
    fn texts(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.to_owned(),
            self.email.to_owned(),
            self.risk_level.to_owned(),
            self.event_count.to_string(),
            self.last_event.clone(),
            self.behavior_events.map(|count| count.to_string()).unwrap_or_default(),
        ]
    }
}
