//! The JSON of small responses and of request bodies.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::decode::rfc3339;
use super::values::{IntegrationSetting, NewIntegration, TokenState, TokenStatus, UpdatedBehavior};
use crate::clock::Timestamp;
use crate::model::{self, BehaviorSetting, Level, Listing};

/// `{behaviors: {id: {name, description, enabled, risk_level}}}`
#[derive(Debug, Deserialize)]
pub(super) struct Behaviors {
    #[serde(deserialize_with = "behaviors")]
    pub(super) behaviors: Listing<model::Behavior>,
}

/// The response to a change of behaviors: the same, but name and description may be missing.
#[derive(Debug, Deserialize)]
pub(super) struct UpdatedBehaviors {
    behaviors: BTreeMap<String, Behavior>,
}

#[derive(Debug, Deserialize)]
struct Behavior {
    name: Option<String>,
    description: Option<String>,
    enabled: bool,
    risk_level: Option<String>,
}

impl UpdatedBehaviors {
    pub(super) fn into_updated(self) -> Vec<UpdatedBehavior> {
        let behavior = |(id, wire): (String, Behavior)| UpdatedBehavior {
            level: level(wire.risk_level.as_deref()),
            enabled: wire.enabled,
            id,
        };
        self.behaviors.into_iter().map(behavior).collect()
    }
}

/// The result for one user, without the events.
#[derive(Debug, Deserialize)]
pub(super) struct UserHead {
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) last_reset_time: Option<String>,
    pub(super) risk_level: Option<String>,
}

/// `[integration]`
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Integrations {
    #[serde(deserialize_with = "integrations")]
    pub(super) integrations: Listing<model::Integration>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Integration {
    #[serde(deserialize_with = "uuid")]
    id: uuid::Uuid,
    integration_type: String,
    reference_id: String,
    tenant_url: String,
    #[serde(default)]
    well_known_url: Option<String>,
    active: bool,
    #[serde(deserialize_with = "date")]
    created_at: Timestamp,
}

impl From<Integration> for model::Integration {
    fn from(wire: Integration) -> Self {
        Self {
            id: wire.id,
            kind: wire.integration_type,
            reference_id: wire.reference_id,
            tenant_url: wire.tenant_url,
            well_known_url: wire.well_known_url.unwrap_or_default(),
            active: wire.active,
            created_at: wire.created_at,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Token {
    id: Option<String>,
    status: String,
    expires_on: Option<String>,
}

impl From<Token> for TokenStatus {
    fn from(wire: Token) -> Self {
        // Cloudflare's ids have 32 hexadecimal digits.
        let is_id = |id: &String| id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Self {
            id: wire.id.filter(is_id),
            state: match wire.status.as_str() {
                "active" => TokenState::Active,
                "disabled" => TokenState::Disabled,
                "expired" => TokenState::Expired,
                _ => TokenState::Unknown,
            },
            expires: wire.expires_on.as_deref().and_then(|text| rfc3339::parse(text.as_bytes())),
        }
    }
}

pub(super) fn behavior_settings(settings: &BTreeMap<String, BehaviorSetting>) -> Value {
    let setting =
        |setting: &BehaviorSetting| json!({"enabled": setting.enabled, "risk_level": setting.level.as_str()});
    let behaviors: serde_json::Map<_, _> =
        settings.iter().map(|(id, change)| (id.clone(), setting(change))).collect();
    json!({ "behaviors": behaviors })
}

pub(super) fn new_integration(new: &NewIntegration) -> Value {
    let mut body = json!({"integration_type": "Okta", "tenant_url": new.tenant_url});
    if let Some(reference_id) = &new.reference_id {
        body["reference_id"] = json!(reference_id);
    }
    body
}

pub(super) fn integration_setting(setting: &IntegrationSetting) -> Value {
    let mut body = json!({"tenant_url": setting.tenant_url, "active": setting.active});
    if let Some(reference_id) = &setting.reference_id {
        body["reference_id"] = json!(reference_id);
    }
    body
}

fn behaviors<'de, D: Deserializer<'de>>(source: D) -> Result<Listing<model::Behavior>, D::Error> {
    let behavior = |id: String, wire: Behavior| model::Behavior {
        level: level(wire.risk_level.as_deref()),
        name: wire.name.unwrap_or_default(),
        description: wire.description.unwrap_or_default(),
        enabled: wire.enabled,
        id,
    };
    let rows = BTreeMap::<String, Value>::deserialize(source)?;
    listing(rows.into_iter().map(|(id, row)| read(row).map(|wire| behavior(id, wire))))
}

fn integrations<'de, D: Deserializer<'de>>(source: D) -> Result<Listing<model::Integration>, D::Error> {
    let rows = Vec::<Value>::deserialize(source)?;
    listing(rows.into_iter().map(|row| read(row).map(Integration::into)))
}

fn read<T: DeserializeOwned>(row: Value) -> serde_json::Result<T> {
    serde_json::from_value(row)
}

/// Collects the readable rows. If no row is readable, the whole list has an unexpected shape.
fn listing<T, E: serde::de::Error>(
    rows: impl Iterator<Item = serde_json::Result<T>>,
) -> Result<Listing<T>, E> {
    let mut list = Listing::default();
    let mut first = None;
    for row in rows {
        match row {
            Ok(row) => list.rows.push(row),
            Err(error) => {
                list.rejected = list.rejected.saturating_add(1);
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if list.rows.is_empty() => Err(E::custom(format_args!("no row is readable: {error}"))),
        _ => Ok(list),
    }
}

fn level(word: Option<&str>) -> Level {
    word.map_or(Level::Unknown, Level::from_word)
}

fn uuid<'de, D: Deserializer<'de>>(source: D) -> Result<uuid::Uuid, D::Error> {
    let text = String::deserialize(source)?;
    uuid::Uuid::try_parse(&text).map_err(|_| D::Error::custom("the id is not a UUID"))
}

fn date<'de, D: Deserializer<'de>>(source: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(source)?;
    rfc3339::parse(text.as_bytes()).ok_or_else(|| D::Error::custom("created_at is not an RFC 3339 date"))
}
