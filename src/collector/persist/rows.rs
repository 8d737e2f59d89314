//! Writes and reads the rows of single users.

use std::time::Duration;

use super::bytes::{RowReader, RowWriter};
use crate::clock::{Instant, Timestamp};
use crate::collector::behavior_labels::LabelId;
use crate::collector::ledger::{Counted, Record};
use crate::collector::queue::{Attempts, Pending, Reason};
use crate::collector::roster::{Coverage, LevelSince, Origin, Presence, User};
use crate::collector::top_users::Selection;
use crate::model::{EventCount, Level, RowFingerprint, UserId};
use crate::store::row::Unreadable;

/// The same time on both clocks. Instants have no meaning in another process, so they are saved as dates.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On the clock of this process.
    pub instant: Instant,
    /// On the wall clock.
    pub date: Timestamp,
}

impl Now {
    fn date_of(self, instant: Instant) -> Timestamp {
        self.date + instant.since(self.instant)
    }

    /// The instant of a saved date, at most `longest` from now: a later date means that the clock was set back.
    pub(crate) fn instant_of(self, date: Timestamp, longest: Duration) -> Instant {
        self.instant + date.since(self.date).min(longest)
    }
}

/// The levels in the order of their numbers.
const LEVELS: [Level; 5] = [Level::Unknown, Level::Low, Level::Medium, Level::High, Level::Unrecognized];

/// Stands for a count that is unknown.
const UNKNOWN_COUNT: u32 = u32::MAX;

/// An entry of the queue as it is saved.
#[derive(Clone, Copy, Debug)]
pub struct SavedPending {
    /// The entry without its place.
    pub pending: Pending,
    /// The date before which the user must not be read.
    pub due: Option<Timestamp>,
}

/// Writes the row of a user who is or was listed.
pub(crate) fn write_user(user: &User, gone: Option<Timestamp>) -> Vec<u8> {
    let User { id: _, covered, ahead, since, level, presence, coverage, origin } = user;
    let mut row = RowWriter::default();
    put_fingerprint(&mut row, covered);
    row.u32(*ahead).time(*since).u8(*level as u8);
    row.u8(*presence as u8).u8(*coverage as u8).u8(*origin as u8);
    if let Some(gone) = gone {
        row.time(gone);
    }
    row.finish()
}

/// Writes what is kept about a user's events.
pub(crate) fn write_record(record: &Record) -> Vec<u8> {
    let Record { keys, last_reset, since_reset, floor, future_skipped } = record;
    let mut row = RowWriter::default();
    row.maybe_time(*last_reset).maybe_time(*floor).u32(*future_skipped);
    row.u16(u16::try_from(since_reset.len()).expect("there are at most 321 labels"));
    for label in since_reset {
        row.u16(label.number());
    }
    for Counted { key, at, absent_since } in keys {
        row.u64(*key).time(*at).maybe_time(*absent_since);
    }
    row.finish()
}

/// Writes an entry of the queue.
pub(crate) fn write_pending(pending: &Pending, due: Option<Instant>, now: Now) -> Vec<u8> {
    let Pending { latest, level_before, reason, since, peak, attempts, failures, retry: _ } = pending;
    let Attempts { count, found, reset, owed } = attempts;
    let mut row = RowWriter::default();
    put_fingerprint(&mut row, latest);
    row.u8(*reason as u8).time(*since).u32(*peak).u8(*failures);
    row.u8(*count).u32(*found).maybe_time(*reset).u32(*owed);
    row.maybe_time(due.map(|due| now.date_of(due)));
    if let Some(LevelSince { level, since, origin }) = level_before {
        row.u8(*level as u8).time(*since).u8(*origin as u8);
    }
    row.finish()
}

/// Writes a user with series of its own, without e-mail address and name.
pub(crate) fn write_selection(selection: &Selection, protected_until: Option<Instant>, now: Now) -> Vec<u8> {
    let mut row = RowWriter::default();
    put_fingerprint(&mut row, &selection.fingerprint);
    row.maybe_time(protected_until.map(|until| now.date_of(until)));
    row.finish()
}

fn put_fingerprint(row: &mut RowWriter, fingerprint: &RowFingerprint) {
    let RowFingerprint { last_event, count, level } = fingerprint;
    row.time(*last_event).u32(count.known().unwrap_or(UNKNOWN_COUNT)).u8(*level as u8);
}

pub(super) fn read_user(
    id: UserId,
    row: &mut RowReader<'_>,
) -> Result<(User, Option<Timestamp>), Unreadable> {
    let (covered, ahead, since, level) = (read_fingerprint(row)?, row.u32()?, row.time()?, read_level(row)?);
    let presence = row.one_of(&[Presence::Listed, Presence::Missed, Presence::Gone])?;
    let coverage = row.one_of(&[Coverage::Covered, Coverage::Uncovered])?;
    let origin = read_origin(row)?;
    let gone = if presence == Presence::Gone { Some(row.time()?) } else { None };
    Ok((User { id, covered, ahead, since, level, presence, coverage, origin }, gone))
}

pub(super) fn read_record(row: &mut RowReader<'_>) -> Result<Record, Unreadable> {
    let (last_reset, floor, future_skipped) = (row.maybe_time()?, row.maybe_time()?, row.u32()?);
    let labels = row.u16()?;
    let since_reset =
        (0..labels).map(|_| Ok(LabelId::from_number(row.u16()?))).collect::<Result<_, Unreadable>>()?;
    let mut keys: Vec<Counted> = Vec::new();
    while !row.is_empty() {
        let counted = Counted { key: row.u64()?, at: row.time()?, absent_since: row.maybe_time()? };
        if keys.last().is_some_and(|last| last.key >= counted.key) {
            return Err(Unreadable("the keys of a user are not sorted"));
        }
        keys.push(counted);
    }
    Ok(Record { keys, last_reset, since_reset, floor, future_skipped })
}

pub(super) fn read_pending(row: &mut RowReader<'_>) -> Result<SavedPending, Unreadable> {
    let latest = read_fingerprint(row)?;
    let reason = row.one_of(&[Reason::Changed, Reason::Gone])?;
    let (since, peak, failures) = (row.time()?, row.u32()?, row.u8()?);
    let attempts =
        Attempts { count: row.u8()?, found: row.u32()?, reset: row.maybe_time()?, owed: row.u32()? };
    let due = row.maybe_time()?;
    let level_before = if row.is_empty() {
        None
    } else {
        Some(LevelSince { level: read_level(row)?, since: row.time()?, origin: read_origin(row)? })
    };
    let pending = Pending { peak, attempts, failures, ..Pending::new(latest, level_before, reason, since) };
    Ok(SavedPending { pending, due })
}

pub(super) fn read_fingerprint(row: &mut RowReader<'_>) -> Result<RowFingerprint, Unreadable> {
    // An unknown time is written as an absent one.
    let last_event = row.maybe_time()?.unwrap_or(Timestamp::UNKNOWN);
    Ok(RowFingerprint { last_event, count: EventCount::from(row.u32()?), level: read_level(row)? })
}

fn read_level(row: &mut RowReader<'_>) -> Result<Level, Unreadable> {
    row.one_of(&LEVELS)
}

fn read_origin(row: &mut RowReader<'_>) -> Result<Origin, Unreadable> {
    row.one_of(&[Origin::Baseline, Origin::Observed])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_as_it_was_written_whatever_is_unknown_of_it() {
        let id = UserId::from_u128(1);
        let at = Timestamp::from_seconds(1_700_000_000);
        let now = Now { instant: Instant::default(), date: at };
        let usual = RowFingerprint { last_event: at, count: 2.into(), level: Level::High };
        let levels = LEVELS.map(|level| RowFingerprint { level, ..usual });
        let others = [
            RowFingerprint { last_event: Timestamp::UNKNOWN, ..usual },
            RowFingerprint { count: EventCount::UNKNOWN, ..usual },
        ];
        for fingerprint in levels.into_iter().chain(others) {
            let user = User {
                id,
                covered: fingerprint,
                ahead: 1,
                since: at,
                level: fingerprint.level,
                presence: Presence::Listed,
                coverage: Coverage::Covered,
                origin: Origin::Baseline,
            };
            let row = write_user(&user, None);
            assert_eq!(read_user(id, &mut RowReader::new(&row)).unwrap(), (user, None));
            let pending = Pending::new(fingerprint, Some(user.level_since()), Reason::Changed, at);
            let row = write_pending(&pending, Some(now.instant), now);
            let read = read_pending(&mut RowReader::new(&row)).unwrap();
            assert_eq!((read.pending, read.due), (pending, Some(at)));
            let selection = Selection { id, fingerprint, identity: None };
            let row = write_selection(&selection, None, now);
            assert_eq!(read_fingerprint(&mut RowReader::new(&row)).unwrap(), fingerprint);
        }
        let row = [u8::MAX];
        assert!(read_level(&mut RowReader::new(&row)).is_err(), "a level of a later version");
    }
}
