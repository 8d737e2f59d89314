//! How the API behaves where Cloudflare's documentation says nothing. Each option has several possible
//! behaviors; the default is our choice.

use std::ops::RangeInclusive;

use serde::Deserialize;

/// The behavior of the API in all open questions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiOptions {
    /// Whether the users of the summary and the events of a user are split into pages.
    pub pages: Pages,
    /// What `result_info` says about the number of rows.
    pub totals: Totals,
    /// What `result_info` says about the size of a page.
    pub per_page: PerPage,
    /// How an answer refers to the next page.
    pub next_page: NextPage,
    /// The answer to a page beyond the last one.
    pub beyond_last: BeyondLast,
    /// The answer of lists to requests with a query.
    pub queries: Queries,
    /// How much later than in the summary an event appears in the user's list, in milliseconds.
    pub detail_lag_ms: u64,
    /// The largest such delay, in milliseconds; each event has a random one between the two. Without it, all
    /// events have the same.
    pub detail_lag_max_ms: Option<u64>,
    /// How much later a behavior that is added after the start appears in the list of behaviors, in milliseconds.
    pub behavior_lag_ms: u64,
    /// How long an event stays listed. Without it, events stay listed without end.
    pub retention_seconds: Option<u64>,
    /// How many events of a user are listed at most, the newest first. `total_count` counts only those.
    /// Without it, all are listed.
    pub listing_cap: Option<u32>,
    /// What `event_count` counts.
    pub event_count: EventCount,
    /// What `events[].id` is.
    pub event_ids: EventIds,
    /// What `events[].name` is.
    pub event_names: EventNames,
    /// The answer for a user after a reset, until the next event.
    pub reset_user: ResetUser,
    /// Whether events from before a reset are still listed.
    pub reset_events: ResetEvents,
    /// The answer for an unknown user.
    pub unknown_user: UnknownUser,
    /// The effect of a PUT with an unknown behavior.
    pub unknown_behavior: UnknownBehavior,
    /// The answer to a PUT of behaviors.
    pub behaviors_answer: BehaviorsAnswer,
    /// The effect of creating an integration with a reference that is in use.
    pub duplicate_reference: DuplicateReference,
    /// The result of a reset or a deletion.
    pub empty_result: EmptyResult,
    /// Which fields the envelope of an authentication error has.
    pub refusals: Refusals,
    /// Whether answers are compressed for clients that accept it.
    pub compression: Compression,
}

impl ApiOptions {
    /// The smallest and the largest delay of events in a user's list, in milliseconds.
    pub(super) fn detail_lag(&self) -> RangeInclusive<u64> {
        self.detail_lag_ms..=self.detail_lag_max_ms.unwrap_or(self.detail_lag_ms).max(self.detail_lag_ms)
    }
}

/// How lists are split into pages.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pages {
    /// Everything in one answer.
    #[default]
    Whole,
    /// By `page` (from 1) and `per_page`. A larger `per_page` means the largest page size.
    Sized {
        /// The page size without `per_page`.
        standard: u32,
        /// The largest page size.
        largest: u32,
    },
    /// Always the first rows, whatever `page` is. The totals count all rows.
    Repeated {
        /// The number of rows.
        size: u32,
    },
}

impl Pages {
    /// The key of a page size that is zero.
    pub(super) fn zero_size(self) -> Option<&'static str> {
        match self {
            Self::Sized { standard: 0, .. } => Some("sized.standard"),
            Self::Sized { largest: 0, .. } => Some("sized.largest"),
            Self::Repeated { size: 0 } => Some("repeated.size"),
            _ => None,
        }
    }
}

/// What `result_info` says about the number of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Totals {
    /// `total_count` and `total_pages` are numbers.
    #[default]
    Numbers,
    /// All numbers in `result_info` are strings.
    Strings,
    /// They are null.
    Null,
    /// They are 0, and `count` too.
    Zero,
    /// They count the rows of the page, as if there were no others.
    Page,
    /// They are absent.
    Absent,
    /// The whole `result_info` is absent.
    NoInfo,
}

/// What `result_info` says about the size of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PerPage {
    /// The size that was used.
    #[default]
    Granted,
    /// The size that was asked for, even if the largest page is smaller.
    Asked,
    /// Nothing.
    Absent,
}

/// How an answer refers to the next page. Only for pages of the kind [`Pages::Sized`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextPage {
    /// It does not; a client counts up `page`.
    #[default]
    Page,
    /// A header `Link` with `rel="next"`; `page` works too.
    Link,
    /// `result_info.cursor`, for the parameter `cursor`; `page` is ignored.
    Cursor,
    /// `result_info.cursors.after`, for the parameter `cursor`; `page` is ignored.
    CursorsAfter,
    /// `result_info.next_cursor`, for the parameter `cursor`; `page` is ignored.
    NextCursor,
    /// `result_info.next_page_token`, for the parameter `page_token`; `page` is ignored.
    NextPageToken,
    /// `result_info.next`, a relative URL; `page` works too.
    Next,
    /// `result_info.has_more` says whether there is one; a client counts up `page`.
    HasMore,
    /// `result_info.has_more` says that there is one, but no request leads to it: every page is the first one.
    Nowhere,
    /// `result_info.cursor` of 3,000 bytes, for the parameter `cursor`; `page` is ignored.
    LongCursor,
}

impl NextPage {
    /// The query parameter of a cursor; `None` if pages are selected by number.
    pub(super) const fn parameter(self) -> Option<&'static str> {
        match self {
            Self::Page | Self::Link | Self::Next | Self::HasMore | Self::Nowhere => None,
            Self::Cursor | Self::CursorsAfter | Self::NextCursor | Self::LongCursor => Some("cursor"),
            Self::NextPageToken => Some("page_token"),
        }
    }
}

/// The answer to a page beyond the last one. A list that is requested by cursors has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeyondLast {
    /// No rows. A list without pages is whole on every page.
    #[default]
    Empty,
    /// The last page again.
    Last,
    /// 400, also for page 2 of a list without pages.
    BadRequest,
    /// 404, also for page 2 of a list without pages.
    NotFound,
}

/// The answer of lists to requests with a query: today's schema has no query parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Queries {
    /// The parameters have their effects.
    #[default]
    Used,
    /// Every query is refused.
    Refused {
        /// 400 or above; other values mean 500.
        status: u16,
    },
}

/// What `event_count` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventCount {
    /// Every event since the last reset, listed or not.
    #[default]
    Recorded,
    /// The listed events since the last reset. The count falls when their retention ends.
    Retained,
}

/// What `events[].id` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventIds {
    /// A UUID for each event.
    #[default]
    Unique,
    /// The behavior's id, the same for all of its events.
    Behavior,
    /// A JSON number for each event.
    Number,
    /// Null.
    Null,
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

/// The answer for a user after a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetUser {
    /// 200 with `last_reset_time`.
    #[default]
    Present,
    /// 404.
    Missing,
}

/// What happens to events at a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetEvents {
    /// They are no longer listed.
    #[default]
    Hidden,
    /// They stay listed, but do not count.
    Listed,
}

/// The answer for an unknown user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownUser {
    /// 404.
    #[default]
    NotFound,
    /// 200 without events.
    Empty,
}

/// The effect of a PUT with an unknown behavior.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownBehavior {
    /// 400; nothing is changed.
    #[default]
    Refused,
    /// The unknown behavior is ignored, the others are changed.
    Ignored,
}

/// The answer to a PUT of behaviors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BehaviorsAnswer {
    /// Every behavior with name and description, as in 2024.
    #[default]
    Full,
    /// Every behavior with `enabled` and `risk_level` only, as in today's schema.
    Settings,
}

/// The effect of creating an integration with a reference that is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateReference {
    /// 409.
    #[default]
    Refused,
    /// Both exist. The reference selects the older one.
    Allowed,
}

/// The result of a reset or a deletion.
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

/// Which fields the envelope of an authentication error has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusals {
    /// All fields that the schema requires.
    #[default]
    Full,
    /// `success` and `errors` only, as Cloudflare often answers.
    Terse,
}

/// Whether answers are compressed for clients that accept it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Never, because loopback is faster than gzip.
    #[default]
    None,
    /// By gzip.
    Gzip,
}
