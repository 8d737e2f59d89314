//! The JSON of small responses and of request bodies.

use std::collections::{BTreeMap, HashMap};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::decode::rfc3339;
use super::values::{IntegrationSetting, NewIntegration, TokenState, TokenStatus, UpdatedBehavior};
use crate::clock::Timestamp;
use crate::model::{self, BehaviorSetting, Found, Level, LevelWord, Listing, OddFields};

/// `{behaviors: {id: {name, description, enabled, risk_level}}}`
#[derive(Debug, Deserialize)]
pub(super) struct Behaviors {
    #[serde(deserialize_with = "behaviors")]
    pub(super) behaviors: Listing<model::Behavior>,
}

/// The response to a change of behaviors: the same, but name and description may be missing.
#[derive(Debug, Deserialize)]
pub(super) struct UpdatedBehaviors {
    #[serde(deserialize_with = "behaviors")]
    behaviors: Listing<model::Behavior>,
}

impl UpdatedBehaviors {
    pub(super) fn into_updated(self) -> Vec<UpdatedBehavior> {
        let behavior = |behavior: model::Behavior| {
            let enabled = behavior.enabled?;
            Some(UpdatedBehavior { level: behavior.level, enabled, id: behavior.id })
        };
        self.behaviors.rows.into_iter().filter_map(behavior).collect()
    }
}

/// The result for one user, without the events. Fields of an unexpected type count as missing.
#[derive(Debug)]
pub(super) struct UserHead {
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) last_reset_time: Option<Timestamp>,
    pub(super) risk_level: Option<Level>,
    pub(super) odd: OddFields,
}

impl<'de> Deserialize<'de> for UserHead {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let row = Map::deserialize(source)?;
        let mut odd = OddFields::default();
        let mut fields = Fields { row: &row, odd: &mut odd, index: None };
        Ok(Self {
            name: fields.optional("name", text),
            email: fields.optional("email", text),
            last_reset_time: fields.date("last_reset_time"),
            risk_level: fields.level("risk_level"),
            odd,
        })
    }
}

/// `[integration]`
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Integrations {
    #[serde(deserialize_with = "integrations")]
    pub(super) integrations: Listing<model::Integration>,
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Integration {
    #[serde(deserialize_with = "integration")]
    integration: model::Integration,
}

impl From<Integration> for model::Integration {
    fn from(wire: Integration) -> Self {
        wire.integration
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Token {
    id: Option<String>,
    status: String,
    #[serde(default)]
    expires_on: Value,
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
            expires: date(&wire.expires_on),
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
    let rows = BTreeMap::<String, Value>::deserialize(source)?;
    listing(rows.into_iter(), |id, fields| {
        Some(model::Behavior {
            enabled: fields.required("enabled", flag),
            level: fields.level("risk_level").unwrap_or(Level::Unknown),
            name: fields.optional("name", text).unwrap_or_default(),
            description: fields.optional("description", text).unwrap_or_default(),
            id,
        })
    })
}

/// If an integration is listed more than once, the last row stays, and one inactive row makes it inactive, which is the
/// state that raises an alert.
fn integrations<'de, D: Deserializer<'de>>(source: D) -> Result<Listing<model::Integration>, D::Error> {
    let rows = Vec::<Value>::deserialize(source)?;
    let mut list = listing(rows.into_iter().map(|row| ((), row)), |(), fields| read_integration(fields))?;
    let mut known: HashMap<uuid::Uuid, bool> = HashMap::new();
    for row in &list.rows {
        let active = known.entry(row.id).or_insert(row.active);
        if *active != row.active {
            *active = false;
            list.odd.add("active", Found::Contradiction, None);
        }
    }
    // Each is taken out at its last row.
    list.rows.reverse();
    list.rows.retain_mut(|row| known.remove(&row.id).map(|active| row.active = active).is_some());
    list.rows.reverse();
    Ok(list)
}

fn integration<'de, D: Deserializer<'de>>(source: D) -> Result<model::Integration, D::Error> {
    let row = Map::deserialize(source)?;
    let mut odd = OddFields::default();
    let found = read_integration(&mut Fields { row: &row, odd: &mut odd, index: None });
    found.ok_or_else(|| D::Error::custom(&odd))
}

/// An integration needs its id. An `active` that is unreadable counts as false, which is the state that raises an alert.
fn read_integration(fields: &mut Fields<'_>) -> Option<model::Integration> {
    Some(model::Integration {
        id: fields.required("id", uuid)?,
        kind: fields.required("integration_type", text).unwrap_or_default(),
        reference_id: fields.required("reference_id", text).unwrap_or_default(),
        tenant_url: fields.required("tenant_url", text).unwrap_or_default(),
        well_known_url: fields.optional("well_known_url", text).unwrap_or_default(),
        active: fields.required("active", flag).unwrap_or(false),
        created_at: fields.required("created_at", date).unwrap_or(Timestamp::UNKNOWN),
    })
}

/// Collects the readable rows. If no row is readable, the whole list has an unexpected shape.
fn listing<K, T, E: serde::de::Error>(
    rows: impl Iterator<Item = (K, Value)>,
    mut read: impl FnMut(K, &mut Fields<'_>) -> Option<T>,
) -> Result<Listing<T>, E> {
    let mut list = Listing::default();
    for (index, (key, row)) in rows.enumerate() {
        let read = match &row {
            Value::Object(row) => read(key, &mut Fields { row, odd: &mut list.odd, index: Some(index) }),
            other => {
                list.odd.add("row", found(Some(other)), Some(index));
                None
            }
        };
        match read {
            Some(row) => list.rows.push(row),
            None => list.rejected = list.rejected.saturating_add(1),
        }
    }
    if list.rejected > 0 && list.rows.is_empty() {
        return Err(E::custom(format_args!("no row is readable: {}", list.odd)));
    }
    Ok(list)
}

/// The fields of one row.
struct Fields<'a> {
    row: &'a Map<String, Value>,
    odd: &'a mut OddFields,
    /// `None` outside a list.
    index: Option<usize>,
}

impl Fields<'_> {
    /// A field that Cloudflare documents as always present.
    fn required<T>(&mut self, field: &'static str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.row.get(field);
        let result = value.and_then(read);
        if result.is_none() {
            self.odd.add(field, found(value), self.index);
        }
        result
    }

    /// A field that may be missing or null.
    fn optional<T>(&mut self, field: &'static str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        match self.row.get(field) {
            None | Some(Value::Null) => None,
            Some(_) => self.required(field, read),
        }
    }

    /// An optional date. Go's zero time means that there is none.
    fn date(&mut self, field: &'static str) -> Option<Timestamp> {
        self.optional(field, |value| rfc3339::parse(value.as_str()?.as_bytes()))
            .filter(|date| !rfc3339::is_never(*date))
    }

    /// An optional level. A word that is not documented is kept, and counts as unexpected.
    fn level(&mut self, field: &'static str) -> Option<Level> {
        let word = self.optional(field, |value| value.as_str().map(str::to_owned))?;
        let level = Level::from_word(&word);
        if level == Level::Unrecognized {
            self.odd.add(field, Found::UnknownLevel, self.index);
            if let Some(word) = LevelWord::new(&word) {
                self.odd.add_level(word);
            }
        }
        Some(level)
    }
}

fn found(value: Option<&Value>) -> Found {
    match value {
        None => Found::Absent,
        Some(Value::Null) => Found::Null,
        Some(Value::Bool(_)) => Found::Boolean,
        Some(Value::Number(_)) => Found::Number,
        Some(Value::String(_)) => Found::String,
        Some(Value::Array(_)) => Found::Array,
        Some(Value::Object(_)) => Found::Object,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) => word.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

/// A date; Go's zero time means that there is none.
fn date(value: &Value) -> Option<Timestamp> {
    rfc3339::parse(value.as_str()?.as_bytes()).filter(|date| !rfc3339::is_never(*date))
}

fn uuid(value: &Value) -> Option<uuid::Uuid> {
    uuid::Uuid::try_parse(value.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integration_with_contradicting_rows_is_inactive_in_any_order() {
        let row = |id: u128, active: Value| {
            let id = uuid::Uuid::from_u128(id);
            json!({"id": id, "integration_type": "Okta", "reference_id": "r", "tenant_url": "https://a.example",
                "active": active, "created_at": "2025-03-19T19:53:56Z"})
        };
        for (rows, wanted, contradictions) in [
            (vec![row(1, json!(true))], vec![(1, true)], 0),
            (vec![row(1, json!(true)), row(1, json!(true))], vec![(1, true)], 0),
            (vec![row(1, json!(true)), row(1, json!(false))], vec![(1, false)], 1),
            (vec![row(1, json!(false)), row(1, json!(true))], vec![(1, false)], 1),
            (
                vec![row(1, json!(false)), row(2, json!(true)), row(1, json!(true))],
                vec![(2, true), (1, false)],
                1,
            ),
            (vec![row(1, json!(true)), row(1, json!(false)), row(1, json!(true))], vec![(1, false)], 2),
        ] {
            let list: Integrations = serde_json::from_value(Value::Array(rows.clone())).unwrap();
            let list = list.integrations;
            let read: Vec<_> = list.rows.iter().map(|row| (row.id.as_u128(), row.active)).collect();
            assert_eq!(read, wanted, "{rows:?}");
            let said: u32 = list.odd.iter().map(|odd| odd.count).sum();
            assert_eq!(said, contradictions, "{}", list.odd);
        }
    }

    #[test]
    fn a_behavior_stays_although_it_does_not_say_whether_it_is_enabled() {
        for (enabled, wanted, odd) in [
            (json!(true), Some(true), ""),
            (json!("false"), Some(false), ""),
            (json!(null), None, "enabled of row 1 is null"),
            (json!(1), None, "enabled of row 1 is an unexpected number"),
        ] {
            let text = json!({"behaviors": {"imp_travel": {"name": "Impossible Travel", "enabled": enabled, "risk_level": "high"}}});
            let list = serde_json::from_value::<Behaviors>(text).unwrap().behaviors;
            let [behavior] = list.rows.as_slice() else { panic!("{list:?}") };
            assert_eq!((behavior.enabled, behavior.level, list.rejected), (wanted, Level::High, 0));
            assert_eq!(list.odd.to_string(), odd);
        }
    }
}
