//! The domain model: levels, users, events, behaviors, integrations.
//!
//! Plain values with this crate's own names. [`crate::cloudflare`] returns them, [`crate::collector::ledger`] counts
//! them, and [`crate::metrics::exposition`] encodes the result as a [`Snapshot`].

mod baseline;
mod odd;
pub(crate) mod resource;
mod row;
mod snapshot;
pub(crate) mod text;
#[cfg(feature = "daemon")]
pub(crate) mod token_files;

pub use baseline::{Baseline, CurrentSetting, DeclaredBehavior, Drift, DriftSetting};
pub use odd::{Found, LevelWord, OddField, OddFields};
pub use resource::Resource;
pub use row::{EventCount, Row, RowFingerprint};
pub use snapshot::{
    AccountName, BehaviorStatus, EventTotals, Histogram, LevelChanges, PerLevel, Snapshot, UserSeries, Users,
};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A user's id at Cloudflare: a UUID.
pub type UserId = uuid::Uuid;

/// The risk level of a user, a behavior or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Absent or null.
    #[default]
    Unknown,
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// A word that Cloudflare does not document, such as a level that is newer than this program. It may be the most
    /// dangerous one, so it ranks above all others. Labels show it as `unknown`.
    Unrecognized,
}

impl Level {
    /// One level for each label value.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Low, Self::Medium, Self::High];

    /// The label value. The known levels use Cloudflare's words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown | Self::Unrecognized => "unknown",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The level for Cloudflare's word in upper or lower case; any other word is [`Level::Unrecognized`].
    pub fn from_word(word: &str) -> Self {
        match word {
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            _ => [Self::Low, Self::Medium, Self::High]
                .into_iter()
                .find(|level| word.eq_ignore_ascii_case(level.as_str()))
                .unwrap_or(Self::Unrecognized),
        }
    }

    /// Whether Cloudflare documents this level.
    pub const fn is_known(self) -> bool {
        matches!(self, Self::Low | Self::Medium | Self::High)
    }

    /// The position of this level's label value in [`Level::ALL`], which is also its value as a gauge.
    pub const fn index(self) -> usize {
        match self {
            Self::Unknown | Self::Unrecognized => 0,
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 3,
        }
    }
}

/// Whether a list is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Every page arrived, and the totals agree.
    Complete,
    /// The list may lack elements; the text says why. It must never be shown as complete.
    Partial(String),
    /// The list is partial only because a further page took longer than our own limits allow. A later reading may get it.
    Unfinished(String),
}

/// All users at risk, from one reading of all pages of the summary.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The readable rows, each user once, sorted by user.
    pub rows: Vec<Row>,
    /// Users whose row is unreadable. They are present and count as unchanged. Sorted.
    pub unreadable: Vec<UserId>,
    /// The number of unreadable rows without a user id. If there are any, no user may be considered absent.
    pub anonymous: u32,
    /// Fields without their documented form, also of readable rows.
    pub odd: OddFields,
    /// Whether the list was null. Some servers write an empty list like that.
    pub is_null: bool,
    /// Whether the list is complete.
    pub completeness: Completeness,
    /// The `Date` header of the first page: the time by Cloudflare's clock.
    pub date: Option<Timestamp>,
    /// Names and e-mail addresses, only if the client keeps them.
    pub identities: Option<Identities>,
    /// How many pages were requested.
    pub pages: u32,
}

#[cfg(all(test, feature = "daemon"))]
impl Summary {
    /// A complete list with these rows, sorted by user.
    pub(crate) fn whole(mut rows: Vec<Row>) -> Self {
        rows.sort_unstable_by_key(|row| row.user);
        Self {
            rows,
            unreadable: Vec::new(),
            anonymous: 0,
            odd: OddFields::default(),
            is_null: false,
            completeness: Completeness::Complete,
            date: None,
            identities: None,
            pages: 1,
        }
    }
}

/// The names and e-mail addresses of users, in one string because there may be a million of them.
#[derive(Clone, Debug)]
pub struct Identities {
    text: String,
    /// How much of the text may exceed [`Identities::BYTES_EACH`] for each user.
    excess_limit: usize,
    /// For each user: where the e-mail address starts, where the name starts, and where it ends. Sorted by user once
    /// finished.
    spans: Vec<(UserId, u32, u32, u32)>,
}

/// The text of [`Identities`] has reached its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("names and e-mail addresses have reached their limit")]
pub struct NoRoom;

impl Identities {
    /// Bytes that an e-mail address and a name may have together without counting against the limit.
    const BYTES_EACH: usize = 256;

    /// No users yet. Beyond 256 bytes for each user, the text is limited to `bytes`.
    pub fn within(bytes: usize) -> Self {
        Self { text: String::new(), excess_limit: bytes, spans: Vec::new() }
    }

    /// How many bytes of the text count against the limit.
    pub(crate) fn excess_bytes(&self) -> usize {
        self.text.len().saturating_sub(Self::BYTES_EACH * self.spans.len())
    }

    /// Adds one user.
    ///
    /// # Errors
    /// The text has no room for both within its limit, or within 4 GiB. The user was not added.
    pub fn push(&mut self, user: UserId, email: &str, name: &str) -> Result<(), NoRoom> {
        let start = self.text.len();
        let (middle, end) = (start + email.len(), start + email.len() + name.len());
        if end.saturating_sub(Self::BYTES_EACH * (self.spans.len() + 1)) > self.excess_limit {
            return Err(NoRoom);
        }
        let position = |at: usize| u32::try_from(at).map_err(|_| NoRoom);
        self.spans.push((user, position(start)?, position(middle)?, position(end)?));
        self.text.push_str(email);
        self.text.push_str(name);
        Ok(())
    }

    /// Adds all users of `others`.
    pub fn append(&mut self, others: &Self) {
        for &(user, start, middle, end) in &others.spans {
            let email = others.text.get(start as usize..middle as usize);
            let name = others.text.get(middle as usize..end as usize);
            // Both have room: the others were limited to what these had left.
            let _ = self.push(user, email.unwrap_or_default(), name.unwrap_or_default());
        }
    }

    /// Sorts the users, so that [`Identities::get`] finds them.
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
    /// Cloudflare's id of the event. It is not known to be unique over time. Empty if it
    /// is missing.
    pub id: String,
    /// The behavior's id or display name; Cloudflare does not document which. Empty if it is missing or unreadable.
    pub name: String,
    /// The level of the event.
    pub level: Level,
    /// When it happened.
    pub timestamp: Timestamp,
}

impl Event {
    /// What identifies the event together with its time: its id, or its name if it has no id.
    pub fn identifier(&self) -> &str {
        if self.id.is_empty() { &self.name } else { &self.id }
    }
}

/// A risk event with its details. Only commands that a person runs read details, and the feed if the configuration asks for them;
/// they reach no metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailedEvent {
    /// The event.
    pub event: Event,
    /// The details: JSON of any shape, if there are any.
    pub details: Option<String>,
}

/// One user's events, from one reading of all pages.
#[derive(Clone, Debug)]
pub struct UserRisk<E = Event> {
    /// The readable events, each id and time once, in the order of the response.
    pub events: Vec<E>,
    /// The number of unreadable events (no valid time, an id that is no scalar or too long, or neither id nor name).
    pub rejected: u32,
    /// Why events are unreadable, and other fields without their documented form.
    pub odd: OddFields,
    /// When the user was last reset.
    pub last_reset: Option<Timestamp>,
    /// The user's level, if the response contains one.
    pub level: Option<Level>,
    /// Whether the list is complete.
    pub completeness: Completeness,
    /// The `Date` header of the first page: the time by Cloudflare's clock.
    pub date: Option<Timestamp>,
    /// E-mail address and name, only if the client keeps them.
    pub identity: Option<Identity>,
    /// How many pages were requested.
    pub pages: u32,
}

/// A user's e-mail address and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// E-mail address.
    pub email: String,
    /// Display name.
    pub name: String,
}

/// A list whose rows are decoded one by one, so that an unreadable row does not affect the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The readable rows.
    pub rows: Vec<T>,
    /// The number of unreadable rows.
    pub rejected: u32,
    /// Fields without their documented form, also of readable rows.
    pub odd: OddFields,
}

/// The empty list, for rows without a `Default` too.
impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), rejected: 0, odd: OddFields::default() }
    }
}

/// A behavior that makes users risky.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behavior {
    /// The id, such as `imp_travel`.
    pub id: String,
    /// The display name, such as `Impossible Travel`.
    pub name: String,
    /// What triggers the behavior. Neither exported nor stored.
    #[serde(skip)]
    pub description: String,
    /// Whether the behavior is enabled; `None` if that is missing or unreadable.
    pub enabled: Option<bool>,
    /// The level that the behavior gives a user.
    pub level: Level,
}

/// The settings of a behavior that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BehaviorSetting {
    /// Whether the behavior is enabled.
    pub enabled: bool,
    /// The level that the behavior gives a user. The client refuses [`Level::Unknown`].
    pub level: Level,
}

/// An external system that Cloudflare sends changes of users' levels to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// The id.
    pub id: uuid::Uuid,
    /// The type: `Okta` is the only one so far.
    pub kind: String,
    /// The reference id, which its owner chose.
    pub reference_id: String,
    /// The URL of the tenant, such as `https://tenant.okta.com`.
    pub tenant_url: String,
    /// The URL of the Shared Signals configuration. Neither exported nor stored.
    #[serde(skip)]
    pub well_known_url: String,
    /// Whether changes are sent.
    pub active: bool,
    /// When it was created; [`Timestamp::UNKNOWN`] if Cloudflare does not say.
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
        assert_eq!(Resource::ALL.map(Resource::index), [0, 1, 2, 3, 4, 5]);
        assert_eq!(variants::<Level>(), ["unknown", "low", "medium", "high", "unrecognized"]);
        assert!(variants::<Level>().starts_with(&Level::ALL.map(Level::as_str).map(str::to_owned)));
        assert_eq!(Level::ALL.map(Level::index), [0, 1, 2, 3]);
    }

    #[test]
    fn an_undocumented_level_ranks_on_top_and_no_level_ranks_lowest() {
        for (word, level) in [
            ("low", Level::Low),
            ("Medium", Level::Medium),
            ("HIGH", Level::High),
            ("critical", Level::Unrecognized),
            ("", Level::Unrecognized),
        ] {
            assert_eq!(Level::from_word(word), level, "{word}");
        }
        let ranked = [Level::Unknown, Level::Low, Level::Medium, Level::High, Level::Unrecognized];
        assert!(ranked.is_sorted(), "{ranked:?}");
        assert_eq!((Level::Unrecognized.as_str(), Level::Unrecognized.index()), ("unknown", 0));
    }
}
