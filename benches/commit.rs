//! The cost of writing an answer to the state file, on the disk of the temporary directory: a first list, a
//! list with few changes, and the events of one user. Prints the size of the file.

#![expect(clippy::print_stdout, reason = "the size of the file is one of the figures")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use zt_risk_exporter::clock::{Clock, Instant, Timestamp};
use zt_risk_exporter::internals::collector::account::{Account, Fetch, Settings, Step};
use zt_risk_exporter::internals::collector::persist::Saved;
use zt_risk_exporter::internals::collector::poller;
use zt_risk_exporter::internals::collector::user_label::UserLabel;
use zt_risk_exporter::internals::model::resource::Intervals;
use zt_risk_exporter::internals::store::{Generation, Settings as File, State};
use zt_risk_exporter::model::{
    AccountName, Completeness, Event, Level, Listing, OddFields, Resource, Row, RowFingerprint, Summary,
    UserId, UserRisk,
};

const ID: &str = "0123456789abcdef0123456789abcdef";
const DATE: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// One in fifty users ever changes, and has a record of events.
const CHANGED: u32 = 50;

fn account() -> Account {
    let intervals = Intervals {
        summary: Duration::from_secs(30),
        behaviors: Duration::from_secs(300),
        integrations: Duration::from_secs(300),
        // A user is always due, so that the benchmark can read the events of one user repeatedly.
        audit: Duration::ZERO,
    };
    Account::new(Settings {
        name: AccountName { alias: "bench".to_owned(), id: ID.to_owned() },
        intervals,
        budget: u32::MAX / 4,
        user_limit: 100,
        user_label: UserLabel::Id,
        baseline: None,
        secret: [0; 16],
        seed: 0,
    })
}

/// A list of `users` rows. Every `every`th user has `more` events more than in the first list.
fn summary(users: u32, every: u32, more: u32) -> Summary {
    let rows = (0..users).map(|n| {
        let user = UserId::from_u128(u128::from(n) << 96 | u128::from(n.wrapping_mul(2_654_435_761)));
        let more = if n % every == 0 { more } else { 0 };
        let last_event = DATE + Duration::from_secs(u64::from(more));
        Row {
            user,
            tuple: RowFingerprint { last_event, count: (1 + n % 9 + more).into(), level: Level::Low },
        }
    });
    Summary {
        rows: rows.collect(),
        unreadable: Vec::new(),
        anonymous: 0,
        odd: OddFields::default(),
        is_null: false,
        completeness: Completeness::Complete,
        date: Some(DATE),
        identities: None,
        pages: 1,
    }
}

/// Five events, all after counting began.
fn risk(round: u64) -> UserRisk {
    let event = |n: u64| Event {
        id: (round * 5 + n).to_string(),
        name: "imp_travel".to_owned(),
        level: Level::High,
        timestamp: DATE + Duration::from_secs(1 + round),
    };
    UserRisk {
        events: (0..5).map(event).collect(),
        rejected: 0,
        odd: OddFields::default(),
        last_reset: None,
        level: None,
        completeness: Completeness::Complete,
        date: Some(DATE + Duration::from_secs(3_600)),
        identity: None,
        pages: 1,
    }
}

/// A time so long after the previous round that everything is due.
fn moment(round: u64) -> Instant {
    Instant::after_start(Duration::from_secs(round * 10_000))
}

struct Disk {
    directory: tempfile::TempDir,
    state: State,
    clock: Clock,
    generation: Generation,
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let clock = Clock::system();
        let file = File { path: directory.path().join("state.redb"), cache_bytes: 32 << 20 };
        let (state, _) =
            State::open(&file, vec![ID.to_owned()], &clock, Saved::add).expect("a new file can be made");
        let generation = state.generation();
        Self { directory, state, clock, generation }
    }

    fn keep(&mut self, account: &mut Account) {
        poller::save(account, &self.state, &mut self.generation, &self.clock);
    }

    fn mebibytes(&self) -> f64 {
        let file = std::fs::metadata(self.directory.path().join("state.redb")).expect("it was made");
        file.len() as f64 / f64::from(1 << 20)
    }
}

/// Answers every request of the account in this round, and saves the result at the end.
fn read_all(account: &mut Account, list: &Summary, round: u64, disk: &mut Disk) {
    let now = moment(round);
    while let Step::Fetch(fetch) = account.plan(now) {
        match fetch {
            Fetch::Resource(Resource::Summary) => account.summary_read(list, now, DATE),
            Fetch::Resource(Resource::Behaviors) => account.behaviors_read(Listing::default(), now, DATE),
            Fetch::Resource(Resource::Integrations) => {
                account.integrations_read(Listing::default(), now, DATE);
            }
            Fetch::Resource(resource) => account.read(resource, now),
            Fetch::User(request)
                if request.reason == zt_risk_exporter::internals::collector::ledger::FetchReason::Audit =>
            {
                break;
            }
            Fetch::User(request) => account.user_read(&request, &risk(round), now, DATE),
        }
    }
    disk.keep(account);
}

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(10);
    for users in [1_000, 1_000_000] {
        let first = summary(users, 1, 0);
        let known = || {
            let mut account = account();
            account.summary_read(&first, Instant::default(), DATE);
            (account, Disk::new())
        };
        group.bench_function(format!("first_list/{users}"), |bencher| {
            bencher.iter_batched_ref(
                known,
                |(account, disk)| disk.keep(black_box(account)),
                BatchSize::PerIteration,
            );
        });
        let (mut account, mut disk) = known();
        disk.keep(&mut account);
        println!("{users} users: {:.1} MiB", disk.mebibytes());
        read_all(&mut account, &first, 0, &mut disk);
        read_all(&mut account, &summary(users, CHANGED, 5), 1, &mut disk);
        println!("{users} users, {} of them with 5 events: {:.1} MiB", users / CHANGED, disk.mebibytes());
        let mut second = 0;
        group.bench_function(format!("list_of_which_100_changed/{users}"), |bencher| {
            bencher.iter_batched(
                || {
                    second += 1;
                    summary(users, (users / 100).max(1), 5 + second)
                },
                |list| {
                    account.summary_read(&list, moment(1), DATE);
                    disk.keep(&mut account);
                },
                BatchSize::PerIteration,
            );
        });
        let mut round = 10;
        group.bench_function(format!("one_user/{users}"), |bencher| {
            bencher.iter(|| {
                round += 1;
                let Step::Fetch(Fetch::User(request)) = account.plan(moment(1)) else {
                    panic!("somebody is always due");
                };
                account.user_read(&request, &risk(round), moment(1), DATE);
                disk.keep(&mut account);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
