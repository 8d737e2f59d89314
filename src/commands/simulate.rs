//! `simulate`: runs the simulated API alone.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::args::{World, speed};
use super::{Failure, Outcome, input_file, setup, terminal};
use crate::app;
use crate::config::{Flags, LogFlags};
use crate::http::listen::Listen;
use crate::simulator::{Scenario, ScenarioError, Story};

/// 100,000 listed users with a few events each take about 40 MiB; more users are generated.
const LONGEST_SCENARIO_MIB: u64 = 64;

/// Simulate Cloudflare's Risk Scoring API alone
#[derive(Debug, Clone, Args)]
pub(crate) struct Simulate {
    /// The address to listen on; the simulator is meant for this machine only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8069")]
    listen_address: Listen,
    /// A scenario file (YAML), instead of a generated world
    #[arg(long, value_name = "FILE", conflicts_with_all = ["users", "seed", "speed", "story"])]
    scenario: Option<PathBuf>,
    /// Play a story in an otherwise quiet account
    #[arg(long, value_name = "STORY", conflicts_with_all = ["users", "seed"])]
    story: Option<Story>,
    #[command(flatten)]
    world: World,
    /// Speed-up factor for events
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed)]
    speed: f64,
    #[command(flatten)]
    log: LogFlags,
}

impl Simulate {
    pub(crate) fn run(&self) -> Outcome {
        setup::configure_local(&Flags { log: self.log.clone(), ..Flags::default() })?;
        let scenario = match (&self.scenario, self.story) {
            (Some(path), _) => read(path)?,
            (None, Some(story)) => Scenario::of_story(story, self.speed),
            (None, None) => self.world.scenario(self.speed),
        };
        // The simulator continues if standard output is closed.
        let print = |text: &str| drop(terminal::print(text));
        setup::block_on_threads(app::simulate(&self.listen_address, scenario, print))?
            .map_err(Failure::runtime)
    }
}

fn read(path: &Path) -> Result<Scenario, Failure> {
    let name = path.display();
    let refuse = |why: &dyn fmt::Display| Failure::Usage(format!("the scenario {name}: {why}"));
    let text = input_file::read_text(path, LONGEST_SCENARIO_MIB).map_err(|error| refuse(&error))?;
    let scenario = Scenario::from_yaml(&text).map_err(|ScenarioError { line, problem }| {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        Failure::Usage(format!("{name}{line}: {problem}"))
    })?;
    if scenario.accounts.is_empty() {
        return Err(refuse(&"it lists no accounts, so there is nothing to ask for"));
    }
    Ok(scenario)
}
