//! Simulator and exporter in one process.

use std::pin::pin;
use std::time::Duration;

use super::{Connected, Error, Exporter, Tuning, bind, connect, settings, tell_building};
use crate::app::demo_state::{self, TempDir};
use crate::app::signals::stop_signal;
use crate::clock::Clock;
use crate::cloudflare::Options;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::limit::QUOTA;
use crate::config::{self, Config, CredentialSource, IdentityPolicy, Local, Shard};
use crate::http::listen::Listen;
use crate::model::resource::Intervals;
use crate::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, LimitSpec, Scenario, Simulator, Story};

/// What is simulated, and how fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Demo {
    /// How many users there are, where no story is played.
    pub users: u32,
    /// The same seed and clock give the same world.
    pub seed: u64,
    /// A story in a quiet account of its own.
    pub story: Option<Story>,
    /// How many times as often events come, and endpoints are polled.
    pub speed: f64,
}

/// Simulator and exporter in one process: the clock is the wall's, events come and pages are read `speed`
/// times as often. `say` is told where to look, and what happens in a story.
///
/// # Errors
/// Something stands in the way of the start, or a part ended.
pub(crate) async fn demo(
    demo: &Demo,
    local: Local,
    say: impl Fn(&str) + Clone + Send + Sync + 'static,
) -> Result<(), Error> {
    let mut stop = pin!(stop_signal().map_err(Error::Signals)?);
    let listener = bind(&local.web.listen).await?;
    let scenario = match demo.story {
        Some(story) => Scenario::of_story(story, demo.speed),
        None => Scenario { speed: demo.speed, ..Scenario::generated(demo.users, demo.seed) },
    };
    // Counters kept in memory only would be one more reason for an alert.
    let scratch = demo.story.map(|_| TempDir::new()).transpose().map_err(Error::TempDir)?;
    let quota = (f64::from(QUOTA) * demo.speed).ceil().max(1.0) as u32;
    let limit = LimitSpec { quota, ..LimitSpec::default() };
    tell_building();
    let scenario = Scenario { limit, ..scenario };
    let simulator = tokio::select! {
        started = Simulator::start_telling(scenario, Clock::system(), Box::new(say.clone())) => started?,
        () = &mut stop => return Ok(()),
    };
    let config = demo_config(demo, local, &simulator, scratch.as_ref());
    if let Some(story) = demo.story {
        make_up_past(&config, story, demo.speed).await?;
    }
    let exporter =
        Exporter::new(&config, &Clock::system(), &Tuning { pace: demo.speed, ..Tuning::default() })?;
    let page = listener.local_addr().map(Listen::reach).map_err(Error::Address)?;
    say(&format!(
        "{world}, {speed} times as busy as a real one.\n\
         The page for people:     http://{page}/\n\
         The page for Prometheus: http://{page}/metrics\n\
         The simulated API:       {api} (token: {GENERATED_TOKEN})\n\
         Stop with Ctrl-C.\n",
        world = match demo.story {
            Some(story) => format!("The story \"{}\" in a simulated account", story.as_str()),
            None => format!("A simulated account of {} users", demo.users),
        },
        speed = demo.speed,
        api = simulator.base_url(),
    ));
    exporter.run(listener, stop).await
}

/// What the demo's exporter is told, as if in a file.
fn demo_config(demo: &Demo, local: Local, simulator: &Simulator, scratch: Option<&TempDir>) -> Config {
    let paced = |seconds: f64| Duration::from_secs_f64(seconds / demo.speed);
    Config {
        accounts: vec![config::Account {
            id: GENERATED_ACCOUNT.to_owned(),
            alias: "demo".to_owned(),
            credentials: CredentialSource::Token(GENERATED_TOKEN.to_owned().into()),
            credential: 0,
            budget_share: 0.25,
        }],
        shard: Shard::WHOLE,
        base_url: simulator.base_url().parse().expect("the simulator knows its own address"),
        intervals: Intervals {
            summary: paced(30.0),
            behaviors: paced(300.0),
            integrations: paced(300.0),
            audit: paced(6.0 * 3600.0),
        },
        users: config::Users { limit: 100, identity: IdentityPolicy::Id },
        state: scratch.map(TempDir::state),
        web: local.web,
        log: local.log,
        warnings: Vec::new(),
    }
}

/// Writes down the past that a story is to go on from, if it is.
async fn make_up_past(config: &Config, story: Story, speed: f64) -> Result<(), Error> {
    let (Some(watched), Some(file)) = (story.watched(speed), &config.state) else { return Ok(()) };
    let clock = Clock::system();
    for account in &config.accounts {
        let budget = Budget::new(account.budget_share * speed, clock.clone());
        let settings = settings(config, account, budget.level().limit);
        let Connected { client, .. } = connect(config, account, budget, Options::default())
            .map_err(|source| Error::Client { account: account.alias.clone(), source })?;
        demo_state::pretend(&client, watched, settings, file, &clock).await?;
    }
    Ok(())
}
