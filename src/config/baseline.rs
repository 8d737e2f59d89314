//! Baselines: files with the settings that behaviors should have.
//!
//! A file that cannot be used does not keep the exporter from starting, because the users are watched without it too. So what
//! was read is kept with its mistakes, and those who need it judge it: a reload and `check` refuse it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Error, Mistakes, shown};
use super::files::Files;
use super::sources::Layers;
use super::yaml::{self, Document, Field, Kind, Node};
use super::{Account, keys, parse};
use crate::model::text::is_showable;
use crate::model::{Baseline, BehaviorSetting, Level};

/// As many as the exporter shows of those that Cloudflare lists; eight were documented in 2026.
const MOST: usize = 256;

/// As long as the label `behavior` may be, in bytes. Known ids have up to 22.
const LONGEST_ID: usize = 128;

/// The keys of a behavior. `behaviors list --output json` writes all of them.
const ID: &str = "id";
const ENABLED: &str = "enabled";
const RISK_LEVEL: &str = "risk_level";
const SETTINGS: [&str; 2] = [ENABLED, RISK_LEVEL];
const LISTED: [&str; 5] = [ID, "name", "description", ENABLED, RISK_LEVEL];
/// The keys of that document.
const DOCUMENT: [&str; 2] = ["account", "behaviors"];

/// A baseline as its file was when the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineFile {
    /// The file.
    pub path: PathBuf,
    /// What it declares, or all of its mistakes.
    pub declared: Result<Arc<Baseline>, Error>,
}

/// The baselines of a configuration. Each file is read once.
#[derive(Debug, Default)]
pub(super) struct Baselines {
    /// The baseline of accounts without one of their own.
    common: Option<PathBuf>,
    by_path: BTreeMap<PathBuf, Arc<BaselineFile>>,
    /// The files as they were just before they were read.
    pub(super) files: Files,
}

impl Baselines {
    pub(super) fn from_layers(layers: &Layers, mistakes: &mut Mistakes) -> Self {
        let path = layers.get(keys::BASELINE).as_ref().map(parse::path).transpose();
        Self { common: mistakes.note(path).flatten(), ..Self::default() }
    }

    /// The baseline of an account that names `own`, or none.
    pub(super) fn of(&mut self, own: Option<PathBuf>) -> Option<Arc<BaselineFile>> {
        let path = own.or_else(|| self.common.clone())?;
        if let Some(known) = self.by_path.get(&path) {
            return Some(Arc::clone(known));
        }
        self.files.extend([&*path]);
        let declared = read(&path).map(Arc::new);
        let file = Arc::new(BaselineFile { path: path.clone(), declared });
        self.by_path.insert(path, Arc::clone(&file));
        Some(file)
    }

    /// All that were asked for, by path.
    pub(super) fn all(&self) -> Vec<Arc<BaselineFile>> {
        self.by_path.values().cloned().collect()
    }
}

/// # Errors
/// All mistakes of the baselines of these accounts.
pub(crate) fn usable(accounts: &[Account]) -> Result<(), Error> {
    let files = accounts.iter().filter_map(|account| account.baseline.as_deref());
    let distinct: BTreeMap<&Path, &BaselineFile> = files.map(|file| (file.path.as_path(), file)).collect();
    let mut mistakes = Mistakes::default();
    for file in distinct.into_values() {
        mistakes.note(file.declared.clone());
    }
    mistakes.finish(Some(()))
}

fn read(path: &Path) -> Result<Baseline, Error> {
    let text = yaml::text("baseline", path, yaml::read_regular_bytes(path))?;
    parse(path, &text)
}

/// Parses `text`, the content of the file at `path`: a map of ids to settings, or the document that `behaviors list --output
/// json` writes, which is YAML too.
///
/// # Errors
/// All mistakes, each with its line.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Baseline, Error> {
    let mut mistakes = Mistakes::default();
    let document = Document::parse(&path.display().to_string(), text, &mut mistakes);
    let baseline = mistakes.note(document).and_then(|document| {
        let declared = Reader { document: &document, mistakes: &mut mistakes }.settings()?;
        Some(declared.into_iter().collect())
    });
    mistakes.finish(baseline)
}

struct Reader<'a, 'm> {
    document: &'a Document,
    mistakes: &'m mut Mistakes,
}

impl Reader<'_, '_> {
    fn settings(&mut self) -> Option<BTreeMap<String, BehaviorSetting>> {
        let root = &self.document.root;
        let Kind::Map(fields) = &root.kind else {
            let problem = format!(
                "the baseline is {}, but must be a map of behaviors, such as imp_travel: {{ enabled: true, risk_level: high }}",
                root.noun()
            );
            self.refuse(root.line, problem);
            return None;
        };
        let listed = fields.iter().find_map(|field| match &field.value.kind {
            Kind::List(rows) if field.name == "behaviors" => Some(rows),
            _ => None,
        });
        let count = listed.map_or(fields.len(), Vec::len);
        if !(1..=MOST).contains(&count) {
            let count = if count == 0 { "no".to_owned() } else { count.to_string() };
            let problem = format!("the baseline has {count} behaviors, but must have from 1 to {MOST}");
            self.refuse(root.line, problem);
        }
        Some(match listed {
            Some(rows) => {
                self.know("", fields, &DOCUMENT);
                self.rows(rows)
            }
            None => self.fields(fields),
        })
    }

    /// A map of ids to settings.
    fn fields(&mut self, fields: &[Field]) -> BTreeMap<String, BehaviorSetting> {
        let mut declared = BTreeMap::new();
        for Field { name, line, value } in fields {
            let quoted = shown(name);
            let shown = quoted.trim_matches('"');
            let Kind::Map(settings) = &value.kind else {
                let problem =
                    format!("{shown} is {}, but must be a map of enabled and risk_level", value.noun());
                self.refuse(*line, problem);
                continue;
            };
            self.know(&format!("{shown}."), settings, &SETTINGS);
            let is_id = self.is_id(shown, name, *line);
            if let (Some(setting), true) = (self.setting(shown, *line, settings), is_id) {
                declared.insert(name.clone(), setting);
            }
        }
        declared
    }

    /// The rows of a list of behaviors.
    fn rows(&mut self, rows: &[Node]) -> BTreeMap<String, BehaviorSetting> {
        let mut declared = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            let name = format!("behaviors[{index}]");
            let Kind::Map(fields) = &row.kind else {
                self.refuse(row.line, format!("{name} is {}, but must be a map", row.noun()));
                continue;
            };
            self.know(&format!("{name}."), fields, &LISTED);
            let id = self.text(&name, row.line, fields, ID, "the id of a behavior");
            let setting = self.setting(&name, row.line, fields);
            let Some((id, line)) = id.filter(|(id, line)| self.is_id(&format!("{name}.id"), id, *line))
            else {
                continue;
            };
            if let Some(setting) = setting
                && declared.insert(id.to_owned(), setting).is_some()
            {
                self.refuse(line, format!("{name}.id is {}, which is listed twice", shown(id)));
            }
        }
        declared
    }

    fn setting(&mut self, name: &str, line: usize, fields: &[Field]) -> Option<BehaviorSetting> {
        let enabled = self.text(name, line, fields, ENABLED, "true or false");
        let enabled = enabled.and_then(|(text, line)| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => self.must_be(name, ENABLED, text, line, "true or false"),
        });
        let level = self.text(name, line, fields, RISK_LEVEL, "low, medium or high");
        let level = level.and_then(|(text, line)| match text {
            "low" => Some(Level::Low),
            "medium" => Some(Level::Medium),
            "high" => Some(Level::High),
            _ => self.must_be(name, RISK_LEVEL, text, line, "low, medium or high"),
        });
        Some(BehaviorSetting { enabled: enabled?, level: level? })
    }

    /// The text of a field and its line. What is missing is a mistake on the `line` of the behavior.
    fn text<'a>(
        &mut self,
        name: &str,
        line: usize,
        fields: &'a [Field],
        key: &str,
        allowed: &str,
    ) -> Option<(&'a str, usize)> {
        let Some(field) = fields.iter().find(|field| field.name == key) else {
            self.refuse(line, format!("{name} has no {key}"));
            return None;
        };
        match &field.value.kind {
            Kind::Text(text) => Some((text, field.line)),
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                let problem = format!("{name}.{key} is {}, but must be {allowed}", field.value.noun());
                self.refuse(field.line, problem);
                None
            }
        }
    }

    fn must_be<T>(&mut self, name: &str, key: &str, text: &str, line: usize, allowed: &str) -> Option<T> {
        self.refuse(line, format!("{name}.{key} is {}, but must be {allowed}", shown(text)));
        None
    }

    /// Whether a text can be the id of a behavior, and so a label.
    fn is_id(&mut self, name: &str, id: &str, line: usize) -> bool {
        let is_id = (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(is_showable);
        if !is_id {
            let problem = format!(
                "{name} is no id of a behavior: it must have from 1 to {LONGEST_ID} bytes and only printable characters"
            );
            self.refuse(line, problem);
        }
        is_id
    }

    fn know(&mut self, parent: &str, fields: &[Field], names: &[&str]) {
        for field in fields {
            self.mistakes.note(keys::known(self.document, parent, field, names));
        }
    }

    fn refuse(&mut self, line: usize, problem: String) {
        self.mistakes.add(Error::at(&self.document.origin(line), problem));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Baseline, String> {
        parse(Path::new("b.yaml"), text).map_err(|error| error.lines())
    }

    fn wanted(settings: &[(&str, bool, Level)]) -> Baseline {
        let setting =
            |&(id, enabled, level): &(&str, bool, Level)| (id.to_owned(), BehaviorSetting { enabled, level });
        settings.iter().map(setting).collect()
    }

    #[test]
    fn a_map_of_behaviors_and_a_list_of_them_in_json_are_the_same_baseline() {
        let both = wanted(&[("high_dlp", false, Level::Low), ("imp_travel", true, Level::High)]);
        for text in [
            "imp_travel: { enabled: true, risk_level: high }\nhigh_dlp:\n  enabled: false\n  risk_level: low\n",
            "# Behaviors\n\"imp_travel\": {\"enabled\": true, \"risk_level\": \"high\"}\nhigh_dlp: {enabled: false, risk_level: low}",
            r#"{"account":"acme","behaviors":[
                {"id":"high_dlp","name":"DLP","description":"a: \"b\"\n\u00e4","enabled":false,"risk_level":"low"},
                {"id":"imp_travel","name":"Travel","description":"","enabled":true,"risk_level":"high"}]}"#,
            "behaviors:\n- { id: high_dlp, enabled: false, risk_level: low }\n- { id: imp_travel, enabled: true, risk_level: high }",
        ] {
            assert_eq!(parsed(text).as_ref(), Ok(&both), "{text}");
        }
        // A behavior may be called like the list.
        let text = "behaviors: { enabled: true, risk_level: medium }";
        assert_eq!(parsed(text), Ok(wanted(&[("behaviors", true, Level::Medium)])));
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        for (text, mistakes) in [
            ("", &["b.yaml:1: the baseline has no behaviors, but must have from 1 to 256"][..]),
            ("{}", &["b.yaml:1: the baseline has no behaviors, but must have from 1 to 256"]),
            (
                "[a]",
                &[
                    "b.yaml:1: the baseline is a list, but must be a map of behaviors, such as imp_travel: { enabled: true, \
                   risk_level: high }",
                ],
            ),
            (
                "a: { enabled: maybe, risk_level: severe }\nb: { enabled: true }\nc: on\n",
                &[
                    "b.yaml:1: a.enabled is \"maybe\", but must be true or false",
                    "b.yaml:1: a.risk_level is \"severe\", but must be low, medium or high",
                    "b.yaml:2: b has no risk_level",
                    "b.yaml:3: c is a single value, but must be a map of enabled and risk_level",
                ],
            ),
            (
                "a:\n  enabled: true\n  risk_level: unknown\n  level: low\n",
                &[
                    "b.yaml:3: a.risk_level is \"unknown\", but must be low, medium or high",
                    "b.yaml:4: a.level is not a known key; known keys: enabled, risk_level",
                ],
            ),
            (
                "a: { enabled: true, risk_level: low }\na: { enabled: true, risk_level: low }",
                &["b.yaml:2: a is given twice, first on line 1"],
            ),
            (
                "behaviors:\n- { id: a, enabled: null, risk_level: low }\n- { enabled: true, risk_level: low }\n- a\n\
                 - { id: b, enabled: true, risk_level: low }\n- { id: b, enabled: true, risk_level: low }\nother: 1\n",
                &[
                    "b.yaml:2: behaviors[0].enabled is empty, but must be true or false",
                    "b.yaml:3: behaviors[1] has no id",
                    "b.yaml:4: behaviors[2] is a single value, but must be a map",
                    "b.yaml:6: behaviors[4].id is \"b\", which is listed twice",
                    "b.yaml:7: other is not a known key; known keys: account, behaviors",
                ],
            ),
            (
                "\"a\\nb\": { enabled: true, risk_level: low }",
                &[
                    "b.yaml:1: a\\nb is no id of a behavior: it must have from 1 to 128 bytes and only printable characters",
                ],
            ),
            ("a: [b", &["b.yaml:1:4: not valid YAML: "]),
        ] {
            let found = parsed(text).unwrap_err();
            let found: Vec<&str> = found.lines().collect();
            assert_eq!(found.len(), mistakes.len(), "{text}\n{found:?}");
            for (found, wanted) in found.iter().zip(mistakes) {
                assert!(
                    found == wanted || wanted.ends_with(": ") && found.starts_with(wanted),
                    "{found}\n{wanted}"
                );
            }
        }
    }

    #[test]
    fn the_number_and_the_length_of_ids_are_bounded() {
        let many = |count: usize| -> String {
            (0..count).map(|id| format!("b{id}: {{ enabled: true, risk_level: low }}\n")).collect()
        };
        assert_eq!(parsed(&many(256)).map(|baseline| baseline.count()), Ok(256));
        let refusal = "b.yaml:1: the baseline has 257 behaviors, but must have from 1 to 256".to_owned();
        assert_eq!(parsed(&many(257)), Err(refusal));
        let long = |length| format!("{}: {{ enabled: true, risk_level: low }}", "i".repeat(length));
        assert!(parsed(&long(128)).is_ok());
        let refusal = parsed(&long(129)).unwrap_err();
        let wanted = format!(
            "b.yaml:1: {}\"... is no id of a behavior: it must have from 1 to 128 bytes",
            "i".repeat(60)
        );
        assert!(refusal.starts_with(&wanted), "{refusal}");
    }
}
