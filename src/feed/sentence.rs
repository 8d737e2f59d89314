//! What a record says, as a sentence for people. It names no user: formats and the terminal name users where they may.

use super::record::{Cause, Change, Content, GapReason, change};
use super::text::bounded;
use crate::model::Level;

/// The most bytes of a name in a sentence.
const MAX_NAME: usize = 128;

/// The sentence, without a full stop.
pub(crate) fn sentence(content: &Content) -> String {
    match content {
        Content::RiskEvent { behavior, level, .. } => {
            format!("risk event {} of level {}", cut(behavior), level.as_str())
        }
        Content::LevelChange { previous, current, cause } => {
            format!("level changed from {} to {}{}", on_list(*previous), on_list(*current), because(*cause))
        }
        Content::Reset { previous: Some(previous) } => format!("score reset at level {}", previous.as_str()),
        Content::Reset { previous: None } => "score reset".to_owned(),
        Content::UserGone { previous } => {
            format!("user left the list at level {}", previous.as_str())
        }
        Content::BehaviorChange { behavior, previous, current, .. } => {
            let what = changed(change(previous.as_ref(), current.as_ref()));
            let setting = current.map_or_else(String::new, |setting| {
                let enabled = match setting.enabled {
                    Some(true) => ", enabled",
                    Some(false) => ", disabled",
                    None => "",
                };
                format!(": level {}{enabled}", setting.level.as_str())
            });
            format!("behavior {} {what}{setting}", cut(behavior))
        }
        Content::IntegrationChange { kind, previous_active, active, .. } => {
            let what = changed(change(previous_active.as_ref(), active.as_ref()));
            let now = match active {
                Some(true) => ": active",
                Some(false) => ": inactive",
                None => "",
            };
            format!("integration {} {what}{now}", cut(kind))
        }
        Content::Gap { reason, count, sequences } => {
            let what = if sequences.is_some() { "record" } else { "event" };
            let (plural, are) = if *count == 1 { ("", "is") } else { ("s", "are") };
            format!("{count} {what}{plural} {are} missing: {}", missing(*reason))
        }
    }
}

fn cut(name: &str) -> String {
    bounded(name, MAX_NAME).0
}

fn on_list(level: Option<Level>) -> &'static str {
    level.map_or("none", Level::as_str)
}

const fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::Event => " by an event",
        Cause::Reset => " by a reset",
        Cause::Removal => ", as the user left the list",
        Cause::Setting => ", as a behavior has another level",
        Cause::Baseline => " on the first list",
    }
}

const fn changed(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Changed => "changed",
        Change::Removed => "removed",
    }
}

const fn missing(reason: GapReason) -> &'static str {
    match reason {
        GapReason::BufferFull => "the buffer was full",
        GapReason::Forgotten => "a user was forgotten",
        GapReason::Timestamp => "dated too far in the future",
        GapReason::Unreadable => "a field could not be read",
        GapReason::Capped => "the list of events was incomplete",
        GapReason::Reset => "the user was reset first",
        GapReason::Removed => "the user was removed first",
        GapReason::Late => "listed with an old time",
        GapReason::Unknown => "no explanation is known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::record::Setting;

    #[test]
    fn a_person_reads_what_happened() {
        let setting = |enabled, level| Some(Setting { enabled, level });
        let behavior = |previous, current| Content::BehaviorChange {
            behavior: "high_dlp".to_owned(),
            name: "DLP".to_owned(),
            previous,
            current,
        };
        let integration = |previous_active, active| Content::IntegrationChange {
            id: uuid::Uuid::nil(),
            kind: "Okta".to_owned(),
            previous_active,
            active,
        };
        for (content, wanted) in [
            (
                Content::RiskEvent {
                    event_id: "e".to_owned(),
                    behavior: "imp_travel".to_owned(),
                    level: Level::High,
                    details: Some("{\"secret\":1}".to_owned()),
                },
                "risk event imp_travel of level high",
            ),
            (
                Content::LevelChange {
                    previous: Some(Level::Low),
                    current: Some(Level::High),
                    cause: Cause::Event,
                },
                "level changed from low to high by an event",
            ),
            (
                Content::LevelChange { previous: Some(Level::High), current: None, cause: Cause::Removal },
                "level changed from high to none, as the user left the list",
            ),
            (Content::Reset { previous: Some(Level::High) }, "score reset at level high"),
            (Content::Reset { previous: None }, "score reset"),
            (Content::UserGone { previous: Level::Low }, "user left the list at level low"),
            (
                behavior(None, setting(Some(true), Level::High)),
                "behavior high_dlp added: level high, enabled",
            ),
            (
                behavior(setting(Some(true), Level::High), setting(Some(false), Level::Low)),
                "behavior high_dlp changed: level low, disabled",
            ),
            (behavior(setting(None, Level::Low), None), "behavior high_dlp removed"),
            (integration(Some(true), Some(false)), "integration Okta changed: inactive"),
            (integration(None, Some(true)), "integration Okta added: active"),
            (
                Content::Gap { reason: GapReason::BufferFull, count: 5, sequences: Some((3, 7)) },
                "5 records are missing: the buffer was full",
            ),
            (
                Content::Gap { reason: GapReason::Removed, count: 1, sequences: None },
                "1 event is missing: the user was removed first",
            ),
        ] {
            assert_eq!(sentence(&content), wanted);
        }
    }

    #[test]
    fn names_from_outside_stay_short_and_visible() {
        let content = Content::RiskEvent {
            event_id: String::new(),
            behavior: "a\n\u{202e}".repeat(100_000),
            level: Level::Unknown,
            details: None,
        };
        let sentence = sentence(&content);
        assert!(sentence.len() < 200 && !sentence.contains(['\n', '\u{202e}']), "{sentence}");
    }
}
