//! What the API does where Cloudflare's documentation is silent: for each question our choice, which is
//! the default, and the others.

use serde::Deserialize;

/// One answer to each open question.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiOptions {
    /// Whether the lists of the summary and of a user's events come in pages.
    pub pages: Pages,
    /// How much later than in the summary an event shows among its user's events, in milliseconds.
    pub detail_lag_ms: u64,
    /// How long an event stays listed; left out: for ever.
    pub retention_seconds: Option<u64>,
    /// The most events of a user that are listed, the newest first; `total_count` does not say that there
    /// were more. Left out: all.
    pub listing_cap: Option<u32>,
    /// What `event_count` counts.
    pub event_count: EventCount,
    /// What `events[].id` is.
    pub event_ids: EventIds,
    /// What `events[].name` is.
    pub event_names: EventNames,
    /// What a user answers after a reset, until the next event.
    pub reset_user: ResetUser,
    /// Whether events from before a reset are still listed.
    pub reset_events: ResetEvents,
    /// What is said of a user that nobody knows.
    pub unknown_user: UnknownUser,
    /// What a PUT with an unknown behavior does.
    pub unknown_behavior: UnknownBehavior,
    /// What a PUT of behaviors answers.
    pub behaviors_answer: BehaviorsAnswer,
    /// What a second integration with a known reference does.
    pub duplicate_reference: DuplicateReference,
    /// What a reset or a deletion has as its result.
    pub empty_result: EmptyResult,
    /// How much of the envelope refusals of credentials have.
    pub refusals: Refusals,
    /// Whether answers are compressed for clients that accept it.
    pub compression: Compression,
}

/// How lists are cut.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pages {
    /// Everything in one answer.
    #[default]
    Whole,
    /// By `page` (from 1) and `per_page`; a `per_page` above the largest is taken as the largest.
    Sized {
        /// Rows of a page when `per_page` is left out.
        standard: u32,
        /// The most rows of a page.
        largest: u32,
    },
    /// The first rows, whatever `page` says, under totals that count all.
    Repeated {
        /// Rows of the only page.
        size: u32,
    },
}

impl Pages {
    /// The key of a size that is zero.
    pub(super) fn zero_size(self) -> Option<&'static str> {
        match self {
            Self::Sized { standard: 0, .. } => Some("standard"),
            Self::Sized { largest: 0, .. } => Some("largest"),
            Self::Repeated { size: 0 } => Some("size"),
            _ => None,
        }
    }
}

/// What `event_count` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventCount {
    /// Every event since the last reset, listed or not.
    #[default]
    Recorded,
    /// The events since the last reset within retention: it falls.
    Retained,
}

/// What `events[].id` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventIds {
    /// A UUID of the event.
    #[default]
    Unique,
    /// The behavior's id, the same for all of its events.
    Behavior,
}

/// What `events[].name` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventNames {
    /// The behavior's display name.
    #[default]
    Display,
    /// The behavior's id.
    Id,
}

/// What GET of a reset user answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetUser {
    /// 200 with `last_reset_time`.
    #[default]
    Present,
    /// 404, as for a user that nobody knows.
    Missing,
}

/// What becomes of events at a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetEvents {
    /// They are gone.
    #[default]
    Hidden,
    /// They stay listed, but count for nothing.
    Listed,
}

/// What is said of a user that nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownUser {
    /// 404.
    #[default]
    NotFound,
    /// 200 without events.
    Empty,
}

/// What a PUT with an unknown behavior does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownBehavior {
    /// 400, and nothing is changed.
    #[default]
    Refused,
    /// The others are changed.
    Ignored,
}

/// What a PUT of behaviors answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BehaviorsAnswer {
    /// Every behavior with name and description, as in 2024.
    #[default]
    Full,
    /// Every behavior, level and switch only, as in today's schema.
    Settings,
}

/// What a second integration with a known reference does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateReference {
    /// 409.
    #[default]
    Refused,
    /// Both exist; the older one is found by the reference.
    Allowed,
}

/// The result of a change that has nothing to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyResult {
    /// `{}`
    #[default]
    Object,
    /// `null`
    Null,
    /// No `result`.
    Absent,
}

/// How much of the envelope refusals of credentials have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusals {
    /// All that the schema demands.
    #[default]
    Full,
    /// `success` and `errors` only, as often seen.
    Terse,
}

/// Whether answers are compressed for clients that accept it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Never: loopback is faster than gzip.
    #[default]
    None,
    /// By gzip.
    Gzip,
}
