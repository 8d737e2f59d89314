//! The budgets of a process that is reloaded and restarted: no request is beyond them, and none counts twice.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::time::Duration;

use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::cloudflare::limit::Owner;
use zt_risk_exporter::internals::collector::persist::Saved;
use zt_risk_exporter::internals::store::{self, State};

use super::world::{Listed, World, id, is_shown};
use crate::durability::process::{Exporter, Home, Scrape};

/// The share of the request limit of every credential, and the requests that it is.
pub(super) const SHARE: &str = "0.5";
pub(super) const REQUESTS: usize = 600;
const WINDOW: Duration = Duration::from_secs(300);

/// What the processes that ended have sent and reserved, which the state file has.
#[derive(Default)]
pub(super) struct Ended {
    /// How many requests each budget had sent or reserved. Budgets that were joined have copies of each other's.
    leased: BTreeMap<Owner, usize>,
    /// How many requests all processes have sent, in truth.
    sent: usize,
}

impl Ended {
    /// Reads the file of a process that has just ended.
    fn read(&mut self, world: &World, home: &Home, what: &str) {
        let sent = world.simulator.ground_truth().requests.len();
        let copy = home.path().join("copy.redb");
        fs::copy(home.state(), &copy).expect("a copy");
        let settings = store::Settings { path: copy, cache_bytes: 1 << 20 };
        let ids = (0..world.accounts).map(id).collect();
        let (state, all) = State::open(&settings, ids, &Clock::system(), Saved::add).expect("a state file");
        state.close();
        let mut latest: BTreeMap<Owner, usize> = BTreeMap::new();
        for saved in all.values() {
            let mut its_own: BTreeMap<Owner, usize> = BTreeMap::new();
            for lease in &saved.spending.leases {
                *its_own.entry(lease.owner).or_default() += lease.requests as usize;
            }
            for (owner, requests) in its_own {
                let known = latest.entry(owner).or_default();
                *known = requests.max(*known);
            }
        }
        let mut leased = 0;
        for (owner, requests) in latest {
            match self.leased.get(&owner) {
                Some(known) => assert!(requests <= *known, "{what}: {requests} of {known} after a restart"),
                None => {
                    self.leased.insert(owner, requests);
                    leased += requests;
                }
            }
        }
        // The longer lease and the latest short one each allow at most as many in advance as were sent, or one.
        let most = 3 * (sent - self.sent) + world.accounts;
        assert!(leased <= most, "{what}: {leased} leased, at most {most} expected");
        self.sent = sent;
    }

    /// The most that any budget may count now.
    fn most(&self, world: &World) -> usize {
        // One of each account may be on its way to the simulator.
        let sent = world.simulator.ground_truth().requests.len() - self.sent + world.accounts;
        self.leased.values().sum::<usize>() + sent
    }
}

/// An exporter that has read its configuration.
pub(super) fn started(home: &Home) -> Exporter {
    let exporter = home.start();
    exporter.until_logged("serving /metrics");
    exporter
}

/// How a process ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Kill,
    Stop,
}

impl Ending {
    pub(super) fn random(random: &mut fastrand::Rng) -> Self {
        if random.bool() { Self::Kill } else { Self::Stop }
    }
}

/// Ends the process, and starts the next one.
pub(super) fn restart(
    exporter: &mut Exporter,
    world: &World,
    home: &Home,
    ended: &mut Ended,
    ending: Ending,
    what: &str,
) {
    match ending {
        Ending::Kill => exporter.kill(),
        Ending::Stop => assert!(exporter.terminate().success(), "{what}"),
    }
    ended.read(world, home, what);
    *exporter = started(home);
}

/// Asserts that no credential was used for more than `budget` requests in a window.
pub(super) fn assert_within_budget(world: &World, budget: usize, what: &str) {
    let mut windows: BTreeMap<String, VecDeque<Timestamp>> = BTreeMap::new();
    for request in world.simulator.ground_truth().requests {
        let Some(credential) = request.credential else { continue };
        let window = windows.entry(credential.clone()).or_default();
        window.push_back(request.arrived);
        while window.front().is_some_and(|first| request.arrived.since(*first) >= WINDOW) {
            window.pop_front();
        }
        assert!(window.len() <= budget, "{what}: {} requests with {credential}", window.len());
    }
}

/// Asserts that no budget counts more requests than this process has sent, with any credential, and those before it have sent
/// or reserved. The scrape is older than this call.
pub(super) fn assert_each_counted_once(
    world: &World,
    ended: &Ended,
    scrape: &Scrape,
    accounts: &[Listed<'_>],
    what: &str,
) {
    let most = ended.most(world);
    for one in accounts {
        let name = format!("zt_risk_exporter_budget_remaining_requests{{account=\"{}\"}}", one.alias);
        let remaining = scrape.get(&name).unwrap_or_else(|| panic!("{what}: {name} in\n{scrape}"));
        let least = REQUESTS.saturating_sub(most) as f64;
        assert!(remaining >= least, "{what}: {remaining} of {REQUESTS} are left after at most {most}");
    }
}

#[test]
fn credentials_that_join_and_part_again_and_again_take_nothing_from_each_other() {
    /// Counted twice, the requests of the first few would use up the budget.
    const RELOADS: usize = 40;
    const RELOADS_OF_A_PROCESS: usize = 5;
    let (world, home) = (World::start(), Home::empty());
    let listed = |number, alias, token| Listed { share: SHARE, ..Listed::new(number, alias, token) };
    let both = |tokens: [&'static str; 2]| [listed(0, "first", tokens[0]), listed(1, "second", tokens[1])];
    let apart = both(["t0", "t1"]);
    let configure = |accounts: &[Listed<'_>]| {
        home.configure(&world.config(&home, accounts, "intervals: { summary: 1m }"));
    };
    configure(&apart);
    let (mut exporter, mut ended) = (started(&home), Ended::default());
    let shown = |exporter: &mut Exporter, accounts: &[Listed<'_>]| {
        exporter.until("both are read", |scrape| {
            is_shown(scrape, accounts) && super::up("first")(scrape) && super::up("second")(scrape)
        })
    };
    for number in 1..=RELOADS {
        let accounts = match number % 4 {
            1 => both(["t0", "t0"]),
            3 => both(["t1", "t1"]),
            _ => apart,
        };
        configure(&accounts);
        let (status, text) = exporter.reload();
        assert_eq!(status, 200, "{text}");
        if number % RELOADS_OF_A_PROCESS == 0 {
            let scrape = shown(&mut exporter, &accounts);
            assert_each_counted_once(&world, &ended, &scrape, &accounts, &format!("after {number} reloads"));
            let ending = if number % 2 == 0 { Ending::Kill } else { Ending::Stop };
            restart(&mut exporter, &world, &home, &mut ended, ending, &format!("restart {number}"));
        }
    }
    let together = both(["t0", "t0"]);
    configure(&together);
    assert_eq!(exporter.reload().0, 200);
    shown(&mut exporter, &together);
    let counted = |scrape: &Scrape, alias: &str| {
        let name = format!("zt_risk_exporter_budget_remaining_requests{{account=\"{alias}\"}}");
        scrape.get(&name).map(|remaining| REQUESTS as f64 - remaining)
    };
    let sent = world.simulator.ground_truth().requests;
    let scrape = exporter.until("they share a budget, which counts everything", |scrape| {
        // The scrape is older, so it counts at least those that still count now.
        let now = world.clock.date();
        let still = sent.iter().filter(|request| now.since(request.arrived) < WINDOW).count() as f64;
        counted(scrape, "first") == counted(scrape, "second")
            && counted(scrape, "first").is_some_and(|counted| counted >= still)
    });
    assert_each_counted_once(&world, &ended, &scrape, &together, "together at the end");
    assert!(ended.most(&world) < REQUESTS, "the budget is large enough to see what counts twice");
    assert_within_budget(&world, REQUESTS, "joined and parted");
}
