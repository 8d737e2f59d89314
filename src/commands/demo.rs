//! `demo`: simulator and exporter in one process.

use clap::Args;
use clap::builder::ArgPredicate;

use super::args::{World, speed};
use super::{Failure, Outcome, setup, terminal};
use crate::app;
use crate::config::{Flags, LogFlags};
use crate::simulator::Story;

/// Simulator and exporter in one process: see it work without an account
#[derive(Debug, Clone, Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    world: World,
    /// Play a story in a quiet account of its own, for a drill; at speed 60 if no other is given
    #[arg(long, value_name = "STORY", conflicts_with_all = ["users", "seed"])]
    story: Option<Story>,
    // A day passes in two and a half minutes by default: at a tenth of that a newcomer may wait for the first
    // event for half a minute. A story goes by the rules for drills, whose times are divided by 60.
    /// How many times as often events come, and pages are read; the clock stays the wall's
    #[arg(long, value_name = "FACTOR", default_value = "600", value_parser = speed)]
    #[arg(default_value_if("story", ArgPredicate::IsPresent, "60"))]
    speed: f64,
    /// Where to serve, such as :10069 (the default) or 127.0.0.1:10069
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen_address: Option<String>,
    #[command(flatten)]
    log: LogFlags,
}

impl Demo {
    pub(crate) fn run(&self) -> Outcome {
        let flags =
            Flags { listen_address: self.listen_address.clone(), log: self.log.clone(), ..Flags::default() };
        let local = setup::configure_local(&flags)?;
        let World { users, seed } = self.world;
        let demo = app::Demo { users, seed, story: self.story, speed: self.speed };
        // The demo goes on if nobody reads what it prints.
        let print = |text: &str| drop(terminal::print(text));
        setup::serve(app::demo(&demo, local, print))?.map_err(Failure::runtime)
    }
}
