//! The words and flags of the commands by which a person looks at users and settings, and changes them.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use uuid::Uuid;

use super::{Flags, LogFlags, Output};
use crate::clock::Timestamp;
use crate::config::duration;
use crate::model::Level;

/// What a person asks for.
#[derive(Debug, Clone, Subcommand)]
pub enum Operator {
    /// List the users at risk
    Users(Users),
    /// Show one user: level, events with their details, last reset
    User(User),
    /// Clear the risk of users, after asking
    Reset(Reset),
    /// What counts as risky; without a further word: list
    Behaviors(Behaviors),
    /// Where changes of level are sent; without a further word: list
    Integrations(Integrations),
}

/// What all of these commands take.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The configuration file (YAML)
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// The account, by alias or id; needed only if several are configured
    #[arg(long, value_name = "ALIAS")]
    pub account: Option<String>,
    /// How the result is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// What is logged.
    #[command(flatten)]
    pub log: LogFlags,
}

/// Whether a command that changes something asks first.
#[derive(Debug, Clone, Args)]
pub struct Consent {
    /// Do it without asking; where there is no terminal nothing is done without this
    #[arg(long)]
    pub yes: bool,
}

/// `users`
#[derive(Debug, Clone, Args)]
pub struct Users {
    /// A part of the name, the e-mail address or the id
    #[arg(value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub text: Option<String>,
    /// Only users of this level; may be given several times, or with commas
    #[arg(id = "risk_level", long = "level", value_name = "LEVEL", value_delimiter = ',', value_parser = listed_level())]
    pub level: Vec<Level>,
    /// Only users with an event of this behavior, by its id; this takes a request for each user that fits otherwise
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub behavior: Option<String>,
    /// Only users whose last event is not older: 90m, 1d12h, or a date such as 2026-11-20T08:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub since: Option<Since>,
    /// Who comes first
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Sort::Risk)]
    pub sort: Sort,
    /// How many users at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// What all take.
    #[command(flatten)]
    pub common: Common,
}

/// Who comes first in a list of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// The highest level, and in it the latest event.
    Risk,
    /// The latest event.
    LastEvent,
    /// The most events.
    Events,
    /// By the alphabet.
    Name,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long before now.
    Ago(Duration),
    /// From this date.
    Date(Timestamp),
}

/// `user`
#[derive(Debug, Clone, Args)]
pub struct User {
    /// The id, the e-mail address, a part of the name that fits nobody else, or the hash on the page
    #[arg(value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub user: String,
    /// What all take.
    #[command(flatten)]
    pub common: Common,
}

/// `reset`
#[derive(Debug, Clone, Args)]
pub struct Reset {
    /// Whom; named as for the command user
    #[arg(value_name = "USER", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub users: Vec<String>,
    /// Whether it asks.
    #[command(flatten)]
    pub consent: Consent,
    /// What all take.
    #[command(flatten)]
    pub common: Common,
}

/// `behaviors`
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Behaviors {
    #[command(subcommand)]
    action: Option<BehaviorsAction>,
    #[command(flatten)]
    list: Common,
}

/// What is done with behaviors.
#[derive(Debug, Clone, Subcommand)]
pub enum BehaviorsAction {
    /// List what counts as risky
    List(Common),
    /// Change one behavior, after asking
    Set(SetBehavior),
    /// Compare with a baseline file; a difference ends with code 3
    Diff(Baseline),
    /// Make the behaviors what a baseline file says, after asking
    Apply(ApplyBaseline),
}

/// `behaviors set`
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("change").args(["enable", "disable", "risk_level"]).required(true).multiple(true))]
pub struct SetBehavior {
    /// The behavior's id, such as imp_travel
    #[arg(value_name = "ID")]
    pub id: String,
    /// Look for it
    #[arg(long, conflicts_with = "disable")]
    pub enable: bool,
    /// Do not look for it
    #[arg(long)]
    pub disable: bool,
    /// The level that a user gets by it
    #[arg(id = "risk_level", long = "level", value_name = "LEVEL", value_parser = known_level())]
    pub level: Option<Level>,
    /// Whether it asks.
    #[command(flatten)]
    pub consent: Consent,
    /// What all take.
    #[command(flatten)]
    pub common: Common,
}

/// `behaviors diff`
#[derive(Debug, Clone, Args)]
pub struct Baseline {
    /// The baseline (YAML), with lines such as imp_travel: { enabled: true, risk_level: high }
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What all take.
    #[command(flatten)]
    pub common: Common,
}

/// `behaviors apply`
#[derive(Debug, Clone, Args)]
pub struct ApplyBaseline {
    /// The baseline.
    #[command(flatten)]
    pub baseline: Baseline,
    /// Whether it asks.
    #[command(flatten)]
    pub consent: Consent,
}

/// `integrations`
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Integrations {
    #[command(subcommand)]
    action: Option<IntegrationsAction>,
    #[command(flatten)]
    list: Common,
}

/// What is done with integrations.
#[derive(Debug, Clone, Subcommand)]
pub enum IntegrationsAction {
    /// List where changes of level are sent
    List(Common),
    /// Show one, by Cloudflare's id
    Get(OneIntegration),
    /// Show one, by the id that its owner gave it
    ByReference {
        /// The reference id
        #[arg(value_name = "REFERENCE")]
        reference_id: String,
        /// What all take.
        #[command(flatten)]
        common: Common,
    },
    /// Make one with Okta, after asking; it is active at once
    Create(CreateIntegration),
    /// Change one, after asking
    Update(UpdateIntegration),
    /// Remove one, after asking
    Delete {
        /// Which.
        #[command(flatten)]
        one: OneIntegration,
        /// Whether it asks.
        #[command(flatten)]
        consent: Consent,
    },
}

/// Which integration.
#[derive(Debug, Clone, Args)]
pub struct OneIntegration {
    /// Cloudflare's id of the integration, a UUID
    #[arg(value_name = "ID")]
    pub id: Uuid,
    /// What all take.
    #[command(flatten)]
    pub common: Common,
}

/// `integrations create`
#[derive(Debug, Clone, Args)]
pub struct CreateIntegration {
    /// The tenant that changes are sent to, an https URL
    #[arg(long, value_name = "URL", value_parser = tenant)]
    pub tenant_url: String,
    /// An id of your choice; without it Cloudflare makes one
    #[arg(long, value_name = "REFERENCE", value_parser = NonEmptyStringValueParser::new())]
    pub reference_id: Option<String>,
    /// Whether it asks.
    #[command(flatten)]
    pub consent: Consent,
    /// What all take.
    #[command(flatten)]
    pub common: Common,
}

/// `integrations update`
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("change")
    .args(["tenant_url", "reference_id", "activate", "deactivate"])
    .required(true)
    .multiple(true))]
pub struct UpdateIntegration {
    /// Which.
    #[command(flatten)]
    pub one: OneIntegration,
    /// The tenant that changes are sent to, an https URL
    #[arg(long, value_name = "URL", value_parser = tenant)]
    pub tenant_url: Option<String>,
    /// An id of your choice
    #[arg(long, value_name = "REFERENCE", value_parser = NonEmptyStringValueParser::new())]
    pub reference_id: Option<String>,
    /// Send changes
    #[arg(long, conflicts_with = "deactivate")]
    pub activate: bool,
    /// Send nothing
    #[arg(long)]
    pub deactivate: bool,
    /// Whether it asks.
    #[command(flatten)]
    pub consent: Consent,
}

impl Operator {
    /// What is said of the configuration. All of its accounts count: shards are for exporters.
    pub fn flags(&self) -> Flags {
        let Common { config_file, log, .. } = self.common();
        Flags {
            config_file: config_file.clone(),
            shard_index: Some("0".to_owned()),
            shard_total: Some("1".to_owned()),
            ..log.flags()
        }
    }

    /// What all of these commands take.
    pub fn common(&self) -> &Common {
        match self {
            Self::Users(Users { common, .. })
            | Self::User(User { common, .. })
            | Self::Reset(Reset { common, .. }) => common,
            Self::Behaviors(behaviors) => match &behaviors.action {
                None => &behaviors.list,
                Some(BehaviorsAction::List(common)) => common,
                Some(BehaviorsAction::Set(set)) => &set.common,
                Some(BehaviorsAction::Diff(baseline)) => &baseline.common,
                Some(BehaviorsAction::Apply(apply)) => &apply.baseline.common,
            },
            Self::Integrations(integrations) => match &integrations.action {
                None => &integrations.list,
                Some(IntegrationsAction::List(common)) => common,
                Some(
                    IntegrationsAction::Get(one)
                    | IntegrationsAction::Update(UpdateIntegration { one, .. })
                    | IntegrationsAction::Delete { one, .. },
                ) => &one.common,
                Some(IntegrationsAction::ByReference { common, .. }) => common,
                Some(IntegrationsAction::Create(create)) => &create.common,
            },
        }
    }
}

impl Behaviors {
    /// What to do; to list, where nothing is said.
    pub fn action(&self) -> BehaviorsAction {
        self.action.clone().unwrap_or_else(|| BehaviorsAction::List(self.list.clone()))
    }
}

impl Integrations {
    /// What to do; to list, where nothing is said.
    pub fn action(&self) -> IntegrationsAction {
        self.action.clone().unwrap_or_else(|| IntegrationsAction::List(self.list.clone()))
    }
}

/// A level that a behavior can have.
fn known_level() -> impl TypedValueParser<Value = Level> {
    PossibleValuesParser::new(["low", "medium", "high"]).map(|word| Level::from_word(&word))
}

/// A level that a user can have.
fn listed_level() -> impl TypedValueParser<Value = Level> {
    PossibleValuesParser::new(["low", "medium", "high", "unknown"]).map(|word| Level::from_word(&word))
}

/// Who is at risk must not go over the network in the clear.
fn tenant(text: &str) -> Result<String, String> {
    let is_https = text.parse().is_ok_and(|url: reqwest::Url| url.scheme() == "https" && url.has_host());
    if is_https { Ok(text.to_owned()) } else { Err("must be an https URL".to_owned()) }
}

fn since(text: &str) -> Result<Since, String> {
    if let Some(span) = duration::parse(text) {
        return Ok(Since::Ago(span));
    }
    let date: Result<jiff::Timestamp, _> = text.parse();
    date.map(|date| Since::Date(Timestamp::from_millis(date.as_millisecond()))).map_err(|_| {
        "must be a duration such as 90m or 1d12h, or a date such as 2026-11-20T08:00:00Z".to_owned()
    })
}
