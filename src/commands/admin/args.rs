//! The arguments of the commands that show and change users, behaviors and integrations.

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use uuid::Uuid;

use crate::commands::args::TimeArg;
use crate::commands::terminal::confirm::Consent;
use crate::commands::terminal::table::Output;
use crate::config::parse::whole_number;
use crate::config::{FileFlags, Flags};
use crate::model::Level;

/// The arguments of all these commands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// The account, by alias or id; needed only if several are configured
    #[arg(long, value_name = "ALIAS")]
    pub(super) account: Option<String>,
    /// How the result is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
    #[command(flatten)]
    file: FileFlags,
}

/// List the users at risk
#[derive(Debug, Clone, Args)]
pub(crate) struct Users {
    /// A part of the name, the e-mail address or the id
    #[arg(value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(super) text: Option<String>,
    /// Only users of this level; may be given several times, or with commas
    #[arg(id = "risk_level", long = "level", value_name = "LEVEL", value_delimiter = ',', value_parser = listed_level())]
    pub(super) level: Vec<Level>,
    /// Only users with an event of this behavior, by its id; this takes a request for each user that fits otherwise
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(super) behavior: Option<String>,
    /// Only users whose last event is not older: a duration before now such as 90m or 30d, an RFC 3339 date, or
    /// seconds since 1970
    #[arg(long, value_name = "WHEN")]
    pub(super) since: Option<TimeArg>,
    /// Who comes first
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Sort::Risk)]
    pub(super) sort: Sort,
    /// How many users at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = whole_number(1..=u32::MAX))]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Who comes first in a list of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// The highest level, and in it the latest event.
    Risk,
    /// The latest event.
    LastEvent,
    /// The most events.
    Events,
    /// By the alphabet.
    Name,
}

/// Show one user: level, events with their details, last reset
#[derive(Debug, Clone, Args)]
pub(crate) struct User {
    /// The id, the e-mail address, a part of the name that fits nobody else, or the hash on the page
    #[arg(value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub(super) user: String,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Clear the risk of users, after asking
#[derive(Debug, Clone, Args)]
pub(crate) struct Reset {
    /// Whom; named as for the command user
    #[arg(value_name = "USER", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(super) users: Vec<String>,
    #[command(flatten)]
    pub(super) consent: Consent,
    #[command(flatten)]
    pub(super) common: Common,
}

/// What counts as risky; without a further word: list
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Behaviors {
    #[command(subcommand)]
    action: Option<BehaviorsAction>,
    #[command(flatten)]
    list: Common,
}

/// What is done with behaviors.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BehaviorsAction {
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
pub(crate) struct SetBehavior {
    /// The behavior's id, such as imp_travel
    #[arg(value_name = "ID")]
    pub(super) id: String,
    /// Look for it
    #[arg(long, conflicts_with = "disable")]
    pub(super) enable: bool,
    /// Do not look for it
    #[arg(long)]
    pub(super) disable: bool,
    /// The level that a user gets by it
    #[arg(id = "risk_level", long = "level", value_name = "LEVEL", value_parser = known_level())]
    pub(super) level: Option<Level>,
    #[command(flatten)]
    pub(super) consent: Consent,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `behaviors diff`
#[derive(Debug, Clone, Args)]
pub(crate) struct Baseline {
    /// The baseline (YAML), with lines such as imp_travel: { enabled: true, risk_level: high }
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `behaviors apply`
#[derive(Debug, Clone, Args)]
pub(crate) struct ApplyBaseline {
    #[command(flatten)]
    pub(super) baseline: Baseline,
    #[command(flatten)]
    pub(super) consent: Consent,
}

/// Where changes of level are sent; without a further word: list
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Integrations {
    #[command(subcommand)]
    action: Option<IntegrationsAction>,
    #[command(flatten)]
    list: Common,
}

/// What is done with integrations.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum IntegrationsAction {
    /// List where changes of level are sent
    List(Common),
    /// Show one, by Cloudflare's id
    Get(OneIntegration),
    /// Show one, by the id that its owner gave it
    ByReference {
        /// The reference id
        #[arg(value_name = "REFERENCE")]
        reference_id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Make one with Okta, after asking; it is active at once
    Create(CreateIntegration),
    /// Change one, after asking
    Update(UpdateIntegration),
    /// Remove one, after asking
    Delete {
        #[command(flatten)]
        one: OneIntegration,
        #[command(flatten)]
        consent: Consent,
    },
}

/// Which integration.
#[derive(Debug, Clone, Args)]
pub(crate) struct OneIntegration {
    /// Cloudflare's id of the integration, a UUID
    #[arg(value_name = "ID")]
    pub(super) id: Uuid,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `integrations create`
#[derive(Debug, Clone, Args)]
pub(crate) struct CreateIntegration {
    /// The tenant that changes are sent to, an https URL
    #[arg(long, value_name = "URL", value_parser = tenant)]
    pub(super) tenant_url: String,
    /// An id of your choice; without it Cloudflare makes one
    #[arg(long, value_name = "REFERENCE", value_parser = NonEmptyStringValueParser::new())]
    pub(super) reference_id: Option<String>,
    #[command(flatten)]
    pub(super) consent: Consent,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `integrations update`
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("change")
    .args(["tenant_url", "reference_id", "activate", "deactivate"])
    .required(true)
    .multiple(true))]
pub(crate) struct UpdateIntegration {
    #[command(flatten)]
    pub(super) one: OneIntegration,
    /// The tenant that changes are sent to, an https URL
    #[arg(long, value_name = "URL", value_parser = tenant)]
    pub(super) tenant_url: Option<String>,
    /// An id of your choice
    #[arg(long, value_name = "REFERENCE", value_parser = NonEmptyStringValueParser::new())]
    pub(super) reference_id: Option<String>,
    /// Send changes
    #[arg(long, conflicts_with = "deactivate")]
    pub(super) activate: bool,
    /// Send nothing
    #[arg(long)]
    pub(super) deactivate: bool,
    #[command(flatten)]
    pub(super) consent: Consent,
}

impl Common {
    /// The flags for the configuration. All of its accounts count: shards are for exporters.
    pub(super) fn flags(&self) -> Flags {
        Flags {
            shard_index: Some("0".to_owned()),
            shard_total: Some("1".to_owned()),
            ..Flags::from(&self.file)
        }
    }
}

impl Behaviors {
    pub(super) fn common(&self) -> &Common {
        match &self.action {
            None => &self.list,
            Some(BehaviorsAction::List(common)) => common,
            Some(BehaviorsAction::Set(set)) => &set.common,
            Some(BehaviorsAction::Diff(baseline)) => &baseline.common,
            Some(BehaviorsAction::Apply(apply)) => &apply.baseline.common,
        }
    }
}

impl Integrations {
    pub(super) fn common(&self) -> &Common {
        match &self.action {
            None => &self.list,
            Some(IntegrationsAction::List(common)) => common,
            Some(
                IntegrationsAction::Get(one)
                | IntegrationsAction::Update(UpdateIntegration { one, .. })
                | IntegrationsAction::Delete { one, .. },
            ) => &one.common,
            Some(IntegrationsAction::ByReference { common, .. }) => common,
            Some(IntegrationsAction::Create(create)) => &create.common,
        }
    }
}

impl Behaviors {
    /// What to do; to list, where nothing is said.
    pub(super) fn action(&self) -> BehaviorsAction {
        self.action.clone().unwrap_or_else(|| BehaviorsAction::List(self.list.clone()))
    }
}

impl Integrations {
    /// What to do; to list, where nothing is said.
    pub(super) fn action(&self) -> IntegrationsAction {
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
