//! The arguments of the commands that show and change users, behaviors and integrations.

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use uuid::Uuid;

use crate::app::paste::quoted;
use crate::commands::args::{TimeArg, uuid};
use crate::commands::candidates::{accounts, accounts_and_all, behaviors};
use crate::commands::terminal::confirm::Consent;
use crate::commands::terminal::sheet::Output;
use crate::config::parse::whole_number;
use crate::config::{FileFlags, Flags};
use crate::model::Level;

/// The arguments of the commands for one account.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// The account, by alias or id; required if several are configured
    #[arg(long, value_name = "ALIAS", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    #[command(flatten)]
    pub(super) shared: Shared,
}

/// The arguments of the commands about users, who may be in any account.
#[derive(Debug, Clone, Args)]
pub(crate) struct Accounts {
    /// The account, by alias or id, or all [default: all]
    #[arg(long, value_name = "ALIAS", add = ArgValueCandidates::new(accounts_and_all))]
    account: Option<String>,
    #[command(flatten)]
    pub(super) shared: Shared,
}

/// The arguments of all these commands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shared {
    /// The format of the result
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
    #[command(flatten)]
    file: FileFlags,
}

/// List the users at risk
#[derive(Debug, Clone, Args)]
pub(crate) struct Users {
    /// Only users whose name, e-mail address or id contains this text
    #[arg(value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(super) text: Option<String>,
    /// Only users of this level; give several with commas, or repeat the flag
    #[arg(id = "risk_level", long = "level", value_name = "LEVEL", value_delimiter = ',', value_parser = listed_level())]
    pub(super) level: Vec<Level>,
    /// Only users with an event of this behavior, given by id; sends one request per remaining user
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCandidates::new(behaviors))]
    pub(super) behavior: Option<String>,
    /// Only users whose last event is not older than this: a duration before now such as 90m or 30d, today, yesterday,
    /// a date such as 2026-11-20 (UTC), an RFC 3339 time, or seconds since 1970
    #[arg(long, value_name = "WHEN")]
    pub(super) since: Option<TimeArg>,
    /// The order of the users
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Sort::Risk)]
    pub(super) sort: Sort,
    /// Show at most this many users
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = whole_number(1..=u32::MAX))]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) accounts: Accounts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// The highest level first, and within a level the latest event.
    Risk,
    /// The latest event first.
    LastEvent,
    /// The most events first.
    Events,
    /// By name.
    Name,
}

/// Show one user: level, events with their details, last reset
#[derive(Debug, Clone, Args)]
pub(crate) struct User {
    /// The id, the e-mail address, a part of the name that matches no other user, or the hash from the metrics
    #[arg(value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub(super) user: String,
    #[command(flatten)]
    pub(super) accounts: Accounts,
}

/// Reset the risk of users, after confirmation. Cloudflare's API reference says that this clears the accumulated risk
/// history of a user
#[derive(Debug, Clone, Args)]
pub(crate) struct Reset {
    /// The users to reset, named as for the command user
    #[arg(value_name = "USER", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(super) users: Vec<String>,
    /// Save the users' events to this new file (JSON, mode 0600) before the reset
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    #[command(flatten)]
    pub(super) consent: Consent,
    #[command(flatten)]
    pub(super) accounts: Accounts,
}

/// List, change, export and compare the behaviors that make a user risky; the default is list
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Behaviors {
    #[command(subcommand)]
    action: Option<BehaviorsAction>,
    #[command(flatten)]
    list: Common,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BehaviorsAction {
    /// List the behaviors and their settings
    List(Common),
    /// Change one behavior, after confirmation
    Set(SetBehavior),
    /// Write a baseline with the current settings to standard output
    Export(Export),
    /// Compare the behaviors with a baseline; exit code 3 if they differ
    Diff(Baseline),
    /// Change the behaviors to match a baseline, after confirmation
    Apply(ApplyBaseline),
}

#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("change").args(["enable", "disable", "risk_level"]).required(true).multiple(true))]
pub(crate) struct SetBehavior {
    /// The behavior's id, such as imp_travel
    #[arg(value_name = "ID", add = ArgValueCandidates::new(behaviors))]
    pub(super) id: String,
    /// Enable the behavior
    #[arg(long, conflicts_with = "disable")]
    pub(super) enable: bool,
    /// Disable the behavior
    #[arg(long)]
    pub(super) disable: bool,
    /// The risk level that the behavior gives a user
    #[arg(id = "risk_level", long = "level", value_name = "LEVEL", value_parser = known_level())]
    pub(super) level: Option<Level>,
    #[command(flatten)]
    pub(super) consent: Consent,
    #[command(flatten)]
    pub(super) common: Common,
}

/// The arguments of a command whose result has one format.
#[derive(Debug, Clone, Args)]
pub(crate) struct Export {
    /// The account, by alias or id; required if several are configured
    #[arg(long, value_name = "ALIAS", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    #[command(flatten)]
    file: FileFlags,
}

/// What all these commands say: the account, which may be all of them, the format, and the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection<'a> {
    pub(super) account: Option<&'a str>,
    pub(super) output: Output,
    file: &'a FileFlags,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Baseline {
    /// The baseline: lines such as imp_travel: { enabled: true, risk_level: high }, or what list --output json writes
    /// [default: the account's behaviors.baseline]
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ApplyBaseline {
    #[command(flatten)]
    pub(super) baseline: Baseline,
    #[command(flatten)]
    pub(super) consent: Consent,
}

/// List and change the systems that receive level changes; the default is list
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Integrations {
    #[command(subcommand)]
    action: Option<IntegrationsAction>,
    #[command(flatten)]
    list: Common,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum IntegrationsAction {
    /// List the integrations
    List(Common),
    /// Show one integration, by Cloudflare's id
    Get(OneIntegration),
    /// Show one integration, by its reference id
    ByReference {
        /// The reference id
        #[arg(value_name = "REFERENCE")]
        reference_id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Create an integration with Okta, after confirmation; it is active at once
    Create(CreateIntegration),
    /// Change an integration, after confirmation
    Update(UpdateIntegration),
    /// Delete an integration, after confirmation
    Delete {
        #[command(flatten)]
        one: OneIntegration,
        #[command(flatten)]
        consent: Consent,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct OneIntegration {
    /// Cloudflare's id of the integration, a UUID
    #[arg(value_name = "ID", value_parser = uuid)]
    pub(super) id: Uuid,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CreateIntegration {
    /// The tenant that receives level changes, an https URL
    #[arg(long, value_name = "URL", value_parser = tenant)]
    pub(super) tenant_url: String,
    /// A reference id of your choice; Cloudflare generates one if left out
    #[arg(long, value_name = "REFERENCE", value_parser = NonEmptyStringValueParser::new())]
    pub(super) reference_id: Option<String>,
    #[command(flatten)]
    pub(super) consent: Consent,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("change")
    .args(["tenant_url", "reference_id", "activate", "deactivate"])
    .required(true)
    .multiple(true))]
pub(crate) struct UpdateIntegration {
    #[command(flatten)]
    pub(super) one: OneIntegration,
    /// The tenant that receives level changes, an https URL
    #[arg(long, value_name = "URL", value_parser = tenant)]
    pub(super) tenant_url: Option<String>,
    /// A reference id of your choice
    #[arg(long, value_name = "REFERENCE", value_parser = NonEmptyStringValueParser::new())]
    pub(super) reference_id: Option<String>,
    /// Start sending level changes
    #[arg(long, conflicts_with = "deactivate")]
    pub(super) activate: bool,
    /// Stop sending level changes
    #[arg(long)]
    pub(super) deactivate: bool,
    #[command(flatten)]
    pub(super) consent: Consent,
}

impl Common {
    pub(super) fn selection(&self) -> Selection<'_> {
        self.shared.selecting(self.account.as_deref())
    }
}

impl Accounts {
    pub(super) fn selection(&self) -> Selection<'_> {
        self.shared.selecting(self.account.as_deref())
    }
}

impl Shared {
    fn selecting<'a>(&'a self, account: Option<&'a str>) -> Selection<'a> {
        Selection { account, output: self.output, file: &self.file }
    }
}

impl Selection<'_> {
    /// The flags for the configuration, with all of its accounts: shards only divide the work of exporters.
    pub(super) fn flags(&self) -> Flags {
        Flags {
            shard_index: Some("0".to_owned()),
            shard_total: Some("1".to_owned()),
            ..Flags::from(self.file)
        }
    }

    /// The flags that choose the `account` and the configuration, for a command to paste.
    pub(super) fn repeated(&self, account: Option<&str>) -> String {
        let account = account.into_iter().map(|alias| format!(" --account {}", quoted(alias)));
        let file = self.file.config_file.iter();
        let file = file.map(|path| format!(" --config.file {}", quoted(&path.display().to_string())));
        account.chain(file).collect()
    }
}

impl Behaviors {
    pub(super) fn selection(&self) -> Selection<'_> {
        match &self.action {
            None => self.list.selection(),
            Some(BehaviorsAction::List(common)) => common.selection(),
            Some(BehaviorsAction::Set(set)) => set.common.selection(),
            Some(BehaviorsAction::Export(Export { account, file })) => {
                Selection { account: account.as_deref(), output: Output::Table, file }
            }
            Some(BehaviorsAction::Diff(baseline)) => baseline.common.selection(),
            Some(BehaviorsAction::Apply(apply)) => apply.baseline.common.selection(),
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
    /// The chosen action, `list` by default.
    pub(super) fn action(&self) -> BehaviorsAction {
        self.action.clone().unwrap_or_else(|| BehaviorsAction::List(self.list.clone()))
    }
}

impl Integrations {
    /// The chosen action, `list` by default.
    pub(super) fn action(&self) -> IntegrationsAction {
        self.action.clone().unwrap_or_else(|| IntegrationsAction::List(self.list.clone()))
    }
}

fn known_level() -> impl TypedValueParser<Value = Level> {
    PossibleValuesParser::new(["low", "medium", "high"]).map(|word| Level::from_word(&word))
}

fn listed_level() -> impl TypedValueParser<Value = Level> {
    PossibleValuesParser::new(["low", "medium", "high", "unknown"]).map(|word| Level::from_word(&word))
}

/// Reads an https URL: over plain HTTP anyone on the path could see who is at risk.
fn tenant(text: &str) -> Result<String, String> {
    let is_https = text.parse().is_ok_and(|url: reqwest::Url| url.scheme() == "https" && url.has_host());
    if is_https { Ok(text.to_owned()) } else { Err("must be an https URL".to_owned()) }
}
