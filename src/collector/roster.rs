//! Who is on the risk list, at which level and since when, and what one reading of the summary changes.
//!
//! A reading is compared first ([`Roster::compare`]) and applied later ([`Roster::apply`]). A million users are a
//! sorted table of 48 bytes a row. A user whose row did not change costs one comparison.

mod user;

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::feed::record::Cause;
use crate::model::{EventCount, Level, LevelChanges, PerLevel, Row, RowFingerprint, Summary, UserId};
pub(crate) use user::{Coverage, LevelSince, Origin, Presence, User};

/// What a reading of the summary changes.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The new values of the users that change, sorted by id.
    pub users: Vec<User>,
    /// Users whose events must be read, with the row listed now, and the level before.
    pub changed: Vec<(UserId, RowFingerprint, Option<LevelSince>)>,
    /// Users who left the list with this reading.
    pub gone: Vec<UserId>,
    /// Changes of level.
    pub level_changes: LevelChanges,
    /// The same, one by one.
    pub moves: Vec<LevelMove>,
    /// Totals over the list, if it is complete.
    pub overview: Option<Overview>,
}

/// A counted change of one user's level. `None` stands for a user who is not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LevelMove {
    pub id: UserId,
    pub from: Option<Level>,
    pub to: Option<Level>,
    pub cause: Cause,
}

/// Totals over a complete list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overview {
    /// Users by level, as listed.
    pub count: PerLevel<u64>,
    /// The sum of their event counts.
    pub reported_events: PerLevel<u64>,
    /// Since when the user who has been at a level longest has been there.
    pub oldest: PerLevel<Option<Timestamp>>,
}

impl Overview {
    fn add(&mut self, level: Level, events: EventCount, since: Timestamp) {
        let at = level.index();
        self.count[at] += 1;
        self.reported_events[at] += u64::from(events.or_zero());
        self.oldest[at] = Some(self.oldest[at].map_or(since, |oldest| oldest.min(since)));
    }
}

/// All users ever listed, except for those who were dropped long after they left.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Sorted by id.
    users: Vec<User>,
    /// When each user who is gone left the list.
    gone: HashMap<UserId, Timestamp>,
}

/// Whether a list shows which users are missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    Known,
    Unknown,
}

impl Roster {
    /// Restores the roster of an earlier process. `users` are sorted by id.
    pub(crate) fn restore(users: Vec<User>, gone: HashMap<UserId, Timestamp>) -> Self {
        Self { users, gone }
    }

    /// All users, sorted by id.
    pub(crate) fn users(&self) -> &[User] {
        &self.users
    }

    /// When the user left the list; `None` for a user who is listed or unknown.
    pub(crate) fn gone_since(&self, id: UserId) -> Option<Timestamp> {
        self.gone.get(&id).copied()
    }

    /// The users who left the list at least `span` before `date`.
    pub(crate) fn gone_for(&self, span: Duration, date: Timestamp) -> Vec<UserId> {
        self.gone.iter().filter(|(_, since)| **since + span <= date).map(|(id, _)| *id).collect()
    }

    /// Levels and absences that began at `limit` or later began at `date` from now on. Returns the users that changed.
    pub(crate) fn move_starts(&mut self, limit: Timestamp, date: Timestamp) -> Vec<UserId> {
        let mut changed = Vec::new();
        for user in self.users.iter_mut().filter(|user| user.since >= limit) {
            user.since = date;
            changed.push(user.id);
        }
        for (id, gone) in self.gone.iter_mut().filter(|(_, gone)| **gone >= limit) {
            *gone = date;
            changed.push(*id);
        }
        changed
    }

    /// Removes users for good.
    pub(crate) fn remove(&mut self, mut ids: Vec<UserId>) {
        ids.sort_unstable();
        self.users.retain(|user| ids.binary_search(&user.id).is_err());
        for id in ids {
            self.gone.remove(&id);
        }
    }

    /// What is kept about the user.
    pub(crate) fn get(&self, id: UserId) -> Option<&User> {
        self.users.binary_search_by_key(&id, |user| user.id).ok().and_then(|at| self.users.get(at))
    }

    /// How many users are kept.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether the list of users has the user.
    pub(crate) fn is_listed(&self, id: UserId) -> bool {
        self.get(id).is_some_and(|user| user.presence != Presence::Gone)
    }

    /// The listed users after `id`, then those from the start up to it, each once.
    pub(crate) fn listed_after(&self, id: Option<UserId>) -> impl Iterator<Item = &User> {
        let start = id.map_or(0, |id| self.users.partition_point(|user| user.id <= id));
        let (before, after) = self.users.split_at(start);
        after.iter().chain(before).filter(|user| user.presence != Presence::Gone)
    }

    /// The first complete summary: all its users are covered, and no level counts as changed.
    /// `epoch` is when counting begins.
    pub(crate) fn baseline(summary: &Summary, epoch: Timestamp) -> Comparison {
        let mut overview = Overview::default();
        let user = |&Row { user: id, tuple: fingerprint }: &Row| {
            overview.add(fingerprint.level, fingerprint.count, epoch);
            User {
                id,
                covered: fingerprint,
                ahead: 0,
                since: epoch,
                level: fingerprint.level,
                presence: Presence::Listed,
                coverage: Coverage::Covered,
                origin: Origin::Baseline,
            }
        };
        let users = summary.rows.iter().map(user).collect();
        Comparison { users, overview: Some(overview), ..Comparison::default() }
    }

    /// Compares a later complete summary, read at `date`.
    pub(crate) fn compare(&self, summary: &Summary, date: Timestamp) -> Comparison {
        let absence = if summary.anonymous == 0 { Absence::Known } else { Absence::Unknown };
        self.merge(summary, date, absence)
    }

    /// Compares a partial summary, read at `date`: it only shows whose events must be read. If it lists a user for the
    /// first time, the user's level stays unknown until the next complete summary.
    pub(crate) fn compare_partial(&self, summary: &Summary, date: Timestamp) -> Comparison {
        let mut change = Comparison::default();
        for row in &summary.rows {
            match self.get(row.user) {
                Some(user) if user.is_changed(row.tuple) => {
                    change.changed.push((row.user, row.tuple, Some(user.level_since())));
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

    fn merge(&self, summary: &Summary, date: Timestamp, absence: Absence) -> Comparison {
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
                    } else if absence == Absence::Known {
                        change.missing(user);
                    }
                }
                _ => {
                    let row = rows.next().expect("no known user comes before this row");
                    change.first_listed(row, date);
                    overview.add(row.tuple.level, row.tuple.count, date);
                }
            }
        }
        change.overview = Some(overview);
        change
    }

    /// Replaces what is kept about a known user.
    pub(crate) fn replace(&mut self, user: User) {
        if let Ok(at) = self.users.binary_search_by_key(&user.id, |known| known.id) {
            self.users[at] = user;
        }
    }

    /// Applies the changes of a summary read at `date`.
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
            // Two sorted runs, so the sort is a merge.
            self.users.sort_by_key(|user| user.id);
        }
    }
}

impl Comparison {
    /// A known user is listed with this row. Returns since when the user has had its level.
    fn listed(&mut self, user: &User, fingerprint: RowFingerprint, date: Timestamp) -> Timestamp {
        let level_since = user.level_since();
        if user.is_changed(fingerprint) {
            self.changed.push((user.id, fingerprint, Some(level_since)));
        }
        let mut now = User { presence: Presence::Listed, ..*user };
        if user.learns_count(fingerprint) {
            now.covered = fingerprint;
        }
        let from = match (user.presence, user.origin, user.level) {
            // The level at which the user was first listed is known only now.
            (Presence::Gone, ..) | (_, Origin::Observed, Level::Unknown | Level::Unrecognized) => None,
            _ => Some(user.level),
        };
        if user.presence == Presence::Gone {
            now.coverage = Coverage::Uncovered;
            (now.level, now.since, now.origin) = (fingerprint.level, date, Origin::Observed);
        } else if fingerprint.level != user.level && fingerprint.level.is_known() {
            (now.level, now.since, now.origin) = (fingerprint.level, date, Origin::Observed);
        }
        if from != Some(now.level) {
            let cause = if from.is_none() { Cause::Event } else { cause(user.covered, fingerprint) };
            self.count_level_change(user.id, from, Some(now.level), cause);
        }
        if now != *user {
            self.users.push(now);
        }
        now.since
    }

    fn first_listed(&mut self, row: &Row, date: Timestamp) {
        self.changed.push((row.user, row.tuple, None));
        self.count_level_change(row.user, None, Some(row.tuple.level), Cause::Event);
        self.users.push(User::first_listed(row, date));
    }

    /// A known user has a row that cannot be read.
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
                self.count_level_change(user.id, Some(user.level), None, Cause::Removal);
            }
            Presence::Gone => {}
        }
    }

    /// Counts a change of level, unless one of the two levels is unknown.
    fn count_level_change(&mut self, id: UserId, from: Option<Level>, to: Option<Level>, cause: Cause) {
        if from.is_none_or(Level::is_known) && to.is_none_or(Level::is_known) {
            let index = |level: Option<Level>| level.map_or(0, Level::index);
            self.level_changes[index(from)][index(to)] += 1;
            self.moves.push(LevelMove { id, from, to, cause });
        }
    }
}

/// Why the level of a listed user changed: what happened since the row that was read last.
fn cause(covered: RowFingerprint, now: RowFingerprint) -> Cause {
    let fell =
        |before: Option<u32>, now: Option<u32>| before.zip(now).is_some_and(|(before, now)| now < before);
    if now.last_event < covered.last_event || fell(covered.count.known(), now.count.known()) {
        Cause::Reset
    } else if (now.last_event, now.count) == (covered.last_event, covered.count) {
        Cause::Setting
    } else {
        Cause::Event
    }
}
