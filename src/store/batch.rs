//! Which rows are on disk, and when the others will be.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Instant;

/// How long a batch takes rows before it is committed. Counters wait so long, which is less than the time between two scrapes,
/// and a busy account reads several users meanwhile.
pub(super) const BATCH: Duration = Duration::from_secs(1);

/// Identifies the open file: a different one does not contain the rows that were written before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub(super) u64);

/// Rows that are committed together. Batches of one file are committed in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Batch {
    /// Rises whenever the file is opened, because its content may be different then.
    pub(super) generation: Generation,
    pub(super) number: u64,
}

impl Batch {
    /// Whether this batch is on disk, if `committed` was the last one to be committed.
    pub fn is_in(self, committed: Self) -> bool {
        self.generation == committed.generation && self.number <= committed.number
    }
}

/// Whether a batch took the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// They are on disk once this batch is committed.
    To(Batch),
    /// It did not; [`State`](super::State) has logged why.
    Failed,
    /// It did not, because the file is a different one by now.
    OtherFile,
}

/// When the rows of a batch are committed: [`BATCH`] after the first one, however many follow.
#[derive(Debug, Default)]
pub(super) struct Deadline(watch::Sender<Option<Instant>>);

impl Deadline {
    /// The batch got a row.
    pub(super) fn row(&self, now: Instant) {
        self.0.send_if_modified(|due| {
            let is_first = due.is_none();
            due.get_or_insert(now + BATCH);
            is_first
        });
    }

    /// The batch was committed or lost. The next row begins another one.
    pub(super) fn end(&self) {
        self.0.send_replace(None);
    }

    /// When the batch is due; `None` while it has no rows.
    pub(super) fn due(&self) -> Option<Instant> {
        *self.0.borrow()
    }

    /// Waits until a batch has a row. Returns when it is due.
    pub(super) async fn next(&self) -> Instant {
        let mut batches = self.0.subscribe();
        loop {
            if let Some(due) = *batches.borrow_and_update() {
                return due;
            }
            batches.changed().await.expect("this has the sender");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_a_busy_account_is_due_within_a_second_and_a_second_needs_one_commit() {
        // The milliseconds between two rows: all requests that Cloudflare allows, those of the default budget, many accounts,
        // and bursts after each list.
        let patterns: [(&str, &[u64]); 5] = [
            ("1,200 in five minutes", &[250]),
            ("300 in five minutes", &[1_000]),
            ("a little more than a second", &[1_001]),
            ("300 accounts", &[3]),
            ("bursts", &[100, 100, 100, 100, 100, 100, 29_400]),
        ];
        for (name, pauses) in patterns {
            let (deadline, mut now, mut commits) = (Deadline::default(), Instant::default(), 0);
            let mut waiting = Vec::new();
            for pause in pauses.iter().cycle().take(1_200) {
                now = now + Duration::from_millis(*pause);
                if let Some(due) = deadline.due().filter(|due| *due <= now) {
                    let longest = waiting.drain(..).map(|row| due.since(row)).max();
                    assert!(longest.is_some_and(|longest| longest <= BATCH), "{name}: {longest:?}");
                    commits += 1;
                    deadline.end();
                }
                deadline.row(now);
                waiting.push(now);
            }
            assert!(
                commits <= now.since(Instant::default()).as_secs(),
                "{name}: {commits} commits until {now:?}"
            );
        }
    }
}
