//! The page: what each snapshot puts on it, in both formats, word for word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::cloudflare::Outcome;
use zt_risk_exporter::cloudflare::limit::Budget;
use zt_risk_exporter::internals::metrics::encode::{Format, Kind};
use zt_risk_exporter::internals::metrics::exposition::{self as page, Compressor, Exposition};
use zt_risk_exporter::internals::metrics::families;
use zt_risk_exporter::internals::metrics::families::exporter as own_families;
use zt_risk_exporter::internals::metrics::telemetry::Telemetry;
use zt_risk_exporter::internals::server::publisher::{self, Outputs};
use zt_risk_exporter::model::{Resource, Snapshot};

use crate::accounts;

fn shared(snapshots: impl IntoIterator<Item = Snapshot>) -> Vec<Arc<Snapshot>> {
    snapshots.into_iter().map(Arc::new).collect()
}

/// Compares with a file under `tests/golden`; `UPDATE_GOLDEN=1 cargo test` writes it instead, to be read
/// line by line before it is committed.
fn assert_golden(name: &str, page: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (is, wanted)) in page.lines().zip(golden.lines()).enumerate() {
        assert_eq!(is, wanted, "line {} of {name}; UPDATE_GOLDEN=1 writes it anew", number + 1);
    }
    assert_eq!(page.lines().count(), golden.lines().count(), "lines of {name}");
}

/// Names and kinds in the order of the page's `TYPE` lines.
fn types(page: &str) -> Vec<(&str, &str)> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

#[test]
fn the_page_is_the_golden_page() {
    let snapshots = shared([accounts::full(), accounts::unread()]);
    for (format, name) in [(Format::Text, "page.prom"), (Format::OpenMetrics, "page.om")] {
        assert_golden(name, &page::encode(format, &snapshots));
    }
}

#[test]
fn the_golden_account_has_every_family_that_is_declared_and_no_other() {
    let text = page::encode(Format::Text, &shared([accounts::full()]));
    let declared: Vec<_> =
        families::cloudflare::ALL.iter().map(|family| (family.name, family.kind.as_str())).collect();
    assert_eq!(types(&text), declared);
}

#[test]
fn names_are_declared_once_and_say_what_they_are() {
    let all = || families::cloudflare::ALL.iter().chain(&own_families::ALL);
    let names: BTreeSet<_> = all().map(|family| family.name).collect();
    assert_eq!(names.len(), all().count(), "a name is declared twice");
    for family in all() {
        let name = family.name;
        assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
        assert!(family.help.ends_with('.'), "{name}: {}", family.help);
        assert!(
            ["cloudflare_zt_risk_", "zt_risk_exporter_", "process_"]
                .iter()
                .any(|prefix| name.starts_with(prefix)),
            "{name}"
        );
    }
}

#[test]
fn each_family_appears_once_however_many_accounts_there_are() {
    let mut other = accounts::full();
    other.account.alias = "other".to_owned();
    let text = page::encode(Format::Text, &shared([accounts::full(), accounts::unread(), other]));
    assert_eq!(types(&text).len(), families::cloudflare::ALL.len());
    let mut seen = BTreeSet::new();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    for series in samples.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series) {
        assert!(seen.insert(series), "{series} twice");
    }
}

#[test]
fn before_anything_was_read_an_account_is_known_by_name_only() {
    let text = page::encode(Format::Text, &shared([accounts::unread()]));
    let names: Vec<_> = types(&text).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["cloudflare_zt_risk_account_info", "zt_risk_exporter_rejected_rows_total"]);
}

#[test]
fn a_failed_first_attempt_is_down_and_shows_no_users() {
    let mut failed = accounts::unread();
    failed.up = Some(false);
    let text = page::encode(Format::Text, &shared([failed]));
    assert!(text.contains("cloudflare_zt_risk_up{account=\"branch\"} 0\n"), "{text}");
    assert!(!text.contains("cloudflare_zt_risk_users"), "{text}");
}

#[test]
fn counters_begin_at_zero_for_every_level_and_every_move() {
    let mut fresh = accounts::unread();
    fresh.totals.started = true;
    fresh.totals.events = BTreeMap::from([("imp_travel".to_owned(), [0; 4])]);
    fresh.totals.behavior_users = BTreeMap::from([("imp_travel".to_owned(), 0)]);
    let text = page::encode(Format::Text, &shared([fresh]));
    for (prefix, samples) in [
        ("cloudflare_zt_risk_events_total{account=\"branch\",behavior=\"imp_travel\",", 4),
        ("cloudflare_zt_risk_behavior_users_total{account=\"branch\",behavior=\"imp_travel\"}", 1),
        ("cloudflare_zt_risk_level_changes_total{account=\"branch\",", 12),
        ("cloudflare_zt_risk_resets_total{account=\"branch\"}", 1),
        ("cloudflare_zt_risk_time_to_reset_seconds_count{account=\"branch\",", 4),
        ("cloudflare_zt_risk_event_observation_delay_seconds_count{account=\"branch\"}", 1),
    ] {
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with(prefix)).collect();
        assert_eq!(lines.len(), samples, "{prefix}");
        assert!(lines.iter().all(|line| line.ends_with(" 0")), "{lines:?}");
    }
}

#[test]
fn the_exporters_own_families_are_those_declared() {
    let clock = Clock::system();
    let telemetry = Telemetry::new(clock.clone());
    telemetry.account("acme", Budget::new(0.25, clock));
    telemetry.poll_interval("acme", Resource::Summary, Duration::from_secs(30));
    telemetry.token_expiry("acme", Some(Timestamp::from_seconds(1_800_000_000)));
    let text = telemetry.render(Format::Text);
    let is: BTreeSet<_> = types(&text).into_iter().collect();
    let declared: BTreeSet<_> = own_families::ALL
        .iter()
        .map(|family| (family.name, family.kind.as_str()))
        // There is no block, and there may be no limit of files.
        .filter(|(name, _)| *name != "zt_risk_exporter_blocked_until_timestamp_seconds")
        .collect();
    let optional = ("process_max_fds", "gauge");
    assert_eq!(is.difference(&declared).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new(), "not declared");
    assert_eq!(
        declared.difference(&is).filter(|family| **family != optional).collect::<Vec<_>>(),
        Vec::<&(&str, &str)>::new(),
        "not there"
    );
}

#[test]
fn the_exporters_own_counters_are_there_before_anything_happened_and_count_it_then() {
    let clock = Clock::system();
    let telemetry = Telemetry::new(clock.clone());
    telemetry.account("acme", Budget::new(0.25, clock));
    let series = |endpoint: &str, outcome: &str| {
        format!(
            "zt_risk_exporter_requests_total{{account=\"acme\",endpoint=\"{endpoint}\",outcome=\"{outcome}\"}} "
        )
    };
    let before = telemetry.render(Format::OpenMetrics);
    for outcome in Outcome::ALL {
        let line = series("summary", outcome.as_str()) + "0\n";
        assert!(before.contains(&line), "{line} in\n{before}");
    }
    for line in [
        "state_durable 0\n",
        "state_size_bytes 0\n",
        "state_commits_total{result=\"failed\"} 0\n",
        "state_commits_total{result=\"ok\"} 0\n",
        "state_recoveries_total{result=\"damaged\"} 0\n",
        "state_recoveries_total{result=\"fresh\"} 0\n",
        "state_recoveries_total{result=\"restored\"} 0\n",
        "config_last_reload_successful 1\n",
    ] {
        assert!(before.contains(&format!("\nzt_risk_exporter_{line}")), "{line} in\n{before}");
    }
    telemetry.request("acme", Resource::Summary, Outcome::Limited, Duration::from_secs(2));
    telemetry.token_expiry("acme", Some(Timestamp::from_seconds(1_800_000_000)));
    telemetry.scraped(Format::Text);
    let after = telemetry.render(Format::OpenMetrics);
    for line in [
        series("summary", "limited") + "1\n",
        "zt_risk_exporter_request_duration_seconds_bucket{endpoint=\"summary\",le=\"1.0\"} 0\n".to_owned(),
        "zt_risk_exporter_request_duration_seconds_bucket{endpoint=\"summary\",le=\"2.0\"} 1\n".to_owned(),
        "zt_risk_exporter_token_expiry_timestamp_seconds{account=\"acme\"} 1800000000\n".to_owned(),
        "zt_risk_exporter_budget_limit_requests{account=\"acme\"} 300\n".to_owned(),
        "zt_risk_exporter_scrapes_total{format=\"text\"} 1\n".to_owned(),
    ] {
        assert!(after.contains(&line), "{line} in\n{after}");
    }
    assert!(after.ends_with("# EOF\n"), "{after}");
    telemetry.token_expiry("acme", None);
    let gone = telemetry.render(Format::Text);
    assert!(!gone.contains("token_expiry"), "{gone}");
}

#[tokio::test]
async fn a_block_is_on_the_page_until_it_ends() {
    let clock = Clock::scaled(Timestamp::from_seconds(1_000), 1.0);
    let telemetry = Telemetry::new(clock.clone());
    let budget = Budget::new(0.25, clock);
    telemetry.account("acme", budget.clone());
    let permit = budget.take(Duration::ZERO).await.unwrap();
    permit.limited(Duration::from_secs(300));
    let text = telemetry.render(Format::Text);
    let prefix = "zt_risk_exporter_blocked_until_timestamp_seconds{account=\"acme\"} ";
    let until = text.lines().find_map(|line| line.strip_prefix(prefix)).unwrap();
    let until: f64 = until.parse().unwrap();
    assert!((1_300.0..1_310.0).contains(&until) && until.fract() == 0.0, "{until}");
}

#[tokio::test]
async fn there_is_a_second_between_two_pages_however_often_accounts_change() {
    let clock = Clock::scaled(Timestamp::from_seconds(0), 10.0);
    let telemetry = Telemetry::new(clock.clone());
    let (account, snapshots) = watch::channel(Arc::new(accounts::unread()));
    let mut compressor = Compressor::new();
    let (sender, mut pages) = watch::channel(Arc::new(Exposition::build(&[], &mut compressor)));
    let outputs = Outputs { compressor, page: sender, status: None };
    let began = clock.now();
    let running = tokio::spawn(publisher::run(vec![snapshots], outputs, telemetry, clock.clone()));
    pages.changed().await.unwrap();
    for page in 1..=4 {
        account.send_replace(Arc::new(accounts::full()));
        pages.changed().await.unwrap();
        let since = clock.now().since(began);
        assert!(since >= Duration::from_secs(page), "page {page} after {since:?}");
    }
    drop(account);
    running.await.unwrap();
}

#[tokio::test]
async fn a_change_becomes_a_page_and_the_end_of_an_account_ends_the_publisher() {
    let clock = Clock::scaled(Timestamp::from_seconds(0), 1_000.0);
    let telemetry = Telemetry::new(clock.clone());
    let (account, snapshots) = watch::channel(Arc::new(accounts::unread()));
    let mut compressor = Compressor::new();
    let (sender, mut pages) = watch::channel(Arc::new(Exposition::build(&[], &mut compressor)));
    let outputs = Outputs { compressor, page: sender, status: None };
    let publisher = publisher::run(vec![snapshots], outputs, telemetry.clone(), clock);
    let running = tokio::spawn(publisher);
    let has_users = |page: &Arc<Exposition>| {
        let text = String::from_utf8(page.part(Format::Text).plain.to_vec()).unwrap();
        text.contains("cloudflare_zt_risk_users{")
    };
    pages.changed().await.unwrap();
    assert!(!has_users(&pages.borrow_and_update()));
    account.send_replace(Arc::new(accounts::full()));
    pages.changed().await.unwrap();
    assert!(has_users(&pages.borrow_and_update()));
    let size = pages.borrow().part(Format::Text).plain.len();
    let line = format!("zt_risk_exporter_page_size_bytes {size}\n");
    assert!(telemetry.render(Format::Text).contains(&line), "{line}");
    drop(account);
    running.await.unwrap();
}
