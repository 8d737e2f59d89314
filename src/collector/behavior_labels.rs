//! Which label an event's behavior gets: few, stable, and the same for every event of a behavior.
//!
//! An event names its behavior by id or by display name, Cloudflare does not say which; both lead to the
//! id. What matches neither is learned as it stands. A table never forgets, so no series changes its name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Behavior;

/// Behaviors that get a label because Cloudflare lists them; eight were documented in 2026.
const LISTED: usize = 256;
/// Behaviors that get a label because an event named them.
const LEARNED: usize = 64;
/// Bytes of a label; attested ids have a dozen, display names fifty.
const LENGTH: usize = 128;
/// The label of everything beyond.
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

    /// The number, for the durable state.
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
    /// Gives the listed behaviors their labels, and their display names with them.
    pub fn list(&mut self, behaviors: &[Behavior]) {
        for behavior in behaviors {
            self.label_listed(&behavior.id);
        }
        for behavior in behaviors {
            // A display name that is also an id stands for the behavior with that id.
            let is_id = behaviors.iter().any(|other| other.id == behavior.name);
            if !is_id
                && behavior.name.len() <= LENGTH
                && let Some(label) = self.get(&behavior.id)
            {
                self.by_name.insert(behavior.name.clone(), label);
            }
        }
    }

    /// The label of a behavior by its id or display name, if it has one already.
    pub fn get(&self, name: &str) -> Option<LabelId> {
        self.by_name.get(name).copied()
    }

    /// The label of the behavior that an event names, given now if there was none.
    pub fn learn(&mut self, name: &str) -> LabelId {
        if let Some(label) = self.get(name) {
            return label;
        }
        if self.learned == LEARNED || name.is_empty() || name.len() > LENGTH {
            return self.other();
        }
        self.learned += 1;
        self.add(name)
    }

    /// The labels' texts, by [`LabelId::index`].
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the table, as read from the durable state, is one that this program wrote.
    pub fn is_sound(&self) -> bool {
        let are_few = self.listed <= LISTED && self.learned <= LEARNED;
        are_few
            && self.names.len() <= self.listed + self.learned + 1
            && self.by_name.values().all(|label| label.index() < self.names.len())
    }

    fn label_listed(&mut self, id: &str) {
        if let Some(at) = self.names.iter().position(|name| name == id) {
            // It has its label, even if its name has meanwhile stood for another behavior.
            self.by_name
                .insert(id.to_owned(), LabelId(u16::try_from(at).expect("at most 321 labels are given")));
            return;
        }
        if self.listed == LISTED || id.is_empty() || id.len() > LENGTH {
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
            enabled: true,
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
            ("Unheard Of", "Unheard Of"),
        ] {
            assert_eq!(text(&mut labels, name), label, "{name}");
        }
    }

    #[test]
    fn a_learned_name_that_turns_out_to_be_a_display_name_leads_to_the_id_from_then_on() {
        let mut labels = Labels::default();
        assert_eq!(text(&mut labels, "Impossible Travel"), "Impossible Travel");
        labels.list(&[behavior("imp_travel", "Impossible Travel")]);
        assert_eq!(text(&mut labels, "Impossible Travel"), "imp_travel");
        assert_eq!(labels.names(), ["Impossible Travel", "imp_travel"]);
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
