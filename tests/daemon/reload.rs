//! The real program, whose configuration changes while it runs.

mod baseline;
mod budgets;
mod keys;
mod memory;
mod random;
mod token_files;
mod tokens;
mod triggers;
mod world;

use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule};

use crate::durability::process::{Exporter, Home, Scrape};
use world::{Listed, World};

/// Fast enough for a test, and slow enough that a second reading within it would be seen.
const FAST: &str = "intervals: { summary: 1s }";
const SLOW: &str = "intervals: { summary: 1h, behaviors: 1h, integrations: 1h }";

fn up(alias: &str) -> impl Fn(&Scrape) -> bool {
    let series = format!("up{{account=\"{alias}\"}}");
    move |scrape| scrape.get(&series) == Some(1.0)
}

/// Starts an exporter with these accounts.
fn start(world: &World, home: &Home, accounts: &[Listed<'_>], rest: &str) -> Exporter {
    home.configure(&world.config(home, accounts, rest));
    home.start()
}

/// Reloads with these accounts, and returns what changed.
fn reload(
    world: &World,
    home: &Home,
    exporter: &mut Exporter,
    accounts: &[Listed<'_>],
    rest: &str,
) -> String {
    home.configure(&world.config(home, accounts, rest));
    let (status, text) = exporter.reload();
    assert_eq!(status, 200, "{text}");
    text
}

#[test]
fn an_account_is_renamed_removed_and_added_again_and_its_counters_continue() {
    let (world, home) = (World::start(), Home::empty());
    let [first, second] = [Listed::new(0, "first", "t0"), Listed::new(1, "second", "t1")];
    let mut exporter = start(&world, &home, &[first], FAST);
    exporter.until("counting", up("first"));
    world.events(0, 5);
    exporter.until("five events", |scrape| world.agrees(scrape, &[first]) && scrape.counted("first") == 5.0);

    assert_eq!(reload(&world, &home, &mut exporter, &[first, second], FAST), "account \"second\" was added");
    exporter.until("the second is read", up("second"));
    world.events(1, 3);
    let before = exporter.until("three events", |scrape| scrape.counted("second") == 3.0);

    // They exchange their aliases, and another one comes.
    let [first, second] = [Listed { alias: "second", ..first }, Listed { alias: "first", ..second }];
    let changes = reload(&world, &home, &mut exporter, &[first, second], FAST);
    assert_eq!(
        changes,
        "account \"first\" is called \"second\" now; account \"second\" is called \"first\" now"
    );
    let scrape = exporter
        .until("exchanged", |scrape| scrape.counted("second") == 5.0 && scrape.counted("first") == 3.0);
    let requests = |scrape: &Scrape, alias: &str| {
        let series = format!(
            "zt_risk_exporter_requests_total{{account=\"{alias}\",resource=\"summary\",outcome=\"ok\"}}"
        );
        scrape.get(&series).unwrap()
    };
    assert!(requests(&scrape, "second") >= requests(&before, "first"));

    assert_eq!(reload(&world, &home, &mut exporter, &[second], FAST), "account \"second\" was removed");
    let gone = exporter.until("its series are gone", |scrape| !scrape.counted("second").is_normal());
    assert!(up("first")(&gone));
    for start in ["users{account=\"second\"", "zt_risk_exporter_requests_total{account=\"second\""] {
        assert!(!gone.has(start), "{start}\n{gone}");
    }
    world.events(0, 2);
    assert_eq!(reload(&world, &home, &mut exporter, &[second, first], FAST), "account \"second\" was added");
    let scrape = exporter.until("what came meanwhile", |scrape| scrape.counted("second") == 7.0);
    assert!(world.agrees(&scrape, &[first, second]));
    // Its rows and those of the other one survive a restart.
    exporter.kill();
    let mut exporter = home.start();
    let again = exporter.until("restored", |scrape| up("first")(scrape) && up("second")(scrape));
    again.assert_not_behind(&scrape, "after the restart");
}

#[test]
fn without_a_state_file_the_accounts_that_stay_keep_their_counters_too() {
    let (world, home) = (World::start(), Home::empty());
    let [first, second] = [Listed::new(0, "first", "t0"), Listed::new(1, "second", "t1")];
    let stateless = |accounts: &[Listed<'_>]| {
        let text = world.config(&home, accounts, FAST);
        text.lines()
            .filter(|line| !line.starts_with("state:"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    home.configure(&stateless(&[first]));
    let mut exporter = home.start();
    exporter.until("counting", up("first"));
    world.events(0, 5);
    exporter.until("five events", |scrape| scrape.counted("first") == 5.0);
    home.configure(&stateless(&[second, first]));
    assert_eq!(exporter.reload(), (200, "account \"second\" was added".to_owned()));
    let scrape = exporter.until("the second is read", up("second"));
    assert_eq!(scrape.counted("first"), 5.0);
}

#[test]
fn a_new_credential_keeps_the_counters_and_reads_no_list_twice_within_an_interval() {
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    let mut exporter = start(&world, &home, &[first], FAST);
    exporter.until("counting", up("first"));
    world.events(0, 5);
    exporter.until("five events", |scrape| scrape.counted("first") == 5.0);
    reload(&world, &home, &mut exporter, &[first], SLOW);
    // A reading that was due before may still be under way.
    let mut lists = world.requests(0, Endpoint::Summary);
    let series = "zt_risk_exporter_token_expiry_timestamp_seconds{account=\"first\"}";
    assert_eq!(exporter.scrape().unwrap().get(series), None, "the first token does not expire");
    for token in ["expiring", "t2", "expiring"] {
        let with_token = Listed { token, ..first };
        let changes = reload(&world, &home, &mut exporter, &[with_token], SLOW);
        assert_eq!(changes, "the credential of account \"first\" changed");
        exporter.until("the new token is verified", |scrape| {
            scrape.get(series).is_some() == (token == "expiring")
        });
        let now = world.requests(0, Endpoint::Summary);
        assert!(
            now <= lists + u64::from(token == "expiring" && now == lists + 1),
            "{now} lists, {lists} before"
        );
        lists = now;
    }
    let scrape = exporter.scrape().unwrap();
    assert_eq!((scrape.counted("first"), up("first")(&scrape)), (5.0, true));
    // Refused credentials are tried again at once when they change.
    let refused = Listed { token: "unknown", ..first };
    reload(&world, &home, &mut exporter, &[refused], FAST);
    exporter.until("refused", |scrape| !up("first")(scrape));
    reload(&world, &home, &mut exporter, &[first], FAST);
    exporter.until("accepted", up("first"));
}

#[test]
fn what_a_credential_has_spent_counts_whatever_happens_to_its_accounts() {
    let (world, home) = (World::start(), Home::empty());
    // 12 requests in five minutes.
    let scarce = |account, alias, token| Listed { share: "0.01", ..Listed::new(account, alias, token) };
    let (first, second) = (scarce(0, "first", "t0"), scarce(1, "second", "t0"));
    let mut exporter = start(&world, &home, &[first], FAST);
    let remaining = |scrape: &Scrape, alias: &str| {
        scrape.get(&format!("zt_risk_exporter_budget_remaining_requests{{account=\"{alias}\"}}"))
    };
    // Of `limit` requests, no more are left than were not sent with these two tokens before the scrape.
    let assert_counted = |exporter: &mut Exporter, accounts: &[Listed<'_>], limit: f64| {
        let is_shown = |scrape: &Scrape| accounts.iter().all(|one| remaining(scrape, one.alias).is_some());
        exporter.until("the budgets are shown", is_shown);
        let spent = world.spent("t0", "t4");
        let scrape = exporter.until("the budgets are shown", is_shown);
        for one in accounts.iter().filter(|one| ["t0", "t4"].contains(&one.token)) {
            let left = remaining(&scrape, one.alias);
            assert!(left <= Some(limit - spent as f64), "{left:?} left of {limit} for {one:?}, {spent} sent");
        }
    };
    world.events(0, 10);
    exporter.until("some requests are sent", |scrape| remaining(scrape, "first") <= Some(6.0));
    for accounts in [&[first, second][..], &[second], &[scarce(2, "third", "t3")], &[first], &[second, first]]
    {
        reload(&world, &home, &mut exporter, accounts, FAST);
        assert_counted(&mut exporter, accounts, 12.0);
    }
    // All accounts have a new credential, perhaps of the same user.
    let renewed = [scarce(0, "first", "t4"), scarce(1, "second", "t4")];
    reload(&world, &home, &mut exporter, &renewed, FAST);
    assert_counted(&mut exporter, &renewed, 12.0);
    let more = renewed.map(|account| Listed { share: "0.02", ..account });
    let changes = reload(&world, &home, &mut exporter, &more, FAST);
    assert!(changes.contains("budget_share of account \"first\" changed from 0.01 to 0.02"), "{changes}");
    assert_counted(&mut exporter, &more, 24.0);
    // The state file has the spending: the next process continues with it.
    reload(&world, &home, &mut exporter, &more[1..], FAST);
    exporter.kill();
    let mut exporter = home.start();
    assert_counted(&mut exporter, &more[1..], 24.0);
}

#[test]
fn a_block_survives_and_follows_the_account_to_its_new_name() {
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    let mut exporter = start(&world, &home, &[first], FAST);
    exporter.until("counting", up("first"));
    let limited = Fault::Limited { retry_after: Some("200".to_owned()) };
    world.simulator.inject(FaultRule::at(Endpoint::Summary, limited).times(1));
    let until = |scrape: &Scrape, alias: &str| {
        scrape.get(&format!("zt_risk_exporter_blocked_until_timestamp_seconds{{account=\"{alias}\"}}"))
    };
    let before =
        until(&exporter.until("blocked", |scrape| until(scrape, "first").is_some()), "first").unwrap();
    let sent = world.spent("t0", "t0");
    for accounts in [
        &[Listed { alias: "renamed", ..first }][..],
        &[Listed { alias: "renamed", share: "0.5", ..first }],
        &[Listed::new(1, "other", "t1")],
        &[Listed { alias: "renamed", ..first }, Listed::new(1, "other", "t1")],
    ] {
        reload(&world, &home, &mut exporter, accounts, FAST);
        let scrape = exporter.until("shown", |scrape| {
            accounts
                .iter()
                .all(|one| scrape.has(&format!("up{{account=\"{}\"", one.alias)) || one.alias == "other")
        });
        if let Some(one) = accounts.iter().find(|one| one.token == "t0") {
            let after = until(&scrape, one.alias).unwrap();
            assert!((after - before).abs() <= 2.0, "{before} before, {after} after");
        }
    }
    assert_eq!(world.spent("t0", "t0"), sent, "nothing is sent while it lasts");
}

#[test]
fn users_are_shown_as_the_new_configuration_says() {
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    let mut exporter = start(&world, &home, &[first], FAST);
    exporter.until("ten users", |scrape| {
        scrape.sum("user_max_risk_level") > 0.0 && scrape.series("user_max_risk_level{") == 10
    });
    reload(&world, &home, &mut exporter, &[first], "intervals: { summary: 1s }\nusers: { limit: 4 }");
    exporter.until("four users", |scrape| scrape.series("user_max_risk_level{") == 4);
    reload(&world, &home, &mut exporter, &[first], "intervals: { summary: 1s }\nusers: { identity: email }");
    let scrape = exporter.until("names", |scrape| scrape.series("user_info{") == 10);
    assert!(scrape.has("user_info{account=\"first\",user="), "{scrape}");
    reload(&world, &home, &mut exporter, &[first], "intervals: { summary: 1s }\nusers: { identity: none }");
    exporter.until("nobody", |scrape| scrape.series("user_max_risk_level{") == 0);
    let changes = reload(&world, &home, &mut exporter, &[first], SLOW);
    assert!(
        changes.starts_with("intervals.summary is 1h, was 1s; intervals.behaviors is 1h, was 5m"),
        "{changes}"
    );
    let interval = "zt_risk_exporter_poll_interval_seconds{account=\"first\",resource=\"summary\"}";
    exporter.until("the interval is shown", |scrape| scrape.get(interval) == Some(3_600.0));
}

#[test]
fn an_account_that_comes_back_before_its_poller_ended_has_one_poller() {
    let (world, home) = (World::start(), Home::empty());
    let [first, second] = [Listed::new(0, "first", "t0"), Listed::new(1, "second", "t1")];
    let mut exporter = start(&world, &home, &[first, second], FAST);
    exporter.until("counting", |scrape| up("first")(scrape) && up("second")(scrape));
    // The request in flight lasts for seconds.
    let slow = Fault::SlowBody { bytes: 100, pause_ms: 200 };
    world.simulator.inject(FaultRule::at(Endpoint::Summary, slow).times(2));
    let lists = world.requests(0, Endpoint::Summary);
    while world.requests(0, Endpoint::Summary) == lists {
        std::thread::yield_now();
    }
    for accounts in [&[second][..], &[first, second], &[second], &[second, first]] {
        reload(&world, &home, &mut exporter, accounts, FAST);
    }
    world.events(0, 4);
    exporter.until("the account is read on", |scrape| {
        world.agrees(scrape, &[first, second]) && scrape.counted("first") == 4.0
    });
    world.simulator.clear_faults();
    world.assert_polled_once(&[first, second], 1);
    exporter.kill();
    assert!(!home.log().contains("ended unexpectedly"), "{}", home.log());
}

#[test]
fn a_date_of_the_last_success_is_exported() {
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    let mut exporter = start(&world, &home, &[first], FAST);
    let series = "zt_risk_exporter_config_last_reload_success_timestamp_seconds";
    let date = |scrape: &Scrape| Timestamp::from_millis((scrape.get(series).unwrap() * 1_000.0) as i64);
    let before = date(&exporter.until("it serves", |scrape| scrape.get(series).is_some()));
    home.configure("accounts: none");
    assert_eq!(exporter.reload().0, 500);
    assert_eq!(date(&exporter.scrape().unwrap()), before);
    reload(&world, &home, &mut exporter, &[first], FAST);
    assert!(date(&exporter.scrape().unwrap()) > before);
}

#[test]
fn an_account_joins_only_while_its_saved_counters_can_be_read() {
    let (world, home) = (World::start(), Home::empty());
    let [first, second] = [Listed::new(0, "first", "t0"), Listed::new(1, "second", "t1")];
    let mut exporter = start(&world, &home, &[first], FAST);
    exporter.until("counting", up("first"));
    let (directory, elsewhere) = (home.path().join("state"), home.path().join("elsewhere"));
    std::fs::rename(&directory, &elsewhere).expect("it is there");
    home.configure(&world.config(&home, &[first, second], FAST));
    let (status, reason) = exporter.reload();
    assert_eq!(status, 500, "{reason}");
    assert!(reason.ends_with("cannot be used at the moment; the log says why"), "{reason}");
    std::fs::rename(&elsewhere, &directory).expect("it is there");
    exporter
        .until("the file is used again", |scrape| scrape.get("zt_risk_exporter_state_durable") == Some(1.0));
    assert_eq!(exporter.reload(), (200, "account \"second\" was added".to_owned()));
    exporter.until("both are read", |scrape| up("first")(scrape) && up("second")(scrape));
}
