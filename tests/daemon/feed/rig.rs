//! A home with a feed, and its lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use zt_risk_exporter::internals::feed::fields::{self, Presence};

use crate::durability::process::{Home, SimulatedApi, pause};

/// A home whose exporter writes a feed.
pub(crate) struct FeedHome {
    pub(crate) home: Home,
}

impl FeedHome {
    /// The home of an exporter for both accounts, with a feed with these further settings.
    pub(crate) fn new(api: &SimulatedApi, settings: &str) -> Self {
        let home = Home::new(api, 1.0);
        let text = fs::read_to_string(home.config()).expect("it was just written");
        home.configure(&format!("{text}feed: {{ path: feed/feed.jsonl{settings} }}\n"));
        fs::create_dir(home.path().join("feed")).expect("a folder");
        Self { home }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join("feed")
    }

    /// The files in the order in which they were written.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder()).expect("it is there");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("it is listed").path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort_by_key(|path| (path.ends_with("feed.jsonl"), path.clone()));
        files
    }

    /// The text of all files.
    pub(crate) fn text(&self) -> String {
        let read = |path: PathBuf| fs::read_to_string(path).expect("it is UTF-8");
        self.files().into_iter().map(read).collect()
    }

    /// Waits until the whole lines have what `found` wants, and returns them.
    pub(crate) fn until(&self, api: &SimulatedApi, what: &str, found: impl Fn(&Lines) -> bool) -> Lines {
        let since = api.clock.now();
        loop {
            let text = self.text();
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            let lines = Lines::read(&text[..whole]);
            if found(&lines) {
                return lines;
            }
            pause(&api.clock, since, || format!("{what}: did not come to pass\n{}\n{text}", self.home.log()));
        }
    }
}

/// The lines of a feed: text and value.
#[derive(Debug)]
pub(crate) struct Lines(pub(crate) Vec<(String, Value)>);

impl Lines {
    pub(crate) fn read(text: &str) -> Self {
        let value = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self(text.lines().map(|line| (line.to_owned(), value(line))).collect())
    }

    /// The records of this kind.
    pub(crate) fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value).filter(move |value| value["kind"] == kind)
    }

    /// Whether there is a record of this kind with these fields.
    pub(crate) fn has(&self, kind: &str, fields: &Value) -> bool {
        let fields = fields.as_object().expect("fields");
        self.of(kind).any(|record| fields.iter().all(|(name, value)| record[name] == *value))
    }

    /// Asserts that no id occurs twice, that the sequence of each epoch begins with 1 and has no hole, and that each record has
    /// exactly the fields that its kind declares.
    pub(crate) fn assert_sound(&self, what: &str) {
        let mut numbers: BTreeMap<(String, u64), Vec<u64>> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for (line, value) in &self.0 {
            let text =
                |name: &str| value[name].as_str().unwrap_or_else(|| panic!("{what}: {line}")).to_owned();
            let number = |name: &str| value[name].as_u64().unwrap_or_else(|| panic!("{what}: {line}"));
            assert!(ids.insert(text("id")), "{what}: twice: {line}");
            let (account, epoch, last) = (text("account_id"), number("epoch"), number("sequence"));
            assert_eq!(text("id"), format!("{account}:{epoch}:{last}"), "{what}");
            let first = value["first_sequence"].as_u64().unwrap_or(last);
            numbers.entry((account, epoch)).or_default().extend(first..=last);
            let kind = text("kind");
            for field in fields::ALL {
                let has = value.get(field.name).is_some();
                match field.presence(&kind) {
                    Presence::Always => assert!(has, "{what}: {} in {line}", field.name),
                    Presence::Never => assert!(!has, "{what}: {} in {line}", field.name),
                    Presence::Sometimes => {}
                }
            }
            assert!(line.len() < 16_384 && !line.chars().any(char::is_control), "{what}: {line}");
        }
        for (feed, found) in numbers {
            let wanted: Vec<u64> = (1..=found.len() as u64).collect();
            assert_eq!(found, wanted, "{what}: the sequence of {feed:?}");
        }
    }
}
