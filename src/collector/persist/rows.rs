//! The rows of single users: each is written here, and read back.

use std::time::Duration;

use super::bytes::{Reader, Row};
use crate::clock::{Instant, Timestamp};
use crate::collector::behavior_labels::LabelId;
use crate::collector::ledger::{Counted, Record};
use crate::collector::queue::{Pending, Reason, Tries};
use crate::collector::roster::{Coverage, Origin, Presence, Standing, User};
use crate::collector::top_users::Selection;
use crate::model::{Level, RowFingerprint, UserId};
use crate::store::row::Unreadable;

/// Both clocks at one instant. Moments mean nothing to another process, so they are saved as dates.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On the clock of this process.
    pub moment: Instant,
    /// On the wall.
    pub date: Timestamp,
}

impl Now {
    fn date_of(self, moment: Instant) -> Timestamp {
        self.date + moment.since(self.moment)
    }

    /// The moment of a saved date. One that is further off than `most` is a clock that was set back.
    pub(crate) fn moment_of(self, date: Timestamp, most: Duration) -> Instant {
        self.moment + date.since(self.date).min(most)
    }
}

/// Whose turn is still to come, as saved.
#[derive(Clone, Copy, Debug)]
pub struct SavedPending {
    /// All but its place in the queue.
    pub pending: Pending,
    /// Before when the user is not to be read.
    pub due: Option<Timestamp>,
}

/// Writes the row of a user on the list, or who was.
pub(crate) fn user(user: &User, gone: Option<Timestamp>) -> Vec<u8> {
    let User { id: _, covered, ahead, since, level, presence, coverage, origin } = user;
    let mut row = Row::default();
    put_tuple(&mut row, covered);
    row.u32(*ahead).time(*since).u8(level.index() as u8);
    row.u8(*presence as u8).u8(*coverage as u8).u8(*origin as u8);
    if let Some(gone) = gone {
        row.time(gone);
    }
    row.done()
}

/// Writes what is kept of a user's events.
pub(crate) fn record(record: &Record) -> Vec<u8> {
    let Record { keys, last_reset, since_reset, floor, beyond } = record;
    let mut row = Row::default();
    row.maybe_time(*last_reset).maybe_time(*floor).u32(*beyond);
    row.u16(u16::try_from(since_reset.len()).expect("there are at most 321 labels"));
    for label in since_reset {
        row.u16(label.number());
    }
    for Counted { key, at, absent_since } in keys {
        row.u64(*key).time(*at).maybe_time(*absent_since);
    }
    row.done()
}

/// Writes why and since when a user waits.
pub(crate) fn pending(pending: &Pending, due: Option<Instant>, now: Now) -> Vec<u8> {
    let Pending { latest, before, reason, since, peak, tries, failures } = pending;
    let Tries { count, found, reset, owed } = tries;
    let mut row = Row::default();
    put_tuple(&mut row, latest);
    row.u8(*reason as u8).time(*since).u32(*peak).u8(*failures);
    row.u8(*count).u32(*found).maybe_time(*reset).u32(*owed);
    row.maybe_time(due.map(|due| now.date_of(due)));
    if let Some(Standing { level, since, origin }) = before {
        row.u8(level.index() as u8).time(*since).u8(*origin as u8);
    }
    row.done()
}

/// Writes what the page shows of a user, but for the name.
pub(crate) fn chosen(chosen: &Selection, stays_until: Option<Instant>, now: Now) -> Vec<u8> {
    let mut row = Row::default();
    put_tuple(&mut row, &chosen.tuple);
    row.maybe_time(stays_until.map(|until| now.date_of(until)));
    row.done()
}

fn put_tuple(row: &mut Row, tuple: &RowFingerprint) {
    let RowFingerprint { last_event, count, level } = tuple;
    row.time(*last_event).u32(*count).u8(level.index() as u8);
}

pub(super) fn read_user(id: UserId, row: &mut Reader<'_>) -> Result<(User, Option<Timestamp>), Unreadable> {
    let (covered, ahead, since, level) = (read_tuple(row)?, row.u32()?, row.time()?, read_level(row)?);
    let presence = row.one_of(&[Presence::Listed, Presence::Missed, Presence::Gone])?;
    let coverage = row.one_of(&[Coverage::Covered, Coverage::Nothing])?;
    let origin = read_origin(row)?;
    let gone = if presence == Presence::Gone { Some(row.time()?) } else { None };
    Ok((User { id, covered, ahead, since, level, presence, coverage, origin }, gone))
}

pub(super) fn read_record(row: &mut Reader<'_>) -> Result<Record, Unreadable> {
    let (last_reset, floor, beyond) = (row.maybe_time()?, row.maybe_time()?, row.u32()?);
    let labels = row.u16()?;
    let since_reset =
        (0..labels).map(|_| Ok(LabelId::from_number(row.u16()?))).collect::<Result<_, Unreadable>>()?;
    let mut keys: Vec<Counted> = Vec::new();
    while !row.is_empty() {
        let counted = Counted { key: row.u64()?, at: row.time()?, absent_since: row.maybe_time()? };
        if keys.last().is_some_and(|last| last.key >= counted.key) {
            return Err(Unreadable("the keys of a user are not in order"));
        }
        keys.push(counted);
    }
    Ok(Record { keys, last_reset, since_reset, floor, beyond })
}

pub(super) fn read_pending(row: &mut Reader<'_>) -> Result<SavedPending, Unreadable> {
    let latest = read_tuple(row)?;
    let reason = row.one_of(&[Reason::Changed, Reason::Gone])?;
    let (since, peak, failures) = (row.time()?, row.u32()?, row.u8()?);
    let tries = Tries { count: row.u8()?, found: row.u32()?, reset: row.maybe_time()?, owed: row.u32()? };
    let due = row.maybe_time()?;
    let before = if row.is_empty() {
        None
    } else {
        Some(Standing { level: read_level(row)?, since: row.time()?, origin: read_origin(row)? })
    };
    let pending = Pending { peak, tries, failures, ..Pending::new(latest, before, reason, since) };
    Ok(SavedPending { pending, due })
}

pub(super) fn read_tuple(row: &mut Reader<'_>) -> Result<RowFingerprint, Unreadable> {
    Ok(RowFingerprint { last_event: row.time()?, count: row.u32()?, level: read_level(row)? })
}

fn read_level(row: &mut Reader<'_>) -> Result<Level, Unreadable> {
    row.one_of(&Level::ALL)
}

fn read_origin(row: &mut Reader<'_>) -> Result<Origin, Unreadable> {
    row.one_of(&[Origin::Baseline, Origin::Observed])
}
