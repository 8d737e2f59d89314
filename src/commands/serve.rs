//! `serve`: runs the exporter.

use clap::Args;

use super::{Failure, Outcome, setup};
use crate::app;
use crate::app::signals::{self, EarlyHangup};
use crate::config::{ConfigSource, Flags};

/// Watch the configured accounts and serve /metrics (the default)
#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: Flags,
}

impl Serve {
    pub(crate) fn run(&self) -> Outcome {
        let hangup = EarlyHangup::catch().map_err(Failure::runtime)?;
        signals::survive_size_limits().map_err(Failure::runtime)?;
        let config = setup::configure(&self.flags)?;
        let source = ConfigSource::new(self.flags.clone(), std::env::vars_os());
        let web = setup::web(&config.web)?;
        setup::block_on_threads(app::serve(config, source, hangup, web))?.map_err(Failure::runtime)
    }
}
