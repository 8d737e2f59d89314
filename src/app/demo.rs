//! `demo`: the simulator and the exporter in one process.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::shared::settings;
use super::{Error, Exporter, Ports, Tuning, connect, log_building};
use crate::app::demo_screen::first_screen;
use crate::app::demo_state::{self, TempDir};
use crate::app::paste::exports;
use crate::app::signals::stop_signal;
use crate::clock::Clock;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::limit::QUOTA;
use crate::cloudflare::{Credentials, Options};
use crate::config::{
    self, AccountOrigin, Config, CredentialSource, Files, IdentityPolicy, Local, SettingTexts, Shard,
};
use crate::model::resource::Intervals;
use crate::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, LimitSpec, Scenario, Simulator, Story};
use crate::web::Checked;

/// What the demo simulates, and how fast.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Demo {
    /// The number of users, if no story is played.
    pub users: u32,
    /// The same seed at the same time gives the same world.
    pub seed: u64,
    /// Plays this story in an account where nothing else happens.
    pub story: Option<Story>,
    /// Events happen, and the exporter polls, this many times as often as in a real account.
    pub speed: f64,
    /// How this program was started, for commands to paste.
    pub program: String,
}

/// Runs the simulator and an exporter for it until a signal asks to stop. `print` gets the addresses to visit, and then
/// what happens in a story.
///
/// # Errors
/// The demo cannot start, or a part ended.
pub(crate) async fn demo(
    demo: &Demo,
    local: Local,
    web: Option<Checked>,
    print: impl Fn(&str) + Clone + Send + Sync + 'static,
) -> Result<(), Error> {
    let mut stop = pin!(stop_signal().map_err(Error::Signals)?);
    let ports = Ports::open(&local.web, web)?;
    let scenario = match demo.story {
        Some(story) => Scenario::of_story(story, demo.speed),
        None => Scenario { speed: demo.speed, ..Scenario::generated(demo.users, demo.seed) },
    };
    // Without a state file an alert about counters in memory would fire, which is not part of a story.
    let temp_dir = demo.story.map(|_| TempDir::new()).transpose().map_err(Error::TempDir)?;
    let quota = (f64::from(QUOTA) * demo.speed).ceil().max(1.0) as u32;
    let limit = LimitSpec { quota, ..LimitSpec::default() };
    log_building();
    let scenario = Scenario { limit, ..scenario };
    let simulator = tokio::select! {
        started = Simulator::start_with_callback(scenario, Clock::system(), Box::new(print.clone())) => started?,
        () = &mut stop => return Ok(()),
    };
    let config = Arc::new(demo_config(demo, local, &simulator, temp_dir.as_ref()));
    if let Some(story) = demo.story {
        backdate(&config, story, demo.speed).await?;
    }
    let exporter =
        Exporter::new(config, &Clock::system(), &Tuning { speed: demo.speed, ..Tuning::default() })?;
    let url = ports.urls().into_iter().next().ok_or(Error::NothingInherited)?;
    let exports = exports(&simulator.base_url(), GENERATED_ACCOUNT, GENERATED_TOKEN);
    print(&first_screen(demo, &url, &ports.metrics_path, &exports));
    exporter.run(ports, stop).await
}

/// The configuration of the demo's exporter.
fn demo_config(demo: &Demo, local: Local, simulator: &Simulator, temp_dir: Option<&TempDir>) -> Config {
    let paced = |seconds: f64| Duration::from_secs_f64(seconds / demo.speed);
    Config {
        accounts: vec![config::Account {
            id: GENERATED_ACCOUNT.to_owned(),
            alias: "demo".to_owned(),
            credentials: CredentialSource::Token(GENERATED_TOKEN.to_owned().into()),
            credential: 0,
            budget_share: 0.25,
            baseline: None,
            origin: AccountOrigin::Configured,
        }],
        discovery: Vec::new(),
        named: Arc::default(),
        token_files: None,
        others: Vec::new(),
        unread: Vec::new(),
        shard: Shard::WHOLE,
        base_url: simulator.base_url().parse().expect("the simulator knows its own address"),
        intervals: Intervals {
            summary: paced(30.0),
            behaviors: paced(300.0),
            integrations: paced(300.0),
            audit: paced(6.0 * 3600.0),
        },
        users: config::Users { limit: 100, identity: IdentityPolicy::Id },
        feed: None,
        state: temp_dir.map(TempDir::state),
        web: local.web,
        log: local.log,
        warnings: Vec::new(),
        credentials: vec![Credentials::Token(GENERATED_TOKEN.into())],
        auto_reload: None,
        files: Files::default(),
        setting_texts: SettingTexts::default(),
    }
}

/// Backdates the state file, if the story continues the history of an account that was watched for a while.
async fn backdate(config: &Config, story: Story, speed: f64) -> Result<(), Error> {
    let (Some(watched), Some(file)) = (story.watched(speed), &config.state) else { return Ok(()) };
    let clock = Clock::system();
    for account in &config.accounts {
        let budget = Budget::new(account.budget_share * speed, clock.clone());
        let settings = settings(config, account, budget.status().limit);
        let client = connect(config, account, budget, Options::default())
            .map_err(|source| Error::Client { account: account.alias.clone(), source })?;
        demo_state::backdate(&client, watched, settings, file, &clock).await?;
    }
    Ok(())
}
