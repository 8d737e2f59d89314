//! Finds the users of an account who have an event of a behavior: the list does not say it, so their events are read.

use crate::cloudflare::{Kind, Limiter};
use crate::commands::Failure;
use crate::commands::admin::behaviors::Catalogue;
use crate::commands::admin::people::Person;
use crate::commands::session::Session;
use crate::commands::terminal::progress::Progress;
use crate::model::Completeness;

/// Reads the events of one user after the other.
pub(super) struct Search<'a> {
    pub(super) session: &'a Session,
    pub(super) catalogue: &'a Catalogue,
    pub(super) behavior: &'a str,
}

/// The result of a search.
pub(super) struct Found {
    pub(super) people: Vec<Person>,
    /// How many users were not checked.
    pub(super) unread: usize,
    /// For how many of the checked users some events could not be read.
    pub(super) unsure: usize,
    /// Why it stopped early, if it did.
    pub(super) stop: Option<Stop>,
}

/// Why a search did not check all users.
pub(super) enum Stop {
    /// It found as many as are shown.
    Limit,
    /// The budget is spent.
    Budget,
    Failed(Failure),
}

impl Search<'_> {
    /// The users of `people` with an event of the behavior. Stops at `limit` users, when the budget is spent, or at a
    /// failure.
    pub(super) async fn run(&self, people: Vec<Person>, limit: usize, mut progress: Progress) -> Found {
        let total = people.len();
        let mut found = Found { people: Vec::new(), unread: 0, unsure: 0, stop: None };
        for (looked_at, person) in people.into_iter().enumerate() {
            found.unread = total - looked_at;
            if found.people.len() == limit {
                found.stop = Some(Stop::Limit);
                return found;
            }
            match self.session.client.user(person.id).await {
                Ok(risk) => {
                    let of_it = |name: &str| self.catalogue.id(name) == self.behavior;
                    if risk.completeness != Completeness::Complete || risk.rejected > 0 {
                        found.unsure += 1;
                    }
                    let count = risk.events.iter().filter(|event| of_it(&event.name)).count();
                    if count > 0 {
                        found.people.push(Person { behavior_events: Some(count), ..person });
                    }
                }
                // The user was reset or removed since the list was read.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => {
                    found.stop = Some(match error.kind() {
                        Kind::Limited(Limiter::Budget) => Stop::Budget,
                        _ => Stop::Failed(Failure::request(&error)),
                    });
                    return found;
                }
            }
            progress.set(looked_at + 1, None, self.session.clock.now());
        }
        found.unread = 0;
        found
    }
}
