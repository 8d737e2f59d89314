//! What sinks see of an outbox, and what the state file gets.

use std::collections::BTreeMap;

use super::*;

const ACCOUNT: (&str, &str) = ("023e105f4ecef8ad9ca31a8372d0c353", "prod");
const SINKS: [SinkKind; 2] = [SinkKind::File, SinkKind::Stdout];
const DATE: Timestamp = Timestamp::from_millis(1_795_219_200_250);

/// An outbox, and the rows and documents that are on disk.
struct Rig {
    outbox: Outbox,
    buffer: Arc<Buffer>,
    rows: BTreeMap<u64, Vec<u8>>,
    documents: [Vec<u8>; 2],
}

impl Rig {
    fn new(limit: usize) -> Self {
        let buffer = Arc::new(Buffer::new(limit));
        let outbox = open(SavedFeed::default(), &SINKS, &buffer);
        Self { outbox, buffer, rows: BTreeMap::new(), documents: [Vec::new(), Vec::new()] }
    }

    /// Adds records, one for each user.
    fn push(&self, users: impl IntoIterator<Item = u128>) {
        for user in users {
            let id = UserId::from_u128(user);
            let user = Some(RecordUser { name: id.to_string(), person: None });
            let content = Content::Reset { previous: None };
            let draft = Draft { time: DATE, subject: Some(id), user, content };
            self.outbox.push(ACCOUNT.1, draft, DATE, Format::Json);
        }
    }

    /// Hands everything over to a commit.
    fn hand_over(&mut self) -> BTreeMap<u64, Vec<u8>> {
        let mut rows = self.rows.clone();
        for (last, value) in self.outbox.unsaved_rows(Extent::Changed) {
            match value {
                Some(value) => drop(rows.insert(last, value)),
                None => drop(rows.remove(&last)),
            }
        }
        self.documents = [self.outbox.place(), self.outbox.positions()];
        self.outbox.handed_over();
        rows
    }

    fn commit(&mut self) {
        self.rows = self.hand_over();
        self.outbox.committed();
    }

    fn written(&mut self, sink: SinkKind, last: u64) {
        for (last, _) in self.outbox.written(sink, last) {
            self.rows.remove(&last);
        }
        self.documents[1] = self.outbox.positions();
    }

    /// What the file has.
    fn saved(&self) -> SavedFeed {
        let mut saved = SavedFeed::default();
        saved.read_place(&self.documents[0]).unwrap();
        saved.read_positions(&self.documents[1]).unwrap();
        for (last, row) in &self.rows {
            saved.add(&saved::key(*last), row).unwrap();
        }
        saved
    }

    /// Another process with these sinks.
    fn restart(&mut self, sinks: &[SinkKind]) {
        self.restart_at(sinks, DATE);
    }

    fn restart_at(&mut self, sinks: &[SinkKind], date: Timestamp) {
        self.buffer = Arc::new(Buffer::new(self.buffer.limit));
        let parts = (sinks, &self.buffer, &Arc::default());
        self.outbox = Outbox::restore(ACCOUNT, self.saved(), Format::Json, parts, date);
    }

    fn visible(&self, sink: SinkKind) -> Vec<u64> {
        self.outbox.all(sink).iter().map(|line| line.sequence).collect()
    }

    fn take(&self, sink: SinkKind, bytes: usize) -> Vec<u64> {
        self.outbox.take(sink, bytes).iter().map(|line| line.sequence).collect()
    }
}

fn open(saved: SavedFeed, sinks: &[SinkKind], buffer: &Arc<Buffer>) -> Outbox {
    Outbox::restore(ACCOUNT, saved, Format::Json, (sinks, buffer, &Arc::default()), DATE)
}

use SinkKind::{File, Stdout};

#[test]
fn a_sink_sees_a_record_once_it_is_on_disk() {
    let mut rig = Rig::new(100);
    rig.push([1, 2]);
    assert!(rig.outbox.is_unsaved() && rig.visible(File).is_empty());
    let rows = rig.hand_over();
    assert!(!rig.outbox.is_unsaved() && rig.visible(File).is_empty(), "the commit may still fail");
    // A third record belongs to the next commit.
    rig.push([3]);
    rig.outbox.committed();
    rig.rows = rows;
    assert_eq!((rig.visible(File), rig.take(Stdout, usize::MAX)), (vec![1, 2], vec![1, 2]));
    rig.commit();
    assert_eq!(rig.visible(File), [1, 2, 3]);
    assert_eq!(rig.rows.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_record_of_a_commit_that_was_lost_is_saved_again_before_a_sink_sees_it() {
    let mut rig = Rig::new(100);
    rig.push([1]);
    rig.commit();
    rig.push([2]);
    drop(rig.hand_over());
    rig.outbox.commit_lost();
    assert!(rig.outbox.is_unsaved());
    assert_eq!(rig.visible(File), [1]);
    let all: Vec<u64> = rig.outbox.unsaved_rows(Extent::All).iter().map(|(last, _)| *last).collect();
    assert_eq!(all, [1, 2]);
    rig.commit();
    assert_eq!(rig.visible(File), [1, 2]);
}

#[test]
fn a_record_is_removed_when_all_sinks_have_it_and_only_then() {
    let mut rig = Rig::new(100);
    rig.push([1, 2, 3]);
    rig.commit();
    rig.written(File, 2);
    assert_eq!((rig.rows.len(), rig.visible(File), rig.visible(Stdout)), (3, vec![3], vec![1, 2, 3]));
    rig.written(Stdout, 1);
    assert_eq!((rig.rows.len(), rig.visible(Stdout)), (2, vec![2, 3]));
    rig.written(Stdout, 3);
    rig.written(File, 3);
    assert_eq!((rig.rows.len(), rig.buffer.records.load(Ordering::Relaxed)), (0, 0));
    assert_eq!(rig.buffer.bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn numbers_continue_after_a_restart_and_each_sink_continues_where_it_was() {
    let mut rig = Rig::new(100);
    rig.push([1, 2, 3]);
    rig.commit();
    rig.written(File, 2);
    let lines = |rig: &Rig| rig.outbox.all(Stdout).into_iter().map(|line| line.text).collect::<Vec<_>>();
    let before = lines(&rig);
    rig.restart(&SINKS);
    assert_eq!(lines(&rig), before, "the bytes are the same");
    assert_eq!(rig.visible(File), [3]);
    rig.push([4]);
    rig.commit();
    let last = lines(&rig).pop().unwrap();
    assert!(last.contains(&format!("\"id\":\"{}:1795219200251:1\"", ACCOUNT.0)), "{last}");
    // Without the file, what only it had not written is removed; with it again, it gets what is new.
    rig.written(Stdout, 4);
    rig.restart(&[Stdout]);
    rig.push([5]);
    rig.commit();
    assert_eq!(rig.rows.keys().copied().collect::<Vec<_>>(), [5]);
    rig.restart(&SINKS);
    assert_eq!((rig.visible(File), rig.visible(Stdout)), (vec![], vec![5]));
}

#[test]
fn an_older_copy_of_the_state_file_gives_no_id_to_two_facts() {
    let mut rig = Rig::new(100);
    rig.push([1, 2]);
    rig.commit();
    rig.written(Stdout, 1);
    // The copy has records that wait, and is used again after the records of two more processes.
    let (rows, documents) = (rig.rows.clone(), rig.documents.clone());
    let mut ids = BTreeMap::new();
    for user in [3, 4, 5] {
        if user == 5 {
            (rig.rows, rig.documents) = (rows.clone(), documents.clone());
        }
        rig.restart_at(&SINKS, Timestamp::from_millis(DATE.millis() + 1_000 * user as i64));
        rig.push([user, user + 10]);
        rig.commit();
        for line in rig.outbox.all(Stdout) {
            let value: serde_json::Value = serde_json::from_str(&line.text).unwrap();
            let known = ids.insert(value["id"].as_str().unwrap().to_owned(), Arc::clone(&line.text));
            assert!(known.is_none_or(|known| known == line.text), "{}", line.text);
        }
    }
    assert_eq!(ids.len(), 7, "{ids:?}");
}

#[test]
fn a_gap_has_records_of_one_epoch_and_one_that_is_forgotten_keeps_its_id() {
    let mut rig = Rig::new(100);
    rig.push(1..=3);
    rig.commit();
    let ids = |rig: &Rig| -> Vec<String> {
        let id =
            |line: Line| serde_json::from_str::<serde_json::Value>(&line.text).unwrap()["id"].to_string();
        rig.outbox.all(File).into_iter().map(id).collect()
    };
    let before = ids(&rig);
    rig.restart(&SINKS);
    rig.push(4..=6);
    rig.commit();
    let row = rig.saved().about(UserId::from_u128(2)).next().unwrap().1.forgotten().write();
    rig.rows.insert(2, row);
    rig.restart(&SINKS);
    rig.commit();
    let after = ids(&rig);
    assert_eq!((after.len(), &after[..3]), (6, &before[..]));
    // A third process drops what it has counted itself, and nothing that a sink may have written before.
    rig.buffer = Arc::new(Buffer::new(7));
    rig.outbox = open(rig.saved(), &SINKS, &rig.buffer);
    rig.push(7..=9);
    rig.commit();
    let gap = rig.outbox.all(File).into_iter().last().map(|line| line.text).unwrap();
    let wanted = r#""sequence":3,"reason":"buffer_full","count":3,"first_sequence":1,"last_sequence":3}"#;
    assert!(gap.contains(wanted), "{gap}");
}

#[test]
fn what_a_sink_took_is_taken_again_with_more_and_a_round_has_a_bound() {
    let mut rig = Rig::new(100);
    rig.push(1..=4);
    rig.commit();
    let length = rig.outbox.all(File)[0].text.len();
    assert_eq!(rig.take(File, 1), [1], "at least one");
    assert_eq!(rig.take(File, 2 * length), [1, 2]);
    assert_eq!(rig.take(File, 1), [1, 2], "it may have written both");
    rig.written(File, 2);
    assert_eq!(rig.take(File, 1), [3]);
}

#[test]
fn a_full_buffer_makes_the_oldest_records_one_gap_that_has_their_numbers() {
    let mut rig = Rig::new(3);
    rig.push(1..=3);
    rig.commit();
    rig.push(4..=7);
    rig.commit();
    // 1 to 5 are a gap; with 6 and 7 it is three records.
    assert_eq!(rig.visible(File), [5, 6, 7]);
    let line = rig.outbox.all(File)[0].text.to_string();
    assert!(
        line.contains(
            r#""sequence":5,"reason":"buffer_full","count":5,"first_sequence":1,"last_sequence":5}"#
        ),
        "{line}"
    );
    assert_eq!((rig.outbox.level(File).dropped, rig.outbox.level(File).records), (5, 3));
    assert_eq!(rig.rows.keys().copied().collect::<Vec<_>>(), [5, 6, 7]);
    rig.restart(&SINKS);
    assert_eq!(*rig.outbox.all(File)[0].text, *line);
}

#[test]
fn a_gap_has_nothing_that_a_sink_has_written_or_may_have_written() {
    let mut rig = Rig::new(4);
    rig.push(1..=4);
    rig.commit();
    // The file took 1 and 2 and fails. Standard output has 1 to 3.
    assert_eq!(rig.take(File, 1).len(), 1);
    let length = rig.outbox.all(File)[0].text.len();
    assert_eq!(rig.take(File, 2 * length), [1, 2]);
    rig.written(Stdout, 3);
    rig.push(5..=9);
    rig.commit();
    let files = rig.visible(File);
    assert!(files.starts_with(&[1, 2, 3]), "{files:?}");
    assert_eq!(files.last(), Some(&9));
    let gaps: Vec<_> = rig.outbox.all(File).into_iter().filter(|line| line.kind == RecordKind::Gap).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].text.contains("\"first_sequence\":4,"), "{}", gaps[0].text);
}

#[test]
fn a_gap_is_seen_with_the_numbers_that_are_on_disk() {
    let mut rig = Rig::new(3);
    rig.push(1..=5);
    rig.commit();
    assert_eq!(rig.visible(File), [3, 4, 5]);
    rig.push([6]);
    // The gap up to 4 is not on disk.
    assert!(rig.visible(File).is_empty());
    rig.commit();
    assert_eq!(rig.visible(File), [4, 5, 6]);
}

#[test]
fn a_forgotten_record_leaves_its_number_and_nothing_of_the_user() {
    let mut rig = Rig::new(100);
    rig.push(1..=3);
    rig.commit();
    let user = UserId::from_u128(2);
    let saved = rig.saved();
    let about: Vec<_> = saved.about(user).collect();
    assert_eq!(about.iter().map(|(last, _)| *last).collect::<Vec<_>>(), [2]);
    let row = about[0].1.forgotten().write();
    assert!(!row.windows(16).any(|bytes| bytes == user.as_bytes()));
    rig.rows.insert(2, row);
    rig.restart(&SINKS);
    // The line is saved before a sink may see it.
    assert_eq!(rig.visible(File), [1]);
    rig.commit();
    let line = rig.outbox.all(File)[1].text.to_string();
    assert!(!line.contains(&user.to_string()), "{line}");
    assert!(
        line.contains(r#""reason":"forgotten","count":1,"first_sequence":2,"last_sequence":2}"#),
        "{line}"
    );
    assert_eq!(rig.visible(File), [1, 2, 3]);
}

#[test]
fn rows_that_this_program_does_not_write_are_refused() {
    let mut rig = Rig::new(100);
    rig.push([1]);
    rig.commit();
    let row = rig.rows[&1].clone();
    let unknown_kind = [&row[..16], &[99], &row[17..]].concat();
    for (key, value) in [
        (vec![1], row.clone()),
        (saved::key(0).to_vec(), row.clone()),
        (saved::key(1).to_vec(), row[..30].to_vec()),
        (saved::key(1).to_vec(), unknown_kind),
        (saved::key(1).to_vec(), [&row[..], &[0xff]].concat()),
    ] {
        assert!(SavedFeed::default().add(&key, &value).is_err(), "{key:?} {value:?}");
    }
    let mut saved = rig.saved();
    assert!(saved.add(&saved::key(1), &row).is_err(), "the same number again");
}
