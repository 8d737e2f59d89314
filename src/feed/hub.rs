//! The feed of all accounts: its sinks, and the outbox of each account.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Format;
use super::outbox::{Buffer, Level, Outbox};
use super::saved::SavedFeed;
use super::signal::Signal;
use super::sink_kind::SinkKind;
use super::stats::SinkStats;
use crate::clock::Timestamp;

/// How long the sinks have to end what they are doing.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// The feed of all accounts. Clones are the same feed.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sinks: Vec<SinkKind>,
    buffer: Arc<Buffer>,
    news: Arc<Signal>,
    outboxes: Mutex<BTreeMap<String, Arc<Outbox>>>,
    stats: [SinkStats; SinkKind::ALL.len()],
}

impl Feed {
    /// A feed with these sinks, of which at most `buffer_records` records wait.
    pub(crate) fn new(sinks: Vec<SinkKind>, buffer_records: usize) -> Self {
        let buffer = Arc::new(Buffer::new(buffer_records));
        let (news, outboxes, stats) = (Arc::default(), Mutex::default(), Default::default());
        Self { inner: Arc::new(Inner { sinks, buffer, news, outboxes, stats }) }
    }

    /// Ends the threads of the sinks. What waits is written after the next start. One that hangs is given up.
    pub(crate) fn stop(&self) {
        self.inner.news.stop(STOP_WAIT);
    }

    /// The outbox of an account, by id and alias: the one that it had before in this process, or else one that continues what
    /// was saved.
    pub(crate) fn outbox(
        &self,
        account: (&str, &str),
        saved: SavedFeed,
        format: Format,
        date: Timestamp,
    ) -> Arc<Outbox> {
        let Inner { sinks, buffer, news, outboxes, .. } = &*self.inner;
        let mut outboxes = outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let restore = || Arc::new(Outbox::restore(account, saved, format, (sinks, buffer, news), date));
        let outbox = Arc::clone(outboxes.entry(account.0.to_owned()).or_insert_with(restore));
        news.notify();
        outbox
    }

    /// The account left. What waits of it is still written.
    pub(crate) fn leave(&self, account: &str) {
        let mut outboxes = self.inner.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if outboxes.get(account).is_some_and(|outbox| outbox.is_empty()) {
            outboxes.remove(account);
        }
    }

    /// The sinks, in the order in which they are shown.
    pub(crate) fn sinks(&self) -> &[SinkKind] {
        &self.inner.sinks
    }

    /// What the sink did since the start.
    pub(crate) fn stats(&self, sink: SinkKind) -> &SinkStats {
        &self.inner.stats[sink.index()]
    }

    /// What waits for the sink, of all accounts.
    pub(crate) fn level(&self, sink: SinkKind) -> Level {
        self.outboxes().iter().map(|outbox| outbox.level(sink)).fold(Level::default(), |sum, one| Level {
            records: sum.records + one.records,
            oldest: [sum.oldest, one.oldest].into_iter().flatten().min(),
            dropped: sum.dropped + one.dropped,
        })
    }

    /// Says when there is something new.
    pub(super) fn news(&self) -> &Signal {
        &self.inner.news
    }

    /// The outboxes of all accounts, by id.
    pub(super) fn outboxes(&self) -> Vec<Arc<Outbox>> {
        let outboxes = self.inner.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        outboxes.values().cloned().collect()
    }
}
