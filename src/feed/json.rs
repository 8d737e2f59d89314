//! The exporter's own format: a flat JSON object, whose fields [`super::fields`] declares.
//!
//! The names of the levels are those of CAEP's risk-level-change (OpenID CAEP 1.0, section 3.8).

use serde::Serialize;

use super::record::{
    Cause, Change, Content, GapReason, Person, Record, RecordKind, RecordUser, Setting, change,
};
use super::text::{Cut, MAX_DETAILS, bounded, short};
use crate::clock::Timestamp;
use crate::model::Level;

/// The level of a user who is not on the list.
const NO_LEVEL: &str = "none";

/// The first and the last date of RFC 3339.
const EARLIEST: Timestamp = Timestamp::from_seconds(-62_167_219_200);
const LATEST: Timestamp = Timestamp::from_millis(253_402_300_799_999);

/// The fields in the order of a line. A field without a value is left out.
#[derive(Default, Serialize)]
struct Line<'a> {
    id: String,
    kind: Option<RecordKind>,
    time: String,
    logged_time: String,
    account: &'a str,
    account_id: &'a str,
    epoch: u64,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behavior: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behavior_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integration_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integration_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<GapReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details_cut: Option<bool>,
}

/// The record as a JSON object on one line, without the newline.
pub(super) fn encode(record: &Record) -> String {
    let Record { id, alias, time, logged_time, user, content } = record;
    let mut line = Line {
        id: id.to_string(),
        kind: Some(content.kind()),
        time: date(*time),
        logged_time: date(*logged_time),
        account: alias,
        account_id: &id.account,
        epoch: id.epoch,
        sequence: id.sequence,
        ..Line::default()
    };
    if let Some(RecordUser { name, person }) = user {
        line.user = Some(name);
        if let Some(Person { email, name }) = person {
            line.user_email = text(email);
            line.user_name = text(name);
        }
    }
    line.describe(content);
    serde_json::to_string(&line).expect("the keys are strings, and writing to memory does not fail")
}

impl Line<'_> {
    fn describe(&mut self, content: &Content) {
        match content {
            Content::RiskEvent { event_id, behavior, level, details } => {
                self.event_id = text(event_id);
                self.behavior = Some(short(behavior));
                self.level = Some(level.as_str());
                if let Some(details) = details {
                    let (details, cut) = bounded(details, MAX_DETAILS);
                    self.details = Some(details);
                    self.details_cut = (cut == Cut::Yes).then_some(true);
                }
            }
            Content::LevelChange { previous, current, cause } => {
                self.current_level = Some(level_or_none(*current));
                self.previous_level = Some(level_or_none(*previous));
                self.cause = Some(*cause);
            }
            Content::Reset { previous } => self.previous_level = previous.map(Level::as_str),
            Content::UserGone { previous } => self.previous_level = Some(previous.as_str()),
            Content::BehaviorChange { behavior, name, previous, current } => {
                self.behavior = Some(short(behavior));
                self.behavior_name = text(name);
                self.change = Some(change(previous.as_ref(), current.as_ref()));
                let level = |setting: &Option<Setting>| setting.map(|setting| setting.level.as_str());
                let enabled = |setting: &Option<Setting>| setting.and_then(|setting| setting.enabled);
                (self.current_level, self.previous_level) = (level(current), level(previous));
                (self.current_enabled, self.previous_enabled) = (enabled(current), enabled(previous));
            }
            Content::IntegrationChange { id, kind, previous_active, active } => {
                self.integration_id = Some(id.to_string());
                self.integration_type = text(kind);
                self.change = Some(change(previous_active.as_ref(), active.as_ref()));
                (self.current_enabled, self.previous_enabled) = (*active, *previous_active);
            }
            Content::Gap { reason, count, sequences } => {
                self.reason = Some(*reason);
                self.count = Some(*count);
                self.first_sequence = sequences.map(|(first, _)| first);
                self.last_sequence = sequences.map(|(_, last)| last);
            }
        }
    }
}

/// RFC 3339, always with milliseconds: programs that read the feed take one pattern for all times, and texts sort like times.
pub(super) fn date(time: Timestamp) -> String {
    let millis = in_range(time).millis();
    let whole = Timestamp::from_seconds(millis.div_euclid(1_000)).to_string();
    let whole = whole.strip_suffix('Z').expect("a time ends with its zone");
    format!("{whole}.{:03}Z", millis.rem_euclid(1_000))
}

/// The time, or the nearest that RFC 3339 can write, which has four digits for the year.
pub(super) fn in_range(time: Timestamp) -> Timestamp {
    time.clamp(EARLIEST, LATEST)
}

pub(super) fn level_or_none(level: Option<Level>) -> &'static str {
    level.map_or(NO_LEVEL, Level::as_str)
}

/// A text that Cloudflare said; `None` if it said nothing.
pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| short(text))
}

#[cfg(test)]
mod tests;
