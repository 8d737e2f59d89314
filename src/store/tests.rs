//! Batches, and rows that are written outside of them.

mod power_failure;

use super::*;

/// The rows of an account in a file that is opened for it.
type Found = Vec<(Table, Vec<u8>, Vec<u8>)>;

fn add(rows: &mut Found, table: Table, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
    rows.push((table, key.to_vec(), value.to_vec()));
    Ok(())
}

#[test]
fn a_row_of_an_account_that_left_is_written_only_to_a_file_that_knows_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { path: folder.path().join("state.redb"), cache_bytes: 1 << 20 };
    let accounts = ["here", "left"].map(str::to_owned).to_vec();
    let (state, _) = State::open(&settings, accounts, &Clock::system(), add).unwrap();
    state.leave("left");
    state.put("left", Table::Documents, b"key", b"value".to_vec());
    let rows = |account: &str| state.read(account, add).unwrap().0;
    assert_eq!(rows("left"), [(Table::Documents, b"key".to_vec(), b"value".to_vec())]);
    std::fs::remove_file(&settings.path).unwrap();
    state.put("here", Table::Documents, b"key", b"again".to_vec());
    state.put("left", Table::Documents, b"key", b"other".to_vec());
    assert_eq!((rows("left"), rows("here").len()), (Vec::new(), 1));
    assert_eq!(state.stats().failures(), 0, "nothing failed");
}

/// The rows of both accounts, if the process ended now.
fn on_disk(settings: &Settings, folder: &std::path::Path) -> [Found; 2] {
    let path = folder.join("copy.redb");
    std::fs::copy(&settings.path, &path).unwrap();
    let settings = Settings { path, ..settings.clone() };
    let accounts = ["a", "b"].map(str::to_owned).to_vec();
    let (state, mut saved) = State::open(&settings, accounts, &Clock::system(), add).unwrap();
    state.close();
    ["a", "b"].map(|id| saved.remove(id).unwrap_or_default())
}

fn write(state: &State, account: &str, value: &[u8]) -> Written {
    let put = Put { table: Table::Users, key: b"key", value: Some(value) };
    state.write(account, state.generation(), ExistingRows::Keep, |sink| sink(put))
}

fn row(table: Table, value: &[u8]) -> Found {
    vec![(table, b"key".to_vec(), value.to_vec())]
}

#[test]
fn the_rows_of_all_accounts_are_committed_together_and_later_rows_do_not_delay_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { path: folder.path().join("state.redb"), cache_bytes: 1 << 20 };
    let accounts = ["a", "b"].map(str::to_owned).to_vec();
    let (state, _) = State::open(&settings, accounts, &Clock::system(), add).unwrap();
    let committed = state.committed();
    let due = || state.inner.deadline.due();
    assert_eq!(due(), None);
    let Written::To(first) = write(&state, "a", b"1") else { panic!("it is open") };
    let first_due = due().expect("the batch has a row");
    assert_eq!(write(&state, "b", b"2"), Written::To(first));
    assert_eq!(write(&state, "a", b"3"), Written::To(first));
    assert_eq!(due(), Some(first_due));
    assert_eq!(on_disk(&settings, folder.path()), [Found::new(), Found::new()]);
    assert!(!first.is_in(*committed.borrow()));
    state.commit();
    assert!(first.is_in(*committed.borrow()) && due().is_none());
    let both = [row(Table::Users, b"3"), row(Table::Users, b"2")];
    assert_eq!(on_disk(&settings, folder.path()), both);
    // The next row begins another batch, which a row that must be on disk at once commits too.
    let Written::To(second) = write(&state, "b", b"4") else { panic!("it is open") };
    assert!(second != first && !second.is_in(*committed.borrow()));
    state.put("a", Table::Documents, b"key", b"5".to_vec());
    assert!(second.is_in(*committed.borrow()));
    assert_eq!(on_disk(&settings, folder.path())[1], row(Table::Users, b"4"));
    assert_eq!(state.stats().commits(), 2);
}

#[test]
fn a_batch_is_lost_with_its_file_and_never_counts_as_committed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { path: folder.path().join("state.redb"), cache_bytes: 1 << 20 };
    let accounts = ["a", "b"].map(str::to_owned).to_vec();
    let (state, _) = State::open(&settings, accounts, &Clock::system(), add).unwrap();
    let committed = state.committed();
    let generation = state.generation();
    let Written::To(lost) = write(&state, "a", b"1") else { panic!("it is open") };
    std::fs::remove_file(&settings.path).unwrap();
    state.commit();
    assert!(!lost.is_in(*committed.borrow()));
    assert!(state.usable().is_some_and(|now| now != generation));
    let put = Put { table: Table::Users, key: b"key", value: Some(b"2") };
    let late = state.write("a", generation, ExistingRows::Keep, |sink| sink(put));
    assert_eq!(late, Written::OtherFile);
    let Written::To(next) = write(&state, "a", b"3") else { panic!("it is open") };
    state.commit();
    assert!(next.is_in(*committed.borrow()) && !lost.is_in(*committed.borrow()));
    assert_eq!(on_disk(&settings, folder.path()), [row(Table::Users, b"3"), Found::new()]);
}
