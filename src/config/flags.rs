//! The flags that set or override the configuration.

use std::path::PathBuf;

use clap::Args;

/// The flags that win over the environment and the configuration file. Their values are checked with the rest of
/// the configuration.
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
    /// The number of shards, which divide the configured accounts among them
    #[arg(long = "shard.total", value_name = "N")]
    pub shard_total: Option<String>,
    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogFlags,
}

/// The flags for logs.
#[derive(Debug, Clone, Default, Args)]
pub struct LogFlags {
    /// off, error, warn, info (the default), debug, trace, or directives such as info,hyper=warn
    #[arg(long = "log.level", value_name = "LEVEL")]
    pub level: Option<String>,
    /// text (the default) or json
    #[arg(long = "log.format", value_name = "FORMAT")]
    pub format: Option<String>,
}

/// The flags of a command that reads the configuration but does not serve.
#[derive(Debug, Clone, Default, Args)]
pub struct FileFlags {
    /// The configuration file (YAML)
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogFlags,
}

impl From<&FileFlags> for Flags {
    fn from(flags: &FileFlags) -> Self {
        Self { config_file: flags.config_file.clone(), log: flags.log.clone(), ..Self::default() }
    }
}
