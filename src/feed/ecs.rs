//! Records as documents of the Elastic Common Schema, version 9.4. What it has no field for stands below `cloudflare.zt_risk`,
//! by its name in the own format. `docs/feed-formats.md` has the mapping as a table.

use serde_json::{Value, json};

use super::json::{date, level_or_none, text};
use super::object::{id_first, without_empty};
use super::record::{Change, Content, Record, RecordUser, Setting, change};
use super::sentence::sentence;
use super::text::{Cut, MAX_DETAILS, bounded, short};
use crate::model::Level;

const VERSION: &str = "9.4.0";

/// The length of a UUID with hyphens. A keyed hash has none.
const ID_LENGTH: usize = 36;

/// The record as a document on one line, without the newline.
pub(super) fn encode(record: &Record) -> String {
    let Record { id, alias, time, logged_time, user, content } = record;
    let Class { kind, category, r#type } = class(content);
    let mut document = json!({
        "@timestamp": date(*time),
        "ecs": {"version": VERSION},
        "event": {
            "id": id.to_string(),
            "sequence": id.sequence,
            "kind": kind,
            "category": category,
            "type": r#type,
            "action": content.kind().as_str(),
            "created": date(*logged_time),
            "module": "cloudflare",
            "dataset": "cloudflare.zt_risk",
            "provider": "zt-risk-exporter",
        },
        "message": sentence(content),
        "observer": {"vendor": "Cloudflare", "product": "Cloudflare One"},
        "cloud": {"provider": "cloudflare", "account": {"id": id.account, "name": alias}},
        "cloudflare": {"zt_risk": {"epoch": id.epoch}},
    });
    if let Some(RecordUser { name, person }) = user {
        let key = if name.len() == ID_LENGTH { "id" } else { "hash" };
        let email = person.as_ref().and_then(|person| text(&person.email));
        let full_name = person.as_ref().and_then(|person| text(&person.name));
        document["user"] = json!({key: name, "email": email, "full_name": full_name});
        document["related"] = json!({"user": [name]});
    }
    describe(&mut document, content);
    id_first(without_empty(document), "event", "id")
}

/// How the schema classifies a record.
struct Class {
    kind: &'static str,
    category: Option<[&'static str; 1]>,
    r#type: Option<Vec<&'static str>>,
}

fn class(content: &Content) -> Class {
    let of_setting = |change| {
        let what = match change {
            Change::Added => "creation",
            Change::Changed => "change",
            Change::Removed => "deletion",
        };
        Class { kind: "event", category: Some(["configuration"]), r#type: Some(vec![what]) }
    };
    match content {
        Content::RiskEvent { .. } => {
            Class { kind: "alert", category: Some(["intrusion_detection"]), r#type: Some(vec!["info"]) }
        }
        // A user who left the list of risk still exists.
        Content::LevelChange { .. } | Content::Reset { .. } | Content::UserGone { .. } => {
            Class { kind: "event", category: Some(["iam"]), r#type: Some(vec!["user", "change"]) }
        }
        Content::BehaviorChange { previous, current, .. } => {
            of_setting(change(previous.as_ref(), current.as_ref()))
        }
        Content::IntegrationChange { previous_active, active, .. } => {
            of_setting(change(previous_active.as_ref(), active.as_ref()))
        }
        Content::Gap { .. } => Class { kind: "pipeline_error", category: None, r#type: None },
    }
}

/// Adds the fields of a kind of record.
fn describe(document: &mut Value, content: &Content) {
    let own = &mut document["cloudflare"]["zt_risk"];
    match content {
        Content::RiskEvent { event_id, behavior, level, details } => {
            own["event_id"] = json!(text(event_id));
            own["level"] = json!(level.as_str());
            if let Some(details) = details {
                let (details, cut) = bounded(details, MAX_DETAILS);
                own["details"] = json!(details);
                own["details_cut"] = json!((cut == Cut::Yes).then_some(true));
            }
            document["rule"] = json!({"id": short(behavior)});
            document["event"]["severity"] = json!(severity(*level));
        }
        Content::LevelChange { previous, current, cause } => {
            own["current_level"] = json!(level_or_none(*current));
            own["previous_level"] = json!(level_or_none(*previous));
            document["event"]["reason"] = json!(cause);
            document["event"]["severity"] = json!(current.and_then(severity));
            // Without a user there is nobody who has the level.
            if let Some(user) = document.get_mut("user") {
                user["risk"] = json!({"static_level": current.and_then(static_level)});
            }
        }
        Content::Reset { previous } => own["previous_level"] = json!(previous.map(Level::as_str)),
        Content::UserGone { previous } => own["previous_level"] = json!(previous.as_str()),
        Content::BehaviorChange { behavior, name, previous, current } => {
            let level = |setting: &Option<Setting>| json!(setting.map(|setting| setting.level.as_str()));
            let enabled = |setting: &Option<Setting>| json!(setting.and_then(|setting| setting.enabled));
            (own["current_level"], own["previous_level"]) = (level(current), level(previous));
            (own["current_enabled"], own["previous_enabled"]) = (enabled(current), enabled(previous));
            own["change"] = json!(change(previous.as_ref(), current.as_ref()));
            document["rule"] = json!({"id": short(behavior), "name": text(name)});
        }
        Content::IntegrationChange { id, kind, previous_active, active } => {
            own["integration_id"] = json!(id);
            own["integration_type"] = json!(text(kind));
            (own["current_enabled"], own["previous_enabled"]) = (json!(active), json!(previous_active));
            own["change"] = json!(change(previous_active.as_ref(), active.as_ref()));
        }
        Content::Gap { reason, count, sequences } => {
            own["count"] = json!(count);
            own["first_sequence"] = json!(sequences.map(|(first, _)| first));
            own["last_sequence"] = json!(sequences.map(|(_, last)| last));
            document["event"]["reason"] = json!(reason);
        }
    }
}

/// Cloudflare's order of levels as a number; `None` if the level is not known.
const fn severity(level: Level) -> Option<u8> {
    match level {
        Level::Low => Some(1),
        Level::Medium => Some(2),
        Level::High => Some(3),
        Level::Unknown | Level::Unrecognized => None,
    }
}

/// The level as the schema writes levels of other systems.
const fn static_level(level: Level) -> Option<&'static str> {
    match level {
        Level::Low => Some("Low"),
        Level::Medium => Some("Medium"),
        Level::High => Some("High"),
        Level::Unknown | Level::Unrecognized => None,
    }
}

#[cfg(test)]
mod tests;
