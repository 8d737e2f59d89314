//! The users on the risk lists, and which of them a text names.

use std::collections::BTreeSet;

use serde::Serialize;

use super::scope::{Asked, Gaps};
use super::{Failure, unreadable};
use crate::clock::Timestamp;
use crate::commands::session::Session;
use crate::commands::terminal::ago::ago;
use crate::commands::terminal::counted;
use crate::commands::terminal::sheet::{Sheet, json};
use crate::commands::terminal::table::{Cell, Column};
use crate::model::{Completeness, EventCount, Level, Row, Summary, UserId};

/// A user on the list of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// The alias of the account.
    pub(super) account: String,
    pub(super) id: UserId,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) level: Level,
    pub(super) events: EventCount,
    pub(super) last_event: Timestamp,
    /// The number of events of the behavior that `--behavior` names.
    pub(super) behavior_events: Option<usize>,
}

/// Compares the name and the e-mail address of a user with a text.
type Rule = fn((&str, &str), &str) -> bool;

/// The risk list of an account, read once.
pub(super) struct People<'a> {
    session: &'a Session,
    summary: Summary,
}

/// How a text names users; the first that matches anyone counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NamedBy {
    Hash,
    Id,
    Address,
    Name,
    PartOfName,
}

/// The users on a list that a text names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) by: NamedBy,
    /// At least one.
    pub(super) people: Vec<Person>,
}

impl NamedBy {
    /// Whether no other user of the account can have the same, so that a list need not be complete.
    pub(super) const fn is_unique_in_account(self) -> bool {
        matches!(self, Self::Hash | Self::Id | Self::Address)
    }

    /// Whether no user of another account can have the same. A person may be a user of several accounts, with one address.
    pub(super) const fn is_unique(self) -> bool {
        matches!(self, Self::Hash | Self::Id)
    }
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
            account: self.session.alias.clone(),
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

    /// The users that `text` names.
    pub(super) fn resolve(&self, text: &str) -> Option<Match> {
        if let Some(naming) = &self.session.hashes
            && let Some(row) =
                self.rows().iter().find(|row| naming.label(row.user).is_some_and(|hash| hash == text))
        {
            return Some(Match { by: NamedBy::Hash, people: vec![self.person(row)] });
        }
        if let Ok(user) = UserId::try_parse(text) {
            return self.listed(user).map(|person| Match { by: NamedBy::Id, people: vec![person] });
        }
        let text = text.to_lowercase();
        let rules: [(NamedBy, Rule); 3] = [
            (NamedBy::Address, |(_, email), text| email.to_lowercase() == text),
            (NamedBy::Name, |(name, _), text| name.to_lowercase() == text),
            (NamedBy::PartOfName, |(name, _), text| name.to_lowercase().contains(text)),
        ];
        rules.into_iter().find_map(|(by, fits)| {
            let fitting = self.rows().iter().filter(|row| fits(self.identity(row.user), &text));
            let people: Vec<Person> = fitting.map(|row| self.person(row)).collect();
            (!people.is_empty()).then_some(Match { by, people })
        })
    }
}

/// The account of a row, in a table with several.
pub(super) const ACCOUNT: Column = Column::new("ACCOUNT").cut_last();
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

/// The same with several accounts. Accounts and ids leave little room in 80 columns.
const WITH_ADDRESS_BY_ACCOUNT: &[Column] =
    &[ACCOUNT, LEVEL, EVENTS, LAST, NAME, EMAIL, ID.wide(), LAST_EVENT];
const WITHOUT_ADDRESS_BY_ACCOUNT: &[Column] =
    &[ACCOUNT, LEVEL, EVENTS.wide(), LAST, NAME, EMAIL.wide(), ID, LAST_EVENT];

/// Users to show.
pub(super) struct Selection<'a> {
    pub(super) asked: Asked<'a>,
    pub(super) people: &'a [Person],
    /// How many more match.
    pub(super) omitted: usize,
    /// How many were not checked.
    pub(super) unread: usize,
    /// Whether the lists that were read are complete.
    pub(super) whole: bool,
    pub(super) gaps: &'a Gaps,
    pub(super) now: Timestamp,
}

impl Selection<'_> {
    pub(super) fn sheet(&self) -> Sheet {
        let have_addresses = self.people.iter().all(|person| !person.email.is_empty());
        let is_by_account = accounts_of(self.people) > 1;
        let columns = match (have_addresses, is_by_account) {
            (true, false) => WITH_ADDRESS,
            (false, false) => WITHOUT_ADDRESS,
            (true, true) => WITH_ADDRESS_BY_ACCOUNT,
            (false, true) => WITHOUT_ADDRESS_BY_ACCOUNT,
        };
        self.with(columns, |person| person.cells(self.now))
    }

    /// The users that a name may mean, in a table with the ids to choose by.
    pub(super) fn candidates(&self) -> Sheet {
        const COLUMNS: &[Column] = &[ID, NAME, EMAIL];
        const BY_ACCOUNT: &[Column] = &[ACCOUNT, ID, NAME, EMAIL];
        let cells = |person: &Person| -> Vec<Cell> {
            vec![person.id.to_string().into(), person.name.as_str().into(), person.email.as_str().into()]
        };
        self.with(if accounts_of(self.people) > 1 { BY_ACCOUNT } else { COLUMNS }, cells)
    }

    /// With `cells` for each user, after the account if there are several.
    fn with(&self, columns: &'static [Column], cells: impl Fn(&Person) -> Vec<Cell>) -> Sheet {
        let users: Vec<Shown<'_>> = self.people.iter().map(Shown::from).collect();
        let is_by_account = accounts_of(self.people) > 1;
        let row = |person: &Person| {
            let account = is_by_account.then(|| person.account.as_str().into());
            account.into_iter().chain(cells(person)).collect()
        };
        let unread_accounts = self.gaps.iter().map(|(account, error)| UnreadAccount { account, error });
        Sheet {
            heading: heading(self.asked, self.people),
            columns,
            rows: self.people.iter().map(row).collect(),
            fields: FIELDS,
            records: users.iter().map(Shown::texts).collect(),
            document: json(&Document {
                account: match self.asked {
                    Asked::One(account) => Some(account),
                    Asked::Several(_) => None,
                },
                users: &users,
                omitted: self.omitted,
                unread: self.unread,
                whole: self.whole && self.gaps.is_empty(),
                unread_accounts: unread_accounts.collect(),
            }),
        }
    }
}

/// How many accounts these users are of.
pub(super) fn accounts_of<'a>(people: impl IntoIterator<Item = &'a Person>) -> usize {
    people.into_iter().map(|person| &person.account).collect::<BTreeSet<_>>().len()
}

/// The account of these users if it is the same, else how many were asked.
pub(super) fn heading<'a>(asked: Asked<'_>, people: impl IntoIterator<Item = &'a Person> + Clone) -> String {
    let first = people.clone().into_iter().next();
    match (asked, first) {
        (Asked::One(account), _) => format!("account {account}"),
        (Asked::Several(_), Some(first)) if accounts_of(people) == 1 => format!("account {}", first.account),
        (Asked::Several(accounts), _) => counted(accounts, "account"),
    }
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
    &["id", "name", "email", "risk_level", "event_count", "last_event", "behavior_events", "account"];

#[derive(Serialize)]
struct Document<'a> {
    /// `None` if several accounts were asked.
    account: Option<&'a str>,
    users: &'a [Shown<'a>],
    omitted: usize,
    unread: usize,
    whole: bool,
    unread_accounts: Vec<UnreadAccount<'a>>,
}

#[derive(Serialize)]
struct UnreadAccount<'a> {
    account: &'a str,
    error: String,
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
    account: &'a str,
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
            account: &person.account,
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
            self.account.to_owned(),
        ]
    }
}
