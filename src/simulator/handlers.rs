//! The operations: from an authorized request to its result.

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{Account, Behavior, Integration, User};
use super::api_options::{
    BehaviorsAnswer, DuplicateReference, EmptyResult, ResetUser, UnknownBehavior, UnknownUser,
};
use super::auth::{Credential, Kind};
use super::endpoint::Endpoint;
use super::faults::Fault;
use super::json_values;
use super::page_slice::PageSlice;
use super::response::{Failure, Outcome, Success, chosen};
use super::routes::{Route, parameter};
use super::scenario::Level;
use super::world::World;
use crate::clock::Timestamp;

/// A request that passed authentication, authorization and the rate limit.
#[derive(Debug)]
pub(super) struct ApiRequest<'a> {
    pub(super) route: &'a Route,
    pub(super) method: &'a Method,
    pub(super) query: Option<&'a str>,
    pub(super) body: &'a [u8],
    pub(super) credential: &'a Credential,
    /// May change the rows and the totals of a list.
    pub(super) faults: &'a [Fault],
}

impl ApiRequest<'_> {
    /// Whether a fault refuses pages of this size.
    fn asks_for_too_large_pages(&self) -> bool {
        let size = parameter(self.query, "per_page").and_then(|text| text.parse::<u32>().ok());
        self.faults.iter().any(|fault| match fault {
            Fault::LargePages { above } => size.is_some_and(|size| size > *above),
            _ => false,
        })
    }
}

#[derive(Deserialize)]
struct NewBehaviors {
    behaviors: std::collections::BTreeMap<String, NewBehavior>,
}

/// The fields that a PUT changes. Cloudflare accepts name and description too, and ignores them.
#[derive(Deserialize)]
struct NewBehavior {
    enabled: bool,
    risk_level: Level,
}

#[derive(Deserialize)]
struct NewIntegration {
    integration_type: IntegrationType,
    tenant_url: String,
    reference_id: Option<String>,
}

#[derive(Deserialize)]
enum IntegrationType {
    Okta,
}

#[derive(Deserialize)]
struct ChangedIntegration {
    tenant_url: String,
    active: bool,
    reference_id: Option<String>,
}

impl World {
    /// Performs the operation.
    pub(super) fn perform(&mut self, request: &ApiRequest<'_>, now: Timestamp) -> Result<Success, Failure> {
        if request.asks_for_too_large_pages() {
            return Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, chosen::TIMEOUT, "gateway time-out"));
        }
        let subject = &request.route.subject;
        let Some(account) = request.route.account.as_deref() else {
            return match request.route.endpoint {
                Endpoint::Accounts => self.listed_accounts(request.credential, request.query),
                _ => verify(request.credential),
            };
        };
        match (request.route.endpoint, request.method) {
            (Endpoint::Behaviors, &Method::GET) => Ok(self.behaviors(account, BehaviorsAnswer::Full, now)),
            (Endpoint::Behaviors, _) => self.change_behaviors(account, request.body, now),
            (Endpoint::Summary, _) => self.summary(account, request, now),
            (Endpoint::User, _) => self.user(account, user_id(subject)?, request, now),
            (Endpoint::Reset, _) => {
                let user = user_id(subject)?;
                self.reset(account, user, now).map_err(|_| Failure::not_found("user"))?;
                Ok(self.empty_success())
            }
            (Endpoint::Integrations, &Method::GET) => {
                let all = self.known(account)?;
                let mut list: Vec<_> =
                    all.integrations.iter().map(|one| json_values::integration(&all.id, one)).collect();
                if request.faults.iter().any(|fault| matches!(fault, Fault::DuplicatedRows)) {
                    list.extend(list.first().cloned());
                }
                Ok(Success::single(Value::Array(list)))
            }
            (Endpoint::Integrations, _) => self.create_integration(account, request.body, now),
            (Endpoint::Integration, &Method::GET) => {
                let all = self.known(account)?;
                let index = position(all, subject)?;
                found(all, index)
            }
            (Endpoint::Integration, &Method::PUT) => self.change_integration(account, subject, request.body),
            (Endpoint::Integration, _) => {
                let all = self.known(account)?;
                let index = position(all, subject)?;
                all.integrations.remove(index);
                Ok(self.empty_success())
            }
            (Endpoint::Reference, _) => {
                let all = self.known(account)?;
                let index = all.integrations.iter().position(|one| one.reference_id == *subject);
                found(all, index.ok_or_else(|| Failure::not_found("integration"))?)
            }
            (Endpoint::TokenVerify | Endpoint::Accounts | Endpoint::Unrouted, _) => Err(Failure::unrouted()),
        }
    }

    /// The account of an authorized request; authorization checked that it exists.
    fn known(&mut self, account: &str) -> Result<&mut Account, Failure> {
        self.account(account).ok_or_else(Failure::unrouted)
    }

    fn empty_success(&self) -> Success {
        match self.options.empty_result {
            EmptyResult::Object => Success::single(json!({})),
            EmptyResult::Null => Success::single(Value::Null),
            EmptyResult::Absent => Success { result: Outcome::Absent, info: None },
        }
    }

    fn behaviors(&mut self, account: &str, fields: BehaviorsAnswer, now: Timestamp) -> Success {
        let shown = |behavior: &Behavior| match fields {
            BehaviorsAnswer::Full => json!({
                "name": behavior.name,
                "description": behavior.description,
                "enabled": behavior.enabled,
                "risk_level": behavior.level,
            }),
            BehaviorsAnswer::Settings => json!({"enabled": behavior.enabled, "risk_level": behavior.level}),
        };
        let behaviors: serde_json::Map<_, _> = self
            .account(account)
            .into_iter()
            .flat_map(|account| &account.behaviors)
            .filter(|(_, behavior)| behavior.listed_from <= now)
            .map(|(id, behavior)| (id.clone(), shown(behavior)))
            .collect();
        Success::single(json!({"behaviors": behaviors}))
    }

    fn change_behaviors(&mut self, account: &str, body: &[u8], now: Timestamp) -> Result<Success, Failure> {
        let new: NewBehaviors = parsed(body)?;
        let fields = self.options.behaviors_answer;
        let refusing = self.options.unknown_behavior == UnknownBehavior::Refused;
        let known = self.known(account)?;
        if refusing && let Some(id) = new.behaviors.keys().find(|id| !known.behaviors.contains_key(*id)) {
            return Err(Failure::invalid(&format!("unknown behavior: {id}")));
        }
        for (id, new) in new.behaviors {
            if let Some(behavior) = known.behaviors.get_mut(&id) {
                behavior.enabled = new.enabled;
                behavior.level = new.risk_level;
            }
        }
        Ok(self.behaviors(account, fields, now))
    }

    fn summary(
        &mut self,
        account: &str,
        request: &ApiRequest<'_>,
        now: Timestamp,
    ) -> Result<Success, Failure> {
        let options = self.options.clone();
        let Some(account) = self.account(account) else {
            return Ok(Success::single(json!({"users": []})));
        };
        let summary = account.summary(now);
        let slice = PageSlice::of(&options, request.query, request.faults, summary.len())?;
        let mut rows = Vec::new();
        for (skip, take) in slice.ranges() {
            let chunks = summary.chunks(skip, take);
            if !rows.is_empty() && !chunks.is_empty() {
                rows.push(bytes::Bytes::from_static(b","));
            }
            rows.extend(chunks);
        }
        Ok(Success { result: Outcome::Users(rows), info: Some(slice.info) })
    }

    fn user(
        &mut self,
        account: &str,
        user: Uuid,
        request: &ApiRequest<'_>,
        now: Timestamp,
    ) -> Result<Success, Failure> {
        let options = self.options.clone();
        let account = self.known(account)?;
        let missing = |user: &User| {
            options.reset_user == ResetUser::Missing && user.last_reset.is_some() && user.level().is_none()
        };
        let Some(user) = account.find(user).filter(|user| !missing(user)) else {
            if options.unknown_user == UnknownUser::NotFound {
                return Err(Failure::not_found("user"));
            }
            let slice = PageSlice::of(&options, request.query, request.faults, 0)?;
            return Ok(Success {
                result: Outcome::Json(json!({"name": "", "email": "", "events": []})),
                info: Some(slice.info),
            });
        };
        let mut events = account.listed_events(user, options.detail_lag(), now);
        if let Some(cap) = options.listing_cap {
            events.truncate(cap as usize);
        }
        let slice = PageSlice::of(&options, request.query, request.faults, events.len())?;
        let listed: Vec<Value> = slice
            .ranges()
            .flat_map(|(skip, take)| events.iter().skip(skip).take(take))
            .map(|event| json_values::event(account, event, options.event_names))
            .collect();
        let (name, email) = user.person.texts();
        let mut result = json!({"name": name, "email": email, "events": listed});
        if let Some(fields) = result.as_object_mut() {
            if let Some(reset) = user.last_reset {
                fields.insert("last_reset_time".to_owned(), json!(reset.to_string()));
            }
            if let Some(level) = user.level() {
                fields.insert("risk_level".to_owned(), json!(level));
            }
        }
        Ok(Success { result: Outcome::Json(result), info: Some(slice.info) })
    }

    fn create_integration(&mut self, account: &str, body: &[u8], now: Timestamp) -> Result<Success, Failure> {
        let new: NewIntegration = parsed(body)?;
        let IntegrationType::Okta = new.integration_type;
        let duplicates = self.options.duplicate_reference;
        let known = self.known(account)?;
        checked_url(&new.tenant_url)?;
        if let Some(reference) = &new.reference_id {
            checked_reference(known, reference, None, duplicates)?;
        }
        let id = known.next_uuid();
        let reference_id = new.reference_id.unwrap_or_else(|| known.next_uuid().to_string());
        let integration =
            Integration { id, reference_id, tenant_url: new.tenant_url, active: true, created_at: now };
        let result = json_values::integration(account, &integration);
        known.integrations.push(integration);
        Ok(Success::single(result))
    }

    /// Overwrites an integration. An omitted reference stays, because every integration has one.
    fn change_integration(&mut self, account: &str, id: &str, body: &[u8]) -> Result<Success, Failure> {
        let new: ChangedIntegration = parsed(body)?;
        let duplicates = self.options.duplicate_reference;
        let known = self.known(account)?;
        let index = position(known, id)?;
        checked_url(&new.tenant_url)?;
        if let Some(reference) = &new.reference_id {
            checked_reference(known, reference, Some(index), duplicates)?;
        }
        if let Some(integration) = known.integrations.get_mut(index) {
            integration.tenant_url = new.tenant_url;
            integration.active = new.active;
            if let Some(reference) = new.reference_id {
                integration.reference_id = reference;
            }
        }
        found(known, index)
    }
}

fn verify(credential: &Credential) -> Result<Success, Failure> {
    if credential.kind == Kind::GlobalKey {
        return Err(Failure::new(StatusCode::UNAUTHORIZED, 1000, "Invalid API Token"));
    }
    let mut result = json!({"id": "f267e341f3dd4697bd3b9f71dd96247f", "status": "active"});
    if let (Some(fields), Some(expiry)) = (result.as_object_mut(), credential.expires_on) {
        fields.insert("expires_on".to_owned(), json!(expiry.to_string()));
    }
    Ok(Success::single(result))
}

fn parsed<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::invalid(&format!("invalid body: {error}")))
}

fn user_id(text: &str) -> Result<Uuid, Failure> {
    Uuid::try_parse(text).map_err(|_| Failure::invalid("user_id must be a UUID"))
}

fn position(account: &Account, id: &str) -> Result<usize, Failure> {
    let id = Uuid::try_parse(id).map_err(|_| Failure::invalid("integration_id must be a UUID"))?;
    let position = account.integrations.iter().position(|one| one.id == id);
    position.ok_or_else(|| Failure::not_found("integration"))
}

fn found(account: &Account, index: usize) -> Result<Success, Failure> {
    let integration = account.integrations.get(index).ok_or_else(|| Failure::not_found("integration"))?;
    Ok(Success::single(json_values::integration(&account.id, integration)))
}

fn checked_url(url: &str) -> Result<(), Failure> {
    let parsed = url.parse::<hyper::Uri>().ok();
    let good = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    good.then_some(()).ok_or_else(|| Failure::invalid("tenant_url must be an http or https URL"))
}

fn checked_reference(
    account: &Account,
    reference: &str,
    own: Option<usize>,
    duplicates: DuplicateReference,
) -> Result<(), Failure> {
    let integrations = account.integrations.iter().enumerate();
    let taken = integrations.filter(|(at, _)| Some(*at) != own).any(|(_, one)| one.reference_id == reference);
    if taken && duplicates == DuplicateReference::Refused {
        let message = "another integration has this reference_id";
        return Err(Failure::new(StatusCode::CONFLICT, chosen::CONFLICT, message));
    }
    Ok(())
}
