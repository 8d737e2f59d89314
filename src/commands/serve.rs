//! `serve`: runs the exporter.

use clap::Args;

use super::{Failure, Outcome, setup};
use crate::app;
use crate::config::Flags;

/// Watch the configured accounts and serve /metrics (the default)
#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: Flags,
}

impl Serve {
    pub(crate) fn run(&self) -> Outcome {
        let config = setup::configure(&self.flags)?;
        let web = setup::web(&config.web)?;
        setup::block_on_threads(app::serve(&config, web))?.map_err(Failure::runtime)
    }
}
