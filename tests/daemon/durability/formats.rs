//! A state file of an older format is opened, and its counters continue.

use std::fs;
use std::io::Read;

use super::process::{Home, Scrape, SimulatedApi};

/// A state file of an older format, of the account `first`.
struct OldFile {
    format: u32,
    gzip: &'static [u8],
    /// Events that were counted, and those that were not found because their user was removed.
    counted: u32,
    removed: u32,
    /// When the file started to count.
    epoch: f64,
}

const FILES: [OldFile; 4] = [
    OldFile {
        format: 1,
        gzip: include_bytes!("../../fixtures/state-format-1.redb.gz"),
        counted: 6,
        removed: 4,
        epoch: 1_795_884_516.0,
    },
    OldFile {
        format: 2,
        gzip: include_bytes!("../../fixtures/state-format-2.redb.gz"),
        counted: 6,
        removed: 0,
        epoch: 1_795_910_888.0,
    },
    OldFile {
        format: 3,
        gzip: include_bytes!("../../fixtures/state-format-3.redb.gz"),
        counted: 6,
        removed: 0,
        epoch: 1_795_951_055.0,
    },
    OldFile {
        format: 4,
        gzip: include_bytes!("../../fixtures/state-format-4.redb.gz"),
        counted: 6,
        removed: 0,
        epoch: 1_795_959_936.0,
    },
];

fn shown(home: &Home) -> String {
    let output = home.inspect(&["show"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_file_of_an_older_format_continues_and_then_has_the_present_format() {
    for OldFile { format, gzip, counted, removed, epoch } in FILES {
        let api = SimulatedApi::start();
        let home = Home::new(&api, 1.0);
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(gzip).read_to_end(&mut bytes).expect("a gzip file");
        fs::write(home.state(), &bytes).expect("the file can be written");

        let before = shown(&home);
        assert!(before.contains(&format!("state.redb: format {format}, ")), "{before}");
        assert!(before.contains(&format!("{counted} counted, {removed} not found")), "{before}");
        assert_eq!(home.bytes(), bytes, "looking at it does not change it");

        let mut exporter = home.start();
        let scrape = exporter.until("both accounts count", Scrape::counts);
        let lost = |reason: &str| {
            scrape.get(&format!("events_unattributed_total{{account=\"first\",reason=\"{reason}\"}}"))
        };
        assert_eq!((lost("removed"), lost("unreadable")), (Some(removed.into()), Some(0.0)), "{scrape}");
        assert!(scrape.counted("first") >= counted.into(), "{scrape}");
        let since = scrape.get("counting_since_timestamp_seconds{account=\"first\"}");
        assert_eq!(since, Some(epoch), "{scrape}");
        let restored = scrape.get("zt_risk_exporter_state_recoveries_total{result=\"restored\"}");
        assert_eq!(restored, Some(1.0), "{scrape}");
        exporter.terminate();

        let after = shown(&home);
        assert!(after.contains("state.redb: format 5, "), "{after}");
        assert!(after.contains(&format!("{removed} not found")), "{after}");
    }
}
