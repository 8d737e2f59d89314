//! Every field of the own format: its type, in which kinds of records it is, and what it means. The manual's table and the
//! JSON Schema are made from this list, and records are validated by that schema.

use super::record::{Cause, Change, GapReason, RecordKind};
use RecordKind::{BehaviorChange, Gap, IntegrationChange, LevelChange, Reset, RiskEvent, UserGone};

/// A field of a line.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The type of its value.
    pub value: Value,
    /// The kinds of records that always have it.
    always: &'static [RecordKind],
    /// The kinds of records that may have it.
    sometimes: &'static [RecordKind],
    /// What it means, as the manual says it.
    pub meaning: &'static str,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// Any text.
    Text,
    /// A text of the form `account:epoch:sequence`.
    RecordId,
    /// RFC 3339 in UTC with milliseconds.
    Time,
    /// A whole number from 0.
    Number,
    /// True or false.
    Flag,
    /// One of a few words.
    Word(fn() -> Vec<&'static str>),
}

/// How often the records of a kind have a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Always.
    Always,
    /// In some records.
    Sometimes,
    /// Never.
    Never,
}

impl Field {
    /// How often records of the kind with this word have the field.
    pub fn presence(&self, kind: &str) -> Presence {
        let has = |kinds: &[RecordKind]| kinds.iter().any(|known| known.as_str() == kind);
        match (has(self.always), has(self.sometimes)) {
            (true, _) => Presence::Always,
            (false, true) => Presence::Sometimes,
            (false, false) => Presence::Never,
        }
    }
}

/// The words of all kinds, in the order of the manual.
pub fn kinds() -> Vec<&'static str> {
    RecordKind::ALL.iter().map(|kind| kind.as_str()).collect()
}

fn causes() -> Vec<&'static str> {
    Cause::ALL.iter().map(|cause| cause.as_str()).collect()
}

fn changes() -> Vec<&'static str> {
    Change::ALL.iter().map(|change| change.as_str()).collect()
}

fn reasons() -> Vec<&'static str> {
    GapReason::ALL.iter().map(|reason| reason.as_str()).collect()
}

/// `unknown` stands for a level that Cloudflare does not document or does not say.
fn levels() -> Vec<&'static str> {
    vec!["low", "medium", "high", "unknown"]
}

fn levels_or_none() -> Vec<&'static str> {
    [vec!["none"], levels()].concat()
}

const ALL_KINDS: &[RecordKind] = RecordKind::ALL;
const OF_USERS: &[RecordKind] = &[RiskEvent, LevelChange, Reset, UserGone, Gap];

const fn field(
    name: &'static str,
    value: Value,
    always: &'static [RecordKind],
    sometimes: &'static [RecordKind],
    meaning: &'static str,
) -> Field {
    Field { name, value, always, sometimes, meaning }
}

/// Every field, in the order of a line.
pub const ALL: &[Field] = &[
    field(
        "id",
        Value::RecordId,
        ALL_KINDS,
        &[],
        "Identifies the record: account id, epoch and sequence. A record that is written twice has the same id.",
    ),
    field("kind", Value::Word(kinds), ALL_KINDS, &[], "The kind of the record."),
    field(
        "time",
        Value::Time,
        ALL_KINDS,
        &[],
        "When it happened: the time that Cloudflare gives for events and resets, otherwise the time of the list that shows it.",
    ),
    field("logged_time", Value::Time, ALL_KINDS, &[], "When the exporter recorded it, by its own clock."),
    field("account", Value::Text, ALL_KINDS, &[], "The account's alias, as in the label `account`."),
    field("account_id", Value::Text, ALL_KINDS, &[], "The account's id."),
    field(
        "epoch",
        Value::Number,
        ALL_KINDS,
        &[],
        "Which part of the feed: when it began, in milliseconds since 1970. Each start of the exporter begins another one.",
    ),
    field(
        "sequence",
        Value::Number,
        ALL_KINDS,
        &[],
        "The number of the record in its epoch: 1, 2, 3 and so on, without a gap.",
    ),
    field(
        "user",
        Value::Text,
        &[],
        OF_USERS,
        "The user's id or its hash, as in the label `user`; missing with `feed.identity: none`.",
    ),
    field(
        "user_email",
        Value::Text,
        &[],
        OF_USERS,
        "The user's e-mail address, only with `feed.identity: email`.",
    ),
    field(
        "user_name",
        Value::Text,
        &[],
        OF_USERS,
        "The user's display name, only with `feed.identity: email`.",
    ),
    field("event_id", Value::Text, &[], &[RiskEvent], "Cloudflare's id of the event, if it has one."),
    field(
        "behavior",
        Value::Text,
        &[RiskEvent, BehaviorChange],
        &[],
        "The behavior's id, as in the label `behavior`.",
    ),
    field("behavior_name", Value::Text, &[], &[BehaviorChange], "The behavior's display name."),
    field("integration_id", Value::Text, &[IntegrationChange], &[], "The integration's id."),
    field(
        "integration_type",
        Value::Text,
        &[],
        &[IntegrationChange],
        "The integration's type, such as `Okta`.",
    ),
    field("level", Value::Word(levels), &[RiskEvent], &[], "The level of the event."),
    field(
        "current_level",
        Value::Word(levels_or_none),
        &[LevelChange],
        &[BehaviorChange],
        "The level from now on. `none`: the user is not on the list.",
    ),
    field(
        "previous_level",
        Value::Word(levels_or_none),
        &[LevelChange, UserGone],
        &[Reset, BehaviorChange],
        "The level before.",
    ),
    field(
        "cause",
        Value::Word(causes),
        &[LevelChange],
        &[],
        "Why the level changed, as far as the list of users shows it.",
    ),
    field(
        "change",
        Value::Word(changes),
        &[BehaviorChange, IntegrationChange],
        &[],
        "What happened to the behavior or integration.",
    ),
    field(
        "current_enabled",
        Value::Flag,
        &[],
        &[BehaviorChange, IntegrationChange],
        "Whether the behavior is enabled, or the integration active, from now on.",
    ),
    field("previous_enabled", Value::Flag, &[], &[BehaviorChange, IntegrationChange], "The same before."),
    field("reason", Value::Word(reasons), &[Gap], &[], "Why something is missing."),
    field("count", Value::Number, &[Gap], &[], "How many records or events are missing."),
    field(
        "first_sequence",
        Value::Number,
        &[],
        &[Gap],
        "The first sequence that no other record has. Missing if the gap is one of events that could not be read.",
    ),
    field(
        "last_sequence",
        Value::Number,
        &[],
        &[Gap],
        "The last one, which is the sequence of this record too.",
    ),
    field(
        "details",
        Value::Text,
        &[],
        &[RiskEvent],
        "The event's details as JSON in a text, only with `feed.details`.",
    ),
    field(
        "details_cut",
        Value::Flag,
        &[],
        &[RiskEvent],
        "True if the details were longer than 8 KiB and are cut.",
    ),
];
