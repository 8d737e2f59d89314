//! One thread for each sink: takes what is saved, writes it, and removes it from the state file.
//!
//! Counting never waits for a sink. A sink that fails is tried again, with longer and longer pauses.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::file::FileSink;
use super::hub::Feed;
use super::outbox::{Line, Outbox};
use super::saved;
use super::signal::Woken;
use super::sink_kind::SinkKind;
use crate::clock::Clock;
use crate::store::row::{Put, Table};
use crate::store::{ExistingRows, State};

/// How much is written at a time for each account: a second of a busy account has less.
const ROUND: usize = 256 << 10;

/// The pauses after failures.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where the lines go.
#[derive(Debug)]
pub(super) enum Sink {
    File(FileSink),
    Stdout,
}

impl Sink {
    pub(super) fn kind(&self) -> SinkKind {
        match self {
            Self::File(_) => SinkKind::File,
            Self::Stdout => SinkKind::Stdout,
        }
    }
}

/// Writes to one sink.
#[derive(Debug)]
pub(super) struct Writer {
    sink: Sink,
    feed: Feed,
    state: State,
    clock: Clock,
    /// Whether the latest round failed, which was logged.
    is_failing: bool,
}

/// The lines of an account for one round.
struct Batch {
    outbox: Arc<Outbox>,
    lines: Vec<Line>,
}

impl Writer {
    pub(super) fn new(sink: Sink, feed: Feed, state: State, clock: Clock) -> Self {
        Self { sink, feed, state, clock, is_failing: false }
    }

    /// Writes until the feed is stopped.
    pub(super) fn run(mut self) {
        let (mut seen, mut pause) = (0, FIRST_PAUSE);
        loop {
            let woken = match self.round() {
                Ok(0) => self.feed.news().wait(seen, None),
                Ok(_) => self.feed.news().wait(seen, Some(Duration::ZERO)),
                Err(()) => {
                    let woken = self.feed.news().pause(pause);
                    pause = (2 * pause).min(LONGEST_PAUSE);
                    woken
                }
            };
            match woken {
                Woken::Stopped => return,
                Woken::News(number) => seen = number,
            }
            if !self.is_failing {
                pause = FIRST_PAUSE;
            }
        }
    }

    /// Writes what waits, of each account a part. Returns how many records there were.
    fn round(&mut self) -> Result<usize, ()> {
        let kind = self.sink.kind();
        let batch = |outbox: Arc<Outbox>| {
            let lines = outbox.take(kind, ROUND);
            (!lines.is_empty()).then_some(Batch { outbox, lines })
        };
        let batches: Vec<Batch> = self.feed.outboxes().into_iter().filter_map(batch).collect();
        let lines = || batches.iter().flat_map(|batch| &batch.lines);
        let texts: Vec<Arc<str>> = lines().map(|line| Arc::clone(&line.text)).collect();
        if texts.is_empty() {
            return Ok(0);
        }
        let written = self.write(&texts);
        let stats = self.feed.stats(kind);
        if let Err(error) = written {
            stats.failed();
            if !self.is_failing {
                self.is_failing = true;
                let sink = kind.as_str();
                tracing::warn!(sink, %error, "the feed cannot be written; its records wait");
            }
            return Err(());
        }
        lines().for_each(|line| stats.wrote(line.kind));
        stats.succeeded(self.clock.date());
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(sink = kind.as_str(), "the feed can be written again");
        }
        for Batch { outbox, lines } in &batches {
            self.remove(outbox, kind, lines.last().map_or(0, |line| line.sequence));
        }
        Ok(texts.len())
    }

    fn write(&mut self, texts: &[Arc<str>]) -> io::Result<()> {
        match &mut self.sink {
            Sink::File(file) => {
                let feed = &self.feed;
                let all = || {
                    let outboxes = feed.outboxes().into_iter();
                    outboxes.flat_map(|outbox| outbox.all(SinkKind::File)).map(|line| line.text).collect()
                };
                let before = file.odd_ends();
                let written = file.write(texts, all);
                (before..file.odd_ends()).for_each(|_| feed.stats(SinkKind::File).failed());
                written
            }
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                texts.iter().try_for_each(|text| out.write_all(text.as_bytes()))?;
                out.flush()
            }
        }
    }

    /// Removes records up to this number from the state file, with the next commit. If they are still there after a crash, the
    /// comparison finds them in the file.
    fn remove(&self, outbox: &Outbox, kind: SinkKind, last: u64) {
        let rows = outbox.written(kind, last);
        // If this fails, the file is closed, and the poller saves everything again later.
        self.state.write(outbox.account(), self.state.generation(), ExistingRows::Keep, |sink| {
            let key = saved::POSITIONS.as_bytes();
            sink(Put { table: Table::Documents, key, value: Some(&outbox.positions()) })?;
            rows.iter().try_for_each(|(last, value)| {
                sink(Put { table: Table::Feed, key: &saved::key(*last), value: value.as_deref() })
            })
        });
    }
}
