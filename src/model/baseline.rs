//! The settings that behaviors should have, and how the current settings differ from them. Pure.

use std::collections::BTreeMap;

use super::{Behavior, BehaviorSetting, Level};

/// The declared settings of behaviors, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline(BTreeMap<String, BehaviorSetting>);

/// A setting in which a behavior can differ from its declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftSetting {
    /// Whether the behavior is enabled.
    Enabled,
    /// The level that the behavior gives a user.
    RiskLevel,
    /// The behavior does not exist.
    Missing,
}

impl DriftSetting {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Enabled, Self::RiskLevel, Self::Missing];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::RiskLevel => "risk_level",
            Self::Missing => "missing",
        }
    }
}

/// What Cloudflare says of a declared behavior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrentSetting {
    /// These settings.
    Listed {
        /// Whether the behavior is enabled; `None` if that is missing or unreadable.
        enabled: Option<bool>,
        /// The level that the behavior gives a user.
        level: Level,
    },
    /// There is no such behavior.
    Missing,
    /// It is not listed, but the list has rows that could not be read.
    Unknown,
}

/// A declared behavior beside its current settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredBehavior {
    /// The behavior's id.
    pub id: String,
    /// The settings that it should have.
    pub declared: BehaviorSetting,
    /// The settings that it has.
    pub current: CurrentSetting,
}

impl DeclaredBehavior {
    /// Whether the behavior differs in this setting; `None` if that is not known. A behavior that does not exist differs in that
    /// alone.
    pub fn is_drifted(&self, setting: DriftSetting) -> Option<bool> {
        match (self.current, setting) {
            (CurrentSetting::Listed { enabled, .. }, DriftSetting::Enabled) => {
                enabled.map(|enabled| enabled != self.declared.enabled)
            }
            (CurrentSetting::Listed { level, .. }, DriftSetting::RiskLevel) => {
                Some(level != self.declared.level)
            }
            (CurrentSetting::Listed { .. }, DriftSetting::Missing) => Some(false),
            (CurrentSetting::Missing, DriftSetting::Missing) => Some(true),
            (CurrentSetting::Missing | CurrentSetting::Unknown, _) => None,
        }
    }

    /// The settings in which it differs.
    pub fn drifted(&self) -> impl Iterator<Item = DriftSetting> {
        DriftSetting::ALL.into_iter().filter(|setting| self.is_drifted(*setting) == Some(true))
    }
}

/// How the behaviors of an account differ from its baseline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// The declared behaviors, by id, whether they differ or not.
    pub declared: Vec<DeclaredBehavior>,
    /// The ids of the behaviors that the baseline does not have. They are no drift, because Cloudflare adds some.
    pub undeclared: Vec<String>,
}

impl Drift {
    /// The behaviors that differ.
    pub fn drifted(&self) -> impl Iterator<Item = &DeclaredBehavior> {
        self.declared.iter().filter(|behavior| behavior.drifted().next().is_some())
    }
}

impl Baseline {
    /// The number of declared behaviors.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How the `current` behaviors, of which `rejected` more could not be read, differ from this.
    pub fn drift<'a>(&self, current: impl IntoIterator<Item = &'a Behavior>, rejected: u32) -> Drift {
        let mut current: BTreeMap<&str, &Behavior> =
            current.into_iter().map(|behavior| (behavior.id.as_str(), behavior)).collect();
        let mut beside = |(id, declared): (&String, &BehaviorSetting)| {
            let current = match current.remove(id.as_str()) {
                Some(Behavior { enabled, level, .. }) => {
                    CurrentSetting::Listed { enabled: *enabled, level: *level }
                }
                None if rejected > 0 => CurrentSetting::Unknown,
                None => CurrentSetting::Missing,
            };
            DeclaredBehavior { id: id.clone(), declared: *declared, current }
        };
        let declared = self.0.iter().map(&mut beside).collect();
        Drift { declared, undeclared: current.into_keys().map(str::to_owned).collect() }
    }
}

impl FromIterator<(String, BehaviorSetting)> for Baseline {
    fn from_iter<I: IntoIterator<Item = (String, BehaviorSetting)>>(settings: I) -> Self {
        Self(settings.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENABLED: DriftSetting = DriftSetting::Enabled;
    const RISK_LEVEL: DriftSetting = DriftSetting::RiskLevel;
    const MISSING: DriftSetting = DriftSetting::Missing;

    fn behavior(id: &str, enabled: Option<bool>, level: Level) -> Behavior {
        let (name, description) = (String::new(), String::new());
        Behavior { id: id.to_owned(), name, description, enabled, level }
    }

    fn baseline(declared: &[(&str, bool, Level)]) -> Baseline {
        let setting =
            |&(id, enabled, level): &(&str, bool, Level)| (id.to_owned(), BehaviorSetting { enabled, level });
        declared.iter().map(setting).collect()
    }

    #[test]
    fn each_setting_differs_by_itself_and_what_is_not_known_is_no_drift() {
        let declared = baseline(&[("a", true, Level::High)]);
        let all = |enabled, level, missing| vec![(ENABLED, enabled), (RISK_LEVEL, level), (MISSING, missing)];
        let no = Some(false);
        let yes = Some(true);
        for (current, rejected, wanted) in [
            (vec![behavior("a", Some(true), Level::High)], 0, all(no, no, no)),
            (vec![behavior("a", Some(false), Level::High)], 0, all(yes, no, no)),
            (vec![behavior("a", Some(true), Level::Low)], 0, all(no, yes, no)),
            (vec![behavior("a", Some(false), Level::Unrecognized)], 0, all(yes, yes, no)),
            (vec![behavior("a", Some(true), Level::Unknown)], 0, all(no, yes, no)),
            (vec![behavior("a", None, Level::High)], 3, all(None, no, no)),
            (vec![behavior("b", Some(true), Level::High)], 0, all(None, None, yes)),
            (vec![behavior("b", Some(true), Level::High)], 1, all(None, None, None)),
        ] {
            let drift = declared.drift(&current, rejected);
            let [behavior] = drift.declared.as_slice() else { panic!("{drift:?}") };
            let found: Vec<_> =
                DriftSetting::ALL.map(|setting| (setting, behavior.is_drifted(setting))).into();
            assert_eq!(found, wanted, "{current:?}, {rejected} rejected");
            let is_drifted = wanted.iter().any(|(_, is_drifted)| *is_drifted == yes);
            assert_eq!(drift.drifted().count(), usize::from(is_drifted), "{current:?}");
        }
    }

    #[test]
    fn a_behavior_that_is_not_declared_is_no_drift_and_is_listed() {
        let declared = baseline(&[("b", true, Level::Low), ("d", false, Level::Medium)]);
        let current = ["c", "b", "a"].map(|id| behavior(id, Some(true), Level::Low));
        let drift = declared.drift(&current, 0);
        let ids: Vec<&str> = drift.declared.iter().map(|behavior| behavior.id.as_str()).collect();
        let drifted: Vec<_> =
            drift.drifted().map(|behavior| (behavior.id.as_str(), behavior.drifted().collect())).collect();
        assert_eq!((ids, drifted), (vec!["b", "d"], vec![("d", vec![MISSING])]));
        assert_eq!(drift.undeclared, ["a", "c"]);
    }
}
