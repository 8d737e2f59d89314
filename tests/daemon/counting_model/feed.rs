//! The feed of a history: a file that no crash makes shorter, and a sink that writes to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::internals::collector::account::{Account, FeedSettings};
use zt_risk_exporter::internals::collector::persist::Document;
use zt_risk_exporter::internals::collector::user_label::UserLabel;
use zt_risk_exporter::internals::feed::outbox::{Buffer, Outbox};
use zt_risk_exporter::internals::feed::record::{Details, History};
use zt_risk_exporter::internals::feed::saved::{SavedFeed, key};
use zt_risk_exporter::internals::feed::signal::Signal;
use zt_risk_exporter::internals::feed::{Format, SinkKind};
use zt_risk_exporter::internals::store::row::Table;
use zt_risk_exporter::model::{EventTotals, Level};

/// More than any history has.
const BUFFER: usize = 1_000_000;

/// Rows that a sink removes or writes.
pub(super) type Rows = Vec<((Table, Vec<u8>), Option<Vec<u8>>)>;

/// The sink of the present process, and what all of them wrote.
pub(crate) struct Feed {
    outbox: Arc<Outbox>,
    file: Vec<Arc<str>>,
    written: BTreeSet<Arc<str>>,
}

impl Feed {
    /// A feed that continues what was saved, and to which the account tells its records.
    pub(crate) fn begin(account: &mut Account, saved: SavedFeed, date: Timestamp) -> Self {
        let outbox = attach(account, saved, date);
        Self { outbox, file: Vec::new(), written: BTreeSet::new() }
    }

    /// The next process.
    pub(crate) fn restart(&mut self, account: &mut Account, saved: SavedFeed, date: Timestamp) {
        self.outbox = attach(account, saved, date);
    }

    /// Writes what is on disk in the state file. Returns what may be removed there.
    pub(crate) fn write(&mut self) -> Rows {
        let lines = self.outbox.all(SinkKind::File);
        let Some(last) = lines.last().map(|line| line.sequence) else { return Vec::new() };
        for line in lines {
            // What is there to the byte is not written again.
            if self.written.insert(Arc::clone(&line.text)) {
                self.file.push(line.text);
            }
        }
        let removed = self.outbox.written(SinkKind::File, last);
        let mut rows: Rows =
            removed.into_iter().map(|(last, value)| ((Table::Feed, key(last).to_vec()), value)).collect();
        let name = Document::FeedPositions.as_str().as_bytes().to_vec();
        rows.push(((Table::Documents, name), Some(self.outbox.positions())));
        rows
    }

    /// The lines say exactly what is published: each number once and in order, and as many of each kind.
    pub(crate) fn check(&self, totals: &EventTotals) {
        let lines: Vec<Value> =
            self.file.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let mut epochs: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for line in &lines {
            let number = |name: &str| line[name].as_u64().expect("a number");
            epochs.entry(number("epoch")).or_default().push(number("sequence"));
        }
        for sequences in epochs.values() {
            let wanted: Vec<u64> = (1..=sequences.len() as u64).collect();
            assert_eq!(*sequences, wanted, "the feed has each number of an epoch once");
        }
        let level = |line: &Value, name: &str| {
            let word = line[name].as_str().expect("a level");
            Level::ALL.iter().position(|level| level.as_str() == word).unwrap_or(0)
        };
        let mut events: BTreeMap<String, [u64; 4]> = BTreeMap::new();
        let mut changes = [[0; 4]; 4];
        let mut lost: BTreeMap<String, u64> = BTreeMap::new();
        let mut resets = 0;
        for line in &lines {
            match line["kind"].as_str().expect("a kind") {
                "risk_event" => {
                    let behavior = line["behavior"].as_str().expect("a behavior").to_owned();
                    events.entry(behavior).or_default()[level(line, "level")] += 1;
                }
                "level_change" => changes[level(line, "previous_level")][level(line, "current_level")] += 1,
                "reset" => resets += 1,
                "gap" => {
                    let reason = line["reason"].as_str().expect("a reason").to_owned();
                    *lost.entry(reason).or_default() += line["count"].as_u64().expect("a count");
                }
                _ => {}
            }
        }
        let counted: BTreeMap<_, _> =
            totals.events.iter().filter(|(_, levels)| levels.iter().any(|count| *count > 0)).collect();
        assert_eq!(events.iter().collect::<BTreeMap<_, _>>(), counted, "the feed has each counted event");
        assert_eq!(changes, totals.level_changes, "the feed has each change of level");
        assert_eq!(resets, totals.resets, "the feed has each reset");
        let unattributed = totals.unattributed.iter().filter(|(_, count)| **count > 0);
        let unattributed = unattributed.map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
        assert_eq!(lost, unattributed, "the feed says what is missing");
    }
}

fn attach(account: &mut Account, saved: SavedFeed, date: Timestamp) -> Arc<Outbox> {
    let (id, alias) = (account.name().id.clone(), account.name().alias.clone());
    let (buffer, signal) = (Arc::new(Buffer::new(BUFFER)), Arc::new(Signal::default()));
    let sinks = [SinkKind::File];
    let outbox = Outbox::restore((&id, &alias), saved, Format::Json, (&sinks, &buffer, &signal), date);
    let outbox = Arc::new(outbox);
    let settings = FeedSettings {
        format: Format::Json,
        user_label: UserLabel::Id,
        details: Details::Dropped,
        history: History::Omitted,
    };
    account.feed_into(Arc::clone(&outbox), settings, date);
    outbox
}
