//! An exporter that restarts often sends no more than its budget, and nothing during a block.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::cloudflare::limit::WINDOW;
use zt_risk_exporter::internals::app::{Error, Exporter, Tuning};
use zt_risk_exporter::internals::config::{Config, Flags};
use zt_risk_exporter::simulator::{
    Endpoint, Fault, FaultRule, GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario, Simulator,
};

use super::process::{ACCOUNTS, Home, SimulatedApi};

/// The smallest share that leaves some: 24 requests in five minutes.
const SHARE: f64 = 0.02;
const BUDGET: usize = 24;

#[test]
fn a_crash_loop_of_the_program_spends_one_budget_in_a_window_and_at_least_half_of_it() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, SHARE);
    // A list that cannot be read is requested at every start, so only the budget limits the requests.
    api.simulator.inject(FaultRule::at(Endpoint::Summary, Fault::BadGateway));
    let since = api.clock.now();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..40 {
        let mut exporter = home.start();
        exporter.until("a scrape", |_| true);
        std::thread::park_timeout(Duration::from_millis(random.u64(0..300)));
        exporter.kill();
    }
    let took = api.clock.now().since(since);
    assert!(took < WINDOW, "40 lives took {took:?}: too slow to say anything");
    let truth = api.simulator.ground_truth();
    for (account, ..) in ACCOUNTS {
        let sent =
            truth.requests.iter().filter(|request| request.account.as_deref() == Some(account)).count();
        // The verification of the token is charged to the budget too, but is no request of an account.
        assert!((BUDGET / 2 - 1..=BUDGET).contains(&sent), "{sent} requests of {BUDGET} after {took:?}");
    }
}

/// An exporter in this process, on a fast clock. It ends in order, but because requests are journaled before they are
/// sent, the budget makes no difference between that and a kill.
struct Life {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Error>>,
}

impl Life {
    async fn start(config: &Arc<Config>, clock: &Clock) -> Self {
        let exporter =
            Exporter::new(Arc::clone(config), clock, &Tuning::default()).expect("the file is free");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(exporter.run(listener, async {
            // A test that ends early drops the sender, which stops the exporter as well.
            let _ = stopped.await;
        }));
        Self { stop, running }
    }

    async fn end(self) {
        drop(self.stop);
        self.running.await.expect("no panic").expect("a clean end");
    }
}

struct Rig {
    simulator: Arc<Simulator>,
    clock: Clock,
    config: Arc<Config>,
    _folder: tempfile::TempDir,
}

async fn rig(share: f64, speed: f64) -> Rig {
    let clock = Clock::scaled(Timestamp::from_seconds(1_900_000_000), speed);
    let scenario = Scenario::generated(2_000, 3);
    let simulator = Arc::new(Simulator::start(scenario, clock.clone()).await.expect("a world"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.yaml");
    let text = format!(
        "accounts: [{{ id: {GENERATED_ACCOUNT}, token: {GENERATED_TOKEN}, budget_share: {share} }}]\n\
         cloudflare: {{ base_url: \"{}\" }}\nstate: {{ path: state.redb }}\nintervals: {{ summary: 5s, audit: 1m }}\n",
        simulator.base_url()
    );
    std::fs::write(&path, text).expect("the configuration can be written");
    let flags = Flags { config_file: Some(path), ..Flags::default() };
    let config = Config::load(&flags, []).unwrap_or_else(|error| panic!("{error}"));
    let config = Arc::new(config);
    Rig { simulator, clock, config, _folder: folder }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_many_windows_a_crash_loop_spends_no_more_than_one_that_runs_may() {
    let rig = rig(0.05, 120.0).await;
    let mut random = fastrand::Rng::with_seed(2);
    let began = rig.clock.now();
    let mut lives = 0;
    // Four windows; each process lives for 2 to 40 s of them.
    while rig.clock.now().since(began) < WINDOW * 4 {
        let life = Life::start(&rig.config, &rig.clock).await;
        rig.clock.sleep(Duration::from_secs(random.u64(2..40))).await;
        life.end().await;
        lives += 1;
    }
    let arrivals: Vec<_> =
        rig.simulator.ground_truth().requests.iter().map(|request| request.arrived).collect();
    for window in arrivals.windows(61) {
        let (first, last) = (window[0], window[60]);
        assert!(last.since(first) >= WINDOW, "61 requests from {first} to {last}, of {lives} lives");
    }
    assert!(lives > 20 && arrivals.len() >= 60, "{lives} lives with {} requests say nothing", arrivals.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_within_a_block_sends_nothing_until_its_end() {
    let rig = rig(0.25, 100.0).await;
    let limited = Fault::Limited { retry_after: Some("400".to_owned()) };
    let first = Life::start(&rig.config, &rig.clock).await;
    rig.clock.sleep(Duration::from_secs(30)).await;
    rig.simulator.inject(FaultRule::at(Endpoint::Summary, limited).times(1));
    let refused = || {
        let requests = rig.simulator.ground_truth().requests;
        let at = requests.iter().position(|request| request.status == 429)?;
        Some((requests[at].arrived, requests.get(at + 1).map(|next| next.arrived)))
    };
    while refused().is_none() {
        rig.clock.sleep(Duration::from_secs(1)).await;
    }
    // The answer must arrive first: a process that is killed before does not know of the block.
    rig.clock.sleep(Duration::from_secs(20)).await;
    first.end().await;
    for _ in 0..8 {
        let life = Life::start(&rig.config, &rig.clock).await;
        rig.clock.sleep(Duration::from_secs(30)).await;
        life.end().await;
    }
    let (at, next) = refused().expect("it was");
    let now = rig.clock.date();
    assert!(now.since(at) > Duration::from_secs(200), "there were restarts");
    assert_eq!(next.filter(|next| next.since(at) < Duration::from_secs(400)), None, "refused at {at}");
    let _last = Life::start(&rig.config, &rig.clock).await;
    while refused().expect("it was").1.is_none() {
        assert!(rig.clock.date().since(at) < Duration::from_secs(900), "it never sent another request");
        rig.clock.sleep(Duration::from_secs(1)).await;
    }
    let gap = refused().expect("it was").1.expect("just seen").since(at);
    assert!(gap >= Duration::from_secs(400), "the next came after {gap:?}");
}
