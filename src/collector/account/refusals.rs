//! Whether refusals of users' events concern these users or all of them.
//!
//! Refusals of three different users in a row concern all users, until one user is read. Users who were refused while another
//! one could be read say nothing more: a few of them would otherwise stop the requests for everybody again and again.

use std::collections::HashSet;

use crate::model::UserId;

/// Refusals of so many different users in a row concern all users, not these.
const REFUSED_USERS: usize = 3;

/// The most users of each kind that are known at a time.
const MAX_USERS: usize = 10_000;

/// Which users a refusal concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The user that was requested.
    OneUser,
    /// All users, whichever is requested.
    AllUsers,
}

/// The users whose latest request was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Refused since a user was read.
    in_a_row: HashSet<UserId>,
    /// Refused while another user could be read.
    alone: HashSet<UserId>,
    /// The user that was read last.
    read_last: Option<UserId>,
}

impl Refusals {
    /// The user's events were refused.
    pub(super) fn refused(&mut self, id: UserId) -> Scope {
        if !self.alone.contains(&id) && self.in_a_row.len() < MAX_USERS {
            self.in_a_row.insert(id);
        }
        self.scope()
    }

    /// The user's events were read.
    pub(super) fn answered(&mut self, id: UserId) {
        for refused in self.in_a_row.drain() {
            if self.alone.len() < MAX_USERS {
                self.alone.insert(refused);
            }
        }
        self.alone.remove(&id);
        self.read_last = Some(id);
    }

    /// The user that was read last, unless a later request for it failed. If all users are refused, so is this one; otherwise
    /// one request shows that the others are refused for reasons of their own.
    pub(super) fn read_last(&self) -> Option<UserId> {
        self.read_last.filter(|id| !self.contains(*id))
    }

    /// The user's events could not be read, for whatever reason, so its answer says nothing about the others.
    pub(super) fn failed(&mut self, id: UserId) {
        self.read_last = self.read_last.filter(|last| *last != id);
    }

    /// Which users the latest refusals concern.
    pub(super) fn scope(&self) -> Scope {
        if self.in_a_row.len() >= REFUSED_USERS { Scope::AllUsers } else { Scope::OneUser }
    }

    /// Whether the latest request for the user was refused.
    pub(super) fn contains(&self, id: UserId) -> bool {
        self.is_alone(id) || self.in_a_row.contains(&id)
    }

    /// Whether the user was refused while another one could be read.
    pub(super) fn is_alone(&self, id: UserId) -> bool {
        self.alone.contains(&id)
    }

    /// The credentials changed, so earlier refusals say nothing.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// These users are no longer known.
    pub(super) fn forget(&mut self, users: &[UserId]) {
        for id in users {
            self.in_a_row.remove(id);
            self.alone.remove(id);
        }
        self.read_last = self.read_last.filter(|id| !users.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Answer {
        Refused(u128),
        Read(u128),
    }
    use Answer::{Read, Refused};

    #[test]
    fn three_users_in_a_row_concern_all_unless_others_could_be_read_when_they_were_refused() {
        let table: [(&[Answer], Scope); 8] = [
            (&[Refused(1), Refused(2)], Scope::OneUser),
            (&[Refused(1), Refused(2), Refused(2), Refused(1)], Scope::OneUser),
            (&[Refused(1), Refused(2), Refused(3)], Scope::AllUsers),
            (&[Refused(1), Refused(2), Refused(3), Read(4)], Scope::OneUser),
            (&[Refused(1), Refused(2), Read(4), Refused(3)], Scope::OneUser),
            (
                &[Refused(1), Refused(2), Refused(3), Read(4), Refused(1), Refused(2), Refused(3)],
                Scope::OneUser,
            ),
            (&[Refused(1), Read(4), Refused(1), Refused(2), Refused(3), Refused(4)], Scope::AllUsers),
            (&[Refused(1), Read(4), Read(1), Refused(1), Refused(2), Refused(3)], Scope::AllUsers),
        ];
        for (number, (answers, wanted)) in table.into_iter().enumerate() {
            let mut refusals = Refusals::default();
            for answer in answers {
                match answer {
                    Refused(user) => drop(refusals.refused(UserId::from_u128(*user))),
                    Read(user) => refusals.answered(UserId::from_u128(*user)),
                }
            }
            assert_eq!(refusals.scope(), wanted, "row {number}");
        }
    }

    #[test]
    fn the_user_that_was_read_last_is_known_until_it_fails_or_is_forgotten() {
        let [first, second] = [1, 2].map(UserId::from_u128);
        let mut refusals = Refusals::default();
        assert_eq!(refusals.read_last(), None);
        refusals.answered(first);
        refusals.answered(second);
        refusals.refused(first);
        assert_eq!(refusals.read_last(), Some(second));
        refusals.refused(second);
        assert_eq!(refusals.read_last(), None, "it is no longer known to be readable");
        refusals.answered(first);
        assert_eq!(refusals.read_last(), Some(first));
        refusals.failed(second);
        assert_eq!(refusals.read_last(), Some(first), "another user failed");
        refusals.failed(first);
        assert_eq!(refusals.read_last(), None, "it failed, although it was not refused");
        refusals.answered(first);
        refusals.forget(&[first]);
        assert_eq!(refusals.read_last(), None);
    }

    #[test]
    fn what_is_known_of_refused_users_is_bounded() {
        let mut refusals = Refusals::default();
        for user in 0..3 * MAX_USERS as u128 {
            refusals.refused(UserId::from_u128(user));
        }
        assert_eq!(refusals.in_a_row.len(), MAX_USERS);
        refusals.answered(UserId::from_u128(0));
        assert_eq!((refusals.alone.len(), refusals.contains(UserId::from_u128(0))), (MAX_USERS - 1, false));
        refusals.forget(&[UserId::from_u128(1)]);
        assert_eq!(refusals.alone.len(), MAX_USERS - 2);
    }
}
