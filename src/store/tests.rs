//! Rows that are written outside of the commits.

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
