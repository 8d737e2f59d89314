//! Baselines: the differences of behaviors from the settings that they should have, and the file that `export` writes.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::{Failure, listed};
use crate::commands::input_file::read_text;
use crate::commands::session::Session;
use crate::commands::terminal::sheet::{Sheet, json};
use crate::commands::terminal::table::{Cell, Column, Tone};
use crate::commands::terminal::{counted, printable};
use crate::config::{BaselineFile, Error, parse_baseline};
use crate::model::{Baseline, Behavior, BehaviorSetting, CurrentSetting, DeclaredBehavior, Drift};

/// Cloudflare has fewer than 20 behaviors, which take a few kilobytes.
const LONGEST_MIB: u64 = 1;

/// A behavior whose setting differs from the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) id: String,
    pub(super) now: BehaviorSetting,
    pub(super) wanted: BehaviorSetting,
}

/// The baseline in `file`, or the one that is configured for the account, with its name for a sentence.
///
/// # Errors
/// There is none, it cannot be read, or it has mistakes.
pub(super) fn read(session: &Session, file: Option<&Path>) -> Result<(Arc<Baseline>, String), Failure> {
    let (path, declared) = match (file, session.baseline.as_deref()) {
        (Some(path), _) => {
            let refuse = |why| Failure::Usage(format!("the baseline {}: {why}", path.display()));
            let text = read_text(path, LONGEST_MIB).map_err(refuse)?;
            (path, parse_baseline(path, &text).map(Arc::new))
        }
        (None, Some(BaselineFile { path, declared })) => (path.as_path(), declared.clone()),
        (None, None) => {
            let text = "give a FILE: no baseline is configured for the account with behaviors.baseline";
            return Err(Failure::Usage(text.to_owned()));
        }
    };
    let name = path.display().to_string();
    let refuse = |error: Error| {
        Failure::Usage(match error.count() {
            1 => error.lines(),
            count => format!("the baseline {name} has {}:\n{}", counted(count, "error"), error.lines()),
        })
    };
    Ok((declared.map_err(refuse)?, name))
}

/// A baseline with the current settings, as YAML, and the ids of the behaviors whose settings it cannot have, because Cloudflare
/// does not say them or says a level that is not documented.
pub(super) fn exported<'a>(account: &str, behaviors: &'a [Behavior]) -> (String, Vec<&'a str>) {
    let mut text = format!("# The settings of the behaviors of account {}.\n", printable(account));
    let mut omitted = Vec::new();
    for Behavior { id, name, enabled, level, .. } in behaviors {
        match enabled {
            Some(enabled) if level.is_known() => {
                let level = level.as_str();
                text += &format!(
                    "# {}\n{}: {{ enabled: {enabled}, risk_level: {level} }}\n",
                    printable(name),
                    key(id)
                );
            }
            _ => omitted.push(id.as_str()),
        }
    }
    (text, omitted)
}

/// An id as a key of YAML: plain if that can only be read as this text.
fn key(id: &str) -> String {
    let is_plain = id.starts_with(|first: char| first.is_ascii_lowercase())
        && id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    // JSON is YAML.
    if is_plain && id != "null" { id.to_owned() } else { serde_json::Value::from(id).to_string() }
}

/// The behaviors that differ.
///
/// # Errors
/// A declared behavior does not exist, or Cloudflare does not say whether it is enabled. `behaviors` are those that exist.
pub(super) fn differences(drift: &Drift, behaviors: &[Behavior]) -> Result<Vec<Difference>, Failure> {
    let (mut unknown, mut unreadable, mut differing) = (Vec::new(), Vec::new(), Vec::new());
    for behavior in &drift.declared {
        let DeclaredBehavior { id, declared, current } = behavior;
        match *current {
            CurrentSetting::Missing | CurrentSetting::Unknown => unknown.push(id.as_str()),
            CurrentSetting::Listed { enabled: None, .. } => unreadable.push(id.as_str()),
            CurrentSetting::Listed { enabled: Some(enabled), level } => {
                let now = BehaviorSetting { enabled, level };
                if now != *declared {
                    differing.push(Difference { id: id.clone(), now, wanted: *declared });
                }
            }
        }
    }
    match (unknown.as_slice(), unreadable.as_slice()) {
        ([], []) => Ok(differing),
        ([], unreadable) => Err(without_setting(unreadable)),
        (unknown, _) => Err(Failure::Usage(unknown_ids(unknown, behaviors))),
    }
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

/// The current setting of a behavior; `None` if Cloudflare does not say whether it is enabled.
pub(super) fn setting_of(behaviors: &[Behavior], id: &str) -> Option<BehaviorSetting> {
    let behavior = behaviors.iter().find(|behavior| behavior.id == id)?;
    Some(BehaviorSetting { enabled: behavior.enabled?, level: behavior.level })
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
    use crate::model::Level;

    fn behavior(id: &str, name: &str, enabled: Option<bool>, level: Level) -> Behavior {
        let (id, name) = (id.to_owned(), name.to_owned());
        Behavior { id, name, description: String::new(), enabled, level }
    }

    #[test]
    fn only_what_differs_is_a_difference() {
        let now = [
            behavior("a", "", Some(true), Level::Low),
            behavior("b", "", Some(true), Level::Unknown),
            behavior("c", "", Some(false), Level::High),
            behavior("e", "", None, Level::High),
        ];
        let found = |id: &str, enabled, level| {
            let wanted: Baseline =
                [(id.to_owned(), BehaviorSetting { enabled, level })].into_iter().collect();
            differences(&wanted.drift(&now, 0), &now)
        };
        for ((id, enabled, level), text) in [
            (("a", true, Level::Low), None),
            (("a", false, Level::Low), Some("enabled true -> false")),
            (("b", true, Level::High), Some("risk_level unknown -> high")),
            (("c", true, Level::Low), Some("enabled false -> true, risk_level high -> low")),
        ] {
            let found = found(id, enabled, level).unwrap();
            assert_eq!(found.first().map(Difference::text).as_deref(), text);
        }
        let refusal = found("d", true, Level::Low).unwrap_err();
        assert_eq!(refusal, Failure::Usage("no such behavior: d; the behaviors are: a, b, c, e".to_owned()));
        let refusal = found("e", true, Level::Low).unwrap_err();
        let text = "cloudflare does not say whether e is enabled; nothing was changed";
        assert_eq!(refusal, Failure::Runtime(text.to_owned()));
    }

    #[test]
    fn what_is_exported_is_a_baseline_from_which_nothing_differs() {
        let all = [
            behavior("imp_travel", "Impossible Travel", Some(true), Level::High),
            behavior("null", "Odd\nname: { enabled: true }", Some(false), Level::Low),
            behavior("true", "", Some(true), Level::Medium),
            behavior("a: b #c", "", Some(true), Level::Low),
            behavior("\"q\\", "\u{202e}", Some(true), Level::Low),
            behavior("behaviors", "", Some(true), Level::Low),
            behavior("silent", "", None, Level::Low),
            behavior("odd", "", Some(true), Level::Unrecognized),
        ];
        let (text, omitted) = exported("acme", &all);
        assert_eq!(omitted, ["silent", "odd"]);
        let first = "# The settings of the behaviors of account acme.\n# Impossible Travel\n\
                     imp_travel: { enabled: true, risk_level: high }\n";
        assert!(text.starts_with(first), "{text}");
        let baseline = parse_baseline(Path::new("b.yaml"), &text).unwrap();
        let drift = baseline.drift(&all, 0);
        assert_eq!((baseline.count(), drift.drifted().count()), (6, 0), "{text}");
        assert_eq!(drift.undeclared, ["odd", "silent"]);
    }
}
