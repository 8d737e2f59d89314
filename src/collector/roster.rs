//! Who is on the risk list, at which level and since when, and what one reading of the summary changes.
//!
//! A reading is compared first ([`Roster::compare`]) and applied later ([`Roster::apply`]), so that what it
//! changes can be made durable in between. A million users are a sorted table of 48 bytes a row; a user
//! whose tuple is the one already read costs a comparison and nothing else.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::model::{Level, LevelChanges, PerLevel, Row, RowFingerprint, Summary, UserId};

/// What is kept of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Whose row this is.
    pub id: UserId,
    /// The tuple up to which the user's events have been read; its count is also the one up to which
    /// events are explained. Meaningless but for the count unless `coverage` says so.
    pub covered: RowFingerprint,
    /// Events counted that the covered tuple did not speak of yet: a reading may be ahead of the summary.
    pub ahead: u32,
    /// Since when the user has had `level`.
    pub since: Timestamp,
    /// The highest level, as last known; for a user who is gone, the one before.
    pub level: Level,
    /// Whether the user is on the list.
    pub presence: Presence,
    /// Whether `covered` was read.
    pub coverage: Coverage,
    /// How `since` is known.
    pub origin: Origin,
}

/// Whether a user is on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Presence {
    /// In the latest whole summary.
    Listed,
    /// Missing from the latest whole summary, and in the one before.
    Missed,
    /// Missing from two whole summaries in a row: reset, removed, or deleted.
    Gone,
}

/// Whether a user's events were read up to the covered tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Coverage {
    /// They were, or the user was there when counting began.
    Covered,
    /// They are still to be read, whatever the tuple.
    Nothing,
}

/// How it is known since when a user has had its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// The user had it when counting began: since then at least.
    Baseline,
    /// The change was seen.
    Observed,
}

/// A level and since when a user has had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The level.
    pub level: Level,
    /// Since when.
    pub since: Timestamp,
    /// How that is known.
    pub origin: Origin,
}

impl User {
    /// The level and since when; for a user who is gone, before that.
    pub fn standing(&self) -> Standing {
        Standing { level: self.level, since: self.since, origin: self.origin }
    }

    /// A user whom a list after the baseline names first: none of its events were read.
    fn first_listed(row: &Row, date: Timestamp) -> Self {
        Self {
            id: row.user,
            covered: RowFingerprint { last_event: Timestamp::default(), count: 0, level: Level::Unknown },
            ahead: 0,
            since: date,
            level: row.tuple.level,
            presence: Presence::Listed,
            coverage: Coverage::Nothing,
            origin: Origin::Observed,
        }
    }

    /// Whether events are to be read for `tuple`.
    fn is_changed(&self, tuple: RowFingerprint) -> bool {
        self.coverage == Coverage::Nothing || self.presence == Presence::Gone || self.covered != tuple
    }
}

/// What a reading of the summary changes.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The new values of the users that change, sorted by id.
    pub users: Vec<User>,
    /// Users whose events are to be read, with the tuple listed now and the standing before.
    pub changed: Vec<(UserId, RowFingerprint, Option<Standing>)>,
    /// Users who are gone since this reading.
    pub gone: Vec<UserId>,
    /// Moves between levels.
    pub level_changes: LevelChanges,
    /// What the list says as a whole; only for a whole list.
    pub overview: Option<Overview>,
}

/// What a whole list says as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overview {
    /// Users by level, as listed.
    pub count: PerLevel<u64>,
    /// The sum of their event counts.
    pub reported_events: PerLevel<u64>,
    /// Since when the longest-standing user at each level has been there.
    pub oldest: PerLevel<Option<Timestamp>>,
}

impl Overview {
    fn add(&mut self, level: Level, events: u32, since: Timestamp) {
        let at = level.index();
        self.count[at] += 1;
        self.reported_events[at] += u64::from(events);
        self.oldest[at] = Some(self.oldest[at].map_or(since, |oldest| oldest.min(since)));
    }
}

/// All users ever listed, but for those who were off the list for long and dropped.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Sorted by id.
    users: Vec<User>,
    /// Since when those who are gone are.
    gone: HashMap<UserId, Timestamp>,
}

/// Whether a list tells who is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    Told,
    Unknown,
}

impl Roster {
    /// The roster that an earlier process left; `users` are sorted by id.
    pub(crate) fn restore(users: Vec<User>, gone: HashMap<UserId, Timestamp>) -> Self {
        Self { users, gone }
    }

    /// All users, sorted by id.
    pub(crate) fn users(&self) -> &[User] {
        &self.users
    }

    /// Since when the user has been gone; `None` for one who is listed, or unknown.
    pub(crate) fn gone_since(&self, id: UserId) -> Option<Timestamp> {
        self.gone.get(&id).copied()
    }

    /// The users who have been gone for `span` at `date`.
    pub(crate) fn gone_for(&self, span: Duration, date: Timestamp) -> Vec<UserId> {
        self.gone.iter().filter(|(_, since)| **since + span <= date).map(|(id, _)| *id).collect()
    }

    /// Drops users.
    pub(crate) fn remove(&mut self, mut ids: Vec<UserId>) {
        ids.sort_unstable();
        self.users.retain(|user| ids.binary_search(&user.id).is_err());
        for id in ids {
            self.gone.remove(&id);
        }
    }

    /// The user's row.
    pub(crate) fn get(&self, id: UserId) -> Option<&User> {
        self.users.binary_search_by_key(&id, |user| user.id).ok().and_then(|at| self.users.get(at))
    }

    /// How many users were ever listed.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }
    /// The listed users from `id` (excluded) on, around the end, each once.
    pub(crate) fn listed_after(&self, id: Option<UserId>) -> impl Iterator<Item = &User> {
        let start = id.map_or(0, |id| self.users.partition_point(|user| user.id <= id));
        let (before, after) = self.users.split_at(start);
        after.iter().chain(before).filter(|user| user.presence != Presence::Gone)
    }

    /// The first whole summary: everyone on it is covered, and no level is held to have changed.
    /// `epoch` is when counting begins.
    pub(crate) fn baseline(summary: &Summary, epoch: Timestamp) -> Comparison {
        let mut overview = Overview::default();
        let user = |&Row { user: id, tuple }: &Row| {
            overview.add(tuple.level, tuple.count, epoch);
            User {
                id,
                covered: tuple,
                ahead: 0,
                since: epoch,
                level: tuple.level,
                presence: Presence::Listed,
                coverage: Coverage::Covered,
                origin: Origin::Baseline,
            }
        };
        let users = summary.rows.iter().map(user).collect();
        Comparison { users, overview: Some(overview), ..Comparison::default() }
    }

    /// A later whole summary, read at `date`.
    pub(crate) fn compare(&self, summary: &Summary, date: Timestamp) -> Comparison {
        let absence = if summary.anonymous == 0 { Absence::Told } else { Absence::Unknown };
        self.walk(summary, date, absence)
    }

    /// A summary that is not whole, read at `date`: it only tells whose events are to be read. At which level
    /// a user is whom it names first, the next whole one says.
    pub(crate) fn compare_partial(&self, summary: &Summary, date: Timestamp) -> Comparison {
        let mut change = Comparison::default();
        for row in &summary.rows {
            match self.get(row.user) {
                Some(user) if user.is_changed(row.tuple) => {
                    change.changed.push((row.user, row.tuple, Some(user.standing())));
                }
                Some(_) => {}
                None => {
                    change.changed.push((row.user, row.tuple, None));
                    change.users.push(User { level: Level::Unknown, ..User::first_listed(row, date) });
                }
            }
        }
        change
    }

    fn walk(&self, summary: &Summary, date: Timestamp, absence: Absence) -> Comparison {
        let mut change = Comparison::default();
        let mut overview = Overview::default();
        let mut rows = summary.rows.iter().peekable();
        let mut known = self.users.iter().peekable();
        loop {
            match (known.peek(), rows.peek()) {
                (None, None) => break,
                (Some(user), Some(row)) if user.id == row.user => {
                    let since = change.listed(user, row.tuple, date);
                    overview.add(row.tuple.level, row.tuple.count, since);
                    known.next();
                    rows.next();
                }
                (Some(user), row) if row.is_none_or(|row| user.id < row.user) => {
                    let user = known.next().expect("it was just peeked");
                    if summary.unreadable.binary_search(&user.id).is_ok() {
                        overview.add(user.level, user.covered.count, user.since);
                        change.present(user);
                    } else if absence == Absence::Told {
                        change.missing(user);
                    }
                }
                _ => {
                    let row = rows.next().expect("the list of users is at its end or behind");
                    change.first_listed(row, date);
                    overview.add(row.tuple.level, row.tuple.count, date);
                }
            }
        }
        change.overview = Some(overview);
        change
    }

    /// Takes over what reading a known user's events changes, which is not whether the user is listed.
    pub(crate) fn replace(&mut self, user: User) {
        if let Ok(at) = self.users.binary_search_by_key(&user.id, |known| known.id) {
            self.users[at] = user;
        }
    }

    /// Takes over what a list of `date` changes.
    pub(crate) fn apply(&mut self, mut changed: Vec<User>, date: Timestamp) {
        for user in &changed {
            if user.presence == Presence::Gone {
                self.gone.entry(user.id).or_insert(date);
            } else if !self.gone.is_empty() {
                self.gone.remove(&user.id);
            }
        }
        if self.users.is_empty() {
            self.users = changed;
            return;
        }
        changed.retain(|new| match self.users.binary_search_by_key(&new.id, |user| user.id) {
            Ok(at) => {
                self.users[at] = *new;
                false
            }
            Err(_) => true,
        });
        if !changed.is_empty() {
            self.users.append(&mut changed);
            // Two sorted runs: this is a merge.
            self.users.sort_by_key(|user| user.id);
        }
    }
}

impl Comparison {
    /// A known user is listed with `tuple`; since when it has had its level, now.
    fn listed(&mut self, user: &User, tuple: RowFingerprint, date: Timestamp) -> Timestamp {
        let standing = user.standing();
        if user.is_changed(tuple) {
            self.changed.push((user.id, tuple, Some(standing)));
        }
        let mut now = User { presence: Presence::Listed, ..*user };
        let from = match (user.presence, user.origin, user.level) {
            // Only now does it show at which level the user was first listed.
            (Presence::Gone, ..) | (_, Origin::Observed, Level::Unknown | Level::Unrecognized) => None,
            _ => Some(user.level),
        };
        if user.presence == Presence::Gone {
            now.coverage = Coverage::Nothing;
            (now.level, now.since, now.origin) = (tuple.level, date, Origin::Observed);
        } else if tuple.level != user.level && tuple.level.is_known() {
            (now.level, now.since, now.origin) = (tuple.level, date, Origin::Observed);
        }
        if from != Some(now.level) {
            self.moved(from, Some(now.level));
        }
        if now != *user {
            self.users.push(now);
        }
        now.since
    }

    fn first_listed(&mut self, row: &Row, date: Timestamp) {
        self.changed.push((row.user, row.tuple, None));
        self.moved(None, Some(row.tuple.level));
        self.users.push(User::first_listed(row, date));
    }

    /// A known user has a row that says no more than that.
    fn present(&mut self, user: &User) {
        if user.presence == Presence::Missed {
            self.users.push(User { presence: Presence::Listed, ..*user });
        }
    }

    fn missing(&mut self, user: &User) {
        match user.presence {
            Presence::Listed => self.users.push(User { presence: Presence::Missed, ..*user }),
            Presence::Missed => {
                self.users.push(User { presence: Presence::Gone, ..*user });
                self.gone.push(user.id);
                self.moved(Some(user.level), None);
            }
            Presence::Gone => {}
        }
    }

    /// Counts a move; none to or from an unknown level.
    fn moved(&mut self, from: Option<Level>, to: Option<Level>) {
        if from.is_none_or(Level::is_known) && to.is_none_or(Level::is_known) {
            let index = |level: Option<Level>| level.map_or(0, Level::index);
            self.level_changes[index(from)][index(to)] += 1;
        }
    }
}
