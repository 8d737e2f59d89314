//! One account's users, events, behaviors and integrations, and the methods that change them.
//!
//! Callers pass the time, so tests need not wait. Each method that changes a row of the summary marks that
//! part of the [`SummaryCache`] as stale.

mod user;

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::api_options::{EventCount, EventIds, ResetEvents};
use super::sample_data::Person;
use super::scenario::{
    AccountSpec, AccountState, BehaviorSpec, IntegrationSpec, Level, MAX_EVENTS_PER_USER, Plan,
};
use super::summary_cache::{Row, SummaryCache};
use crate::clock::Timestamp;
use user::{Appended, Era, Presence};
pub(super) use user::{Event, NewEvent, User};

/// The API options that affect the state of an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) retention_ms: Option<i64>,
    pub(super) event_count: EventCount,
    pub(super) event_ids: EventIds,
    pub(super) reset_events: ResetEvents,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: AccountState,
    pub(super) plan: Plan,
    pub(super) behaviors: BTreeMap<String, Behavior>,
    pub(super) integrations: Vec<Integration>,
    seed: u64,
    rules: Rules,
    users: Vec<User>,
    by_id: HashMap<Uuid, u32>,
    summary: SummaryCache,
    /// Ids of behaviors that events refer to by index.
    behavior_ids: Vec<String>,
    /// The index of each of these ids.
    behavior_indices: HashMap<String, u16>,
    /// How many ids of events and integrations were issued.
    ids_issued: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Behavior {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) enabled: bool,
    pub(super) level: Level,
    /// When the list of behaviors begins to contain it.
    pub(super) listed_from: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Integration {
    pub(super) id: Uuid,
    pub(super) reference_id: String,
    pub(super) tenant_url: String,
    pub(super) active: bool,
    pub(super) created_at: Timestamp,
}

impl Account {
    /// The account with the users that its scenario lists, before users are generated. The caller appends the
    /// events that the scenario lists, because it keeps the log.
    pub(super) fn new(spec: &AccountSpec, rules: Rules, seed: u64, start: Timestamp) -> Self {
        let standard;
        let behaviors = match &spec.behaviors {
            Some(given) => given,
            None => {
                standard = super::sample_data::standard_behaviors();
                &standard
            }
        };
        let integration = |spec: &IntegrationSpec| Integration {
            id: spec.id,
            reference_id: spec.reference_id.clone(),
            tenant_url: spec.tenant_url.clone(),
            active: spec.active,
            created_at: spec.created_at.date(start),
        };
        let mut account = Self {
            id: spec.id.clone(),
            name: spec.name.clone().unwrap_or_else(|| format!("Account {:.8}", spec.id)),
            state: spec.state,
            plan: spec.plan,
            behaviors: BTreeMap::new(),
            integrations: spec.integrations.iter().map(integration).collect(),
            seed,
            rules,
            users: Vec::new(),
            by_id: HashMap::new(),
            summary: SummaryCache::default(),
            behavior_ids: Vec::new(),
            behavior_indices: HashMap::new(),
            ids_issued: 0,
        };
        for behavior in behaviors {
            account.set_behavior(behavior.clone(), Timestamp::from_millis(i64::MIN));
        }
        for user in &spec.users {
            let slot = account.user_or_new(user.id);
            if let Some(known) = account.users.get_mut(slot) {
                known.person = known.person.named(user.name.clone(), user.email.clone());
                known.last_reset = user.last_reset.map(|when| when.date(start));
            }
        }
        account
    }

    /// Configures a behavior, or adds it; a new one is listed from `listed_from` on.
    pub(super) fn set_behavior(&mut self, spec: BehaviorSpec, listed_from: Timestamp) {
        let known = self.behaviors.get(&spec.id);
        let behavior = Behavior {
            listed_from: known.map_or(listed_from, |known| known.listed_from),
            name: spec.name,
            description: spec.description,
            enabled: spec.enabled,
            level: spec.risk_level,
        };
        self.behaviors.insert(spec.id, behavior);
    }

    /// How many users the account ever had. A user's slot never changes.
    pub(super) fn slots(&self) -> usize {
        self.users.len()
    }

    /// The user in a slot, unless the user was removed.
    pub(super) fn at(&self, slot: usize) -> Option<&User> {
        self.users.get(slot).filter(|user| user.presence == Presence::Listed)
    }

    pub(super) fn find(&self, user: Uuid) -> Option<&User> {
        self.slot(user).and_then(|slot| self.at(slot))
    }

    /// All users who were not removed.
    pub(super) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.iter().filter(|user| user.presence == Presence::Listed)
    }

    /// The slot of a user. An unknown user is created, a removed one returns.
    pub(super) fn user_or_new(&mut self, user: Uuid) -> usize {
        match self.slot(user) {
            Some(slot) => {
                if let Some(known) = self.users.get_mut(slot) {
                    known.presence = Presence::Listed;
                }
                slot
            }
            None => {
                let slot = self.users.len();
                let number = u32::try_from(slot).expect("an account has far fewer than 2^32 users");
                self.by_id.insert(user, number);
                self.users.push(User::new(user, Person::generated(number)));
                slot
            }
        }
    }

    /// Appends an event to the user at `slot`. Without a level of its own it gets the behavior's. `None` if there are
    /// too many behaviors.
    pub(super) fn append(&mut self, slot: usize, new: &NewEvent<'_>, now: Timestamp) -> Option<Appended> {
        let behavior = self.behavior_number(new.behavior)?;
        let configured = self.behaviors.get(new.behavior).map(|behavior| behavior.level);
        let level = new.level.or(configured).unwrap_or(Level::Low);
        let number = self.next_number();
        let user = self.users.get_mut(slot)?;
        let era = match user.last_reset {
            Some(reset) if new.timestamp <= reset => Era::BeforeReset,
            _ => Era::Current,
        };
        let event = Event {
            number,
            given_id: new.id.map(Box::from),
            behavior,
            level,
            timestamp: new.timestamp,
            appended: now,
            era,
        };
        if user.events.len() == MAX_EVENTS_PER_USER {
            user.events.remove(0);
        }
        if era == Era::Current {
            user.count += 1;
            user.level = user.level.max(Some(level));
            user.last_event = user.last_event.max(new.timestamp);
        }
        user.events.push(event.clone());
        self.summary.changed(slot);
        let id = self.event_id(&event);
        Some(Appended { id, level })
    }

    /// Resets a user's risk. `None` if there is no such user.
    pub(super) fn reset(&mut self, user: Uuid, now: Timestamp) -> Option<()> {
        let slot = self.slot(user)?;
        let reset_events = self.rules.reset_events;
        let user = self.users.get_mut(slot).filter(|user| user.presence == Presence::Listed)?;
        user.last_reset = Some(now);
        user.count = 0;
        user.level = None;
        user.last_event = Timestamp::default();
        match reset_events {
            ResetEvents::Hidden => user.events.clear(),
            ResetEvents::Listed => {
                for event in &mut user.events {
                    event.era = Era::BeforeReset;
                }
            }
        }
        self.summary.changed(slot);
        Some(())
    }

    /// Removes a user with all events. `None` if there is no such user.
    pub(super) fn remove(&mut self, user: Uuid) -> Option<()> {
        let slot = self.slot(user)?;
        let user = self.users.get_mut(slot).filter(|user| user.presence == Presence::Listed)?;
        *user = User::new(user.id, user.person.clone());
        user.presence = Presence::Removed;
        self.summary.changed(slot);
        Some(())
    }

    /// The events of `user` that the API lists at `now`, the newest first. Each event is listed with a delay.
    pub(super) fn listed_events<'a>(
        &self,
        user: &'a User,
        lag_ms: RangeInclusive<u64>,
        now: Timestamp,
    ) -> Vec<&'a Event> {
        let visible = |event: &Event| {
            let (least, most) = (*lag_ms.start(), *lag_ms.end());
            let random = numbered_uuid(self.seed, event.number).as_u64_pair().1;
            let lag = least + random % (most - least).saturating_add(1);
            event.appended + Duration::from_millis(lag) <= now
        };
        let retained = |event: &Event| match self.rules.retention_ms {
            Some(retention) => event.timestamp.millis() + retention > now.millis(),
            None => true,
        };
        let era = |event: &Event| event.era == Era::Current || self.rules.reset_events == ResetEvents::Listed;
        let mut events: Vec<_> =
            user.events.iter().filter(|event| visible(event) && retained(event) && era(event)).collect();
        events.sort_by_key(|event| std::cmp::Reverse((event.timestamp, event.number)));
        events
    }

    /// The id of an event in the API.
    pub(super) fn event_id(&self, event: &Event) -> String {
        match (&event.given_id, self.rules.event_ids) {
            (Some(id), _) => id.to_string(),
            (None, EventIds::Behavior) => self.behavior_id(event).to_owned(),
            (None, EventIds::Number) => event.number.to_string(),
            (None, EventIds::Unique | EventIds::Null) => numbered_uuid(self.seed, event.number).to_string(),
        }
    }

    /// The id of an event as JSON.
    pub(super) fn event_id_json(&self, event: &Event) -> Value {
        match (&event.given_id, self.rules.event_ids) {
            (None, EventIds::Number) => json!(event.number),
            (None, EventIds::Null) => Value::Null,
            _ => json!(self.event_id(event)),
        }
    }

    /// The id of an event's behavior.
    pub(super) fn behavior_id(&self, event: &Event) -> &str {
        self.behavior_ids.get(usize::from(event.behavior)).map_or("", String::as_str)
    }

    /// A new unique UUID.
    pub(super) fn next_uuid(&mut self) -> Uuid {
        let number = self.next_number();
        numbered_uuid(self.seed, number)
    }

    /// The user's row in the summary at `now`; `None` if the user is not on the list.
    pub(super) fn row<'a>(&self, user: &'a User, now: Timestamp) -> Option<Row<'a>> {
        user.row(self.rules, now).map(|(row, _)| row)
    }

    /// Sets when the user at `slot` was last reset, before any event is appended.
    pub(super) fn set_last_reset(&mut self, slot: usize, date: Option<Timestamp>) {
        if let Some(user) = self.users.get_mut(slot) {
            user.last_reset = date;
        }
    }

    /// The rows of the summary at `now`.
    pub(super) fn summary(&mut self, now: Timestamp) -> &SummaryCache {
        let rules = self.rules;
        self.summary.refresh(&self.users, now, |user| user.row(rules, now));
        &self.summary
    }

    fn slot(&self, user: Uuid) -> Option<usize> {
        self.by_id.get(&user).map(|slot| *slot as usize)
    }

    /// The index of a behavior; `None` if there are too many.
    fn behavior_number(&mut self, id: &str) -> Option<u16> {
        if let Some(index) = self.behavior_indices.get(id) {
            return Some(*index);
        }
        let index = u16::try_from(self.behavior_ids.len()).ok()?;
        self.behavior_ids.push(id.to_owned());
        self.behavior_indices.insert(id.to_owned(), index);
        Some(index)
    }

    fn next_number(&mut self) -> u64 {
        self.ids_issued += 1;
        self.ids_issued
    }
}

/// A UUIDv4 from a seed and a number, by the finalizer of SplitMix64. That is a bijection, so for one seed
/// the first 64 bits differ for each number, apart from the bits that the version overwrites.
fn numbered_uuid(seed: u64, number: u64) -> Uuid {
    let mix = |value: u64| {
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    let high = mix(seed ^ mix(number));
    let low = mix(high ^ number);
    uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes()).into_uuid()
}
