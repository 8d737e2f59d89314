//! The flags that set or override the configuration.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use super::keys;

/// Values that a shell is offered. Which values are valid is checked with the rest of the configuration.
fn one_of(values: &'static [&'static str]) -> ArgValueCandidates {
    ArgValueCandidates::new(move || values.iter().copied().map(CompletionCandidate::new).collect())
}

/// The flags that take precedence over the environment and the configuration file. Their values are checked together
/// with the rest of the configuration.
#[derive(Debug, Clone, Default, Args)]
#[allow(missing_docs, reason = "what a flag means is declared with its key")]
pub struct Flags {
    /// The configuration file (YAML)
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    #[arg(
        long = "config.auto-reload",
        value_name = "true|false",
        add = one_of(&["true", "false"]),
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help = keys::AUTO_RELOAD.help()
    )]
    pub auto_reload: Option<String>,
    #[arg(long = "config.auto-reload-interval", value_name = "DURATION", help = keys::AUTO_RELOAD_INTERVAL.help())]
    pub auto_reload_interval: Option<String>,
    #[arg(
        long = "web.enable-lifecycle",
        value_name = "true|false",
        add = one_of(&["true", "false"]),
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help = keys::ENABLE_LIFECYCLE.help()
    )]
    pub enable_lifecycle: Option<String>,
    #[command(flatten)]
    pub web: WebFlags,
    #[arg(long = "shard.index", value_name = "N", help = keys::SHARD_INDEX.help())]
    pub shard_index: Option<String>,
    #[arg(long = "shard.total", value_name = "N", help = keys::SHARD_TOTAL.help())]
    pub shard_total: Option<String>,
    #[command(flatten)]
    pub log: LogFlags,
}

/// The flags for the port.
#[derive(Debug, Clone, Default, Args)]
#[allow(missing_docs, reason = "what a flag means is declared with its key")]
pub struct WebFlags {
    #[arg(long = "web.listen-address", value_name = "ADDRESS", help = keys::LISTEN_ADDRESS.help())]
    pub listen_address: Vec<String>,
    #[arg(long = "web.systemd-socket", value_name = "true|false", help = keys::SYSTEMD_SOCKET.help())]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", add = one_of(&["true", "false"]))]
    pub systemd_socket: Option<String>,
    #[arg(long = "web.config.file", value_name = "FILE", value_hint = ValueHint::FilePath, help = keys::WEB_CONFIG_FILE.help())]
    pub web_config_file: Option<String>,
    #[arg(long = "web.telemetry-path", value_name = "PATH", help = keys::TELEMETRY_PATH.help())]
    pub telemetry_path: Option<String>,
    #[arg(long = "web.health-address", value_name = "ADDRESS", help = keys::HEALTH_ADDRESS.help())]
    pub health_address: Option<String>,
}

/// The flags for the log.
#[derive(Debug, Clone, Default, Args)]
pub struct LogFlags {
    #[arg(long = "log.level", value_name = "LEVEL", help = keys::LOG_LEVEL.help())]
    #[arg(add = one_of(&["off", "error", "warn", "info", "debug", "trace"]))]
    pub level: Option<String>,
    #[arg(long = "log.format", value_name = "FORMAT", help = keys::LOG_FORMAT.help())]
    #[arg(add = one_of(&["text", "json"]))]
    pub format: Option<String>,
}

/// The flags of a command that reads the configuration but does not serve.
#[derive(Debug, Clone, Default, Args)]
pub struct FileFlags {
    /// The configuration file (YAML)
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogFlags,
}

impl From<&FileFlags> for Flags {
    fn from(flags: &FileFlags) -> Self {
        Self { config_file: flags.config_file.clone(), log: flags.log.clone(), ..Self::default() }
    }
}
