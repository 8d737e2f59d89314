//! Files with tokens, which change while the exporter runs.

use super::world::{Listed, World};
use super::{FAST, up};
use crate::durability::process::{Exporter, Home, Scrape};

/// 600 requests in five minutes: more than two accounts send in the time of a test.
const SHARE: &str = "0.5";
const LIMIT: f64 = 600.0;

/// An account whose token is in this file.
fn limited(account: usize, alias: &'static str, file: &'static str) -> Listed<'static> {
    Listed { share: SHARE, ..Listed::new(account, alias, file) }
}

/// A configuration of these accounts, whose tokens are in files beside it.
fn configure(world: &World, home: &Home, accounts: &[Listed<'_>]) {
    home.configure(&world.config(home, accounts, FAST).replace(", token: ", ", token_file: "));
}

/// Writes these tokens to their files.
fn write(home: &Home, tokens: &[(&str, &str)]) {
    for (file, token) in tokens {
        let (new, path) = (home.path().join(format!("{file}.new")), home.path().join(file));
        std::fs::write(&new, token).expect("a file");
        std::fs::rename(new, path).expect("it is there");
    }
}

fn remaining(scrape: &Scrape, alias: &str) -> Option<f64> {
    scrape.get(&format!("zt_risk_exporter_budget_remaining_requests{{account=\"{alias}\"}}"))
}

/// Waits until both accounts have one budget, in which everything counts that was sent with this `token`, and the requests that one
/// of them had sent `earlier` with another one. A request that is sent while the budgets join counts against that of its own token.
fn until_they_share(
    world: &World,
    exporter: &mut Exporter,
    aliases: [&str; 2],
    (token, earlier): (&str, usize),
) {
    let of = |scrape: &Scrape| aliases.map(|alias| remaining(scrape, alias));
    let share = |scrape: &Scrape| {
        let [one, other] = of(scrape);
        // Two separate budgets may show the same number by chance, but more than is left of a shared one.
        one.is_some() && one == other
    };
    exporter.until(&format!("{aliases:?} share a budget"), share);
    let spent = (world.spent(token, token) + earlier) as f64;
    let scrape = exporter.until(&format!("{aliases:?} share a budget"), share);
    assert!(of(&scrape)[0] <= Some(LIMIT - spent), "{spent} were sent\n{scrape}");
}

#[test]
fn files_that_come_to_hold_the_same_token_share_its_budget() {
    let (world, home) = (World::start(), Home::empty());
    write(&home, &[("a", "t0"), ("b", "t1")]);
    let [first, second] = [limited(0, "first", "a"), limited(1, "second", "b")];
    configure(&world, &home, &[first, second]);
    let mut exporter = home.start();
    // What happens before the first list is not counted.
    exporter.until("both are read", |scrape| up("first")(scrape) && up("second")(scrape));
    world.events(0, 5);
    let has_spent = |scrape: &Scrape, alias| remaining(scrape, alias) <= Some(LIMIT - 4.0);
    exporter.until("both have sent requests", |scrape| {
        has_spent(scrape, "first") && has_spent(scrape, "second") && scrape.counted("first") == 5.0
    });
    let earlier = world.spent("t1", "t1");
    write(&home, &[("b", "t0")]);
    exporter.until_logged("the credentials changed; the new ones are used from now on account=\"second\"");
    let before = world.spent("t1", "t1");
    until_they_share(&world, &mut exporter, ["first", "second"], ("t0", earlier));
    // That is what the configuration says too.
    assert_eq!(exporter.reload(), (200, "nothing changed".to_owned()));
    world.events(1, 5);
    exporter.until("the second is read with it", |scrape| scrape.counted("second") == 5.0);
    until_they_share(&world, &mut exporter, ["first", "second"], ("t0", earlier));
    assert_eq!(world.spent("t1", "t1"), before, "nothing is sent with the token from before");
    // The state has it too.
    exporter.kill();
    let mut exporter = home.start();
    until_they_share(&world, &mut exporter, ["first", "second"], ("t0", earlier));
}

#[test]
fn what_a_token_spent_stays_with_it_when_the_file_has_another_one() {
    let (world, home) = (World::start(), Home::empty());
    write(&home, &[("a", "t0"), ("b", "t1")]);
    let first = limited(0, "first", "a");
    configure(&world, &home, &[first]);
    let mut exporter = home.start();
    exporter.until("requests are sent", |scrape| remaining(scrape, "first") <= Some(LIMIT - 4.0));
    write(&home, &[("a", "t1")]);
    exporter.until_logged("the credentials changed; the new ones are used from now on account=\"first\"");
    exporter
        .until("it is read with the new token", |scrape| up("first")(scrape) && world.spent("t1", "t1") > 0);
    // The second account has the token that the first one has now, and the third the one that it had before.
    write(&home, &[("c", "t0")]);
    let [second, third] = [limited(1, "second", "b"), limited(2, "third", "c")];
    configure(&world, &home, &[third, second, first]);
    let (status, changes) = exporter.reload();
    assert_eq!(
        (status, changes.as_str()),
        (200, "account \"third\" was added; account \"second\" was added")
    );
    until_they_share(&world, &mut exporter, ["first", "second"], ("t1", 0));
    let spent = world.spent("t0", "t0") as f64;
    let scrape = exporter.until("the third is shown", |scrape| remaining(scrape, "third").is_some());
    assert!(remaining(&scrape, "third") <= Some(LIMIT - spent), "{spent} were sent\n{scrape}");
}

#[test]
fn the_smaller_share_counts_for_files_that_come_to_hold_the_same_token() {
    let (world, home) = (World::start(), Home::empty());
    write(&home, &[("a", "t0"), ("b", "t1")]);
    let accounts = [Listed { share: "0.9", ..limited(0, "first", "a") }, limited(1, "second", "b")];
    configure(&world, &home, &accounts);
    let mut exporter = home.start();
    exporter.until("both are read", |scrape| up("first")(scrape) && up("second")(scrape));
    let earlier = world.spent("t0", "t0");
    write(&home, &[("a", "t1")]);
    exporter.until_logged("two accounts with different budget_share have the same credential now");
    until_they_share(&world, &mut exporter, ["first", "second"], ("t1", earlier));
    let (status, reason) = exporter.reload();
    assert_eq!(status, 500, "{reason}");
    assert!(reason.contains("with the same credential, and they share one budget"), "{reason}");
}
