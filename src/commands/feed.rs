//! `feed`: shows what the exporter writes down.

mod tail;

use clap::Subcommand;

use super::Outcome;

/// Show the records of the feed
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Feed {
    Tail(tail::Tail),
}

impl Feed {
    pub(crate) fn run(&self) -> Outcome {
        match self {
            Self::Tail(tail) => tail.run(),
        }
    }
}
