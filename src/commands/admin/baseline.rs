//! A baseline: a file with the settings that behaviors should have, and how they differ from the current settings.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_saphyr::Location;

use super::{Failure, listed};
use crate::commands::input_file::read_text;
use crate::commands::terminal::sheet::{Sheet, json};
use crate::commands::terminal::table::{Cell, Column, Tone};
use crate::model::{Behavior, BehaviorSetting, Level};

/// Cloudflare has fewer than 20 behaviors, which take a few kilobytes.
const LONGEST_MIB: u64 = 1;

/// The settings of behaviors, by id.
pub(super) type Settings = BTreeMap<String, BehaviorSetting>;

/// A behavior whose setting differs from the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) id: String,
    pub(super) now: BehaviorSetting,
    pub(super) wanted: BehaviorSetting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    enabled: bool,
    risk_level: Word,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Low,
    Medium,
    High,
}

impl From<Entry> for BehaviorSetting {
    fn from(entry: Entry) -> Self {
        let level = match entry.risk_level {
            Word::Low => Level::Low,
            Word::Medium => Level::Medium,
            Word::High => Level::High,
        };
        Self { enabled: entry.enabled, level }
    }
}

/// # Errors
/// The file cannot be read, or is not a baseline.
pub(super) fn read(path: &Path) -> Result<Settings, Failure> {
    let refuse =
        |why: &dyn std::fmt::Display| Failure::Usage(format!("the baseline {}: {why}", path.display()));
    let text = read_text(path, LONGEST_MIB).map_err(|error| refuse(&error))?;
    let settings = parse(&text).map_err(|why| refuse(&why))?;
    if settings.is_empty() {
        return Err(refuse(&"it has no behaviors"));
    }
    Ok(settings)
}

fn parse(text: &str) -> Result<Settings, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    let entries: BTreeMap<String, Entry> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| refusal(error.location()))?;
    Ok(entries.into_iter().map(|(id, entry)| (id, entry.into())).collect())
}

/// What a baseline must be, and where it is not.
fn refusal(location: Option<Location>) -> String {
    let place =
        location.map(|at| format!("line {}, column {}: ", at.line(), at.column())).unwrap_or_default();
    format!(
        "{place}this is not a behavior with its settings, such as imp_travel: {{ enabled: true, risk_level: high }}; \
         enabled is true or false, risk_level is low, medium or high, and each behavior is listed once"
    )
}

/// The behaviors whose settings differ from `wanted`.
///
/// # Errors
/// `wanted` has the id of a behavior that does not exist, or of one that Cloudflare does not say of whether it is enabled.
pub(super) fn differences(behaviors: &[Behavior], wanted: &Settings) -> Result<Vec<Difference>, Failure> {
    let now = settings(behaviors);
    let missing = |known: &dyn Fn(&str) -> bool| -> Vec<&str> {
        wanted.keys().map(String::as_str).filter(|id| !known(id)).collect()
    };
    let unknown = missing(&|id| behaviors.iter().any(|behavior| behavior.id == id));
    if !unknown.is_empty() {
        return Err(Failure::Usage(unknown_ids(&unknown, behaviors)));
    }
    let unreadable = missing(&|id| now.contains_key(id));
    if !unreadable.is_empty() {
        return Err(without_setting(&unreadable));
    }
    let pairs = wanted.iter().filter_map(|(id, wanted)| Some((id, now.get(id)?, wanted)));
    let differing = pairs.filter(|(_, now, wanted)| now != wanted);
    Ok(differing.map(|(id, now, wanted)| Difference { id: id.clone(), now: *now, wanted: *wanted }).collect())
}

/// What is wrong with ids that no behavior has.
pub(super) fn unknown_ids(ids: &[&str], behaviors: &[Behavior]) -> String {
    let known = listed(behaviors.iter().map(|behavior| behavior.id.as_str()));
    format!("no such behavior: {}; the behaviors are: {known}", listed(ids.iter().copied()))
}

/// The error for behaviors that Cloudflare does not say of whether they are enabled.
pub(super) fn without_setting(ids: &[&str]) -> Failure {
    let ids = listed(ids.iter().copied());
    Failure::Runtime(format!("cloudflare does not say whether {ids} is enabled; nothing was changed"))
}

/// The current settings of the behaviors, without those that Cloudflare does not say of whether they are enabled.
pub(super) fn settings(behaviors: &[Behavior]) -> Settings {
    let setting = |behavior: &Behavior| {
        let enabled = behavior.enabled?;
        Some((behavior.id.clone(), BehaviorSetting { enabled, level: behavior.level }))
    };
    behaviors.iter().filter_map(setting).collect()
}

impl Difference {
    /// Such as `enabled true -> false, risk_level low -> high`.
    pub(super) fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.now.enabled != self.wanted.enabled {
            parts.push(format!("enabled {} -> {}", self.now.enabled, self.wanted.enabled));
        }
        if self.now.level != self.wanted.level {
            parts.push(format!("risk_level {} -> {}", self.now.level.as_str(), self.wanted.level.as_str()));
        }
        parts.join(", ")
    }
}

/// What happened to the differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Found,
    /// There were none.
    NothingDone,
    /// They were removed.
    Done,
    /// They may have been removed: Cloudflare's answer does not show it.
    Unknown,
}

impl Stage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NothingDone => "nothing_done",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    account: &'a str,
    differences: Vec<Shown<'a>>,
    undeclared: &'a [String],
    outcome: &'static str,
}

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    enabled: bool,
    enabled_wanted: bool,
    risk_level: &'static str,
    risk_level_wanted: &'static str,
}

/// The differences. The baseline does not have the `undeclared` behaviors.
pub(super) fn sheet(account: &str, differences: &[Difference], undeclared: &[String], stage: Stage) -> Sheet {
    const COLUMNS: &[Column] = &[Column::new("ID"), Column::new("ENABLED"), Column::new("LEVEL")];
    const FIELDS: &[&str] = &["id", "enabled", "enabled_wanted", "risk_level", "risk_level_wanted"];
    let cells = |Difference { id, now, wanted }: &Difference| -> Vec<Cell> {
        let [enabled, enabled_wanted] = [now.enabled, wanted.enabled].map(|on| on.to_string());
        vec![
            id.as_str().into(),
            arrow(&enabled, &enabled_wanted),
            arrow(now.level.as_str(), wanted.level.as_str()),
        ]
    };
    let rows = differences.iter().map(cells).collect();
    let shown = differences.iter().map(|Difference { id, now, wanted }| Shown {
        id,
        enabled: now.enabled,
        enabled_wanted: wanted.enabled,
        risk_level: now.level.as_str(),
        risk_level_wanted: wanted.level.as_str(),
    });
    let differences: Vec<Shown<'_>> = shown.collect();
    let texts = |shown: &Shown<'_>| {
        let [enabled, enabled_wanted] = [shown.enabled, shown.enabled_wanted].map(|on| on.to_string());
        let [level, level_wanted] = [shown.risk_level, shown.risk_level_wanted].map(str::to_owned);
        vec![shown.id.to_owned(), enabled, enabled_wanted, level, level_wanted]
    };
    let records = differences.iter().map(texts).collect();
    let document = json(&Document { account, differences, undeclared, outcome: stage.as_str() });
    Sheet { heading: format!("account {account}"), columns: COLUMNS, rows, fields: FIELDS, records, document }
}

/// A value, or both if it changes.
fn arrow(now: &str, wanted: &str) -> Cell {
    if now == wanted {
        return now.into();
    }
    Cell::toned(format!("{now} -> {wanted}"), Tone::Caution)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(enabled: bool, level: Level) -> BehaviorSetting {
        BehaviorSetting { enabled, level }
    }

    #[test]
    fn a_baseline_is_read_strictly_and_a_refusal_names_the_place() {
        let text = "imp_travel: { enabled: true, risk_level: high }\nhigh_dlp:\n  enabled: false\n  risk_level: low\n";
        let wanted = [
            ("high_dlp".to_owned(), setting(false, Level::Low)),
            ("imp_travel".to_owned(), setting(true, Level::High)),
        ];
        assert_eq!(parse(text), Ok(Settings::from(wanted)));
        for (text, place) in [
            ("a: { enabled: true }", "line 1, column 6"),
            ("a: { risk_level: low }", "line 1, column 6"),
            ("a: { enabled: true, risk_level: severe }", "line 1, column 33"),
            ("a: { enabled: true, risk_level: unknown }", "line 1, column 33"),
            ("a: { enabled: maybe, risk_level: low }", "line 1, column 15"),
            ("\na: { enabled: true, risk_level: low, level: low }", "line 2, column 38"),
            (
                "a: { enabled: true, risk_level: low }\na: { enabled: false, risk_level: low }",
                "line 2, column 1",
            ),
            ("[a]", "line 1, column 1"),
            ("a: [b", "line 1, column 4"),
        ] {
            let why = parse(text).unwrap_err();
            let rule = ": this is not a behavior with its settings, such as imp_travel: { enabled: true, risk_level: high }; \
                        enabled is true or false, risk_level is low, medium or high, and each behavior is listed once";
            assert_eq!(why, format!("{place}{rule}"), "{text}");
        }
    }

    #[test]
    fn only_what_differs_is_a_difference() {
        let behavior = |id: &str, enabled, level| Behavior {
            id: id.to_owned(),
            name: String::new(),
            description: String::new(),
            enabled,
            level,
        };
        let now = [
            behavior("a", Some(true), Level::Low),
            behavior("b", Some(true), Level::Unknown),
            behavior("c", Some(false), Level::High),
            behavior("e", None, Level::High),
        ];
        let wanted = |id: &str, enabled, level| Settings::from([(id.to_owned(), setting(enabled, level))]);
        for (wanted, text) in [
            (wanted("a", true, Level::Low), None),
            (wanted("a", false, Level::Low), Some("enabled true -> false")),
            (wanted("b", true, Level::High), Some("risk_level unknown -> high")),
            (wanted("c", true, Level::Low), Some("enabled false -> true, risk_level high -> low")),
        ] {
            let found = differences(&now, &wanted).unwrap();
            assert_eq!(found.first().map(Difference::text).as_deref(), text);
        }
        let refusal = differences(&now, &wanted("d", true, Level::Low)).unwrap_err();
        assert_eq!(refusal, Failure::Usage("no such behavior: d; the behaviors are: a, b, c, e".to_owned()));
        let refusal = differences(&now, &wanted("e", true, Level::Low)).unwrap_err();
        let text = "cloudflare does not say whether e is enabled; nothing was changed";
        assert_eq!(refusal, Failure::Runtime(text.to_owned()));
    }
}
