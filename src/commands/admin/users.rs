//! `users`: lists the users at risk, filtered and sorted.

use std::cmp::Reverse;

use super::args::{Sort, Users};
use super::behaviors::Catalogue;
use super::people::{People, Person, sheet};
use super::{Failure, Report};
use crate::clock::Timestamp;
use crate::cloudflare::{Kind, Limiter};
use crate::commands::session::Session;
use crate::commands::terminal::progress::Progress;
use crate::commands::terminal::{counted, was};
use crate::model::{Completeness, Row};

/// # Errors
/// The list cannot be read, or the behavior does not exist.
pub(super) async fn list(session: &Session, wanted: &Users) -> Result<Report, Failure> {
    let catalogue = match &wanted.behavior {
        Some(behavior) => Some((Catalogue::read(session).await?, behavior)),
        None => None,
    };
    if let Some((catalogue, behavior)) = &catalogue {
        catalogue.knows(behavior)?;
    }
    let people = People::read(session).await?;
    let fitting = sorted(&people, wanted, session.clock.date());
    let mut remarks = people.remarks();
    let limit = wanted.limit as usize;
    let (shown, omitted, unread, failure) = match &catalogue {
        None => {
            let shown: Vec<Person> = fitting.iter().take(limit).map(|row| people.person(row)).collect();
            let omitted = fitting.len() - shown.len();
            (shown, omitted, 0, None)
        }
        Some((catalogue, behavior)) => {
            remarks.extend(catalogue.remarks());
            let search = Search { session, people: &people, catalogue, behavior };
            let Found { people, unread, unsure, failure } = search.run(&fitting, limit, &mut remarks).await;
            if unsure > 0 {
                remarks.push(format!("not all events of {} could be read", counted(unsure, "user")));
            }
            (people, 0, unread, failure)
        }
    };
    if omitted > 0 {
        remarks.push(format!(
            "showing {limit} of {}; raise --limit to see more",
            counted(fitting.len(), "user")
        ));
    }
    let sheet = sheet(session, &people, &shown, omitted, unread);
    Ok(Report::found(sheet).remarking(remarks).failing(failure))
}

/// The users that match the filters on fields of the list, sorted.
fn sorted(people: &People<'_>, wanted: &Users, now: Timestamp) -> Vec<Row> {
    let text = wanted.text.as_deref().map(str::to_lowercase);
    let from = wanted.since.as_ref().map(|since| since.date(now));
    let fits = |row: &&Row| {
        let (name, email) = people.identity(row.user);
        (wanted.level.is_empty() || wanted.level.contains(&row.tuple.level))
            && from.is_none_or(|from| row.tuple.last_event >= from)
            && text.as_ref().is_none_or(|text| {
                let id = row.user.to_string();
                [name, email, &id].iter().any(|field| field.to_lowercase().contains(text))
            })
    };
    let mut rows: Vec<Row> = people.rows().iter().filter(fits).copied().collect();
    // The rows are sorted by id, and sorting keeps that order among equal rows.
    match wanted.sort {
        Sort::Risk => rows.sort_by_key(|row| Reverse((row.tuple.level, row.tuple.last_event))),
        Sort::LastEvent => rows.sort_by_key(|row| Reverse(row.tuple.last_event)),
        Sort::Events => rows.sort_by_key(|row| Reverse(row.tuple.count.known())),
        Sort::Name => rows.sort_by_cached_key(|row| people.identity(row.user).0.to_lowercase()),
    }
    rows
}

/// Reads the events of one user after the other.
struct Search<'a> {
    session: &'a Session,
    people: &'a People<'a>,
    catalogue: &'a Catalogue,
    behavior: &'a str,
}

/// The result of a search.
struct Found {
    people: Vec<Person>,
    /// How many users were not checked.
    unread: usize,
    /// For how many of the checked users some events could not be read.
    unsure: usize,
    /// Why it stopped early, if it failed.
    failure: Option<Failure>,
}

impl Search<'_> {
    /// The users of `rows` with an event of the behavior. Stops at `limit` users, when the budget is spent, or at a
    /// failure.
    async fn run(&self, rows: &[Row], limit: usize, remarks: &mut Vec<String>) -> Found {
        let mut found = Found { people: Vec::new(), unread: 0, unsure: 0, failure: None };
        let mut progress = Progress::new("reading events of user", rows.len(), self.session.clock.now());
        for (looked_at, row) in rows.iter().enumerate() {
            found.unread = rows.len() - looked_at;
            let unread = were(found.unread);
            if found.people.len() == limit {
                remarks.push(format!(
                    "showing {}; {unread} not checked; raise --limit to see more",
                    counted(limit, "user")
                ));
                return found;
            }
            match self.session.client.user(row.user).await {
                Ok(risk) => {
                    let of_it = |name: &str| self.catalogue.id(name) == self.behavior;
                    if risk.completeness != Completeness::Complete || risk.rejected > 0 {
                        found.unsure += 1;
                    }
                    let count = risk.events.iter().filter(|event| of_it(&event.name)).count();
                    if count > 0 {
                        let person = self.people.person(row);
                        found.people.push(Person { behavior_events: Some(count), ..person });
                    }
                }
                // The user was reset or removed since the list was read.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) if error.kind() == Kind::Limited(Limiter::Budget) => {
                    remarks.push(format!(
                        "{unread} not checked: the request budget is spent; narrow the search with --level, --since or TEXT"
                    ));
                    return found;
                }
                Err(error) => {
                    remarks.push(format!("{unread} not checked"));
                    found.failure = Some(Failure::request(&error));
                    return found;
                }
            }
            progress.set(looked_at + 1, None, self.session.clock.now());
        }
        found.unread = 0;
        found
    }
}

fn were(users: usize) -> String {
    format!("{} {}", counted(users, "user"), was(users))
}
