//! A state file of an older format is opened, and its counters continue.

use std::fs;
use std::io::Read;

use super::process::{Home, Scrape, SimulatedApi};

/// A state file of format 1: six events of the account `first` counted, and four not found because their user was removed.
const FORMAT_1: &[u8] = include_bytes!("../../fixtures/state-format-1.redb.gz");

/// When the file started to count.
const EPOCH: f64 = 1_795_884_516.0;

fn shown(home: &Home) -> String {
    let output = home.inspect(&["show"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_file_of_format_1_continues_and_then_has_the_newest() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(FORMAT_1).read_to_end(&mut bytes).expect("a gzip file");
    fs::write(home.state(), &bytes).expect("the file can be written");

    let before = shown(&home);
    assert!(before.contains("state.redb: format 1, "), "{before}");
    assert!(before.contains("6 counted, 4 not found"), "{before}");
    assert_eq!(home.bytes(), bytes, "looking at it does not change it");

    let mut exporter = home.start();
    let scrape = exporter.until("both accounts count", Scrape::counts);
    let lost = |reason: &str| {
        scrape.get(&format!("events_unattributed_total{{account=\"first\",reason=\"{reason}\"}}"))
    };
    assert_eq!((lost("removed"), lost("unreadable")), (Some(4.0), Some(0.0)), "{scrape}");
    assert!(scrape.counted("first") >= 6.0, "{scrape}");
    assert_eq!(scrape.get("counting_since_timestamp_seconds{account=\"first\"}"), Some(EPOCH), "{scrape}");
    assert_eq!(
        scrape.get("zt_risk_exporter_state_recoveries_total{result=\"restored\"}"),
        Some(1.0),
        "{scrape}"
    );
    exporter.terminate();

    let after = shown(&home);
    assert!(after.contains("state.redb: format 3, "), "{after}");
    assert!(after.contains("4 not found"), "{after}");
}
