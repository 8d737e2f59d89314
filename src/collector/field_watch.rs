//! Which unexpected fields were reported, so that each is reported once until all answers have it in its documented
//! form again.
//!
//! A list is read as a whole, so one answer shows whether a field has its documented form again. Events are read user by user: a
//! problem of theirs is resolved when this holds for every listed user who had it in another form. Incomplete lists of events
//! are watched the same way.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::{Completeness, Found, LevelWord, OddField, OddFields, Resource, UserId, UserRisk};

/// The most users who are remembered for one problem. A problem of more users ends when it is resolved for these.
const MAX_USERS: usize = 1_000;

/// The most unknown levels that are reported since the start.
const MAX_LEVELS: usize = 16;

/// The watched fields and lists of one account.
#[derive(Debug, Default)]
pub(crate) struct FieldWatch {
    /// The fields of lists with a problem.
    lists: BTreeSet<(Resource, &'static str)>,
    /// The listed users whose events have the problem.
    users: BTreeMap<UserProblem, HashSet<UserId>>,
    /// Problems that were reported of users who had left the list, and whose events are not read again.
    of_departed: BTreeSet<UserProblem>,
    levels: BTreeSet<LevelWord>,
}

/// A problem of a user's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum UserProblem {
    /// A field does not have its documented form.
    Field(&'static str),
    /// The list of events is incomplete.
    Incomplete,
}

/// Whether a user is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// The user is on the list.
    Listed,
    /// The user left the list.
    Departed,
}

/// What an answer changed, each to be reported once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Fields that were in their documented form before.
    pub(crate) begun: Vec<OddField>,
    /// Fields that are in their documented form again.
    pub(crate) over: Vec<&'static str>,
    /// Unknown levels that occur for the first time.
    pub(crate) levels: Vec<LevelWord>,
    /// Whether lists of events are incomplete.
    pub(crate) events: EventLists,
}

/// How the completeness of the lists of events changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EventLists {
    /// The same lists are complete as before.
    #[default]
    Same,
    /// A list is incomplete for the first time.
    Incomplete,
    /// All lists are complete again.
    CompleteAgain,
}

impl FieldWatch {
    /// Whether a field of this resource has a problem now.
    pub(crate) fn is_ongoing(&self, resource: Resource) -> bool {
        let is_field = |problem: &UserProblem| *problem != UserProblem::Incomplete;
        match resource {
            Resource::User => self.users.keys().any(is_field),
            resource => self.lists.iter().any(|(of, _)| *of == resource),
        }
    }

    /// A list was read. Only a complete one shows that a field has its documented form.
    pub(crate) fn list_read(
        &mut self,
        resource: Resource,
        odd: &OddFields,
        completeness: &Completeness,
    ) -> Changes {
        let mut changes = self.new_levels(odd);
        for field in distinct(odd) {
            if self.lists.insert((resource, field.field)) {
                changes.begun.push(field);
            }
        }
        if *completeness == Completeness::Complete {
            let now: BTreeSet<_> = odd.iter().map(|field| field.field).collect();
            self.lists.retain(|(of, field)| {
                let is_over = *of == resource && !now.contains(field);
                if is_over {
                    changes.over.push(field);
                }
                !is_over
            });
        }
        changes
    }

    /// A user's events were read.
    pub(crate) fn user_read(&mut self, user: UserId, listing: Listing, risk: &UserRisk) -> Changes {
        let mut changes = self.new_levels(&risk.odd);
        let mut now = BTreeSet::new();
        for field in distinct(&risk.odd) {
            now.insert(UserProblem::Field(field.field));
            if self.begins(UserProblem::Field(field.field), user, listing) {
                changes.begun.push(field);
            }
        }
        if risk.completeness != Completeness::Complete {
            now.insert(UserProblem::Incomplete);
            if self.begins(UserProblem::Incomplete, user, listing) {
                changes.events = EventLists::Incomplete;
            }
        }
        let is_well = |problem: &UserProblem| listing == Listing::Departed || !now.contains(problem);
        self.end(user, is_well, &mut changes);
        changes
    }

    /// A user does not exist any more.
    pub(crate) fn user_removed(&mut self, user: UserId) -> Changes {
        let mut changes = Changes::default();
        self.end(user, |_| true, &mut changes);
        changes
    }

    /// Remembers that `user` has the problem. Returns whether it must be reported.
    fn begins(&mut self, problem: UserProblem, user: UserId, listing: Listing) -> bool {
        let is_new = !self.users.contains_key(&problem);
        match listing {
            Listing::Departed => is_new && self.of_departed.insert(problem),
            Listing::Listed => {
                let users = self.users.entry(problem).or_default();
                if users.len() < MAX_USERS {
                    users.insert(user);
                }
                is_new
            }
        }
    }

    /// Ends the problems of `user` that are resolved.
    fn end(&mut self, user: UserId, is_well: impl Fn(&UserProblem) -> bool, changes: &mut Changes) {
        self.users.retain(|problem, users| {
            let ends = is_well(problem) && users.remove(&user) && users.is_empty();
            match problem {
                UserProblem::Field(field) if ends => changes.over.push(field),
                UserProblem::Incomplete if ends => changes.events = EventLists::CompleteAgain,
                _ => {}
            }
            !ends
        });
    }

    fn new_levels(&mut self, odd: &OddFields) -> Changes {
        let mut changes = Changes::default();
        for word in odd.levels() {
            if self.levels.len() < MAX_LEVELS && self.levels.insert(word.clone()) {
                changes.levels.push(word.clone());
            }
        }
        changes
    }
}

/// Each field once, with the first form. An unknown level that is a word is reported with the word instead.
fn distinct(odd: &OddFields) -> impl Iterator<Item = OddField> {
    let has_word = odd.levels().next().is_some();
    let mut known = HashSet::new();
    odd.iter()
        .filter(move |field| !(has_word && field.found == Found::UnknownLevel))
        .filter(move |field| known.insert(field.field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(fields: &[&'static str]) -> OddFields {
        let mut odd = OddFields::default();
        fields.iter().for_each(|field| odd.add(field, Found::Null, Some(0)));
        odd
    }

    fn partial() -> Completeness {
        Completeness::Partial("2 of 3".to_owned())
    }

    fn risk(fields: &[&'static str], completeness: Completeness) -> UserRisk {
        UserRisk {
            events: Vec::new(),
            rejected: 0,
            odd: odd(fields),
            last_reset: None,
            level: None,
            completeness,
            date: None,
            identity: None,
            pages: 1,
        }
    }

    fn reported(changes: &Changes) -> (Vec<&'static str>, Vec<&'static str>) {
        (changes.begun.iter().map(|field| field.field).collect(), changes.over.clone())
    }

    type Fields = &'static [&'static str];

    #[test]
    fn a_field_of_a_list_is_reported_once_until_a_complete_list_has_it_well() {
        let complete = Completeness::Complete;
        let table: [(Fields, Completeness, Fields, Fields); 7] = [
            (&["a"], complete.clone(), &["a"], &[]),
            (&["a", "b"], complete.clone(), &["b"], &[]),
            (&["a"], partial(), &[], &[]),
            (&["a"], complete.clone(), &[], &["b"]),
            (&[], partial(), &[], &[]),
            (&[], complete.clone(), &[], &["a"]),
            (&["a"], complete, &["a"], &[]),
        ];
        let mut watch = FieldWatch::default();
        watch.list_read(Resource::Integrations, &odd(&["a"]), &Completeness::Complete);
        for (number, (fields, completeness, begun, over)) in table.into_iter().enumerate() {
            let changes = watch.list_read(Resource::Behaviors, &odd(fields), &completeness);
            assert_eq!(reported(&changes), (begun.to_vec(), over.to_vec()), "answer {number}");
            let ongoing = matches!(number, 0..=4 | 6);
            assert_eq!(watch.is_ongoing(Resource::Behaviors), ongoing, "answer {number}");
        }
        assert!(watch.is_ongoing(Resource::Integrations), "the other list has its own");
    }

    #[test]
    fn a_field_of_events_is_well_when_the_last_listed_user_with_it_is() {
        use Listing::{Departed, Listed};
        let table: [(u128, Listing, Fields, Fields, Fields); 10] = [
            (1, Listed, &["a"], &["a"], &[]),
            (2, Listed, &["a"], &[], &[]),
            (3, Listed, &[], &[], &[]),
            (1, Listed, &[], &[], &[]),
            (1, Listed, &["a"], &[], &[]),
            (1, Departed, &["a"], &[], &[]),
            (2, Listed, &[], &[], &["a"]),
            (4, Departed, &["a"], &["a"], &[]),
            (5, Departed, &["a"], &[], &[]),
            (1, Listed, &["a"], &["a"], &[]),
        ];
        let mut watch = FieldWatch::default();
        for (number, (user, listing, fields, begun, over)) in table.into_iter().enumerate() {
            let user = UserId::from_u128(user);
            let changes = watch.user_read(user, listing, &risk(fields, Completeness::Complete));
            assert_eq!(reported(&changes), (begun.to_vec(), over.to_vec()), "answer {number}");
        }
        assert!(watch.is_ongoing(Resource::User));
        assert_eq!(watch.user_removed(UserId::from_u128(1)).over, ["a"]);
        assert!(!watch.is_ongoing(Resource::User));
    }

    #[test]
    fn incomplete_lists_of_events_are_reported_once_until_all_are_complete() {
        let mut watch = FieldWatch::default();
        for (user, completeness, wanted) in [
            (1, partial(), EventLists::Incomplete),
            (2, partial(), EventLists::Same),
            (1, Completeness::Complete, EventLists::Same),
            (2, Completeness::Complete, EventLists::CompleteAgain),
            (3, Completeness::Complete, EventLists::Same),
            (3, partial(), EventLists::Incomplete),
        ] {
            let risk = risk(&[], completeness);
            let changes = watch.user_read(UserId::from_u128(user), Listing::Listed, &risk);
            assert_eq!(changes.events, wanted, "user {user}: {:?}", risk.completeness);
            assert!(!watch.is_ongoing(Resource::User), "no field is odd");
        }
    }

    #[test]
    fn an_unknown_level_is_reported_once_by_its_word_and_otherwise_as_a_field() {
        let with_level = |word: &str| {
            let mut odd = OddFields::default();
            odd.add("max_risk_level", Found::UnknownLevel, Some(0));
            LevelWord::new(word).into_iter().for_each(|word| odd.add_level(word));
            odd
        };
        let mut watch = FieldWatch::default();
        for (word, begun, level) in [
            ("critical", 0, Some("critical")),
            ("critical", 0, None),
            ("severe", 0, Some("severe")),
            ("no word", 1, None),
            ("no word", 0, None),
        ] {
            let changes = watch.list_read(Resource::Summary, &with_level(word), &Completeness::Complete);
            let levels: Vec<_> = changes.levels.iter().map(LevelWord::as_str).collect();
            assert_eq!((changes.begun.len(), levels), (begun, level.into_iter().collect()), "{word}");
        }
        let words = (0..99).map(|number| format!("level{number}"));
        let new = words.map(|word| {
            watch.list_read(Resource::Summary, &with_level(&word), &Completeness::Complete).levels.len()
        });
        assert_eq!(new.sum::<usize>() + 2, MAX_LEVELS, "the words are bounded");
    }

    #[test]
    fn the_users_of_a_problem_are_bounded() {
        let mut watch = FieldWatch::default();
        for user in 0..2 * MAX_USERS as u128 {
            watch.user_read(UserId::from_u128(user), Listing::Listed, &risk(&["a"], partial()));
        }
        assert!(watch.users.values().all(|users| users.len() == MAX_USERS));
    }
}
