//! What is in the files after crashes, failures and rotations.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::feed::samples;

/// A directory with the file of a feed.
struct Rig {
    folder: tempfile::TempDir,
    rotate_bytes: u64,
    keep: usize,
}

impl Rig {
    fn new(rotate_bytes: u64, keep: usize) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), rotate_bytes, keep }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("feed.jsonl")
    }

    fn sink(&self) -> FileSink {
        let (rotate_bytes, keep) = (self.rotate_bytes, self.keep);
        FileSink::lock(FileSettings { path: self.path(), rotate_bytes, keep, mode: 0o640 }).unwrap()
    }

    /// The content of all files in the order in which they were written.
    fn union(&self) -> String {
        let sink_files = self.names();
        sink_files.iter().map(|name| fs::read_to_string(self.folder.path().join(name)).unwrap()).collect()
    }

    /// The files of the feed, the present one last.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.ends_with("jsonl")).collect();
        names.sort_by_key(|name| (name == "feed.jsonl", name.clone()));
        names
    }
}

fn lines(numbers: std::ops::Range<u32>) -> Vec<Arc<str>> {
    numbers.map(|number| format!("{{\"id\":\"account:1:{number}\"}}\n").into()).collect()
}

fn text(lines: &[Arc<str>]) -> String {
    lines.iter().map(|line| &**line).collect()
}

#[test]
fn a_crash_at_any_byte_of_a_round_loses_and_doubles_nothing() {
    let all = lines(8..13);
    let before = text(&lines(1..8));
    let round = text(&all);
    for rotate_bytes in [u64::MAX, 60] {
        for cut in 0..=round.len() {
            // The records up to 9 were written by a round whose removal from the state file was not committed.
            let rig = Rig::new(rotate_bytes, 100);
            fs::write(rig.path(), format!("{before}{}", &round[..cut])).unwrap();
            let mut sink = rig.sink();
            sink.write(&all[..2], || all.clone()).unwrap();
            sink.write(&all[2..], || panic!("the file stays open")).unwrap();
            assert_eq!(rig.union(), format!("{before}{round}"), "cut at {cut}, rotated at {rotate_bytes}");
            assert_eq!(sink.odd_ends(), 0);
        }
    }
}

#[test]
fn a_crash_around_a_rotation_loses_and_doubles_nothing() {
    let all = lines(1..5);
    for (rotated, present) in [
        (text(&all), None),
        (text(&all), Some(String::new())),
        (text(&all[..2]), Some(text(&all[2..]))),
        (text(&all[..2]), Some(text(&all[2..])[..30].to_owned())),
        (String::new(), Some(String::new())),
    ] {
        for name in ["feed-0000000007.jsonl", "feed.jsonl.1", "feed.jsonl-20261129"] {
            let rig = Rig::new(u64::MAX, 100);
            fs::write(rig.folder.path().join(name), &rotated).unwrap();
            if let Some(present) = &present {
                fs::write(rig.path(), present).unwrap();
            }
            rig.sink().write(&all, || all.clone()).unwrap();
            let there = format!("{rotated}{}", fs::read_to_string(rig.path()).unwrap());
            assert_eq!(there, text(&all), "{name} with {rotated:?}, {present:?}");
        }
    }
}

#[test]
fn half_a_line_is_completed_and_an_end_that_fits_nothing_begins_a_new_file() {
    let all = lines(1..3);
    for end in [
        "{\"id\":\"account:1:9",
        "x",
        "{\"id\":\"account:1:1\"} ",
        "\u{0}\u{0}",
        "{\"id\":\"account:1:1\"}\nx",
    ] {
        let rig = Rig::new(u64::MAX, 100);
        let end = &*format!("{}{end}", lines(7..8)[0]);
        fs::write(rig.path(), end).unwrap();
        let mut sink = rig.sink();
        sink.write(&all, || all.clone()).unwrap();
        assert_eq!(sink.odd_ends(), 1, "{end:?}");
        assert_eq!(rig.names(), ["feed-0000000001.jsonl", "feed.jsonl"], "{end:?}");
        let left = fs::read_to_string(rig.folder.path().join("feed-0000000001.jsonl")).unwrap();
        assert_eq!(left, end, "it is left alone");
        let already = usize::from(end.ends_with("\nx") && end.contains(&*all[0]));
        assert_eq!(fs::read_to_string(rig.path()).unwrap(), text(&all[already..]), "{end:?}");
    }
}

#[test]
fn a_full_file_is_renamed_and_the_oldest_ones_are_removed() {
    let all = lines(1..11);
    let rig = Rig::new(2 * all[0].len() as u64 + 1, 2);
    let mut sink = rig.sink();
    for line in &all {
        sink.write(std::slice::from_ref(line), Vec::new).unwrap();
    }
    assert_eq!(rig.names(), ["feed-0000000003.jsonl", "feed-0000000004.jsonl", "feed.jsonl"]);
    assert_eq!(rig.union(), text(&all[4..]));
    assert_eq!(fs::metadata(rig.path()).unwrap().permissions().mode() & 0o777, 0o640);
    // A round that is longer than a file stays together.
    let round = lines(11..20);
    sink.write(&round, Vec::new).unwrap();
    assert_eq!(fs::read_to_string(rig.path()).unwrap(), text(&round));
}

#[test]
fn no_file_ever_becomes_shorter_and_a_file_that_another_program_renamed_is_left() {
    let all = lines(1..4);
    let rig = Rig::new(u64::MAX, 10);
    let mut sink = rig.sink();
    sink.write(&all[..1], Vec::new).unwrap();
    // `logrotate` with `create`.
    let moved = rig.folder.path().join("feed.jsonl.1");
    fs::rename(rig.path(), &moved).unwrap();
    File::create(rig.path()).unwrap();
    sink.write(&all[1..2], || panic!("nothing is doubtful")).unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), text(&all[..1]));
    assert_eq!(fs::read_to_string(rig.path()).unwrap(), text(&all[1..2]));
    // `logrotate` with `nocreate`.
    fs::remove_file(rig.path()).unwrap();
    sink.write(&all[2..], || panic!("nothing is doubtful")).unwrap();
    assert_eq!(fs::read_to_string(rig.path()).unwrap(), text(&all[2..]));
}

#[test]
fn a_second_process_is_refused_also_after_a_rotation() {
    let rig = Rig::new(1, 10);
    let mut sink = rig.sink();
    for line in lines(1..4) {
        sink.write(&[line], Vec::new).unwrap();
    }
    let settings = sink.settings.clone();
    let refused = FileSink::lock(settings.clone()).unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    drop(sink);
    assert!(FileSink::lock(settings).is_ok());
}

#[test]
fn a_directory_that_is_missing_is_an_error_that_names_the_file() {
    let rig = Rig::new(1, 1);
    let path = rig.folder.path().join("missing").join("feed.jsonl");
    let settings = FileSettings { path, rotate_bytes: 1, keep: 1, mode: 0o640 };
    let error = FileSink::lock(settings).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot write the feed to ") && error.contains("missing/feed.jsonl: "),
        "{error}"
    );
}

#[test]
fn after_a_failure_the_file_is_compared_again() {
    let all = lines(1..5);
    let rig = Rig::new(u64::MAX, 10);
    let mut sink = rig.sink();
    sink.write(&all[..1], Vec::new).unwrap();
    // A descriptor that cannot be written, like that of a full disk after a part of a line.
    let read_only = File::open(rig.path()).unwrap();
    let part = &text(&all[1..])[..10];
    File::options().append(true).open(rig.path()).unwrap().write_all(part.as_bytes()).unwrap();
    sink.opened.as_mut().unwrap().file = read_only;
    assert!(sink.write(&all[1..], Vec::new).is_err());
    sink.write(&all[1..], || all[1..].to_vec()).unwrap();
    assert_eq!(rig.union(), text(&all));
}

/// Puts something at the first path; the second one is free.
type Make = fn(&Path, &Path);

#[test]
fn a_file_that_a_feed_cannot_continue_is_refused_and_left_alone() {
    let record = |format: Format| format.beginning().to_owned() + "account:1:1";
    let rig = Rig::new(u64::MAX, 10);
    let settings = rig.sink().settings;
    for begin in ["", "{", r#"{"me"#].map(str::to_owned).into_iter().chain(Format::ALL.map(record)) {
        fs::write(rig.path(), &begin).unwrap();
        assert!(settings.problem().is_none() && FileSink::lock(settings.clone()).is_ok(), "{begin}");
    }
    for content in ["redb", "state: {}\n", "\n", " {\"id\":\"a\"}", "{\"idx\":1}", "a token"] {
        fs::write(rig.path(), content).unwrap();
        let refused = FileSink::lock(settings.clone()).unwrap_err().to_string();
        let wanted = "feed.jsonl: it has something else than records of the feed; move it away";
        assert!(refused.ends_with(wanted), "{refused}");
        assert!(settings.problem().unwrap().ends_with(wanted));
        assert_eq!(fs::read_to_string(rig.path()).unwrap(), content);
    }
    fs::remove_file(rig.path()).unwrap();
    let elsewhere = rig.folder.path().join("elsewhere");
    let make: [(&str, Make); 4] = [
        ("it is not a regular file", |path, _| fs::create_dir(path).unwrap()),
        ("it is not a regular file", |path, _| {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("it is a symbolic link; name the file itself", |path, elsewhere| {
            fs::write(elsewhere, "").unwrap();
            std::os::unix::fs::symlink(elsewhere, path).unwrap();
        }),
        ("it is a symbolic link; name the file itself", |path, _| {
            std::os::unix::fs::symlink("/dev/null", path).unwrap();
        }),
    ];
    for (wanted, make) in make {
        let mut running = rig.sink();
        make(&rig.path(), &elsewhere);
        let refused = running.write(&lines(1..2), || lines(1..2)).unwrap_err().to_string();
        assert_eq!(refused, wanted);
        drop(running);
        let refused = FileSink::lock(settings.clone()).unwrap_err().to_string();
        assert!(refused.ends_with(wanted), "{refused}");
        assert!(settings.problem().unwrap().ends_with(wanted));
        fs::remove_file(rig.path()).or_else(|_| fs::remove_dir(rig.path())).unwrap();
    }
}

#[test]
fn every_line_begins_as_its_format_says() {
    for format in Format::ALL {
        assert!(format.beginning().len() as u64 <= LONGEST_BEGINNING);
        for content in samples::contents() {
            let line = format.encode(&samples::record(1, None, content));
            let id = format!("{}{}:", format.beginning(), samples::ACCOUNT);
            assert!(line.starts_with(&id), "{line}");
        }
    }
}

#[test]
fn a_rotation_replaces_no_file_and_needs_the_list_of_files() {
    let all = lines(1..3);
    let rig = Rig::new(1, 10);
    let mut sink = rig.sink();
    sink.write(&all[..1], Vec::new).unwrap();
    let first = rig.folder.path().join("feed-0000000001.jsonl");
    fs::write(&first, "another").unwrap();
    assert_eq!(sink.rename_to(1).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&first).unwrap(), "another");
    sink.write(&all[1..], Vec::new).unwrap();
    assert_eq!(rig.names(), ["feed-0000000001.jsonl", "feed-0000000002.jsonl", "feed.jsonl"]);
    // The directory cannot be listed.
    let sink = FileSink {
        settings: FileSettings { path: first.join("feed.jsonl"), ..sink.settings.clone() },
        ..sink
    };
    assert!(sink.rotated().is_err() && sink.earlier_files().is_err());
}
