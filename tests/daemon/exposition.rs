//! The text of `/metrics`: what it says for each snapshot, in both formats, compared with golden files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::cloudflare::Outcome;
use zt_risk_exporter::cloudflare::limit::Budget;
use zt_risk_exporter::internals::metrics::encode::Format;
use zt_risk_exporter::internals::metrics::exposition::{Compressor, Deflated, Encoder, Form, Part, encode};
use zt_risk_exporter::internals::metrics::families;
use zt_risk_exporter::internals::metrics::families::exporter as own_families;
use zt_risk_exporter::internals::metrics::family::Kind;
use zt_risk_exporter::internals::metrics::telemetry::{BaselineState, Telemetry};
use zt_risk_exporter::model::{AccountName, BehaviorStatus, Identity, Integration, Resource, Snapshot};

use crate::accounts;
use crate::server::gunzip;

fn shared(snapshots: impl IntoIterator<Item = Snapshot>) -> Vec<Arc<Snapshot>> {
    snapshots.into_iter().map(Arc::new).collect()
}

/// The account of the tests of telemetry. Its id is its alias.
fn acme() -> AccountName {
    AccountName { alias: "acme".to_owned(), id: "acme".to_owned() }
}

/// Compares with a file in `tests/golden`. `UPDATE_GOLDEN=1 cargo test` writes the file; read each changed line before
/// you commit it.
fn assert_golden(name: &str, exposition: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, exposition).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (is, wanted)) in exposition.lines().zip(golden.lines()).enumerate() {
        assert_eq!(is, wanted, "line {} of {name}; UPDATE_GOLDEN=1 writes the file", number + 1);
    }
    assert_eq!(exposition.lines().count(), golden.lines().count(), "lines of {name}");
}

/// The text of a gzip member that consists of `beginning` and nothing more.
fn inflated(beginning: &Deflated) -> String {
    let end = Compressor::new().finish(beginning, b"");
    gunzip(&[&beginning.bytes, end.as_slice()].concat())
}

#[test]
fn a_form_is_the_same_whatever_was_encoded_before_or_is_encoded_with_it() {
    let small = shared([accounts::unread()]);
    // Some 700 kB, which is encoded in many pieces.
    let large = accounts::many(20, 75);
    let subsets = (0..1 << Form::ALL.len()).map(|subset: u32| {
        let forms = Form::ALL.into_iter().enumerate().filter(move |(index, _)| subset & 1 << index != 0);
        forms.map(|(_, form)| form).collect::<BTreeSet<_>>()
    });
    let mut encoder = Encoder::new();
    for forms in subsets {
        for snapshots in [&large, &small] {
            let mut exposition = encoder.encode(snapshots, &forms);
            let encoded = |form: &Form| encode(form.format, snapshots).len();
            assert_eq!(exposition.size(), forms.iter().map(encoded).max().unwrap_or_default(), "{forms:?}");
            assert_eq!(exposition.forms(), forms);
            for missing in [&BTreeSet::new(), &Form::ALL.into()] {
                exposition = encoder.add(&exposition, snapshots, missing);
                assert_eq!(exposition.forms(), &forms | missing);
                for form in exposition.forms() {
                    let text = match exposition.part(form).unwrap() {
                        Part::Plain(text) => String::from_utf8(text.to_vec()).unwrap(),
                        Part::Deflated(beginning) => inflated(beginning),
                    };
                    assert!(text == encode(form.format, snapshots), "{form:?} of {forms:?} and {missing:?}");
                }
            }
        }
    }
}

/// Names and types in the order of the `TYPE` lines.
fn types(exposition: &str) -> Vec<(&str, &str)> {
    exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

#[test]
fn the_exposition_is_the_golden_one() {
    let snapshots = shared([accounts::full(), accounts::unread()]);
    for (format, name) in [(Format::Text, "exposition.prom"), (Format::OpenMetrics, "exposition.om")] {
        assert_golden(name, &encode(format, &snapshots));
    }
}

#[test]
fn the_golden_account_has_every_declared_family_and_no_other() {
    let text = encode(Format::Text, &shared([accounts::full()]));
    let declared: Vec<_> =
        families::cloudflare::ALL.iter().map(|family| (family.name, family.kind.as_str())).collect();
    assert_eq!(types(&text), declared);
}

#[test]
fn names_are_unique_and_match_their_types() {
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

/// The target labels that Prometheus, its operator, VictoriaMetrics' operator, Grafana Alloy and Google's managed service
/// set, and the labels that formats reserve. If a metric had one of them, the scraper would rename or overwrite it, and
/// every rule with it would be silent.
const TARGET_LABELS: [&str; 34] = [
    "app",
    "cluster",
    "component",
    "container",
    "container_id",
    "endpoint",
    "environment",
    "host",
    "ingress",
    "instance",
    "job",
    "k8s_cluster_name",
    "location",
    "metrics_path",
    "monitor",
    "namespace",
    "node",
    "nodename",
    "pod",
    "pod_name",
    "pod_uid",
    "project_id",
    "prometheus",
    "prometheus_replica",
    "quantile",
    "replica",
    "scheme",
    "scrape_job",
    "service",
    "service_name",
    "shard",
    "source",
    "target",
    "tenant",
];

/// The names of the labels in a text of `/metrics`, `le` included.
fn label_names(exposition: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for line in exposition.lines().filter(|line| !line.starts_with('#')) {
        let mut rest = line.split_once('{').map_or("", |(_, labels)| labels);
        while let Some((name, quoted)) = rest.split_once("=\"") {
            names.insert(name.trim_start_matches(','));
            let mut escaped = false;
            let end = quoted.find(|character| {
                let ends = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                ends
            });
            rest = quoted.get(end.expect("a label value ends") + 1..).unwrap_or_default();
        }
    }
    names
}

#[test]
fn no_label_has_the_name_of_a_target_label() {
    let telemetry = Telemetry::new(Clock::system());
    telemetry.accounts([(acme(), Budget::new(0.25, Clock::system()))]);
    telemetry.poll_interval("acme", Resource::Summary, Duration::from_secs(30));
    telemetry.discoveries(["token".to_owned()]);
    let text = encode(Format::Text, &shared([accounts::full()])) + &telemetry.render(Format::Text);
    let found = label_names(&text);
    let declared = || families::cloudflare::ALL.iter().chain(&own_families::ALL);
    // There is no feed, so its metrics have no samples.
    let shown = declared().filter(|family| !family.name.starts_with("zt_risk_exporter_feed_"));
    let shown: BTreeSet<_> = shown.flat_map(|family| family.labels.iter().copied()).chain(["le"]).collect();
    assert_eq!(found, shown, "labels on /metrics, and those declared");
    let all = declared().flat_map(|family| family.labels.iter().copied());
    let reserved =
        |name: &&str| TARGET_LABELS.contains(name) || name.starts_with("__") || name.starts_with("exported_");
    assert_eq!(all.filter(reserved).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn each_family_appears_once_however_many_accounts_there_are() {
    let mut other = accounts::full();
    other.account.alias = "other".to_owned();
    let text = encode(Format::Text, &shared([accounts::full(), accounts::unread(), other]));
    assert_eq!(types(&text).len(), families::cloudflare::ALL.len());
    let mut seen = BTreeSet::new();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    for series in samples.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series) {
        assert!(seen.insert(series), "{series} occurs twice");
    }
}

#[test]
fn a_behavior_that_never_said_whether_it_is_enabled_has_no_sample_of_that() {
    let mut account = accounts::full();
    let behavior = &mut account.behaviors.as_mut().unwrap()[0];
    behavior.enabled = None;
    let (label, start) = (behavior.label.clone(), "cloudflare_zt_risk_behavior_");
    let text = encode(Format::ALL[0], &shared([account]));
    let has = |name: &str| {
        text.lines().any(|line| {
            line.starts_with(&format!("{start}{name}{{")) && line.contains(&format!("behavior=\"{label}\""))
        })
    };
    assert_eq!((has("enabled"), has("risk_level"), has("info")), (false, true, true));
}

#[test]
fn a_row_that_is_listed_twice_makes_one_series() {
    let once = accounts::full();
    let mut twice = accounts::full();
    let users = twice.users.as_mut().unwrap();
    let mut again = users.series[0].clone();
    again.reported_events = again.reported_events.map(|count| count + 1);
    users.series.push(again);
    for behavior in twice.behaviors.clone().unwrap() {
        twice.behaviors.as_mut().unwrap().push(BehaviorStatus {
            enabled: behavior.enabled.map(|_| false),
            name: "another".to_owned(),
            ..behavior
        });
    }
    for integration in twice.integrations.clone().unwrap() {
        let active = !integration.active;
        let kind = "Other".to_owned();
        twice.integrations.as_mut().unwrap().push(Integration { active, kind, ..integration });
    }
    for format in Format::ALL {
        let wanted = encode(format, &shared([once.clone()]));
        assert_eq!(encode(format, &shared([twice.clone()])), wanted);
        assert_eq!(encode(format, &shared([once.clone(), twice.clone()])), wanted, "an alias used twice");
    }
}

#[test]
fn of_behaviors_with_one_label_the_enabled_one_is_shown() {
    let disabled = BehaviorStatus {
        label: "a\u{2028}".to_owned(),
        name: "first".to_owned(),
        enabled: Some(false),
        ..accounts::full().behaviors.unwrap().remove(0)
    };
    let enabled = BehaviorStatus {
        label: "a\u{2029}".to_owned(),
        name: "second".to_owned(),
        enabled: Some(true),
        ..disabled
    };
    for behaviors in [[disabled.clone(), enabled.clone()], [enabled, disabled]] {
        let account = Snapshot { behaviors: Some(behaviors.to_vec()), ..accounts::full() };
        let text = encode(Format::Text, &shared([account]));
        let samples: Vec<_> = text.lines().filter(|line| line.contains("behavior=\"a�\"")).collect();
        let has =
            |part: &str, end: &str| samples.iter().any(|line| line.contains(part) && line.ends_with(end));
        assert!(has("behavior_enabled{", " 1") && has("name=\"second\"", " 1"), "{samples:#?}");
    }
}

#[test]
fn texts_from_outside_contain_no_line_end_and_have_a_bounded_length() {
    let hostile = |number: u32| {
        let text = "Some\u{2028}Body\u{85}\u{b}\u{202e}\r\n# EOF\n";
        format!("{text}{}{number}", "x".repeat(3_000))
    };
    let mut snapshot = accounts::full();
    let user = &mut snapshot.users.as_mut().unwrap().series[0];
    user.identity = Some(Identity { email: hostile(1), name: hostile(2) });
    let behaviors = snapshot.behaviors.as_mut().unwrap();
    let kept = behaviors[0].clone();
    for number in 3..6 {
        // All three have the same label, once they are cut.
        let (label, name) = (hostile(number), hostile(number));
        behaviors.push(BehaviorStatus { label: label.clone(), name, ..kept.clone() });
        snapshot.totals.events.insert(label.clone(), [1, 0, 0, 10]);
        snapshot.totals.behavior_users.insert(label, 1);
    }
    let integration = &mut snapshot.integrations.as_mut().unwrap()[0];
    (integration.kind, integration.reference_id, integration.tenant_url) =
        (hostile(6), hostile(7), hostile(8));

    let plain = encode(Format::Text, &shared([accounts::full()]));
    let text = encode(Format::Text, &shared([snapshot]));
    let control = |character: &char| character.is_control() && *character != '\n';
    assert_eq!(text.chars().find(control), None);
    for separator in ['\u{2028}', '\u{2029}', '\u{202e}'] {
        assert!(!text.contains(separator), "{separator:?}");
    }
    assert!(text.lines().all(|line| line.len() < 700), "a line is too long");
    // Of the three behaviors one is left in each family: three gauges, four counters by level, and one of users.
    assert_eq!(text.lines().count(), plain.lines().count() + 3 + 4 + 1);
    let sums =
        |count| text.lines().filter(|line| line.contains("Some�Body") && line.ends_with(count)).count();
    assert_eq!((sums(" 30"), sums(" 3")), (1, 2), "behaviors with the same label are added up");
}

#[test]
fn before_the_first_reading_an_account_has_only_its_name() {
    let text = encode(Format::Text, &shared([accounts::unread()]));
    let names: Vec<_> = types(&text).into_iter().map(|(name, _)| name).collect();
    let wanted = [
        "cloudflare_zt_risk_account_info",
        "zt_risk_exporter_rejected_rows_total",
        "zt_risk_exporter_unexpected_fields_total",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn after_a_failed_first_attempt_up_is_0_and_there_are_no_users() {
    let mut failed = accounts::unread();
    failed.up = Some(false);
    let text = encode(Format::Text, &shared([failed]));
    assert!(text.contains("cloudflare_zt_risk_up{account=\"branch\"} 0\n"), "{text}");
    assert!(!text.contains("cloudflare_zt_risk_users"), "{text}");
}

#[test]
fn counters_begin_at_0_for_every_level_and_every_change() {
    let mut fresh = accounts::unread();
    fresh.totals.started = true;
    fresh.totals.events = BTreeMap::from([("imp_travel".to_owned(), [0; 4])]);
    fresh.totals.behavior_users = BTreeMap::from([("imp_travel".to_owned(), 0)]);
    let text = encode(Format::Text, &shared([fresh]));
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
fn the_families_about_the_exporter_are_those_declared() {
    let clock = Clock::system();
    let telemetry = Telemetry::new(clock.clone());
    telemetry.accounts([(acme(), Budget::new(0.25, clock))]);
    telemetry.poll_interval("acme", Resource::Summary, Duration::from_secs(30));
    telemetry.token_expiry("acme", Some(Timestamp::from_seconds(1_800_000_000)));
    telemetry.web_certificate(Timestamp::from_seconds(1_800_000_000));
    telemetry.config_loaded(Timestamp::from_seconds(1_790_000_000));
    telemetry.baseline("acme", BaselineState::Readable, Timestamp::from_seconds(1_790_000_000));
    telemetry.discoveries(["token".to_owned()]);
    let text = telemetry.render(Format::Text);
    let is: BTreeSet<_> = types(&text).into_iter().collect();
    let declared: BTreeSet<_> = own_families::ALL
        .iter()
        .map(|family| (family.name, family.kind.as_str()))
        // There is no block, no directory of tokens and no list of accounts, and the number of open files may be unlimited.
        .filter(|(name, _)| {
            let absent = [
                "zt_risk_exporter_blocked_until_timestamp_seconds",
                "zt_risk_exporter_token_files",
                "zt_risk_exporter_discovery_last_success_timestamp_seconds",
            ];
            !absent.contains(name)
        })
        // There is no block, and the number of open files may be unlimited.
        .filter(|(name, _)| *name != "zt_risk_exporter_blocked_until_timestamp_seconds")
        // There is no feed. `the_metrics_of_a_feed_are_those_declared` compares these.
        .filter(|(name, _)| !name.starts_with("zt_risk_exporter_feed_"))
        .collect();
    let optional = ("process_max_fds", "gauge");
    assert_eq!(is.difference(&declared).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new(), "not declared");
    assert_eq!(
        declared.difference(&is).filter(|family| **family != optional).collect::<Vec<_>>(),
        Vec::<&(&str, &str)>::new(),
        "missing"
    );
}

#[test]
fn the_counters_about_the_exporter_exist_before_anything_happened() {
    let clock = Clock::system();
    let telemetry = Telemetry::new(clock.clone());
    telemetry.accounts([(acme(), Budget::new(0.25, clock))]);
    let series = |resource: &str, outcome: &str| {
        format!(
            "zt_risk_exporter_requests_total{{account=\"acme\",resource=\"{resource}\",outcome=\"{outcome}\"}} "
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
        "zt_risk_exporter_request_duration_seconds_bucket{resource=\"summary\",le=\"1.0\"} 0\n".to_owned(),
        "zt_risk_exporter_request_duration_seconds_bucket{resource=\"summary\",le=\"2.0\"} 1\n".to_owned(),
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
async fn a_block_is_shown_with_its_end() {
    let clock = Clock::scaled(Timestamp::from_seconds(1_000), 1.0);
    let telemetry = Telemetry::new(clock.clone());
    let budget = Budget::new(0.25, clock);
    telemetry.accounts([(acme(), budget.clone())]);
    let permit = budget.acquire(Duration::ZERO).await.unwrap();
    permit.limited(Duration::from_secs(300));
    let text = telemetry.render(Format::Text);
    let prefix = "zt_risk_exporter_blocked_until_timestamp_seconds{account=\"acme\"} ";
    let until = text.lines().find_map(|line| line.strip_prefix(prefix)).unwrap();
    let until: f64 = until.parse().unwrap();
    assert!((1_300.0..1_310.0).contains(&until) && until.fract() == 0.0, "{until}");
}

#[test]
fn accounts_come_and_go_and_keep_their_counters_under_another_name() {
    let clock = Clock::system();
    let telemetry = Telemetry::new(clock.clone());
    let name = |alias: &str, id: &str| AccountName { alias: alias.to_owned(), id: id.to_owned() };
    let set = |accounts: &[(&str, &str)]| {
        let budget = || Budget::new(0.25, clock.clone());
        telemetry.accounts(accounts.iter().map(|(alias, id)| (name(alias, id), budget())));
    };
    let requests = |alias: &str| {
        let text = telemetry.render(Format::Text);
        let start = format!(
            "zt_risk_exporter_requests_total{{account=\"{alias}\",resource=\"summary\",outcome=\"ok\"}} "
        );
        text.lines().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
    };
    let some = |count: &str| Some(count.to_owned());
    set(&[("one", "1"), ("two", "2")]);
    for _ in 0..3 {
        telemetry.request("1", Resource::Summary, Outcome::Ok, Duration::ZERO);
    }
    // The two exchange their names.
    set(&[("two", "1"), ("one", "2")]);
    assert_eq!((requests("two"), requests("one")), (some("3"), some("0")));
    set(&[("one", "2")]);
    telemetry.request("1", Resource::Summary, Outcome::Ok, Duration::ZERO);
    assert_eq!(
        (requests("two"), requests("one")),
        (None, some("0")),
        "its last request ends after it is gone"
    );
    set(&[("two", "1"), ("one", "2")]);
    assert_eq!(requests("two"), some("0"), "it begins again");
}

#[test]
fn a_refused_configuration_is_shown_until_one_is_read() {
    let telemetry = Telemetry::new(Clock::system());
    let shown = || {
        let text = telemetry.render(Format::Text);
        let value = |name: &str| {
            let start = format!("zt_risk_exporter_config_last_reload_{name} ");
            text.lines().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
        };
        (value("successful").unwrap(), value("success_timestamp_seconds"))
    };
    let loaded = |seconds| telemetry.config_loaded(Timestamp::from_seconds(seconds));
    loaded(1_000);
    assert_eq!(shown(), ("1".to_owned(), Some("1000".to_owned())));
    telemetry.config_refused();
    assert_eq!(shown(), ("0".to_owned(), Some("1000".to_owned())));
    loaded(2_000);
    assert_eq!(shown(), ("1".to_owned(), Some("2000".to_owned())));
}
