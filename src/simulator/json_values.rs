//! Integrations and events as JSON.

use serde_json::{Value, json};

use super::account::{Account, Event, Integration};
use super::api_options::EventNames;
use crate::clock::Timestamp;

pub(super) fn integration(account: &str, integration: &Integration) -> Value {
    let id = integration.id;
    json!({
        "id": id.to_string(),
        "account_tag": account,
        "integration_type": "Okta",
        "reference_id": integration.reference_id,
        "tenant_url": integration.tenant_url,
        "well_known_url":
            format!("https://ssf.risk-score.teams.cloudflare.com/.well-known/sse-configuration/{id}"),
        "active": integration.active,
        "created_at": integration.created_at.to_string(),
    })
}

pub(super) fn event(account: &Account, event: &Event, names: EventNames) -> Value {
    let behavior = account.behavior_id(event);
    let display = account.behaviors.get(behavior).map(|behavior| behavior.name.as_str());
    let name = match names {
        EventNames::Display => display.unwrap_or(behavior),
        EventNames::Id => behavior,
    };
    let mut value = json!({
        "id": account.event_id_json(event),
        "name": name,
        "risk_level": event.level,
        // RFC 3339 allows any number of fractional digits, so some events have nine.
        "timestamp": match event.number % 3 {
            0 => precise(event.timestamp),
            _ => event.timestamp.to_string(),
        },
    });
    // The schema allows any JSON as details, and none.
    let details = match event.number % 4 {
        0 => Some(
            json!({"location": {"from": "Lisbon", "to": "Osaka"}, "km": 11_120.5, "devices": ["a", null]}),
        ),
        1 => Some(json!("seen \"twice\"")),
        2 => Some(Value::Null),
        _ => None,
    };
    if let (Some(fields), Some(details)) = (value.as_object_mut(), details) {
        fields.insert("event_details".to_owned(), details);
    }
    value
}

/// A date with nine fractional digits.
fn precise(date: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(date.millis())
        .map_or_else(|_| date.to_string(), |date| format!("{date:.9}"))
}
