//! How many bytes the exporter writes to the disk of the temporary directory: in an hour in which nothing happens, with one
//! account and with a hundred, and for each event in an account that needs its whole budget. Prints a line for each with its
//! limit, and fails if one is above it.
//!
//! The exporter and a simulated Cloudflare run in this process, on a clock that is faster than real time. Linux counts the
//! bytes of the pages that a process makes dirty, which is what a disk gets to write. A memory file system counts nothing,
//! so that is a failure too.

#![expect(clippy::print_stdout, reason = "the figures are for the person who runs this")]

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use uuid::Uuid;
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::internals::app::{Exporter, Tuning};
use zt_risk_exporter::internals::config::{Config, Flags};
use zt_risk_exporter::simulator::{Scenario, Simulator};

const HOUR: Duration = Duration::from_secs(3_600);

/// Two megabytes a day.
const IDLE_LIMIT: f64 = 2e6 / 24.0;
const IDLE_HOURS: u32 = 4;

/// A third of what it takes if each reading is a commit of its own.
const EVENT_LIMIT: f64 = 29_000.0;
/// Users who have a new event between two lists. The default budget allows about 26 requests for users' events then.
const CHANGED_USERS: u128 = 24;
const BETWEEN_LISTS: Duration = Duration::from_secs(30);
const BUSY_LISTS: u32 = 40;

/// The accounts that are read.
#[derive(Clone, Copy)]
struct World {
    accounts: u128,
    /// Of each account.
    users: u128,
    /// How much faster the clock is than real time. Requests have a timeout, so a machine that is busy must still answer them
    /// within a fraction of it: a failed list is written.
    speed: f64,
    /// Until each user was audited once, which saves when the user was last reset, and until the budget is in use.
    warm_up: Duration,
}

const ONE_ACCOUNT: World = World { accounts: 1, users: 1_000, speed: 200.0, warm_up: HOUR.saturating_mul(4) };
const HUNDRED_ACCOUNTS: World = World { accounts: 100, users: 100, speed: 60.0, warm_up: HOUR };
/// A request takes about a millisecond of real time, so at this speed it takes some of the tenth of a second that a request
/// to Cloudflare takes.
const BUSY_ACCOUNT: World =
    World { accounts: 1, users: 1_000, speed: 50.0, warm_up: BETWEEN_LISTS.saturating_mul(10) };

/// A running exporter, and its world.
struct Running {
    clock: Clock,
    simulator: Simulator,
    stop: oneshot::Sender<()>,
    exporter: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start(world: World) -> Self {
        let mut users = String::new();
        for user in 0..world.users {
            let id = id(user);
            writeln!(users, "      - {{ id: {id}, events: [{{ behavior: high_dlp, at: -1h }}] }}")
                .expect("memory can be written");
        }
        let (mut scenario, mut tokens, mut listed) =
            (String::from("accounts:\n"), String::new(), String::new());
        for number in 0..world.accounts {
            let account = account(number);
            scenario += &format!("  - id: '{account}'\n    users:\n{users}");
            tokens += &format!(
                "  - {{ token: t{number}, user: t{number}, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}\n"
            );
            listed += &format!("  - {{ id: '{account}', alias: account-{number}, token: t{number} }}\n");
        }
        let scenario = Scenario::from_yaml(&format!("{scenario}tokens:\n{tokens}")).expect("a scenario");
        let clock = Clock::scaled(Timestamp::from_seconds(1_900_000_000), world.speed);
        let simulator = Simulator::start(scenario, clock.clone()).await.expect("a world");
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("config.yaml");
        let config = format!(
            "cloudflare: {{ base_url: \"{}\" }}\nstate: {{ path: {} }}\naccounts:\n{listed}",
            simulator.base_url(),
            folder.path().join("state.redb").display()
        );
        std::fs::write(&path, config).expect("there is room");
        let flags = Flags { config_file: Some(path), ..Flags::default() };
        let config = Config::load(&flags, []).expect("a configuration");
        let exporter = Exporter::new(Arc::new(config), &clock, &Tuning::default()).expect("an exporter");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (stop, stopped) = oneshot::channel::<()>();
        let exporter = tokio::spawn(async move {
            let stopped = async { stopped.await.unwrap_or_default() };
            exporter.run(listener, stopped).await.expect("it runs until it is stopped");
        });
        Self { clock, simulator, stop, exporter, _folder: folder }
    }

    async fn stop(self) {
        self.stop.send(()).expect("it runs");
        self.exporter.await.expect("it does not panic");
    }
}

fn account(number: u128) -> String {
    format!("{:032x}", number + 1)
}

/// The id of a user. Like real ones, they are spread over all ids.
fn id(user: u128) -> Uuid {
    Uuid::from_u128((user + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// The bytes that this process has written so far.
fn written() -> f64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("this is Linux");
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("it counts them");
    bytes.parse().expect("a number")
}

/// Bytes per hour and account.
async fn idle(world: World) -> f64 {
    let running = Running::start(world).await;
    running.clock.sleep(world.warm_up).await;
    let before = written();
    running.clock.sleep(HOUR * IDLE_HOURS).await;
    let bytes = written() - before;
    running.stop().await;
    bytes / f64::from(IDLE_HOURS) / world.accounts as f64
}

/// Bytes per event.
async fn busy(world: World) -> f64 {
    let running = Running::start(world).await;
    let mut users = (0..world.users).cycle();
    let (mut before, mut events) = (None, 0.0);
    for list in 0..BUSY_LISTS {
        if BETWEEN_LISTS * list == world.warm_up {
            (before, events) = (Some(written()), 0.0);
        }
        for user in users.by_ref().take(CHANGED_USERS as usize) {
            let date = running.clock.date();
            running.simulator.append_event(&account(0), id(user), "imp_travel", date).expect("it is there");
            events += 1.0;
        }
        running.clock.sleep(BETWEEN_LISTS).await;
    }
    let bytes = written() - before.expect("the warm-up ends after a list");
    running.stop().await;
    bytes / events
}

#[tokio::main]
async fn main() -> ExitCode {
    let verdicts = [
        judge("an idle account of 1,000 users, bytes an hour", idle(ONE_ACCOUNT).await, IDLE_LIMIT),
        judge("a busy account of 1,000 users, bytes for each event", busy(BUSY_ACCOUNT).await, EVENT_LIMIT),
        judge(
            "100 idle accounts of 100 users, bytes an hour for each",
            idle(HUNDRED_ACCOUNTS).await,
            IDLE_LIMIT,
        ),
    ];
    if verdicts.contains(&Verdict::Exceeded) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[derive(PartialEq, Eq)]
enum Verdict {
    Ok,
    Exceeded,
}

/// Prints a line about a figure.
fn judge(what: &str, bytes: f64, limit: f64) -> Verdict {
    let (verdict, word) =
        if bytes > 0.0 && bytes <= limit { (Verdict::Ok, "ok") } else { (Verdict::Exceeded, "EXCEEDED") };
    println!("{what:<55} {bytes:>9.0}  limit {limit:.0}: {word}");
    verdict
}
