//! `users`: lists the users at risk of one or several accounts, filtered and sorted.

mod search;

use std::cmp::Reverse;

use super::args::{Sort, Users};
use super::behaviors::Catalogue;
use super::people::{People, Person, Selection};
use super::scope::{Answers, Asked, Gaps, Scope, named, of_accounts};
use super::{Failure, Report};
use crate::clock::Timestamp;
use crate::commands::each_account::each;
use crate::commands::session::Session;
use crate::commands::terminal::progress::Progress;
use crate::commands::terminal::{counted, was};
use crate::model::Row;
use search::{Found, Search, Stop};

/// # Errors
/// No list can be read, or no account has the behavior.
pub(super) async fn list(scope: &Scope<'_>, wanted: &Users) -> Result<Report, Failure> {
    let answers = scope.each(async |session| Part::read(session, wanted).await).await?;
    let Answers { read, mut gaps } = answers;
    // All lists before the events of the first user: accounts with the same credential share a budget.
    let asked = scope.asked();
    let parts = match &wanted.behavior {
        None => read,
        Some(behavior) => {
            let search = async |part: Part| part.searched(behavior, wanted.limit as usize, asked).await;
            each("searching account", read, scope.clock(), search).await
        }
    };
    let without_behavior = gaps.take_unclear().into_iter().map(|(account, why)| (account, why.to_string()));
    let mut remarks = said(asked, parts.iter().flat_map(Part::said).chain(without_behavior));
    let mut failure = None;
    for Part { session, unread, stop, .. } in &parts {
        let Some(Stop::Failed(why)) = stop else { continue };
        let unread = format!("{} not checked", were(*unread));
        match asked {
            Asked::One(_) => {
                remarks.push(unread);
                failure = Some(why.clone());
            }
            Asked::Several(_) => gaps.add(&session.alias, why.with(format!("{unread}: {why}"))),
        }
    }
    let merged = Merged::of(parts, wanted);
    remarks.extend(merged.remarks(asked, wanted.limit));
    remarks.extend(gaps.remarks());
    let sheet = merged.selection(scope, &gaps).sheet();
    Ok(Report::found(sheet).remarking(remarks).failing(failure.or_else(|| gaps.failure())))
}

/// What is said of accounts; their names only if there are several.
fn said(asked: Asked<'_>, said: impl Iterator<Item = (String, String)>) -> Vec<String> {
    match asked {
        Asked::One(_) => said.map(|(_, text)| text).collect(),
        Asked::Several(_) => of_accounts(said),
    }
}

/// The users of one account who match.
struct Part {
    session: Session,
    /// If a behavior is wanted.
    catalogue: Option<Catalogue>,
    /// At least as many as are shown, if so many match.
    people: Vec<Person>,
    /// How many users were not checked, because of `stop`.
    unread: usize,
    stop: Option<Stop>,
    /// Whether the list is complete.
    is_whole: bool,
    remarks: Vec<String>,
}

impl Part {
    /// The users that match by the list.
    ///
    /// # Errors
    /// The list cannot be read, or the behavior does not exist.
    async fn read(session: Session, wanted: &Users) -> Result<Self, Failure> {
        let catalogue = match &wanted.behavior {
            Some(behavior) => {
                let catalogue = Catalogue::read(&session).await?;
                catalogue.knows(behavior)?;
                Some(catalogue)
            }
            None => None,
        };
        let list = People::read(&session).await?;
        let people = fitting(&list, wanted, session.clock.date());
        let (is_whole, mut remarks) = (list.incomplete().is_none(), list.remarks());
        remarks.extend(catalogue.iter().flat_map(Catalogue::remarks));
        Ok(Self { session, catalogue, people, unread: 0, stop: None, is_whole, remarks })
    }

    /// Those of them who have an event of the behavior, at most `limit`.
    async fn searched(mut self, behavior: &str, limit: usize, asked: Asked<'_>) -> Self {
        let Some(catalogue) = &self.catalogue else { return self };
        let (session, total) = (&self.session, self.people.len());
        let progress = match asked {
            Asked::One(_) => Progress::new("reading events of user", total, session.clock.now()),
            // The progress over the accounts is shown.
            Asked::Several(_) => Progress::hidden(),
        };
        let search = Search { session, catalogue, behavior };
        let Found { people, unread, unsure, stop } =
            search.run(std::mem::take(&mut self.people), limit, progress).await;
        if unsure > 0 {
            self.remarks.push(format!("not all events of {} could be read", counted(unsure, "user")));
        }
        Self { people, unread, stop, ..self }
    }

    fn said(&self) -> impl Iterator<Item = (String, String)> {
        self.remarks.iter().map(|remark| (self.session.alias.clone(), remark.clone()))
    }
}

/// The users of all accounts who match.
struct Merged {
    people: Vec<Person>,
    /// How many more match.
    omitted: usize,
    /// How many were not checked.
    unread: usize,
    /// How many of them because enough were found.
    unread_for_limit: usize,
    /// How many because the budget is spent, and of which accounts.
    unread_for_budget: (usize, Vec<String>),
    is_whole: bool,
}

impl Merged {
    fn of(parts: Vec<Part>, wanted: &Users) -> Self {
        let mut merged = Self {
            people: Vec::new(),
            omitted: 0,
            unread: 0,
            unread_for_limit: 0,
            unread_for_budget: (0, Vec::new()),
            is_whole: true,
        };
        for Part { session, people, unread, stop, is_whole, .. } in parts {
            merged.people.extend(people);
            merged.unread += unread;
            merged.is_whole &= is_whole;
            match stop {
                Some(Stop::Limit) => merged.unread_for_limit += unread,
                Some(Stop::Budget) => {
                    merged.unread_for_budget.0 += unread;
                    merged.unread_for_budget.1.push(session.alias);
                }
                Some(Stop::Failed(_)) | None => {}
            }
        }
        sort(&mut merged.people, wanted.sort);
        merged.omitted = merged.people.len().saturating_sub(wanted.limit as usize);
        merged.people.truncate(wanted.limit as usize);
        merged
    }

    /// Which users are not shown, and why.
    fn remarks(&self, asked: Asked<'_>, limit: u32) -> Vec<String> {
        let mut remarks = Vec::new();
        let (unread, accounts) = &self.unread_for_budget;
        if !accounts.is_empty() {
            let text = format!(
                "{} not checked: the request budget is spent; narrow the search with --level, --since or TEXT",
                were(*unread)
            );
            remarks.push(match asked {
                Asked::One(_) => text,
                Asked::Several(_) => format!("{}: {text}", named(accounts)),
            });
        }
        if self.unread_for_limit > 0 {
            remarks.push(format!(
                "showing {}; {} not checked; raise --limit to see more",
                counted(self.people.len(), "user"),
                were(self.unread_for_limit)
            ));
        } else if self.omitted > 0 {
            let all = counted(self.people.len() + self.omitted, "user");
            remarks.push(format!("showing {limit} of {all}; raise --limit to see more"));
        }
        remarks
    }

    fn selection<'a>(&'a self, scope: &Scope<'a>, gaps: &'a Gaps) -> Selection<'a> {
        Selection {
            asked: scope.asked(),
            people: &self.people,
            omitted: self.omitted,
            unread: self.unread,
            whole: self.is_whole,
            gaps,
            now: scope.clock().date(),
        }
    }
}

/// The users that match the filters on fields of the list, sorted.
fn fitting(people: &People<'_>, wanted: &Users, now: Timestamp) -> Vec<Person> {
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
    let mut fitting: Vec<Person> = people.rows().iter().filter(fits).map(|row| people.person(row)).collect();
    sort(&mut fitting, wanted.sort);
    fitting
}

/// Sorts users, and keeps the order of equal ones: by account, and within an account by id.
fn sort(people: &mut [Person], order: Sort) {
    match order {
        Sort::Risk => people.sort_by_key(|person| Reverse((person.level, person.last_event))),
        Sort::LastEvent => people.sort_by_key(|person| Reverse(person.last_event)),
        Sort::Events => people.sort_by_key(|person| Reverse(person.events.known())),
        Sort::Name => people.sort_by_cached_key(|person| person.name.to_lowercase()),
    }
}

fn were(users: usize) -> String {
    format!("{} {}", counted(users, "user"), was(users))
}
