//! The words and flags of the command line. Nothing runs here.

mod backfill;
pub mod operator;
mod plan;

use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::listen::Listen;
use crate::simulator::Story;
pub use backfill::{Backfill, When};
pub use plan::Plan;

/// Prometheus exporter and monitoring daemon for Cloudflare Zero Trust user risk.
///
/// Without a command it serves. Two environment variables are enough to start: CLOUDFLARE_ACCOUNT_ID and
/// CLOUDFLARE_API_TOKEN.
#[derive(Debug, Parser)]
#[command(name = "zt-risk-exporter", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Flags,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch the configured accounts and serve /metrics (the default)
    Serve(Flags),
    /// Simulator and exporter in one process: see it work without an account
    Demo(Demo),
    /// Simulate Cloudflare's Risk Scoring API alone
    Simulate(Simulate),
    /// Try the configuration, the credentials and each endpoint once, and say what is missing
    Check(Check),
    /// Say what watching an account costs, how late changes are counted, and where the budget breaks
    Plan(Plan),
    /// Write the past that Cloudflare still lists, for `promtool tsdb create-blocks-from openmetrics`
    Backfill(Backfill),
    /// Ask a running exporter whether it is healthy; for a container without a shell
    Healthcheck(Healthcheck),
    /// Users, behaviors and integrations, for a person.
    #[command(flatten)]
    Operator(operator::Operator),
    /// Look at the file in which counts survive restarts; its exporter must not be running
    #[command(subcommand)]
    State(State),
    /// Write a completion script for a shell to standard output
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Flags that win over the environment and the configuration file; checked by [`crate::config`].
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// The configuration file (YAML)
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Where to serve, such as :10069 (the default) or 127.0.0.1:10069
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    pub listen_address: Option<String>,
    /// Watch only the accounts of this shard, counted from 0
    #[arg(long = "shard.index", value_name = "N")]
    pub shard_index: Option<String>,
    /// Over how many exporters the accounts of the configuration are shared out
    #[arg(long = "shard.total", value_name = "N")]
    pub shard_total: Option<String>,
    /// off, error, warn, info (the default), debug, trace, or directives such as info,hyper=warn
    #[arg(long = "log.level", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// text (the default) or json
    #[arg(long = "log.format", value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One document.
    Json,
    /// One row a line, below a header.
    Csv,
}

/// Flags for logs, where no configuration file is read.
#[derive(Debug, Clone, Default, Args)]
pub struct LogFlags {
    /// off, error, warn, info (the default), debug, trace, or directives such as info,hyper=warn
    #[arg(long = "log.level", value_name = "LEVEL")]
    pub level: Option<String>,
    /// text (the default) or json
    #[arg(long = "log.format", value_name = "FORMAT")]
    pub format: Option<String>,
}

/// The world that is simulated.
#[derive(Debug, Clone, Args)]
pub struct World {
    /// How many users there are, 1 to 1,000,000
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub users: u32,
    /// The same seed and clock give the same world
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// `demo`
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Who lives in it.
    #[command(flatten)]
    pub world: World,
    /// Play a story in a quiet account of its own, for a drill; at speed 60 if no other is given
    #[arg(long, value_name = "STORY", conflicts_with_all = ["users", "seed"])]
    pub story: Option<Story>,
    // A day passes in two and a half minutes by default: at a tenth of that a newcomer may wait for the first
    // event for half a minute. A story goes by the rules for drills, whose times are divided by 60.
    /// How many times as often events come, and pages are read; the clock stays the wall's
    #[arg(long, value_name = "FACTOR", default_value = "600", value_parser = speed)]
    #[arg(default_value_if("story", ArgPredicate::IsPresent, "60"))]
    pub speed: f64,
    /// Where to serve, such as :10069 (the default) or 127.0.0.1:10069
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    pub listen_address: Option<String>,
    /// What is logged.
    #[command(flatten)]
    pub log: LogFlags,
}

/// `simulate`
#[derive(Debug, Clone, Args)]
pub struct Simulate {
    /// Where to answer; it is meant for this machine only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8069")]
    pub listen_address: Listen,
    /// A file (YAML) that says what the world is, in place of a generated one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["users", "seed", "speed", "story"])]
    pub scenario: Option<PathBuf>,
    /// Play a story in a quiet account of its own
    #[arg(long, value_name = "STORY", conflicts_with_all = ["users", "seed"])]
    pub story: Option<Story>,
    /// Who lives in it.
    #[command(flatten)]
    pub world: World,
    /// How many times as often events come
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed)]
    pub speed: f64,
    /// What is logged.
    #[command(flatten)]
    pub log: LogFlags,
}

/// `check`
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// The configuration file (YAML)
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// What is logged.
    #[command(flatten)]
    pub log: LogFlags,
}

/// `healthcheck`
#[derive(Debug, Clone, Args)]
pub struct Healthcheck {
    /// The configuration file of the exporter, for its address
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// The address of the exporter; without it, the one it is configured to serve on
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    pub listen_address: Option<String>,
    /// Ask this in place of http://ADDRESS/-/healthy
    #[arg(long, value_name = "URL", conflicts_with_all = ["config_file", "listen_address"])]
    pub url: Option<String>,
}

/// `state`
#[derive(Debug, Clone, Subcommand)]
pub enum State {
    /// What the file holds
    Show(StateFile),
    /// Whether the file is whole; it is not changed
    Check(StateFile),
    /// Remove everything kept of a user; what was counted stays counted
    Forget {
        /// Cloudflare's id of the user, a UUID
        user: uuid::Uuid,
        /// Which file.
        #[command(flatten)]
        file: StateFile,
    },
}

/// Which state file.
#[derive(Debug, Clone, Args)]
pub struct StateFile {
    /// The configuration file of the exporter, for its state.path
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// The state file; without it, the one that is configured
    #[arg(long = "state.path", value_name = "FILE", conflicts_with = "config_file")]
    pub path: Option<PathBuf>,
}

impl StateFile {
    /// What is said of the configuration.
    pub fn flags(&self) -> Flags {
        Flags { config_file: self.config_file.clone(), ..Flags::default() }
    }
}

impl Cli {
    /// What to do; to serve, where nothing is said.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl Demo {
    /// What is said of the configuration.
    pub fn flags(&self) -> Flags {
        Flags { listen_address: self.listen_address.clone(), ..self.log.flags() }
    }
}

impl Check {
    /// What is said of the configuration.
    pub fn flags(&self) -> Flags {
        Flags { config_file: self.config_file.clone(), ..self.log.flags() }
    }
}

impl Healthcheck {
    /// What is said of the configuration.
    pub fn flags(&self) -> Flags {
        Flags {
            config_file: self.config_file.clone(),
            listen_address: self.listen_address.clone(),
            ..Flags::default()
        }
    }
}

impl LogFlags {
    /// What is said of the configuration.
    pub fn flags(&self) -> Flags {
        Flags { log_level: self.level.clone(), log_format: self.format.clone(), ..Flags::default() }
    }
}

/// Slower than a tenth nothing is seen; faster than an hour in a second the events of a campaign are one.
fn speed(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|speed| (0.1..=3_600.0).contains(speed))
        .ok_or_else(|| "must be a number from 0.1 to 3600".to_owned())
}
