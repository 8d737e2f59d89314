//! When counts are published, and what is written when nothing happens.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::*;
use crate::clock::Timestamp;
use crate::collector::account::{Fetch, Settings, Step};
use crate::collector::persist::Saved;
use crate::collector::poller::tests::{PATIENCE, connection, until_it_waits};
use crate::collector::poller::{Assignment, Connection, Order, Parts, Poller, Turns};
use crate::collector::shared_failures::SharedFailures;
use crate::collector::user_label::UserLabel;
use crate::config::AccountOrigin;
use crate::metrics::telemetry::Telemetry;
use crate::model::resource::Intervals;
use crate::model::{
    AccountName, Completeness, Event, Level, Listing, OddFields, Resource, Row, RowFingerprint, Snapshot,
    Summary, UserId, UserRisk,
};
use crate::store;

const ID: &str = "0123456789abcdef0123456789abcdef";
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
const USER: UserId = UserId::from_u128(1);

/// An account of one user, which is read as often as the test likes, and its file.
struct Rig {
    folder: tempfile::TempDir,
    clock: Clock,
    state: State,
    saving: Saving,
    account: Account,
    /// How often everything was read.
    round: u32,
    events: u32,
    /// Events that the list of users does not count.
    unlisted: u32,
}

impl Rig {
    /// Starts to count.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (state, _) = open(&folder, &clock);
        let saving = Saving::new(state.clone(), state.generation(), clock.now());
        let account = Account::new(settings());
        let mut rig = Self { folder, clock, state, saving, account, round: 0, events: 1, unlisted: 0 };
        rig.read();
        rig.save();
        rig
    }

    /// Answers all requests that are due, when all intervals are over.
    fn read(&mut self) {
        self.round += 1;
        let now = Instant::after_start(Duration::from_secs(10_000 * u64::from(self.round)));
        let happened = risk(self.events + self.unlisted);
        while let Step::Fetch(fetch) = self.account.plan(now) {
            match fetch {
                Fetch::Resource(Resource::Summary) => {
                    self.account.summary_read(&summary(self.events), now, START);
                }
                Fetch::Resource(Resource::Behaviors) => {
                    self.account.behaviors_read(Listing::default(), now, START);
                }
                Fetch::Resource(Resource::Integrations) => {
                    self.account.integrations_read(Listing::default(), now, START);
                }
                Fetch::Resource(resource) => self.account.read(resource, now),
                Fetch::User(request) => self.account.user_read(&request, &happened, now, START),
            }
        }
    }

    /// One event more is read and handed over.
    fn event(&mut self) {
        self.events += 1;
        self.read();
        self.saving.hand_over(&mut self.account, &self.clock);
    }

    /// Everything is saved and published.
    fn save(&mut self) {
        self.saving.hand_over_all(&mut self.account, &self.clock);
        self.state.commit();
        self.saving.publish_committed(&mut self.account);
    }

    fn counted(&self) -> u64 {
        counted(&self.account.snapshot())
    }
}

fn counted(snapshot: &Snapshot) -> u64 {
    snapshot.totals.events.values().flatten().sum()
}

fn open(folder: &tempfile::TempDir, clock: &Clock) -> (State, Saved) {
    let settings = store::Settings { path: folder.path().join("state.redb"), cache_bytes: 1 << 20 };
    let (state, mut saved) = State::open(&settings, vec![ID.to_owned()], clock, Saved::add).unwrap();
    (state, saved.remove(ID).unwrap_or_default())
}

fn settings() -> Settings {
    let interval = Duration::from_secs(60);
    Settings {
        name: AccountName { alias: "a".to_owned(), id: ID.to_owned() },
        intervals: Intervals {
            summary: interval,
            behaviors: interval,
            integrations: interval,
            audit: interval,
        },
        budget: 300,
        user_limit: 1,
        user_label: UserLabel::Id,
        baseline: None,
        secret: [1; 16],
        seed: 1,
    }
}

/// A list of the user, with this many events.
fn summary(count: u32) -> Summary {
    let last_event = START + Duration::from_secs(count.into());
    let row =
        Row { user: USER, tuple: RowFingerprint { last_event, count: count.into(), level: Level::High } };
    Summary { date: Some(START + Duration::from_secs(1)), ..Summary::whole(vec![row]) }
}

fn risk(count: u32) -> UserRisk {
    let event = |n: u32| Event {
        id: n.to_string(),
        name: "imp_travel".to_owned(),
        level: Level::High,
        timestamp: START + Duration::from_secs(n.into()),
    };
    UserRisk {
        events: (1..=count).map(event).collect(),
        rejected: 0,
        odd: OddFields::default(),
        last_reset: None,
        level: None,
        completeness: Completeness::Complete,
        date: Some(START + Duration::from_secs(60)),
        identity: None,
        pages: 1,
    }
}

#[test]
fn counts_are_published_once_their_batch_is_committed() {
    let mut rig = Rig::new();
    rig.event();
    rig.event();
    assert_eq!(rig.counted(), 0, "neither is on disk");
    rig.state.commit();
    assert_eq!(rig.counted(), 0);
    // The next event is handed over to the next batch.
    rig.event();
    assert_eq!(rig.counted(), 2);
    rig.state.commit();
    rig.saving.hand_over(&mut rig.account, &rig.clock);
    assert_eq!(rig.counted(), 3);
}

#[test]
fn what_a_lost_batch_had_is_saved_again() {
    let mut rig = Rig::new();
    rig.event();
    std::fs::remove_file(rig.folder.path().join("state.redb")).unwrap();
    rig.state.commit();
    rig.event();
    assert_eq!(rig.counted(), 0, "neither is on disk");
    rig.save();
    assert_eq!(rig.counted(), 2);
    rig.state.close();
    let (_, saved) = open(&rig.folder, &rig.clock);
    assert_eq!(saved.records[&USER].keys.len(), 2);
    assert!(saved.totals.is_some() && saved.users.len() == 1);
}

#[test]
fn readings_that_find_nothing_new_are_written_every_two_hours_or_at_the_end() {
    let mut rig = Rig::new();
    rig.event();
    rig.save();
    let written = rig.state.stats().commits();
    let read_again = |rig: &mut Rig, late: Instant| {
        rig.account.retry_now(rig.clock.now());
        let now = Instant::after_start(Duration::from_secs(1_000_000));
        rig.account.summary_read(&summary(rig.events), now, START);
        rig.account.behaviors_read(Listing::default(), now, START);
        rig.account.integrations_read(Listing::default(), now, START);
        rig.saving.late = late;
        rig.saving.hand_over(&mut rig.account, &rig.clock);
        rig.state.commit();
        rig.state.stats().commits() - written
    };
    let later = rig.clock.now() + LONGEST_WAIT;
    assert_eq!(read_again(&mut rig, later), 0);
    assert_eq!(read_again(&mut rig, Instant::default()), 1);
    assert_eq!(read_again(&mut rig, later), 1);
    rig.save();
    assert_eq!(rig.state.stats().commits() - written, 2);
    rig.save();
    assert_eq!(rig.state.stats().commits() - written, 2, "nothing is left to write");
}

#[test]
fn an_event_that_only_an_audit_finds_is_saved_soon_and_an_audit_that_finds_nothing_is_not() {
    let mut rig = Rig::new();
    rig.event();
    rig.save();
    rig.saving.late = rig.clock.now() + LONGEST_WAIT;
    for (unlisted, commits, counted) in [(0, 0, 1), (1, 1, 2), (1, 0, 2)] {
        let before = rig.state.stats().commits();
        rig.unlisted = unlisted;
        rig.read();
        rig.saving.hand_over(&mut rig.account, &rig.clock);
        rig.state.commit();
        rig.saving.hand_over(&mut rig.account, &rig.clock);
        let commits_now = rig.state.stats().commits() - before;
        assert_eq!((commits_now, rig.counted()), (commits, counted), "{unlisted} unlisted");
    }
}

#[test]
fn the_next_turn_to_write_what_can_wait_is_later_than_now() {
    for (now, wanted) in [(0, 7_200), (7_199, 7_200), (7_200, 14_400), (18_000, 21_600)] {
        let at = |second| Instant::after_start(Duration::from_secs(second));
        assert_eq!(next_turn(at(now)), at(wanted));
    }
}

/// A running poller.
struct Running {
    folder: tempfile::TempDir,
    state: State,
    orders: watch::Sender<Order>,
    published: watch::Receiver<Arc<Snapshot>>,
    poller: tokio::task::JoinHandle<Parts>,
}

impl Running {
    fn start(Rig { folder, clock, state, saving, account, .. }: Rig, connection: Arc<Connection>) -> Self {
        let (snapshots, published) = watch::channel(Arc::new(account.snapshot()));
        let telemetry = Telemetry::new(clock.clone());
        let origin = AccountOrigin::Configured;
        let assignment = Arc::new(Assignment { settings: settings(), feed: None, connection, origin });
        let (orders, received) = watch::channel(Order::Poll(Arc::clone(&assignment)));
        let (failures, turns) = (SharedFailures::default(), Turns::default());
        let parts = Parts { account, clock, telemetry, failures, saving: Some(saving), snapshots, turns };
        let poller = tokio::spawn(Poller::new(parts, assignment, received, mpsc::channel(1).0).run());
        Self { folder, state, orders, published, poller }
    }

    async fn end(self, order: Order) -> (tempfile::TempDir, State) {
        self.orders.send_replace(order);
        self.poller.await.unwrap();
        (self.folder, self.state)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    TheNextList,
    TheBudget,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_publishes_what_was_committed_while_it_waits() {
    for waits_for in [WaitsFor::TheNextList, WaitsFor::TheBudget] {
        let mut rig = Rig::new();
        rig.event();
        let (exhausted, _sent) = connection("token", &rig.clock, 12);
        if waits_for == WaitsFor::TheBudget {
            rig.account.retry_now(rig.clock.now());
        }
        let mut running = Running::start(rig, Arc::clone(&exhausted));
        if waits_for == WaitsFor::TheBudget {
            until_it_waits(&exhausted).await;
        }
        assert_eq!(counted(&running.published.borrow()), 0, "{waits_for:?}: it is not on disk");
        running.state.commit();
        let shown = running.published.wait_for(|snapshot| counted(snapshot) == 1);
        let shown = tokio::time::timeout(PATIENCE, shown).await;
        assert!(shown.is_ok_and(|shown| shown.is_ok()), "{waits_for:?}: it is on disk");
        running.end(Order::Stop).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_that_ends_hands_over_what_could_wait_even_if_a_request_waits_for_the_budget() {
    for order in [Order::Stop, Order::Exit] {
        let mut rig = Rig::new();
        rig.save();
        rig.saving.late = rig.clock.now() + LONGEST_WAIT;
        rig.read();
        rig.account.retry_now(rig.clock.now());
        let (exhausted, _sent) = connection("token", &rig.clock, 12);
        let running = Running::start(rig, Arc::clone(&exhausted));
        until_it_waits(&exhausted).await;
        let before = running.state.stats().commits();
        let ended = tokio::time::timeout(PATIENCE, running.end(order)).await;
        let (_folder, state) = ended.expect("it does not wait until the budget allows the request");
        state.commit();
        assert_eq!(state.stats().commits(), before + 1);
    }
}
