//! Every key is what its declaration says: a reload takes the change up, or refuses it and names the key.

use std::collections::BTreeSet;

use zt_risk_exporter::internals::config::keys::{ALL, Change};

use super::world::{World, id};
use crate::durability::process::Home;

/// For each key: its text before, its text after, and what the answer to a reload says of the change.
const CHANGES: &[(&str, &str, &str, &str)] = &[
    ("accounts.id", "ID", "OTHER", "account \"one\" was added; account \"one\" was removed"),
    ("accounts.alias", "one", "uno", "account \"one\" is called \"uno\" now"),
    ("accounts.token", "t0", "t1", "the credential of account \"one\" changed"),
    ("accounts.token_file", "a", "b", "the credential of account \"one\" changed"),
    ("accounts.email", "a@example.com", "b@example.com", "the credential of account \"one\" changed"),
    ("accounts.api_key", "t0", "t1", "the credential of account \"one\" changed"),
    ("accounts.api_key_file", "a", "b", "the credential of account \"one\" changed"),
    ("accounts.budget_share", "0.25", "0.5", "budget_share of account \"one\" changed from 0.25 to 0.5"),
    ("accounts.behaviors_baseline", "base-a", "base-b", "the baseline of account \"one\" changed"),
    (
        "accounts_from.tokens_dir",
        "tokens-a",
        "tokens-b",
        "account \"two\" was added; account \"three\" was removed; \
         accounts_from.tokens_dir is HOME/tokens-b, was HOME/tokens-a",
    ),
    ("discovery.token_file", "a", "b", "discovery with \"b\" was added; discovery with \"a\" was removed"),
    ("discovery.include", "a", "b", "discovery with \"a\" changed"),
    ("discovery.exclude", "a", "b", "discovery with \"a\" changed"),
    ("discovery.alias", "name", "id", "discovery with \"a\" changed"),
    ("discovery.interval", "1h", "2h", "discovery with \"a\" changed"),
    ("discovery.budget_share", "0.25", "0.5", "discovery with \"a\" changed"),
    ("cloudflare.base_url", "BASE", "http://127.0.0.1:9/client/v4", ""),
    ("intervals.summary", "1h", "2h", "intervals.summary is 2h, was 1h"),
    ("intervals.behaviors", "1h", "2h", "intervals.behaviors is 2h, was 1h"),
    ("intervals.integrations", "1h", "2h", "intervals.integrations is 2h, was 1h"),
    ("intervals.audit", "1h", "2h", "intervals.audit is 2h, was 1h"),
    (
        "behaviors.baseline",
        "base-a",
        "base-b",
        "the baseline of account \"one\" changed; behaviors.baseline is HOME/base-b, was HOME/base-a",
    ),
    ("users.limit", "5", "6", "users.limit is 6, was 5"),
    ("users.identity", "id", "none", "users.identity is none, was id"),
    ("users.hash_key_file", "key-a", "key-b", ""),
    ("state.path", "STATE", "other.redb", ""),
    ("state.cache_mib", "32", "33", ""),
    ("feed.path", "feed-a.jsonl", "feed-b.jsonl", ""),
    ("feed.stdout", "false", "true", ""),
    ("feed.format", "json", "ecs", "feed.format is ecs, was json"),
    ("feed.rotate_mib", "64", "65", ""),
    ("feed.keep", "10", "11", ""),
    ("feed.mode", "0640", "0600", ""),
    ("feed.identity", "id", "none", "feed.identity is none, was id"),
    ("feed.details", "false", "true", "feed.details is true, was false"),
    ("feed.history", "false", "true", ""),
    ("feed.buffer_records", "100000", "1000", ""),
    ("web.listen_address", "127.0.0.1:0", "127.0.0.1:1", ""),
    ("web.allowed_hosts", "a.example", "b.example", ""),
    ("web.systemd_socket", "false", "true", ""),
    ("web.config_file", "web-a", "web-b", ""),
    ("web.telemetry_path", "/metrics", "/other", ""),
    ("web.health_address", "127.0.0.1:0", "127.0.0.1:1", ""),
    ("web.page", "true", "false", ""),
    ("web.grafana_url", "https://a.example", "https://b.example", ""),
    ("web.enable_lifecycle", "true", "false", ""),
    ("shard.index", "0", "1", ""),
    ("shard.total", "2", "3", ""),
    ("log.level", "info", "warn", "log.level is warn, was info"),
    ("log.format", "text", "json", ""),
    ("config.auto_reload", "false", "true", ""),
    ("config.auto_reload_interval", "1h", "2h", ""),
];

/// A configuration in which `key` has this value, and everything that it needs.
fn config(world: &World, home: &Home, key: &str, value: &str) -> String {
    let (section, name) = key.split_once('.').expect("a section and a name");
    let value = match value {
        "ID" => format!("'{}'", id(0)),
        "OTHER" => format!("'{}'", id(1)),
        "BASE" => world.simulator.base_url(),
        "STATE" => home.state().display().to_string(),
        value => value.to_owned(),
    };
    let mut settings: Vec<(&str, &str, String)> = vec![
        ("cloudflare", "base_url", world.simulator.base_url()),
        ("state", "path", home.state().display().to_string()),
        ("web", "listen_address", "127.0.0.1:0".to_owned()),
        ("web", "enable_lifecycle", "true".to_owned()),
    ];
    let mut discovery = Vec::new();
    if section == "discovery" {
        discovery.push(format!("{name}: '{value}'"));
        if name != "token_file" {
            discovery.push("token_file: a".to_owned());
        }
    }
    let mut account = vec![("id", format!("'{}'", id(0))), ("alias", "one".to_owned())];
    match name {
        "token_file" if section == "accounts" => {}
        "email" => account.push(("api_key", "k".to_owned())),
        "api_key" | "api_key_file" => account.push(("email", "a@example.com".to_owned())),
        "token" => {}
        _ => account.push(("token", "t0".to_owned())),
    }
    if section == "feed" {
        settings.push(("feed", "path", "feed.jsonl".to_owned()));
    }
    match name {
        "hash_key_file" => settings.push(("users", "identity", "hash".to_owned())),
        "index" => settings.push(("shard", "total", "2".to_owned())),
        "total" => settings.push(("shard", "index", "0".to_owned())),
        _ => {}
    }
    if section == "accounts" {
        account.retain(|(other, _)| *other != name);
        account.push((name, value));
    } else if section != "discovery" {
        settings.retain(|(one, other, _)| (*one, *other) != (section, name));
        settings.push((section, name, value));
    }
    let sections: BTreeSet<&str> = settings.iter().map(|(section, ..)| *section).collect();
    let mut text = String::new();
    for section in sections {
        text += &format!("{section}:\n");
        for (_, name, value) in settings.iter().filter(|(other, ..)| *other == section) {
            text += &format!("  {name}: \"{value}\"\n");
        }
    }
    if !discovery.is_empty() {
        text += &format!("discovery:\n  - {{ {} }}\n", discovery.join(", "));
    }
    let account: Vec<_> = account.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    text + &format!("accounts:\n  - {{ {} }}\n", account.join(", "))
}

#[test]
fn a_reload_does_with_every_key_what_its_declaration_says() {
    let keys: BTreeSet<String> = ALL.iter().map(|key| key.path()).collect();
    let tried: BTreeSet<String> = CHANGES.iter().map(|(key, ..)| (*key).to_owned()).collect();
    assert_eq!(tried, keys, "each key needs a row above");
    let world = World::start();
    for (key, before, after, said) in CHANGES {
        let home = Home::empty();
        for (file, content) in [
            ("a", "t0"),
            ("b", "t1"),
            ("key-a", "0123456789abcdef"),
            ("key-b", "fedcba9876543210"),
            ("base-a", "imp_travel: { enabled: true, risk_level: high }"),
            ("base-b", "imp_travel: { enabled: true, risk_level: low }"),
            ("web-a", ""),
            ("web-b", ""),
        ] {
            std::fs::write(home.path().join(file), content).expect("a file");
        }
        for (directory, file, token) in [("tokens-a", ".three", "t2"), ("tokens-b", ".two", "t1")] {
            let directory = home.path().join(directory);
            std::fs::create_dir(&directory).expect("a directory");
            let name = id(if file == ".two" { 1 } else { 2 }) + file;
            std::fs::write(directory.join(name), token).expect("a file");
        }
        home.configure(&config(&world, &home, key, before));
        let mut exporter = home.start();
        exporter.until_logged("serving /metrics");
        home.configure(&config(&world, &home, key, after));
        let (status, text) = exporter.reload();
        let declared = ALL.iter().find(|known| known.path() == *key).expect("it is one of them").change;
        let wanted = match declared {
            Change::Reload => (200, said.replace("HOME", &home.path().display().to_string())),
            Change::Restart => (500, format!("a change of {key} needs a restart")),
        };
        assert_eq!((status, text), wanted, "{key}");
        // With the values from before, everything is as it was.
        home.configure(&config(&world, &home, key, before));
        let (status, text) = exporter.reload();
        let is_same = declared == Change::Restart || before == after;
        assert_eq!((status, text == "nothing changed"), (200, is_same), "{key}: {text}");
    }
}

#[test]
fn the_same_value_in_another_spelling_is_no_change() {
    let world = World::start();
    for (key, before, after) in [
        ("intervals.summary", "1h", "60m"),
        ("users.limit", "5", "05"),
        ("config.auto_reload_interval", "30s", "0m30s"),
        ("state.cache_mib", "32", "032"),
        ("feed.rotate_mib", "64", "064"),
        ("feed.path", "feed.jsonl", "./feed.jsonl"),
        ("web.listen_address", "127.0.0.1:0,127.0.0.1:0", "127.0.0.1:0, 127.0.0.1:0"),
        ("web.allowed_hosts", "a.example,b.example", "B.example, a.example"),
    ] {
        let home = Home::empty();
        home.configure(&config(&world, &home, key, before));
        let mut exporter = home.start();
        exporter.until_logged("serving /metrics");
        home.configure(&config(&world, &home, key, after));
        assert_eq!(exporter.reload(), (200, "nothing changed".to_owned()), "{key}: {before} and {after}");
    }
}

#[test]
fn another_key_for_hashes_needs_a_restart_also_after_a_time_without_one() {
    let (world, home) = (World::start(), Home::empty());
    for (file, key) in [("key-a", "0123456789abcdef"), ("key-b", "fedcba9876543210")] {
        std::fs::write(home.path().join(file), key).expect("a file");
    }
    let hashed_with = |file| config(&world, &home, "users.hash_key_file", file);
    let without = config(&world, &home, "users.identity", "none");
    home.configure(&without);
    let mut exporter = home.start();
    exporter.until_logged("serving /metrics");
    let refused = (500, "a change of users.hash_key_file needs a restart".to_owned());
    let [on, off] = ["hash, was none", "none, was hash"].map(|is| (200, format!("users.identity is {is}")));
    for (text, wanted) in [
        (hashed_with("key-a"), on.clone()),
        (hashed_with("key-b"), refused.clone()),
        (without, off),
        (hashed_with("key-b"), refused),
        (hashed_with("key-a"), on),
    ] {
        home.configure(&text);
        assert_eq!(exporter.reload(), wanted, "{text}");
    }
}
