//! The name of a new file.

use super::*;

#[test]
fn a_new_file_gets_its_name_with_its_first_commit() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { path: directory.path().join("state.redb"), cache_bytes: 1 << 20 };
    let names = || {
        let entries = directory.path().read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let (first, _) = open(&settings).unwrap();
    assert_eq!(names(), ["state.redb.new"]);
    assert!(matches!(open(&settings), Err(Problem::Refused(Error::InUse { .. }))));
    close(Some(first));
    // What an interrupted start left is no reason to refuse or to rename anything.
    fs::write(unfinished_name(&settings.path), [7; 10_000]).unwrap();
    let (mut second, origin) = open(&settings).unwrap();
    assert_eq!(origin, Origin::Created);
    second.accept(&["a".to_owned()]).unwrap();
    assert_eq!(names(), ["state.redb"]);
    close(Some(second));
    let (third, origin) = open(&settings).unwrap();
    assert_eq!((origin, third.accounts().collect::<Vec<_>>()), (Origin::Existing, vec!["a"]));
    close(Some(third));
}
