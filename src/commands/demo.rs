//! `demo`: runs the simulator and the exporter in one process.

use clap::Args;
use clap::builder::ArgPredicate;

use super::args::{World, speed};
use super::{Failure, Outcome, setup, terminal};
use crate::app;
use crate::config::{Flags, LogFlags, WebFlags};
use crate::simulator::Story;

/// Run the simulator and the exporter in one process, without a Cloudflare account
#[derive(Debug, Clone, Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    world: World,
    /// Play a story in an otherwise quiet account, for a drill; the default speed is then 60
    #[arg(long, value_name = "STORY", conflicts_with_all = ["users", "seed"])]
    story: Option<Story>,
    // At the default a day passes in two and a half minutes; at a tenth of it the first event may take half a minute.
    // The alerting rules for drills divide all times by 60, so a story runs at 60.
    /// Speed-up factor for events and polling; timestamps stay in real time
    #[arg(long, value_name = "FACTOR", default_value = "600", value_parser = speed)]
    #[arg(default_value_if("story", ArgPredicate::IsPresent, "60"))]
    speed: f64,
    /// The address to listen on, such as :10069 (the default) or 127.0.0.1:10069
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen_address: Vec<String>,
    #[command(flatten)]
    log: LogFlags,
}

impl Demo {
    pub(crate) fn run(&self) -> Outcome {
        let web = WebFlags { listen_address: self.listen_address.clone(), ..WebFlags::default() };
        let flags = Flags { web, log: self.log.clone(), ..Flags::default() };
        let local = setup::configure_local(&flags)?;
        let web = setup::web(&local.web)?;
        let World { users, seed } = self.world;
        let program = std::env::args().next().unwrap_or_else(|| "zt-risk-exporter".to_owned());
        let demo = app::Demo { users, seed, story: self.story, speed: self.speed, program };
        // The demo continues if standard output is closed.
        let print = |text: &str| drop(terminal::print(text));
        setup::block_on_threads(app::demo(&demo, local, web, print))?.map_err(Failure::runtime)
    }
}
