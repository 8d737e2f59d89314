//! The settings that behaviors should have: the differences on `/metrics`, and files that change or cannot be used.

use std::fs;

use zt_risk_exporter::simulator::{BehaviorSpec, Level};

use super::triggers::{hang_up, is_reloaded};
use super::world::{Listed, World, id};
use super::{start, up};
use crate::durability::process::{Exporter, Home, Scrape};

const FAST: &str = "intervals: { summary: 1s, behaviors: 1s }";
const DECLARED: &str =
    "imp_travel: { enabled: true, risk_level: high }\nhigh_dlp: { enabled: true, risk_level: medium }\n";

/// The configuration with a baseline for all accounts.
fn with_baseline(rest: &str) -> String {
    format!("{rest}\nbehaviors: {{ baseline: baseline.yaml }}")
}

fn declare(home: &Home, text: &str) {
    fs::write(home.path().join("baseline.yaml"), text).expect("a file");
}

fn set(world: &World, account: usize, behavior: &str, enabled: bool, risk_level: Level) {
    let (name, description) = (behavior.to_owned(), String::new());
    let spec = BehaviorSpec { id: name.clone(), name, description, enabled, risk_level };
    world.simulator.set_behavior(&id(account), spec).expect("the account is there");
}

/// The settings of an account that differ from its baseline, as `behavior setting`; `None` if nothing is known of a drift.
fn drifted(scrape: &Scrape, alias: &str) -> Option<Vec<String>> {
    scrape.get(&format!("behaviors_undeclared{{account=\"{alias}\"}}"))?;
    let behaviors = ["high_dlp", "imp_travel", "malicious_file", "nonsense"];
    let all = behaviors
        .iter()
        .flat_map(|behavior| ["enabled", "risk_level", "missing"].map(|setting| (*behavior, setting)));
    let is_drifted = |(behavior, setting): &(&str, &str)| {
        let labels = format!("account=\"{alias}\",behavior=\"{behavior}\",setting=\"{setting}\"");
        scrape.get(&format!("behavior_drifted{{{labels}}}")) == Some(1.0)
    };
    Some(all.filter(is_drifted).map(|(behavior, setting)| format!("{behavior} {setting}")).collect())
}

fn until_drifted(exporter: &mut Exporter, alias: &str, wanted: &[&str]) -> Scrape {
    exporter.until(&format!("{alias}: {wanted:?}"), |scrape| {
        drifted(scrape, alias).is_some_and(|found| found == wanted)
    })
}

fn readable(scrape: &Scrape, alias: &str) -> Option<f64> {
    scrape.get(&format!("zt_risk_exporter_baseline_readable{{account=\"{alias}\"}}"))
}

#[test]
fn a_change_at_cloudflare_and_a_change_of_the_file_are_both_seen() {
    let (world, home) = (World::start(), Home::empty());
    let [first, second] = [Listed::new(0, "first", "t0"), Listed::new(1, "second", "t1")];
    declare(&home, DECLARED);
    let rest = with_baseline(FAST);
    let mut exporter = start(&world, &home, &[first, second], &rest);
    let scrape = until_drifted(&mut exporter, "first", &[]);
    assert_eq!(scrape.get("behaviors_undeclared{account=\"first\"}"), Some(6.0), "{scrape}");
    until_drifted(&mut exporter, "second", &[]);
    // Somebody changes settings of one account at Cloudflare.
    set(&world, 0, "imp_travel", false, Level::High);
    set(&world, 0, "high_dlp", true, Level::Low);
    let scrape = until_drifted(&mut exporter, "first", &["high_dlp risk_level", "imp_travel enabled"]);
    assert_eq!(drifted(&scrape, "second"), Some(vec![]), "{scrape}");
    // A behavior that no account has, in a file that has changed.
    declare(&home, "nonsense: { enabled: true, risk_level: low }\n");
    assert_eq!(exporter.reload(), (200, "the baseline of 2 accounts changed".to_owned()));
    let scrape = until_drifted(&mut exporter, "second", &["nonsense missing"]);
    let series = "behavior_drifted{account=\"second\",behavior=\"nonsense\",setting=\"enabled\"}";
    assert_eq!(scrape.get(series), None, "it is not known whether it would be enabled");
    assert_eq!(exporter.reload(), (200, "nothing changed".to_owned()));
    // One account gets a baseline of its own.
    fs::write(home.path().join("own.yaml"), "imp_travel: { enabled: false, risk_level: high }\n")
        .expect("a file");
    let own = world
        .config(&home, &[first, second], &rest)
        .replace("alias: first,", "alias: first, behaviors_baseline: own.yaml,");
    home.configure(&own);
    assert_eq!(exporter.reload(), (200, "the baseline of account \"first\" changed".to_owned()));
    until_drifted(&mut exporter, "first", &[]);
    // Without a baseline nothing is said.
    home.configure(&world.config(&home, &[first, second], FAST));
    assert_eq!(exporter.reload().0, 200);
    exporter.until("no drift is known", |scrape| {
        ["first", "second"]
            .iter()
            .all(|alias| drifted(scrape, alias).is_none() && readable(scrape, alias).is_none())
    });
}

#[test]
fn a_baseline_that_cannot_be_used_fails_a_reload_and_the_earlier_one_stays() {
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    declare(&home, DECLARED);
    let mut exporter = start(&world, &home, &[first], &with_baseline(FAST));
    until_drifted(&mut exporter, "first", &[]);
    declare(&home, "imp_travel: { enabled: maybe, risk_level: severe }\n");
    let (status, reason) = exporter.reload();
    let path = home.path().join("baseline.yaml");
    let mistakes = [
        format!("the configuration has 2 errors:\n{}:1: imp_travel.enabled is \"maybe\"", path.display()),
        format!("{}:1: imp_travel.risk_level is \"severe\"", path.display()),
    ];
    assert!(status == 500 && mistakes.iter().all(|mistake| reason.contains(mistake)), "{status} {reason}");
    let failing = |scrape: &Scrape| readable(scrape, "first") == Some(0.0) && is_reloaded(0.0)(scrape);
    assert!(failing(&exporter.scrape().expect("a scrape")));
    // The behaviors are still compared with what was declared before.
    set(&world, 0, "imp_travel", false, Level::High);
    let scrape = until_drifted(&mut exporter, "first", &["imp_travel enabled"]);
    assert!(failing(&scrape), "{scrape}");
    fs::remove_file(&path).expect("it is there");
    hang_up(&exporter);
    exporter.until_logged("cannot read the baseline ");
    declare(&home, DECLARED);
    assert_eq!(exporter.reload(), (200, "nothing changed".to_owned()));
    let scrape = exporter.scrape().expect("a scrape");
    assert!(readable(&scrape, "first") == Some(1.0) && is_reloaded(1.0)(&scrape), "{scrape}");
}

#[test]
fn a_start_with_a_baseline_that_cannot_be_used_watches_the_users_and_takes_up_the_file_when_it_is_corrected()
{
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    let rest = format!("{}\nconfig: {{ auto_reload: true, auto_reload_interval: 1s }}", with_baseline(FAST));
    let mut exporter = start(&world, &home, &[first], &rest);
    exporter.until_logged("cannot use a baseline of behaviors");
    let behaviors = "last_success_timestamp_seconds{account=\"first\",resource=\"behaviors\"}";
    let scrape = exporter.until("users and behaviors are read", |scrape| {
        up("first")(scrape) && scrape.get(behaviors).is_some()
    });
    assert_eq!((readable(&scrape, "first"), drifted(&scrape, "first")), (Some(0.0), None), "{scrape}");
    set(&world, 0, "high_dlp", false, Level::Medium);
    declare(&home, DECLARED);
    let scrape = until_drifted(&mut exporter, "first", &["high_dlp enabled"]);
    assert_eq!(readable(&scrape, "first"), Some(1.0), "{scrape}");
    // The content counts, and a mistake in it changes nothing.
    declare(&home, "imp_travel: { enabled: true, risk_level: high }\n");
    until_drifted(&mut exporter, "first", &[]);
    declare(&home, "imp_travel:\n");
    exporter.until("the mistake is shown", |scrape| readable(scrape, "first") == Some(0.0));
    declare(&home, DECLARED);
    until_drifted(&mut exporter, "first", &["high_dlp enabled"]);
}
