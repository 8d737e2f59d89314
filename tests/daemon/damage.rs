//! A damaged state file yields everything of the last commit, or a new epoch; never a wrong count, never a panic.
//!
//! An ordinary run flips one byte in [`SAMPLED`]; with `DAMAGE_STEP=1` it flips each byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use uuid::Uuid;
use zt_risk_exporter::clock::{Clock, Instant, Timestamp};
use zt_risk_exporter::cloudflare::limit::{Lease, Owner, Spending};
use zt_risk_exporter::internals::collector::account::{self, Account, Fetch, Step};
use zt_risk_exporter::internals::collector::persist::{self, Document, Now, Saved};
use zt_risk_exporter::internals::collector::poller;
use zt_risk_exporter::internals::collector::user_label::UserLabel;
use zt_risk_exporter::internals::model::resource::Intervals;
use zt_risk_exporter::internals::store::row::{Put, Table};
use zt_risk_exporter::internals::store::{self, Error, State};
use zt_risk_exporter::model::{
    AccountName, Completeness, Event, Level, Listing, OddFields, Resource, Row, RowFingerprint, Summary,
    UserRisk,
};

use crate::counting::behaviors;

/// An ordinary run flips one byte in so many. It is a prime, so that all offsets within rows occur.
const SAMPLED: usize = 499;

const IDS: [&str; 2] = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];

/// When counting begins, on every clock.
const START: Timestamp = Timestamp::from_seconds(1_900_000_000);

const PAGE: usize = 4096;

/// What happened to a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Everything of the last commit was read.
    Whole,
    /// It was renamed without changes, and a new epoch starts.
    Renamed,
    /// It was refused and not changed.
    Refused,
    /// It was empty: counting starts.
    Fresh,
}

/// A description of the damage, and the damaged bytes.
type Case = (String, Vec<u8>);

/// The rows of all accounts, as they would be written.
type Rows = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn later(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn settings(id: &str) -> account::Settings {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    account::Settings {
        name: AccountName { alias: id[..4].to_owned(), id: id.to_owned() },
        intervals: Intervals {
            summary: minutes(1),
            behaviors: minutes(5),
            integrations: minutes(5),
            audit: minutes(360),
        },
        budget: 300,
        user_limit: 4,
        user_label: UserLabel::Id,
        baseline: None,
        secret: [7; 16],
        seed: 1,
    }
}

/// The list of users: the first `changed` of six have one more event since the start.
fn summary(changed: u128, date: Timestamp) -> Summary {
    let rows = (1..=6)
        .map(|user| {
            let (count, last_event) = if user <= changed { (2.into(), later(10)) } else { (1.into(), START) };
            let level = Level::ALL[user as usize % 3 + 1];
            Row { user: Uuid::from_u128(user), tuple: RowFingerprint { last_event, count, level } }
        })
        .collect();
    Summary {
        rows,
        unreadable: Vec::new(),
        anonymous: 0,
        odd: OddFields::default(),
        is_null: false,
        completeness: Completeness::Complete,
        date: Some(date),
        identities: None,
        pages: 1,
    }
}

fn events_of(user: Uuid, changed: u128, date: Timestamp) -> UserRisk {
    let event = |name: &str, at: Timestamp| Event {
        id: format!("{name} of {user}"),
        name: name.to_owned(),
        level: Level::High,
        timestamp: at,
    };
    let has_changed = user.as_u128() <= changed;
    let mut events = vec![event("imp_travel", START)];
    events.extend(has_changed.then(|| event("imp_travel", later(10))));
    UserRisk {
        events,
        rejected: 0,
        odd: OddFields::default(),
        last_reset: (has_changed && user.as_u128() == 2).then(|| later(5)),
        level: None,
        completeness: Completeness::Complete,
        date: Some(date),
        identity: None,
        pages: 1,
    }
}

/// Answers the requests of the account, but only for `users` users; the others keep waiting.
fn answer(account: &mut Account, changed: u128, users: u32, second: u64) {
    let (moment, date) = (Instant::after_start(Duration::from_secs(second)), later(second));
    let mut read = 0;
    while let Step::Fetch(fetch) = account.plan(moment) {
        match fetch {
            Fetch::Resource(Resource::Summary) => account.summary_read(&summary(changed, date), moment, date),
            Fetch::Resource(Resource::Behaviors) => account.behaviors_read(behaviors(), moment, date),
            Fetch::Resource(Resource::Integrations) => {
                account.integrations_read(Listing::default(), moment, date);
            }
            Fetch::Resource(resource) => account.read(resource, moment),
            Fetch::User(_) if read == users => return,
            Fetch::User(asked) => {
                account.user_read(&asked, &events_of(asked.user.id, changed, date), moment, date);
                read += 1;
            }
        }
    }
}

fn counted(account: &Account) -> u64 {
    account.snapshot().totals.events.values().flatten().sum()
}

/// The state file as a killed process leaves it, and as a process that closed it.
fn files(folder: &Path) -> [(&'static str, Vec<u8>); 2] {
    let path = folder.join("state.redb");
    let clock = Clock::system();
    let (state, _) = open(&path, &clock).expect("a new file");
    let mut generation = state.generation();
    let mut accounts = IDS.map(|id| Account::new(settings(id)));
    // The list is read each minute; after the second three users have changed, and two of these were read.
    for (second, changed) in [(0, 0), (70, 3)] {
        for account in &mut accounts {
            let before = counted(account);
            answer(account, changed, 2, second);
            // Both accounts are saved to the same file.
            let mut its_own = generation;
            poller::save(account, &state, &mut its_own, &clock);
            generation = its_own;
            assert_eq!(counted(account) > before, changed > 0, "each commit has totals of its own");
        }
    }
    let spending = Spending {
        leases: vec![Lease { owner: Owner(1), until: clock.date(), requests: 15 }],
        blocked_until: None,
    };
    let spending = persist::write_spending(&spending);
    state.put(IDS[0], Table::Documents, Document::Spending.as_str().as_bytes(), spending);
    let killed = fs::read(&path).expect("it is there");
    state.close();
    [("killed", killed), ("closed", fs::read(&path).expect("it is there"))]
}

fn open(path: &Path, clock: &Clock) -> Result<(State, BTreeMap<String, Saved>), Error> {
    let settings = store::Settings { path: path.to_owned(), cache_bytes: 1 << 20 };
    let ids = IDS.map(str::to_owned).to_vec();
    State::open(&settings, ids, clock, Saved::add)
}

/// Everything that was read, as the rows that would be written.
fn rows(mut saved: BTreeMap<String, Saved>) -> Rows {
    let now = Now { instant: Instant::after_start(Duration::from_secs(1_000)), date: later(1_000) };
    let mut rows = Vec::new();
    for id in IDS {
        let saved = saved.remove(id).expect("each account is asked for");
        rows.push((b"leases".to_vec(), Some(format!("{:?}", saved.spending).into_bytes())));
        let mut account = Account::restore(settings(id), saved, now).expect("the rows are consistent");
        account.save_everything();
        let put = |put: Put<'_>| {
            let key = [put.table.as_str().as_bytes(), put.key].concat();
            rows.push((key, put.value.map(<[u8]>::to_vec)));
            Ok::<_, std::convert::Infallible>(())
        };
        let Ok(()) = account.changes(now).each(put);
    }
    rows
}

/// Writes the bytes to the path of a state file, opens it, and returns the outcome.
fn open_damaged(folder: &Path, bytes: &[u8], wanted: &Rows, clock: &Clock) -> Outcome {
    let path = folder.join("state.redb");
    fs::write(&path, bytes).expect("it can be written");
    let opened = open(&path, clock);
    let others: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|other| *other != path)
        .collect();
    let ended = match opened {
        Err(_) => {
            assert!(fs::read(&path).expect("it is there") == bytes, "a refused file is not changed");
            assert!(others.is_empty(), "{others:?}");
            Outcome::Refused
        }
        Ok((_, saved)) if !others.is_empty() => {
            let [renamed] = others.as_slice() else { panic!("{others:?}") };
            assert!(fs::read(renamed).expect("it is there") == bytes, "the renamed file was not changed");
            let name = renamed.file_name().unwrap_or_default().to_string_lossy();
            assert!(name.starts_with("state.redb.damaged-"), "{name}");
            assert!(saved.values().all(|saved| saved.totals.is_none()), "no totals are guessed");
            Outcome::Renamed
        }
        Ok((_, saved)) if saved.values().all(|saved| saved.totals.is_none()) => {
            assert!(bytes.is_empty(), "only an empty file loses counts without a message");
            Outcome::Fresh
        }
        Ok((_, saved)) => {
            assert!(rows(saved) == *wanted, "everything of the last commit was read");
            Outcome::Whole
        }
    };
    for other in others.iter().chain([&path]) {
        fs::remove_file(other).expect("it is there");
    }
    ended
}

/// A folder in memory if possible, because each case is written several times.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Set in the environment of the second process.
const ALONE: &str = "ZT_TEST_ALONE";

/// Runs the `body` of the test with this name in a process of its own, and asserts that no panic is printed there. The
/// panic hook belongs to the process, which other tests share.
#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this")]
fn without_printed_panics(test: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("damage::{test}"), "--nocapture"]).env(ALONE, "1");
    let output = command.output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert!(!text.contains("panicked at"), "no panic is printed: {text}");
    println!("{text}");
}

/// Tries all cases, and returns how often each outcome occurred. Uses one thread, because other tests of this binary, some
/// of them timed, run at the same time.
fn try_all(cases: impl Iterator<Item = Case>, wanted: &Rows) -> BTreeMap<Outcome, u32> {
    let (clock, folder) = (Clock::system(), folder());
    let mut ends = BTreeMap::new();
    for (what, bytes) in cases {
        let since = clock.now();
        let ended = std::panic::catch_unwind(|| open_damaged(folder.path(), &bytes, wanted, &clock));
        let ended = ended.unwrap_or_else(|_| panic!("{what}"));
        let took = clock.now().since(since);
        assert!(took < Duration::from_secs(20), "{what}: it took {took:?}");
        *ends.entry(ended).or_insert(0) += 1;
    }
    ends
}

fn wanted(folder: &Path, bytes: &[u8]) -> Rows {
    let path = folder.join("state.redb");
    fs::write(&path, bytes).expect("it can be written");
    let (_, saved) = open(&path, &Clock::system()).expect("it is intact");
    fs::remove_file(&path).expect("it is there");
    let rows = rows(saved);
    assert!(rows.len() > 30, "there are rows that can be lost");
    rows
}

#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this")]
fn print_outcomes(what: &str, ends: &BTreeMap<Outcome, u32>) {
    println!("{what}: {ends:?}");
}

#[test]
fn a_flipped_byte_changes_nothing_or_starts_a_new_epoch() {
    without_printed_panics("a_flipped_byte_changes_nothing_or_starts_a_new_epoch", || {
        let folder = folder();
        let step = std::env::var("DAMAGE_STEP").map_or(SAMPLED, |step| step.parse().expect("a number"));
        for (name, whole) in files(folder.path()) {
            let wanted = wanted(folder.path(), &whole);
            let places: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).step_by(step).collect();
            let case = |number: usize| {
                let (at, mask) =
                    (places[number / 2], if number.is_multiple_of(2) { 0xff } else { 1 << (number / 2 % 8) });
                let mut bytes = whole.clone();
                bytes[at] ^= mask;
                (format!("{name}: byte {at} xor {mask:#x}"), bytes)
            };
            let ends = try_all((0..places.len() * 2).map(case), &wanted);
            assert!(ends.contains_key(&Outcome::Renamed), "some bytes matter");
            print_outcomes(
                &format!("{name}, {} bytes, {} of them flipped in two ways", whole.len(), places.len()),
                &ends,
            );
        }
    });
}

#[test]
fn a_truncated_file_or_one_with_holes_changes_nothing_or_starts_a_new_epoch() {
    without_printed_panics(
        "a_truncated_file_or_one_with_holes_changes_nothing_or_starts_a_new_epoch",
        || {
            let folder = folder();
            for (name, whole) in files(folder.path()) {
                let wanted = wanted(folder.path(), &whole);
                let mut cases: Vec<Case> = Vec::new();
                for page in 0..whole.len().div_ceil(PAGE) {
                    let start = page * PAGE;
                    for length in [start.saturating_sub(1), start, start + 1] {
                        if (1..whole.len()).contains(&length) {
                            cases.push((format!("{name}: cut to {length} bytes"), whole[..length].to_vec()));
                        }
                    }
                    let mut hole = whole.clone();
                    let end = whole.len().min(start + PAGE);
                    if hole[start..end].iter().any(|byte| *byte != 0) {
                        hole[start..end].fill(0);
                        cases.push((format!("{name}: page {page} zeroed"), hole));
                    }
                }
                let mut longer = whole.clone();
                longer.extend([0; PAGE]);
                cases.push((format!("{name}: a page longer"), longer));
                let count = cases.len();
                let ends = try_all(cases.into_iter(), &wanted);
                print_outcomes(&format!("{name}, cut or with holes in {count} ways"), &ends);
            }
        },
    );
}

#[test]
fn files_that_are_not_state_files_are_refused_or_renamed_and_an_empty_file_is_new() {
    without_printed_panics(
        "files_that_are_not_state_files_are_refused_or_renamed_and_an_empty_file_is_new",
        || {
            let folder = folder();
            let [(_, whole), _] = files(folder.path());
            let wanted = wanted(folder.path(), &whole);
            let mut random = fastrand::Rng::with_seed(9);
            let noise: Vec<u8> = (0..300_000).map(|_| random.u8(..)).collect();
            let table: [(&str, Vec<u8>, Outcome); 7] = [
                ("whole", whole.clone(), Outcome::Whole),
                ("empty", Vec::new(), Outcome::Fresh),
                ("a short text", b"accounts:\n".to_vec(), Outcome::Refused),
                ("a long text", b"A long line of text.\n".repeat(5_000), Outcome::Refused),
                ("noise", noise, Outcome::Refused),
                ("zeros", vec![0; whole.len()], Outcome::Renamed),
                ("the magic alone", whole[..9].to_vec(), Outcome::Renamed),
            ];
            for (what, bytes, wanted_end) in table {
                let ends = try_all(std::iter::once((what.to_owned(), bytes)), &wanted);
                assert_eq!(ends, BTreeMap::from([(wanted_end, 1)]), "{what}");
            }
        },
    );
}

#[test]
fn a_version_that_is_damaged_in_one_slot_is_not_taken_for_a_newer_version() {
    without_printed_panics("a_version_that_is_damaged_in_one_slot_is_not_taken_for_a_newer_version", || {
        let folder = folder();
        for (name, whole) in files(folder.path()) {
            let wanted = wanted(folder.path(), &whole);
            for (places, newer) in [(&[64][..], false), (&[192], false), (&[64, 192], true)] {
                let mut bytes = whole.clone();
                places.iter().for_each(|place| bytes[*place] += 1);
                let what = format!("{name}: bytes {places:?}");
                let ends = try_all(std::iter::once((what.clone(), bytes)), &wanted);
                assert_eq!(ends.contains_key(&Outcome::Refused), newer, "{what}: {ends:?}");
            }
        }
    });
}
