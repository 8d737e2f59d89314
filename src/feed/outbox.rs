//! The records of one account that are not written to every sink yet.
//!
//! A record gets its number and its bytes when it is counted, and is saved in the same transaction as the counter. Sinks see it
//! once that is on disk. When all sinks have it, it is removed here and from the state file.
//!
//! Numbers continue for ever. What a process counts is an epoch of its own, in which sequences begin with 1: an older copy of the
//! state file has numbers that were given to other records since, so its ids must be others.
//!
//! The account's poller adds records and saves them; the sinks take them. Nothing here does I/O, and no lock is held longer than a
//! few records take.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Format;
use super::record::{Content, GapReason, Record, RecordId, RecordKind, RecordUser};
use super::saved::{self, Epoch, SavedFeed, SavedRecord};
use super::signal::Signal;
use super::sink_kind::SinkKind;
use crate::clock::Timestamp;
use crate::model::UserId;

/// Bytes of lines that may wait for each record of the limit: a line has about 500.
const BYTES_EACH: usize = 1_024;

/// How much may wait of all accounts together.
#[derive(Debug)]
pub struct Buffer {
    limit: usize,
    records: AtomicUsize,
    bytes: AtomicUsize,
}

impl Buffer {
    /// At most `limit` records, and 1 KiB for each of them in total.
    pub fn new(limit: usize) -> Self {
        Self { limit, records: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    fn add(&self, line: &str) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(line.len(), Ordering::Relaxed);
    }

    fn remove(&self, line: &str) {
        self.records.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(line.len(), Ordering::Relaxed);
    }

    fn is_exceeded(&self) -> bool {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.records.load(Ordering::Relaxed) > self.limit || bytes > self.limit.saturating_mul(BYTES_EACH)
    }
}

/// A record before it gets its number.
#[derive(Debug)]
pub(crate) struct Draft {
    /// When it happened.
    pub(crate) time: Timestamp,
    /// The user that it concerns.
    pub(crate) subject: Option<UserId>,
    /// How it names that user.
    pub(crate) user: Option<RecordUser>,
    /// What happened.
    pub(crate) content: Content,
}

/// The records of an account that some sink has not written.
#[derive(Debug)]
pub struct Outbox {
    account: String,
    sinks: Vec<SinkKind>,
    buffer: Arc<Buffer>,
    /// Wakes the sinks.
    news: Arc<Signal>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// By their first number. The last one is that of this process.
    epochs: Vec<Epoch>,
    /// The number of the next record.
    next: u64,
    /// Records below this number were handed over to a commit; those that it did not change are in the file.
    handed: u64,
    /// Records below this number are on disk.
    durable: u64,
    /// Sorted by number, without a gap.
    entries: VecDeque<Entry>,
    /// Of each sink, in the order of [`Outbox::sinks`].
    positions: Vec<Position>,
    /// The rows of older records that differ from the file, by last number.
    changed: BTreeSet<u64>,
    /// Those of them that were handed over to a commit that has not ended.
    changed_handed: BTreeSet<u64>,
}

#[derive(Debug)]
struct Entry {
    /// The numbers that it stands for: more than one for a gap.
    first: u64,
    last: u64,
    kind: RecordKind,
    subject: Option<UserId>,
    logged_time: Timestamp,
    line: Arc<str>,
}

/// How far a sink is.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// The first number that it has not written.
    next: u64,
    /// Up to here it may have written something in this process.
    taken: u64,
    /// Up to here an earlier process may have written something.
    inherited: u64,
    /// Records that it never gets.
    dropped: u64,
}

/// A line for a sink.
#[derive(Clone, Debug)]
pub struct Line {
    /// The number of the record.
    pub sequence: u64,
    /// Its kind.
    pub kind: RecordKind,
    /// Its bytes, with the newline.
    pub text: Arc<str>,
}

/// A row of the state file: its number, and its value; `None` removes it.
pub(crate) type Row = (u64, Option<Vec<u8>>);

/// Which rows are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All, because the file has none.
    All,
    /// Those that differ from the file.
    Changed,
}

/// What waits for a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    /// Records that are counted, but not written.
    pub(crate) records: u64,
    /// When the oldest of them was recorded.
    pub(crate) oldest: Option<Timestamp>,
    /// Records that were dropped since the start of the process.
    pub(crate) dropped: u64,
}

impl Outbox {
    /// Continues with the records that an earlier process saved, and begins another epoch at `date`. A sink that is new gets the
    /// records from now on.
    pub fn restore(
        (id, alias): (&str, &str),
        saved: SavedFeed,
        format: Format,
        (sinks, buffer, news): (&[SinkKind], &Arc<Buffer>, &Arc<Signal>),
        date: Timestamp,
    ) -> Self {
        let SavedFeed { next, mut epochs, positions, records } = saved;
        let next = next.unwrap_or(1);
        let mut changed = BTreeSet::new();
        let entry = |(last, saved): (u64, SavedRecord)| {
            let SavedRecord { first, kind, subject, logged_time, line } = saved;
            let line = line.unwrap_or_else(|| {
                // `state forget` left the numbers only.
                changed.insert(last);
                gap(
                    record_id(id, &epochs, last),
                    alias,
                    last - first + 1,
                    GapReason::Forgotten,
                    logged_time,
                    format,
                )
            });
            buffer.add(&line);
            Entry { first, last, kind, subject, logged_time, line: line.into() }
        };
        let entries: VecDeque<Entry> = records.into_iter().map(entry).collect();
        // The clock may have been set back.
        let after_latest = epochs.iter().map(|known| known.epoch + 1).max().unwrap_or_default();
        let ends: Vec<u64> = epochs.iter().skip(1).map(|later| later.first).chain([next]).collect();
        let mut ends = ends.into_iter();
        epochs.retain(|known| {
            let end = ends.next().unwrap_or(next);
            entries.iter().any(|entry| (known.first..end).contains(&entry.last))
        });
        let epoch = u64::try_from(date.millis()).unwrap_or_default().max(after_latest);
        epochs.push(Epoch { epoch, first: next });
        let position = |sink: &SinkKind| {
            let written = positions.get(sink.as_str()).copied().unwrap_or(next).min(next);
            Position { next: written, taken: written, inherited: next, dropped: 0 }
        };
        let mut waiting = Waiting {
            epochs,
            next,
            handed: next,
            durable: next,
            entries,
            positions: sinks.iter().map(position).collect(),
            changed,
            changed_handed: BTreeSet::new(),
        };
        // What only a sink waited for that is gone.
        let removed = waiting.remove_written(buffer);
        if !removed.is_empty() {
            tracing::warn!(
                account = alias,
                records = removed.len(),
                "records are dropped that waited for a sink of the feed that is not configured any more"
            );
        }
        waiting.changed.extend(removed);
        Self {
            account: id.to_owned(),
            sinks: sinks.to_vec(),
            buffer: Arc::clone(buffer),
            news: Arc::clone(news),
            waiting: Mutex::new(waiting),
        }
    }

    /// The account's id.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// Whether no record waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().entries.is_empty()
    }

    /// Adds a record, which the sinks see once it is saved. If the buffer is full, the oldest ones become a gap.
    pub(crate) fn push(&self, alias: &str, draft: Draft, logged_time: Timestamp, format: Format) {
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        let id = record_id(&self.account, &waiting.epochs, number);
        let Draft { time, subject, user, content } = draft;
        let kind = content.kind();
        let record = Record { id, alias: alias.to_owned(), time, logged_time, user, content };
        let line: Arc<str> = format.encode(&record).into();
        self.buffer.add(&line);
        let entry = Entry { first: number, last: number, kind, subject, logged_time, line };
        waiting.entries.push_back(entry);
        while self.buffer.is_exceeded() && self.drop_oldest(&mut waiting, alias, logged_time, format) {}
    }

    /// Makes the two oldest records that no sink has touched one gap. Returns whether there were two.
    fn drop_oldest(&self, waiting: &mut Waiting, alias: &str, date: Timestamp, format: Format) -> bool {
        let Waiting { epochs, entries, positions, .. } = waiting;
        // A sink may have written what is before this. What it has written is no part of a gap. A gap is in one epoch.
        let is_border = |at: u64| {
            positions.iter().any(|sink| sink.next == at || sink.taken == at)
                || epochs.iter().any(|epoch| epoch.first == at)
        };
        let may_have = |sink: &Position, entry: &Entry| {
            sink.next <= entry.first && entry.first < sink.taken.max(sink.inherited)
        };
        let is_touched = |entry: &Entry| positions.iter().any(|sink| may_have(sink, entry));
        let pairs = entries.iter().zip(entries.iter().skip(1));
        let Some(at) = pairs
            .into_iter()
            .position(|(one, other)| !is_touched(one) && !is_touched(other) && !is_border(other.first))
        else {
            return false;
        };
        let (Some(one), Some(other)) = (entries.get(at), entries.get(at + 1)) else { return false };
        let (first, last) = (one.first, other.last);
        let (one_is_gap, other_is_gap) = (is_dropped(one), is_dropped(other));
        let logged_time = if one_is_gap { one.logged_time } else { date };
        let id = record_id(&self.account, epochs, last);
        let line: Arc<str> =
            gap(id, alias, last - first + 1, GapReason::BufferFull, logged_time, format).into();
        self.buffer.remove(&one.line);
        self.buffer.remove(&other.line);
        self.buffer.add(&line);
        let newly_dropped = u64::from(!one_is_gap) + u64::from(!other_is_gap);
        for sink in positions.iter_mut().filter(|sink| sink.next <= first) {
            sink.dropped += newly_dropped;
        }
        let removed = one.last;
        entries.remove(at);
        if let Some(entry) = entries.get_mut(at) {
            *entry = Entry { first, last, kind: RecordKind::Gap, subject: None, logged_time, line };
        }
        waiting.changed.insert(removed);
        waiting.changed.insert(last);
        true
    }

    /// Whether something differs from the file.
    pub(crate) fn is_unsaved(&self) -> bool {
        let waiting = self.waiting();
        waiting.next > waiting.handed || !waiting.changed.is_empty()
    }

    /// The rows that differ from the file, or all.
    pub(crate) fn unsaved_rows(&self, extent: Extent) -> Vec<Row> {
        let waiting = self.waiting();
        let from = match extent {
            Extent::All => 0,
            Extent::Changed => waiting.handed,
        };
        let start = waiting.entries.partition_point(|entry| entry.last < from);
        let new = waiting.entries.range(start..).map(|entry| (entry.last, Some(entry.saved().write())));
        let mut rows: Vec<Row> = Vec::new();
        for last in waiting.changed.range(..from) {
            rows.push((*last, waiting.get(*last).map(|entry| entry.saved().write())));
        }
        rows.extend(new);
        rows
    }

    /// The document that says where the feed is, as it is saved together with the rows.
    pub(crate) fn place(&self) -> Vec<u8> {
        let waiting = self.waiting();
        saved::write_place(&waiting.epochs, waiting.next)
    }

    /// The document that says how far each sink is.
    pub fn positions(&self) -> Vec<u8> {
        let waiting = self.waiting();
        saved::write_positions(self.sinks.iter().zip(&waiting.positions).map(|(sink, at)| (*sink, at.next)))
    }

    /// Everything unsaved was handed over to a commit.
    pub fn handed_over(&self) {
        let mut waiting = self.waiting();
        waiting.handed = waiting.next;
        let mut changed = std::mem::take(&mut waiting.changed);
        waiting.changed_handed.append(&mut changed);
    }

    /// That commit is on disk.
    pub fn committed(&self) {
        let mut waiting = self.waiting();
        waiting.durable = waiting.handed;
        waiting.changed_handed.clear();
        let is_news = !waiting.entries.is_empty();
        drop(waiting);
        if is_news {
            self.news.notify();
        }
    }

    /// That commit, or the file, was lost: everything must be saved again.
    pub fn commit_lost(&self) {
        let mut waiting = self.waiting();
        waiting.handed = waiting.durable;
        let mut handed = std::mem::take(&mut waiting.changed_handed);
        waiting.changed.append(&mut handed);
    }

    /// The next lines for a sink, at most `bytes` of them but at least one. They count as touched until the sink says what became of
    /// them.
    pub(crate) fn take(&self, sink: SinkKind, bytes: usize) -> Vec<Line> {
        let mut waiting = self.waiting();
        let Some(number) = self.number(sink) else { return Vec::new() };
        let Some(Position { next, taken, .. }) = waiting.positions.get(number).copied() else {
            return Vec::new();
        };
        let (mut lines, mut length, mut end) = (Vec::new(), 0, next);
        let start = waiting.entries.partition_point(|entry| entry.last < next);
        for entry in waiting.entries.range(start..) {
            length += entry.line.len();
            // What was taken before is taken again: it may be in the sink already.
            let is_due = entry.last < taken || lines.is_empty() || length <= bytes;
            if !waiting.is_visible(entry) || !is_due {
                break;
            }
            lines.push(entry.line());
            end = entry.last + 1;
        }
        if let Some(position) = waiting.positions.get_mut(number) {
            position.taken = end.max(taken);
        }
        lines
    }

    /// All lines that the sink may have written already: those that wait and are on disk.
    pub fn all(&self, sink: SinkKind) -> Vec<Line> {
        let waiting = self.waiting();
        let position = self.number(sink).and_then(|number| waiting.positions.get(number));
        let Some(Position { next, .. }) = position.copied() else { return Vec::new() };
        let start = waiting.entries.partition_point(|entry| entry.last < next);
        let visible = waiting.entries.range(start..).take_while(|entry| waiting.is_visible(entry));
        visible.map(Entry::line).collect()
    }

    /// The sink has written everything up to and with this number. Returns the rows that may be removed.
    pub fn written(&self, sink: SinkKind, last: u64) -> Vec<Row> {
        let mut waiting = self.waiting();
        let Some(number) = self.number(sink) else { return Vec::new() };
        if let Some(position) = waiting.positions.get_mut(number) {
            position.next = position.next.max(last + 1);
            position.taken = position.taken.max(position.next);
        }
        waiting.remove_written(&self.buffer).into_iter().map(|last| (last, None)).collect()
    }

    /// What waits for the sink.
    pub(crate) fn level(&self, sink: SinkKind) -> Level {
        let waiting = self.waiting();
        let Some(position) = self.number(sink).and_then(|number| waiting.positions.get(number)) else {
            return Level::default();
        };
        let start = waiting.entries.partition_point(|entry| entry.last < position.next);
        Level {
            records: (waiting.entries.len() - start) as u64,
            oldest: waiting.entries.get(start).map(|entry| entry.logged_time),
            dropped: position.dropped,
        }
    }

    fn number(&self, sink: SinkKind) -> Option<usize> {
        self.sinks.iter().position(|known| *known == sink)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic elsewhere cannot leave this inconsistent: nothing here panics between two changes.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn get(&self, last: u64) -> Option<&Entry> {
        let at = self.entries.partition_point(|entry| entry.last < last);
        self.entries.get(at).filter(|entry| entry.last == last)
    }

    /// Removes what all sinks have. Returns the last number of each.
    fn remove_written(&mut self, buffer: &Buffer) -> Vec<u64> {
        let everywhere = self.positions.iter().map(|position| position.next).min().unwrap_or_default();
        let mut removed = Vec::new();
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.last < everywhere) {
            buffer.remove(&entry.line);
            removed.push(entry.last);
        }
        removed
    }

    fn is_visible(&self, entry: &Entry) -> bool {
        let last = entry.last;
        last < self.durable && !self.changed.contains(&last) && !self.changed_handed.contains(&last)
    }
}

impl Entry {
    fn line(&self) -> Line {
        Line { sequence: self.last, kind: self.kind, text: Arc::clone(&self.line) }
    }

    fn saved(&self) -> SavedRecord {
        SavedRecord {
            first: self.first,
            kind: self.kind,
            subject: self.subject,
            logged_time: self.logged_time,
            line: Some(self.line.to_string()),
        }
    }
}

/// Whether the entry stands for records that were dropped or forgotten.
fn is_dropped(entry: &Entry) -> bool {
    entry.kind == RecordKind::Gap && entry.first < entry.last
}

/// The id of the record with this number.
fn record_id(account: &str, epochs: &[Epoch], number: u64) -> RecordId {
    let known = epochs.iter().rfind(|known| known.first <= number);
    let Epoch { epoch, first } = known.copied().unwrap_or(Epoch { epoch: 0, first: 1 });
    RecordId { account: account.to_owned(), epoch, sequence: number - first + 1 }
}

/// The line that stands for `count` records, the last of which has this id.
fn gap(id: RecordId, alias: &str, count: u64, reason: GapReason, date: Timestamp, format: Format) -> String {
    let sequences = Some((id.sequence + 1 - count, id.sequence));
    let content = Content::Gap { reason, count, sequences };
    let record = Record { id, alias: alias.to_owned(), time: date, logged_time: date, user: None, content };
    format.encode(&record)
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
        for entry in &waiting.entries {
            self.buffer.remove(&entry.line);
        }
    }
}

#[cfg(test)]
mod tests;
