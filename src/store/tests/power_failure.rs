//! The power fails at any moment: writes since the last sync are lost, kept or torn, in any combination.

use super::super::overlay::Operation;
use super::*;

/// Disks write so many bytes at once.
const SECTOR: usize = 512;

/// How many batches there are, and how many power failures are tried.
const BATCHES: u32 = 40;
const FAILURES: u32 = 400;

const ACCOUNTS: [&str; 2] = ["a", "b"];

/// Writes the batches, and returns what was done to the file, with the number of operations after each commit.
fn history(folder: &std::path::Path, random: &mut fastrand::Rng) -> (Vec<Operation>, Vec<usize>) {
    let settings = Settings { path: folder.join("state.redb"), cache_bytes: 1 << 20 };
    let accounts = ACCOUNTS.map(str::to_owned).to_vec();
    let (state, _) = State::open(&settings, accounts, &Clock::system(), add).unwrap();
    let backend = state.store().opened.as_ref().unwrap().lock();
    let mut commits = vec![backend.operations().len()];
    for number in 1..=BATCHES {
        for account in ACCOUNTS {
            let total = number.to_be_bytes();
            let users: Vec<u16> = (0..random.usize(0..20)).map(|_| random.u16(0..500)).collect();
            let written = state.write(account, state.generation(), ExistingRows::Keep, |sink| {
                sink(Put { table: Table::Documents, key: b"total", value: Some(&total) })?;
                users.iter().try_for_each(|user| {
                    sink(Put { table: Table::Records, key: &user.to_be_bytes(), value: Some(&total) })
                })
            });
            assert!(matches!(written, Written::To(_)));
        }
        state.commit();
        commits.push(backend.operations().len());
    }
    (backend.operations(), commits)
}

/// What the disk has if the power fails before the operation `at`.
fn image(operations: &[Operation], at: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let before = &operations[..at];
    let synced =
        before.iter().rposition(|operation| matches!(operation, Operation::Sync)).map_or(0, |at| at + 1);
    let mut bytes = Vec::new();
    for (number, operation) in before.iter().enumerate() {
        match operation {
            Operation::Sync => {}
            Operation::Length(length) => bytes.resize(*length as usize, 0),
            Operation::Write(offset, data) => {
                let offset = *offset as usize;
                bytes.resize(bytes.len().max(offset + data.len()), 0);
                for (part, sector) in data.chunks(SECTOR).enumerate() {
                    let is_kept = number < synced || random.bool();
                    if is_kept {
                        let start = offset + part * SECTOR;
                        bytes[start..start + sector.len()].copy_from_slice(sector);
                    }
                }
            }
        }
    }
    bytes
}

#[test]
fn after_a_power_failure_the_file_has_each_batch_whole_or_not_and_every_committed_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let (operations, commits) = history(folder.path(), &mut random);
    let settings = Settings { path: folder.path().join("after.redb"), cache_bytes: 1 << 20 };
    let mut unfinished = 0;
    for _ in 0..FAILURES {
        let at = random.usize(commits[0]..=operations.len());
        let committed = commits.iter().rposition(|end| *end <= at).unwrap() as u32;
        std::fs::write(&settings.path, image(&operations, at, &mut random)).unwrap();
        let accounts = ACCOUNTS.map(str::to_owned).to_vec();
        let (state, saved) = State::open(&settings, accounts, &Clock::system(), add).unwrap();
        assert_eq!(state.stats().recoveries(Recovery::Damaged), 0, "before operation {at}");
        state.close();
        let total = |rows: &Found| {
            let rows = rows.iter().filter(|(table, ..)| *table == Table::Documents);
            rows.map(|(.., value)| u32::from_be_bytes(value.as_slice().try_into().unwrap()))
                .next()
                .unwrap_or(0)
        };
        let totals: Vec<u32> = saved.values().map(total).collect();
        assert!(
            totals == [committed; 2] || totals == [committed + 1; 2],
            "{totals:?} of {committed} before {at}"
        );
        let latest = saved.values().flatten().filter(|(table, ..)| *table == Table::Records);
        let latest = latest.map(|(.., value)| u32::from_be_bytes(value.as_slice().try_into().unwrap())).max();
        assert!(
            latest.is_none_or(|latest| latest <= totals[0]),
            "a row is newer than its total, before {at}"
        );
        unfinished += u32::from(totals == [committed + 1; 2]);
    }
    assert!(unfinished > 0, "some batches were on disk before their commit had ended");
}
