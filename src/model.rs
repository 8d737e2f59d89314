//! What the program speaks of: levels, users, events, behaviors, integrations.
//!
//! Plain values in our own names. They come out of [`crate::cloudflare`], are counted by
//! [`crate::collector::ledger`], and leave as a [`Snapshot`] for [`crate::metrics::exposition`].

pub(crate) mod resource;
mod snapshot;

pub use resource::Resource;
pub use snapshot::{
    AccountName, BehaviorStatus, EventTotals, Histogram, LevelChanges, PerLevel, Snapshot, UserSeries, Users,
};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A user's id at Cloudflare: a UUID.
pub type UserId = uuid::Uuid;

/// How risky Cloudflare holds a user, a behavior or an event to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Level {
    /// Absent, null, or a word that was not documented when this was written.
    #[default]
    Unknown = 0,
    /// `low`
    Low = 1,
    /// `medium`
    Medium = 2,
    /// `high`
    High = 3,
}

impl Level {
    /// All levels, in the order of their risk.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Low, Self::Medium, Self::High];

    /// The word for it in labels; the known ones are Cloudflare's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Reads Cloudflare's word; any other is [`Level::Unknown`].
    pub fn from_word(word: &str) -> Self {
        match word {
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            _ => Self::Unknown,
        }
    }

    /// The position of this level in [`Level::ALL`], and its value as a gauge.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What the summary says of one user: a change of it means that the events are worth reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFingerprint {
    /// `last_event`
    pub last_event: Timestamp,
    /// `event_count`
    pub count: u32,
    /// `max_risk_level`
    pub level: Level,
}

/// One row of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose row it is.
    pub user: UserId,
    /// What it says.
    pub tuple: RowFingerprint,
}

/// Whether a list is all there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Every page answered and the totals agree.
    Complete,
    /// Something is missing, and why that is known; never to be shown as all there is.
    Partial(String),
}

/// All users at risk, as listed by one reading of every page of the summary.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The rows that could be read, each user once, sorted by user.
    pub rows: Vec<Row>,
    /// Users whose row was there but could not be read: present, and taken as unchanged. Sorted.
    pub unreadable: Vec<UserId>,
    /// Rows that could not be read and did not even say whose they are: nobody may be called absent.
    pub anonymous: u32,
    /// Whether these are all the users.
    pub completeness: Completeness,
    /// Cloudflare's clock (the `Date` header) when the first page was answered.
    pub date: Option<Timestamp>,
    /// Names and e-mail addresses, only if they were asked for.
    pub identities: Option<Identities>,
    /// How many pages were asked for.
    pub pages: u32,
}

#[cfg(test)]
impl Summary {
    /// A whole list with these rows, sorted by user.
    pub(crate) fn whole(mut rows: Vec<Row>) -> Self {
        rows.sort_unstable_by_key(|row| row.user);
        Self {
            rows,
            unreadable: Vec::new(),
            anonymous: 0,
            completeness: Completeness::Complete,
            date: None,
            identities: None,
            pages: 1,
        }
    }
}

/// Who the users are, kept as one text because there may be a million of them.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    text: String,
    /// Sorted by user once finished: where its e-mail starts, where its name starts, where it ends.
    spans: Vec<(UserId, u32, u32, u32)>,
}

impl Identities {
    /// Adds one user; text beyond 4 GiB is not kept.
    pub fn push(&mut self, user: UserId, email: &str, name: &str) {
        let start = self.text.len();
        let ends = (start + email.len(), start + email.len() + name.len());
        if let (Ok(start), Ok(middle), Ok(end)) =
            (u32::try_from(start), u32::try_from(ends.0), u32::try_from(ends.1))
        {
            self.text.push_str(email);
            self.text.push_str(name);
            self.spans.push((user, start, middle, end));
        }
    }

    /// Adds all of `others`.
    pub fn append(&mut self, others: &Self) {
        for &(user, start, middle, end) in &others.spans {
            let email = others.text.get(start as usize..middle as usize);
            let name = others.text.get(middle as usize..end as usize);
            self.push(user, email.unwrap_or_default(), name.unwrap_or_default());
        }
    }

    /// Sorts what was pushed, so that [`Identities::get`] finds it.
    pub fn finish(&mut self) {
        self.spans.sort_unstable();
        self.spans.dedup_by_key(|span| span.0);
    }

    /// The e-mail address and the name of `user`.
    pub fn get(&self, user: UserId) -> Option<(&str, &str)> {
        let found = self.spans.binary_search_by_key(&user, |span| span.0).ok()?;
        let &(_, start, middle, end) = self.spans.get(found)?;
        Some((self.text.get(start as usize..middle as usize)?, self.text.get(middle as usize..end as usize)?))
    }
}

/// One risk event of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Cloudflare's id of it; not known to be unique across time.
    pub id: String,
    /// The behavior: its id or its display name, Cloudflare does not say which.
    pub name: String,
    /// The event's own level.
    pub level: Level,
    /// When it happened.
    pub timestamp: Timestamp,
}

/// One risk event with what Cloudflare knows beside it: for a person who asks, never for a page or a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailedEvent {
    /// The event.
    pub event: Event,
    /// What else is known of it: JSON of any shape, if there is something.
    pub details: Option<String>,
}

/// One user's events, as listed by one reading of every page.
#[derive(Clone, Debug)]
pub struct UserRisk<E = Event> {
    /// The events that could be read, each id and time once, in the order they came.
    pub events: Vec<E>,
    /// Events that could not be read (no id, no name or no valid time).
    pub rejected: u32,
    /// When the user was last reset.
    pub last_reset: Option<Timestamp>,
    /// The user's level, where Cloudflare says it.
    pub level: Option<Level>,
    /// Whether these are all the events.
    pub completeness: Completeness,
    /// Cloudflare's clock when the first page was answered.
    pub date: Option<Timestamp>,
    /// E-mail address and name, only if they were asked for.
    pub identity: Option<Identity>,
    /// How many pages were asked for.
    pub pages: u32,
}

/// Who a user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// E-mail address.
    pub email: String,
    /// Display name.
    pub name: String,
}

/// A list whose rows are read one by one, so that one that is not as documented spoils no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The rows that could be read.
    pub rows: Vec<T>,
    /// How many could not.
    pub rejected: u32,
}

/// The empty list, whatever it is a list of.
impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), rejected: 0 }
    }
}

/// A behavior that makes users risky.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behavior {
    /// Its id, such as `imp_travel`.
    pub id: String,
    /// Its display name, such as `Impossible Travel`.
    pub name: String,
    /// What triggers it; on no page, and in no state.
    #[serde(skip)]
    pub description: String,
    /// Whether it is looked for.
    pub enabled: bool,
    /// The level a user gets by it.
    pub level: Level,
}

/// What may be changed of a behavior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BehaviorSetting {
    /// Whether it is looked for.
    pub enabled: bool,
    /// The level a user gets by it; [`Level::Unknown`] is refused before anything is sent.
    pub level: Level,
}

/// A receiver of changes of users' levels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// Its id: a UUID.
    pub id: uuid::Uuid,
    /// `Okta`, the only kind so far.
    pub kind: String,
    /// The id its owner gave it.
    pub reference_id: String,
    /// The tenant it sends to, such as `https://tenant.okta.com`.
    pub tenant_url: String,
    /// Where the receiver finds the Shared Signals configuration; on no page, and in no state.
    #[serde(skip)]
    pub well_known_url: String,
    /// Whether changes are sent.
    pub active: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;

    /// The variants of an enum, under the names that the state file has for them: the refusal of another one lists them.
    fn variants<T: DeserializeOwned + Debug>() -> Vec<String> {
        let refusal = serde_json::from_str::<T>("\"nonsense\"").unwrap_err().to_string();
        let (_, list) = refusal.split_once("expected one of ").expect("an enum lists its variants");
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn every_variant_is_in_all_at_its_index_under_its_saved_name() {
        assert_eq!(variants::<Resource>(), Resource::ALL.map(Resource::as_str));
        assert_eq!(Resource::ALL.map(Resource::index), [0, 1, 2, 3, 4]);
        assert_eq!(variants::<Level>(), Level::ALL.map(Level::as_str));
        assert_eq!(Level::ALL.map(Level::index), [0, 1, 2, 3]);
    }
}
