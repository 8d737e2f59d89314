//! Records as events of the Open Cybersecurity Schema Framework, version 1.8.0.
//!
//! - What happens to a user is a Detection Finding (class 2004). An event creates a finding of its own. A change of the level
//!   updates the finding of the user, and a reset or a departure closes it.
//! - A changed behavior or integration is Entity Management (3004), since an administrator manages it.
//! - A gap is an Application Error (6008) of the exporter.
//!
//! `docs/feed-formats.md` has the mapping as a table.

use serde_json::{Value, json};

use super::json::{in_range, level_or_none, text};
use super::object::{id_first, without_empty};
use super::record::{Change, Content, Record, RecordUser, Setting, change};
use super::sentence::sentence;
use super::text::{Cut, MAX_DETAILS, bounded, short};
use crate::model::Level;

const VERSION: &str = "1.8.0";

const DETECTION_FINDING: u16 = 2004;
const ENTITY_MANAGEMENT: u16 = 3004;
const APPLICATION_ERROR: u16 = 6008;

/// The type of an entity that the framework has no number for.
const OTHER: u16 = 99;

/// The most bytes of the behavior in the title of a finding, which repeats it.
const MAX_TITLE: usize = 256;

/// The record as an event on one line, without the newline.
pub(super) fn encode(record: &Record) -> String {
    let Record { id, time, logged_time, user, content, .. } = record;
    let mut event = json!({
        "metadata": {
            "uid": id.to_string(),
            "sequence": id.sequence,
            "version": VERSION,
            "tenant_uid": id.account,
            "correlation_uid": user.as_ref().map(|user| finding_of(record, user)),
            "product": {
                "vendor_name": "Cloudflare",
                "name": "Cloudflare One",
                "feature": {"name": "User risk score"},
            },
            "log_provider": "zt-risk-exporter",
            "logged_time": in_range(*logged_time).millis(),
        },
        "time": in_range(*time).millis(),
        "severity_id": severity_id(content),
        "message": sentence(content),
        "unmapped": unmapped(record),
    });
    match content {
        Content::RiskEvent { event_id, behavior, level, details } => {
            set_class(&mut event, DETECTION_FINDING, 1);
            set_risk(&mut event, Some(*level));
            event["status_id"] = json!(1);
            event["is_alert"] = json!(true);
            event["finding_info"] = json!({
                "uid": text(event_id).unwrap_or_else(|| id.to_string()),
                "title": bounded(behavior, MAX_TITLE).0,
                "types": [short(behavior)],
                "created_time": in_range(*time).millis(),
                // Cloudflare calls its rules behaviors.
                "analytic": {"uid": short(behavior), "type_id": 2, "type": "Behavioral"},
            });
            if let Some(details) = details {
                let (details, cut) = bounded(details, MAX_DETAILS);
                event["raw_data"] = json!(details);
                event["metadata"]["is_truncated"] = json!((cut == Cut::Yes).then_some(true));
            }
            // The level of an event is not that of the user.
            add_user(&mut event, user.as_ref());
        }
        Content::LevelChange { current, .. } => {
            set_class(&mut event, DETECTION_FINDING, 2);
            set_risk(&mut event, *current);
            event["status_id"] = json!(2);
            event["finding_info"] = user_finding(record);
            add_user(&mut event, user.as_ref());
            if let Some(evidence) = event.pointer_mut("/evidences/0/actor/user") {
                set_risk(evidence, *current);
            }
        }
        Content::Reset { .. } | Content::UserGone { .. } => {
            set_class(&mut event, DETECTION_FINDING, 3);
            let resolved = matches!(content, Content::Reset { .. });
            event["status_id"] = json!(if resolved { 4 } else { 5 });
            event["finding_info"] = user_finding(record);
            add_user(&mut event, user.as_ref());
        }
        Content::BehaviorChange { behavior, name, previous, current } => {
            set_class(&mut event, ENTITY_MANAGEMENT, managed(change(previous.as_ref(), current.as_ref())));
            let entity = |setting: Setting| {
                let data = json!({"level": setting.level.as_str(), "enabled": setting.enabled});
                json!({"uid": short(behavior), "name": text(name), "type_id": OTHER, "type": "Risk behavior", "data": data})
            };
            set_entity(&mut event, previous.map(entity), current.map(entity));
        }
        Content::IntegrationChange { id, kind, previous_active, active } => {
            set_class(
                &mut event,
                ENTITY_MANAGEMENT,
                managed(change(previous_active.as_ref(), active.as_ref())),
            );
            let entity = |active: bool| json!({"uid": id, "name": text(kind), "type_id": OTHER, "type": "Integration", "data": {"active": active}});
            set_entity(&mut event, previous_active.map(entity), active.map(entity));
        }
        Content::Gap { count, .. } => {
            set_class(&mut event, APPLICATION_ERROR, 1);
            event["count"] = json!(count);
        }
    }
    id_first(without_empty(event), "metadata", "uid")
}

/// The class, and what the framework derives from it.
fn set_class(event: &mut Value, class: u16, activity: u16) {
    event["category_uid"] = json!(class / 1_000);
    event["class_uid"] = json!(class);
    event["activity_id"] = json!(activity);
    event["type_uid"] = json!(u32::from(class) * 100 + u32::from(activity));
}

/// The level of a finding or of a user; `None` for a user who is not on the list.
fn set_risk(target: &mut Value, level: Option<Level>) {
    let (id, caption) = match level {
        None => (0, "Info"),
        Some(Level::Low) => (1, "Low"),
        Some(Level::Medium) => (2, "Medium"),
        Some(Level::High) => (3, "High"),
        Some(Level::Unknown | Level::Unrecognized) => (OTHER, "Unknown"),
    };
    target["risk_level_id"] = json!(id);
    target["risk_level"] = json!(caption);
}

/// Informational, low, medium, high, or unknown.
fn severity_id(content: &Content) -> u8 {
    let of_level = |level| match level {
        Level::Low => 2,
        Level::Medium => 3,
        Level::High => 4,
        Level::Unknown | Level::Unrecognized => 0,
    };
    match content {
        Content::RiskEvent { level, .. } => of_level(*level),
        Content::LevelChange { current, .. } => current.map_or(1, of_level),
        Content::Gap { .. } => 3,
        _ => 1,
    }
}

/// The finding that a user is at risk.
fn user_finding(record: &Record) -> Value {
    let uid = record.user.as_ref().map_or_else(|| record.id.to_string(), |user| finding_of(record, user));
    json!({"uid": uid, "title": "User risk level", "modified_time": in_range(record.time).millis()})
}

fn finding_of(record: &Record, user: &RecordUser) -> String {
    format!("{}:{}", record.id.account, user.name)
}

fn add_user(event: &mut Value, user: Option<&RecordUser>) {
    let Some(RecordUser { name: uid, person }) = user else { return };
    let (email, odd_email) = match person.as_ref().and_then(|person| text(&person.email)) {
        Some(email) if is_email(&email) => (Some(email), None),
        other => (None, other),
    };
    event["evidences"] = json!([{"actor": {"user": {
        "uid": uid,
        "type_id": 1,
        "type": "User",
        "email_addr": email,
        "name": odd_email,
        "display_name": person.as_ref().and_then(|person| text(&person.name)),
    }}}]);
    event["resources"] = json!([{"uid": uid, "type": "User", "role_id": 3, "role": "Affected"}]);
    event["observables"] = json!([{
        "name": "evidences[].actor.user.uid",
        "type_id": 31,
        "type": "User Object: uid",
        "value": uid,
    }]);
}

/// Whether the framework takes the text for an address: its pattern has no quotes, and a domain with a dot.
fn is_email(text: &str) -> bool {
    let local = |byte: u8| byte.is_ascii_graphic() && !b"\"(),:;<>@[\\]".contains(&byte);
    let domain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty()
            && name.bytes().all(local)
            && host.bytes().all(domain)
            && host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && !rest.is_empty())
    })
}

/// The activity of Entity Management.
const fn managed(change: Change) -> u16 {
    match change {
        Change::Added => 1,
        Change::Changed => 3,
        Change::Removed => 4,
    }
}

/// The entity as it was, or as it is if it is new, and what became of it.
fn set_entity(event: &mut Value, previous: Option<Value>, current: Option<Value>) {
    event["entity_result"] = json!(current);
    event["entity"] = json!(previous.or(current));
}

/// What the framework has no attribute for, by its name in the own format.
fn unmapped(record: &Record) -> Value {
    let mut unmapped = json!({
        "kind": record.content.kind().as_str(),
        "account": record.alias,
        "epoch": record.id.epoch,
    });
    match &record.content {
        Content::LevelChange { previous, cause, .. } => {
            unmapped["previous_level"] = json!(level_or_none(*previous));
            unmapped["cause"] = json!(cause);
        }
        Content::Reset { previous } => unmapped["previous_level"] = json!(previous.map(Level::as_str)),
        Content::UserGone { previous } => unmapped["previous_level"] = json!(previous.as_str()),
        Content::Gap { reason, sequences, .. } => {
            // The class has no attribute for a user.
            if let Some(RecordUser { name, person }) = &record.user {
                let person = person.as_ref();
                unmapped["user"] = json!(name);
                unmapped["user_email"] = json!(person.and_then(|person| text(&person.email)));
                unmapped["user_name"] = json!(person.and_then(|person| text(&person.name)));
            }
            unmapped["reason"] = json!(reason);
            unmapped["first_sequence"] = json!(sequences.map(|(first, _)| first));
            unmapped["last_sequence"] = json!(sequences.map(|(_, last)| last));
        }
        Content::RiskEvent { .. } | Content::BehaviorChange { .. } | Content::IntegrationChange { .. } => {}
    }
    unmapped
}

#[cfg(test)]
mod tests;
