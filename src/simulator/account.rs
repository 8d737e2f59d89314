//! One account's users, events, behaviors and integrations, and the verbs that change them.
//!
//! Told the time, like everything that can be tested without waiting. Whatever changes a row of the
//! summary marks its part of the [`SummaryCache`] as stale.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::api_options::{EventCount, EventIds, ResetEvents};
use super::sample_data::Person;
use super::scenario::{AccountSpec, BehaviorSpec, IntegrationSpec, Level, Plan};
use super::summary_cache::{Row, SummaryCache};
use crate::clock::Timestamp;

/// Events kept of one user; the oldest go first, so that a demonstration may run for months.
const MOST_EVENTS: usize = 10_000;

/// How the questions are answered that a world has to know about.
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
    pub(super) plan: Plan,
    pub(super) behaviors: BTreeMap<String, Behavior>,
    pub(super) integrations: Vec<Integration>,
    seed: u64,
    rules: Rules,
    users: Vec<User>,
    by_id: HashMap<Uuid, u32>,
    listing: SummaryCache,
    /// Ids of behaviors; events say the position.
    behavior_ids: Vec<String>,
    /// How many events and integrations were ever made, for their ids.
    made: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Behavior {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) enabled: bool,
    pub(super) level: Level,
}

#[derive(Clone, Debug)]
pub(super) struct Integration {
    pub(super) id: Uuid,
    pub(super) reference_id: String,
    pub(super) tenant_url: String,
    pub(super) active: bool,
    pub(super) created_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct User {
    pub(super) id: Uuid,
    pub(super) person: Person,
    pub(super) last_reset: Option<Timestamp>,
    presence: Presence,
    /// In the order in which they came.
    events: Vec<Event>,
    /// Since the last reset.
    count: u32,
    level: Option<Level>,
    last_event: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    Gone,
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) number: u64,
    given_id: Option<Box<str>>,
    behavior: u16,
    pub(super) level: Level,
    pub(super) timestamp: Timestamp,
    /// When it became known, which may be later than when it happened.
    pub(super) appended: Timestamp,
    era: Era,
}

/// On which side of the last reset an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Era {
    BeforeReset,
    Current,
}

/// What an event is to be.
#[derive(Clone, Debug)]
pub(super) struct NewEvent<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) behavior: &'a str,
    pub(super) level: Option<Level>,
    pub(super) timestamp: Timestamp,
}

impl<'a> NewEvent<'a> {
    /// An event of `behavior` with its level.
    pub(super) fn of(behavior: &'a str, timestamp: Timestamp) -> Self {
        Self { id: None, behavior, level: None, timestamp }
    }
}

/// What was appended.
#[derive(Clone, Debug)]
pub(super) struct Appended {
    pub(super) id: String,
    pub(super) level: Level,
}

impl User {
    fn new(id: Uuid, person: Person) -> Self {
        Self {
            id,
            person,
            last_reset: None,
            presence: Presence::Here,
            events: Vec::new(),
            count: 0,
            level: None,
            last_event: Timestamp::default(),
        }
    }

    /// The level, for a user on the list.
    pub(super) fn level(&self) -> Option<Level> {
        self.level.filter(|_| self.presence == Presence::Here)
    }

    /// What the summary says at `now`, and when that changes by retention alone.
    fn row(&self, rules: Rules, now: Timestamp) -> Option<(Row<'_>, Option<Timestamp>)> {
        let max_risk_level = self.level()?;
        let (event_count, changes) = match (rules.event_count, rules.retention_ms) {
            (EventCount::Retained, Some(retention)) => {
                let expiry = |event: &Event| Timestamp::from_millis(event.timestamp.millis() + retention);
                let mut expiries: Vec<_> = self.current().map(expiry).filter(|date| *date > now).collect();
                expiries.sort_unstable();
                (u32::try_from(expiries.len()).unwrap_or(u32::MAX), expiries.first().copied())
            }
            _ => (self.count, None),
        };
        let row = Row {
            user_id: self.id,
            person: &self.person,
            max_risk_level,
            event_count,
            last_event: self.last_event,
        };
        Some((row, changes))
    }

    fn current(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| event.era == Era::Current)
    }
}

impl Account {
    /// The account as its scenario states it, before anybody lives in it by a seed. The events that the
    /// scenario gives to users are appended by the caller, who keeps the record.
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
            plan: spec.plan,
            behaviors: BTreeMap::new(),
            integrations: spec.integrations.iter().map(integration).collect(),
            seed,
            rules,
            users: Vec::new(),
            by_id: HashMap::new(),
            listing: SummaryCache::default(),
            behavior_ids: Vec::new(),
            made: 0,
        };
        behaviors.iter().for_each(|behavior| account.set_behavior(behavior.clone()));
        for user in &spec.users {
            let slot = account.user_or_new(user.id);
            if let Some(known) = account.users.get_mut(slot) {
                known.person = known.person.named(user.name.clone(), user.email.clone());
                known.last_reset = user.last_reset.map(|when| when.date(start));
            }
        }
        account
    }

    /// Configures a behavior, or adds it.
    pub(super) fn set_behavior(&mut self, spec: BehaviorSpec) {
        let behavior = Behavior {
            name: spec.name,
            description: spec.description,
            enabled: spec.enabled,
            level: spec.risk_level,
        };
        self.behaviors.insert(spec.id, behavior);
    }

    /// How many users there ever were; each has the same position for ever.
    pub(super) fn slots(&self) -> usize {
        self.users.len()
    }

    /// The user at a position, unless the user left.
    pub(super) fn at(&self, slot: usize) -> Option<&User> {
        self.users.get(slot).filter(|user| user.presence == Presence::Here)
    }

    pub(super) fn find(&self, user: Uuid) -> Option<&User> {
        self.slot(user).and_then(|slot| self.at(slot))
    }

    /// Everybody who has not left.
    pub(super) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.iter().filter(|user| user.presence == Presence::Here)
    }

    /// The position of a user, who is new or returns if need be.
    pub(super) fn user_or_new(&mut self, user: Uuid) -> usize {
        match self.slot(user) {
            Some(slot) => {
                if let Some(known) = self.users.get_mut(slot) {
                    known.presence = Presence::Here;
                }
                slot
            }
            None => {
                let slot = self.users.len();
                let number = u32::try_from(slot).expect("a world has far fewer than 2^32 users");
                self.by_id.insert(user, number);
                self.users.push(User::new(user, Person::made_up(number)));
                slot
            }
        }
    }

    /// Appends an event to the user at `slot`; its level is that of the behavior unless it says its own.
    pub(super) fn append(&mut self, slot: usize, new: &NewEvent<'_>, now: Timestamp) -> Option<Appended> {
        let behavior = self.behavior_number(new.behavior);
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
        if user.events.len() == MOST_EVENTS {
            user.events.remove(0);
        }
        if era == Era::Current {
            user.count += 1;
            user.level = user.level.max(Some(level));
            user.last_event = user.last_event.max(new.timestamp);
        }
        user.events.push(event.clone());
        self.listing.changed(slot);
        let id = self.event_id(&event);
        Some(Appended { id, level })
    }

    /// Clears a user's risk. `None` if there is no such user.
    pub(super) fn reset(&mut self, user: Uuid, now: Timestamp) -> Option<()> {
        let slot = self.slot(user)?;
        let reset_events = self.rules.reset_events;
        let user = self.users.get_mut(slot).filter(|user| user.presence == Presence::Here)?;
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
        self.listing.changed(slot);
        Some(())
    }

    /// The user leaves, with all events. `None` if there is no such user.
    pub(super) fn remove(&mut self, user: Uuid) -> Option<()> {
        let slot = self.slot(user)?;
        let user = self.users.get_mut(slot).filter(|user| user.presence == Presence::Here)?;
        *user = User::new(user.id, user.person.clone());
        user.presence = Presence::Gone;
        self.listing.changed(slot);
        Some(())
    }

    /// The events of `user` that a listing of `now` shows, the newest first.
    pub(super) fn listed_events<'a>(
        &self,
        user: &'a User,
        seen_by: Timestamp,
        now: Timestamp,
    ) -> Vec<&'a Event> {
        let retained = |event: &Event| match self.rules.retention_ms {
            Some(retention) => event.timestamp.millis() + retention > now.millis(),
            None => true,
        };
        let era = |event: &Event| event.era == Era::Current || self.rules.reset_events == ResetEvents::Listed;
        let mut events: Vec<_> = user
            .events
            .iter()
            .filter(|event| event.appended <= seen_by && retained(event) && era(event))
            .collect();
        events.sort_by_key(|event| std::cmp::Reverse((event.timestamp, event.number)));
        events
    }

    /// The id by which the API lists an event.
    pub(super) fn event_id(&self, event: &Event) -> String {
        match (&event.given_id, self.rules.event_ids) {
            (Some(id), _) => id.to_string(),
            (None, EventIds::Behavior) => self.behavior_id(event).to_owned(),
            (None, EventIds::Unique) => made_uuid(self.seed, event.number).to_string(),
        }
    }

    /// The id of the behavior an event is of.
    pub(super) fn behavior_id(&self, event: &Event) -> &str {
        self.behavior_ids.get(usize::from(event.behavior)).map_or("", String::as_str)
    }

    /// A UUID that was not there before.
    pub(super) fn next_uuid(&mut self) -> Uuid {
        let number = self.next_number();
        made_uuid(self.seed, number)
    }

    /// What the summary says of a user at `now`; nothing of one who is not on the list.
    pub(super) fn row<'a>(&self, user: &'a User, now: Timestamp) -> Option<Row<'a>> {
        user.row(self.rules, now).map(|(row, _)| row)
    }

    /// The user at `slot` was reset before anything else happened.
    pub(super) fn was_reset(&mut self, slot: usize, date: Option<Timestamp>) {
        if let Some(user) = self.users.get_mut(slot) {
            user.last_reset = date;
        }
    }

    /// The summary's rows as they are at `now`.
    pub(super) fn listing(&mut self, now: Timestamp) -> &SummaryCache {
        let rules = self.rules;
        self.listing.refresh(&self.users, now, |user| user.row(rules, now));
        &self.listing
    }

    fn slot(&self, user: Uuid) -> Option<usize> {
        self.by_id.get(&user).map(|slot| *slot as usize)
    }

    fn behavior_number(&mut self, id: &str) -> u16 {
        let known = self.behavior_ids.iter().position(|known| known == id);
        let number = known.unwrap_or_else(|| {
            self.behavior_ids.push(id.to_owned());
            self.behavior_ids.len() - 1
        });
        u16::try_from(number).expect("nobody makes up 65,536 behaviors")
    }

    fn next_number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

/// A UUIDv4 from a seed and a number, by the finaliser of SplitMix64, which is a bijection: within a
/// seed no two are the same in their first 64 bits but for those that the version takes.
fn made_uuid(seed: u64, number: u64) -> Uuid {
    let mix = |value: u64| {
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    let high = mix(seed ^ mix(number));
    let low = mix(high ^ number);
    uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes()).into_uuid()
}
