//! A record as a line for people.

use serde::Deserialize;

use crate::commands::terminal::printable;
use crate::model::Level;

/// What a line shows of a record: `09:30:12 high    imp_travel            182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e`. With a name of
/// usual length, it fits into 80 columns.
#[derive(Debug)]
pub(super) struct Words {
    /// When it happened, as RFC 3339 writes it.
    time: String,
    account: String,
    user: String,
    /// The level of the event, the new level of the user, or the one before a reset or a departure.
    pub(super) level: Option<Level>,
    pub(super) behavior: Option<String>,
    what: String,
}

/// The fields of the own format that a line shows. `docs/feed.md` has them all.
#[derive(Deserialize)]
struct Fields {
    kind: String,
    time: String,
    account: String,
    user: Option<String>,
    behavior: Option<String>,
    integration_type: Option<String>,
    level: Option<String>,
    current_level: Option<String>,
    previous_level: Option<String>,
    cause: Option<String>,
    change: Option<String>,
    current_enabled: Option<bool>,
    reason: Option<String>,
    count: Option<u64>,
}

impl Words {
    /// `None` if the line is no record of the own format.
    pub(super) fn read(line: &str) -> Option<Self> {
        let fields: Fields = serde_json::from_str(line).ok()?;
        let what = fields.what();
        let level = fields.level.or(fields.current_level).or(fields.previous_level);
        Some(Self {
            time: fields.time,
            account: fields.account,
            user: fields.user.unwrap_or_default(),
            level: level.as_deref().filter(|level| *level != "none").map(Level::from_word),
            behavior: fields.behavior,
            what,
        })
    }

    /// The day and the account. It stands above the first line, and above each that has another one.
    pub(super) fn heading(&self) -> String {
        let day = self.time.get(..10).unwrap_or(&self.time);
        printable(&format!("{day} {}", self.account))
    }

    /// The line itself.
    pub(super) fn line(&self) -> String {
        let time = self.time.get(11..19).unwrap_or_default();
        let level = self.level.map_or("-", Level::as_str);
        let line = format!("{time:8} {level:7} {:21} {}", self.what, self.user);
        printable(line.trim_end())
    }
}

impl Fields {
    /// What happened, apart from the level.
    fn what(&self) -> String {
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        let name = self.behavior.as_ref().or(self.integration_type.as_ref()).cloned().unwrap_or_default();
        match self.kind.as_str() {
            "risk_event" => name,
            "level_change" => {
                let left = self.current_level.as_deref() == Some("none");
                let was = word(&self.previous_level);
                if left {
                    format!("off the list, was {was}")
                } else {
                    format!("was {was}, {}", word(&self.cause))
                }
            }
            "reset" => "reset".to_owned(),
            "user_gone" => "left the list".to_owned(),
            "behavior_change" | "integration_change" => {
                let now = match self.current_enabled {
                    Some(true) => ", on",
                    Some(false) => ", off",
                    None => "",
                };
                format!("{name} {}{now}", word(&self.change))
            }
            "gap" => format!("{} missing: {}", self.count.unwrap_or_default(), word(&self.reason)),
            other => other.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of the own format with these fields after those of every record.
    fn record(kind: &str, rest: &str) -> String {
        format!(
            r#"{{"id":"a:1:7","kind":"{kind}","time":"2026-11-21T09:30:12.5Z","logged_time":"2026-11-21T09:30:41Z","account":"prod","account_id":"a","epoch":1,"sequence":7{rest}}}"#
        )
    }

    #[test]
    fn each_kind_is_a_line_that_fits_into_80_columns() {
        let user = r#","user":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e""#;
        let with_user = |rest: &str| format!("{user}{rest}");
        for (kind, rest, wanted) in [
            (
                "risk_event",
                with_user(r#","behavior":"imp_travel","level":"high""#),
                "09:30:12 high    imp_travel            182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
            ),
            (
                "level_change",
                with_user(r#","current_level":"high","previous_level":"medium","cause":"setting""#),
                "09:30:12 high    was medium, setting   182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
            ),
            (
                "level_change",
                with_user(r#","current_level":"none","previous_level":"medium","cause":"removal""#),
                "09:30:12 -       off the list, was medium 182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
            ),
            (
                "reset",
                with_user(r#","previous_level":"high""#),
                "09:30:12 high    reset                 182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
            ),
            (
                "user_gone",
                with_user(r#","previous_level":"low""#),
                "09:30:12 low     left the list         182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
            ),
            ("reset", String::new(), "09:30:12 -       reset"),
            (
                "behavior_change",
                r#","behavior":"high_dlp","change":"changed","current_level":"low","current_enabled":false"#
                    .to_owned(),
                "09:30:12 low     high_dlp changed, off",
            ),
            (
                "integration_change",
                r#","integration_type":"Okta","change":"removed""#.to_owned(),
                "09:30:12 -       Okta removed",
            ),
            (
                "gap",
                r#","reason":"buffer_full","count":5"#.to_owned(),
                "09:30:12 -       5 missing: buffer_full",
            ),
            ("a_later_kind", String::new(), "09:30:12 -       a_later_kind"),
        ] {
            let words = Words::read(&record(kind, &rest)).unwrap();
            assert_eq!((words.heading().as_str(), words.line().as_str()), ("2026-11-21 prod", wanted));
            assert!(wanted.len() <= 80);
        }
    }

    #[test]
    fn text_from_outside_cannot_harm_a_terminal() {
        let words = Words::read(&record("risk_event", r#","behavior":"\u001b[2J","level":"high""#)).unwrap();
        assert_eq!(words.line(), r"09:30:12 high    \u{1b}[2J");
    }

    #[test]
    fn what_is_no_record_of_the_own_format_is_not_shown() {
        for line in ["", "{}", "[]", r#"{"metadata":{"uid":"a:1:7"}}"#] {
            assert!(Words::read(line).is_none(), "{line}");
        }
    }
}
