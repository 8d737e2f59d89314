//! Which label the behavior of an event gets. Labels are few and stable, and all events of a behavior have the same.
//!
//! Cloudflare does not say whether an event names its behavior by id or by display name. Both lead to the id, in any letter
//! case. A name that matches neither becomes a label itself. Labels are never removed, so no series changes its name.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::Behavior;

/// The most labels of behaviors that Cloudflare lists; eight were documented in 2026.
const MAX_LISTED: usize = 256;
/// The most labels learned from events.
const MAX_LEARNED: usize = 64;
/// The longest label in bytes. Known ids have about 12 bytes, display names about 50.
const MAX_LENGTH: usize = 128;
/// The most names that lead to labels. Each label has its own; the rest are display names, which Cloudflare may change.
const MAX_NAMES: usize = 1_024;
/// The label of all behaviors beyond these limits.
const OTHER: &str = "other";

/// The number of a label in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelId(u16);

impl LabelId {
    /// The position in [`Labels::names`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The number, as it is saved.
    pub(crate) fn number(self) -> u16 {
        self.0
    }

    /// The label of that number in the same table.
    pub(crate) fn from_number(number: u16) -> Self {
        Self(number)
    }
}

/// The labels given so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Labels {
    names: Vec<String>,
    by_name: BTreeMap<String, LabelId>,
    listed: usize,
    learned: usize,
}

impl Labels {
    /// Gives the listed behaviors their labels, and lets their display names lead to them.
    pub fn list(&mut self, behaviors: &[Behavior]) {
        for behavior in behaviors {
            self.label_listed(&behavior.id);
        }
        let ids: BTreeSet<&str> = behaviors.iter().map(|behavior| behavior.id.as_str()).collect();
        for Behavior { id, name, .. } in behaviors {
            let Some(label) = self.get(id) else { continue };
            self.lead(id, label, &ids);
            // A display name that is also an id leads to the behavior with that id.
            if !ids.contains(name.as_str()) && name.len() <= MAX_LENGTH {
                self.lead(name, label, &ids);
                self.by_name.insert(name.clone(), label);
            }
        }
        if self.by_name.len() > MAX_NAMES {
            let display_names: BTreeSet<&str> =
                behaviors.iter().map(|behavior| behavior.name.as_str()).collect();
            let names = &self.names;
            self.by_name.retain(|name, _| display_names.contains(name.as_str()) || names.contains(name));
        }
    }

    /// The label of a behavior by its id or display name, if it has one already. A name in the same letter case goes
    /// first.
    pub fn get(&self, name: &str) -> Option<LabelId> {
        let in_any_case = || self.by_name.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        self.by_name.get(name).or_else(|| in_any_case().map(|(_, label)| label)).copied()
    }

    /// Whether the name, if it is unknown, could be the display name of a behavior that was not listed yet.
    pub fn may_be_listed_later(&self, name: &str) -> bool {
        self.get(name).is_none() && !name.is_empty() && name.len() <= MAX_LENGTH
    }

    /// The label of the behavior that an event names; a new one, if it has none.
    pub fn learn(&mut self, name: &str) -> LabelId {
        if let Some(label) = self.get(name) {
            return label;
        }
        if self.learned == MAX_LEARNED || name.is_empty() || name.len() > MAX_LENGTH {
            return self.other();
        }
        self.learned += 1;
        self.add(name)
    }

    /// The texts of the labels, by [`LabelId::index`].
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether a saved table is consistent.
    pub fn is_sound(&self) -> bool {
        let are_few = self.listed <= MAX_LISTED && self.learned <= MAX_LEARNED;
        are_few
            && self.names.len() <= self.listed + self.learned + 1
            && self.by_name.values().all(|label| label.index() < self.names.len())
    }

    /// Lets the known names that differ from this one in letter case only lead to its label, except for other `ids`.
    fn lead(&mut self, name: &str, label: LabelId, ids: &BTreeSet<&str>) {
        let same = self.by_name.iter_mut().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        same.filter(|(known, _)| !ids.contains(known.as_str())).for_each(|(_, leads_to)| *leads_to = label);
    }

    fn label_listed(&mut self, id: &str) {
        if let Some(at) = self.names.iter().position(|name| name == id) {
            // It keeps its label, even if its id was the display name of another behavior in between.
            self.by_name
                .insert(id.to_owned(), LabelId(u16::try_from(at).expect("at most 321 labels are given")));
            return;
        }
        if self.listed == MAX_LISTED || id.is_empty() || id.len() > MAX_LENGTH {
            return;
        }
        self.listed += 1;
        self.add(id);
    }

    fn other(&mut self) -> LabelId {
        match self.names.iter().position(|name| name == OTHER) {
            Some(at) => LabelId(u16::try_from(at).expect("at most 321 labels are given")),
            None => self.add(OTHER),
        }
    }

    fn add(&mut self, name: &str) -> LabelId {
        let label = LabelId(u16::try_from(self.names.len()).expect("at most 321 labels are given"));
        self.names.push(name.to_owned());
        self.by_name.insert(name.to_owned(), label);
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Level;

    fn behavior(id: &str, name: &str) -> Behavior {
        Behavior {
            id: id.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            enabled: Some(true),
            level: Level::High,
        }
    }

    fn text(labels: &mut Labels, name: &str) -> String {
        let label = labels.learn(name);
        labels.names()[label.index()].clone()
    }

    #[test]
    fn id_and_display_name_lead_to_the_id() {
        let mut labels = Labels::default();
        labels.list(&[behavior("imp_travel", "Impossible Travel"), behavior("a", "b"), behavior("b", "c")]);
        for (name, label) in [
            ("imp_travel", "imp_travel"),
            ("Impossible Travel", "imp_travel"),
            ("a", "a"),
            ("b", "b"),
            ("c", "b"),
            ("IMP_TRAVEL", "imp_travel"),
            ("IMPOSSIBLE TRAVEL", "imp_travel"),
            ("impossible travel", "imp_travel"),
            ("Unheard Of", "Unheard Of"),
            ("unheard of", "Unheard Of"),
        ] {
            assert_eq!(text(&mut labels, name), label, "{name}");
        }
    }

    #[test]
    fn ids_that_differ_in_letter_case_only_are_different_behaviors() {
        let mut labels = Labels::default();
        assert_eq!(text(&mut labels, "A"), "A");
        labels.list(&[behavior("a", "A"), behavior("B", "b"), behavior("b", "c")]);
        for (name, label) in [("A", "a"), ("a", "a"), ("B", "B"), ("b", "b")] {
            assert_eq!(text(&mut labels, name), label, "{name}");
        }
    }

    #[test]
    fn display_names_that_change_all_the_time_are_bounded() {
        let mut labels = Labels::default();
        for number in 0..2 * MAX_NAMES {
            labels
                .list(&[behavior("imp_travel", &format!("Impossible Travel {number}")), behavior("b", "B2")]);
            assert!(labels.by_name.len() <= MAX_NAMES, "{}", labels.by_name.len());
        }
        let latest = format!("Impossible Travel {}", 2 * MAX_NAMES - 1);
        for (name, label) in [("imp_travel", "imp_travel"), (latest.as_str(), "imp_travel"), ("b2", "b")] {
            assert_eq!(text(&mut labels, name), label, "{name}");
        }
    }

    #[test]
    fn a_learned_name_that_turns_out_to_be_a_display_name_leads_to_the_id_from_then_on() {
        let mut labels = Labels::default();
        assert_eq!(text(&mut labels, "Impossible Travel"), "Impossible Travel");
        assert_eq!(text(&mut labels, "HIGH_DLP"), "HIGH_DLP");
        labels.list(&[behavior("imp_travel", "IMPOSSIBLE travel"), behavior("high_dlp", "DLP")]);
        for (name, label) in [
            ("Impossible Travel", "imp_travel"),
            ("IMPOSSIBLE travel", "imp_travel"),
            ("impossible travel", "imp_travel"),
            ("HIGH_DLP", "high_dlp"),
        ] {
            assert_eq!(text(&mut labels, name), label, "{name}");
        }
        assert_eq!(labels.names(), ["Impossible Travel", "HIGH_DLP", "imp_travel", "high_dlp"]);
    }

    #[test]
    fn a_name_that_stood_for_another_behavior_is_no_second_label() {
        let mut labels = Labels::default();
        assert_eq!(text(&mut labels, "n"), "n");
        labels.list(&[behavior("x", "n")]);
        assert_eq!(text(&mut labels, "n"), "x");
        labels.list(&[behavior("x", "other name"), behavior("n", "its own name")]);
        assert_eq!(
            (text(&mut labels, "n"), labels.names()),
            ("n".to_owned(), ["n", "x"].map(str::to_owned).as_slice())
        );
    }

    #[test]
    fn labels_beyond_the_bounds_are_other() {
        let mut labels = Labels::default();
        let many: Vec<_> =
            (0..300).map(|n| behavior(&format!("listed_{n:03}"), &format!("Listed {n:03}"))).collect();
        labels.list(&many);
        assert_eq!((labels.names().len(), text(&mut labels, "listed_299")), (256, "listed_299".to_owned()));
        for n in 1..64 {
            assert_eq!(text(&mut labels, &format!("learned_{n}")), format!("learned_{n}"));
        }
        for name in ["one too many", "", "x".repeat(129).as_str()] {
            assert_eq!(text(&mut labels, name), "other", "{name:?}");
        }
        assert_eq!(labels.names().len(), 256 + 64 + 1);
    }
}
