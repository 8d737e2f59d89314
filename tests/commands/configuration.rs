//! The manual, the example file and the Helm chart say of each setting what its declaration says.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use serde_json::Value;
use zt_risk_exporter::internals::config::keys::{ALL, Key};
use zt_risk_exporter::internals::config::{Config, Flags};

use crate::golden_table::GoldenTable;

const HEADER: &str = "| Key | Default | Environment | Change | Meaning |";
const MANUAL: &str = "docs/configuration.md";
const EXAMPLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/zt-risk-exporter.example.yaml"));
const SCHEMA: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/zt-risk-exporter/values.schema.json"));

/// The name of a key in the manual.
fn name(key: &Key) -> String {
    if key.is_in_list() { format!("{}[].{}", key.section, key.name) } else { key.path() }
}

/// The row of a key in the manual; `link` follows the meaning.
fn row(key: &Key, link: &str) -> [String; 5] {
    let code = |text: &str| format!("`{text}`");
    let variables = key.variable().into_iter().chain(key.cloudflare_variable.map(str::to_owned));
    let variables: Vec<_> = variables.map(|variable| code(&variable)).collect();
    [
        code(&name(key)),
        key.default.map(code).unwrap_or_default(),
        variables.join(" or "),
        key.change.as_str().to_owned(),
        format!("{}{link}", key.meaning),
    ]
}

#[test]
fn the_table_of_the_manual_is_what_the_keys_declare() {
    let table = GoldenTable::read(MANUAL, "## Settings", HEADER);
    table.assert_is(ALL.iter().map(|key| {
        let meaning = table.last_cell(&format!("`{}`", name(key)));
        let link = meaning.and_then(|meaning| meaning.split_once(" See ["));
        row(key, &link.map(|(_, link)| format!(" See [{link}")).unwrap_or_default())
    }));
}

/// What the example says of a key: the value, whether it is the default, and the comment above it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    value: String,
    is_default: bool,
    comment: String,
}

/// The keys of the example, by section and name.
fn shown() -> BTreeMap<(String, String), Vec<Shown>> {
    let (mut section, mut comment) = (String::new(), Vec::new());
    let mut shown: BTreeMap<_, Vec<Shown>> = BTreeMap::new();
    for line in EXAMPLE.lines() {
        let text = line.trim_start_matches([' ', '-']);
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.contains([' ', '#'])) {
            section = name.to_owned();
        }
        let setting = text.trim_start_matches(['#', ' ']).split_once(": ");
        let key =
            setting.filter(|(name, _)| ALL.iter().any(|key| key.section == section && key.name == *name));
        if let Some((name, value)) = key {
            // `#key: value` is a default, `# key: example` is none.
            let is_default = text.strip_prefix('#').is_some_and(|rest| !rest.starts_with(' '));
            let found =
                Shown { value: value.trim_matches('"').to_owned(), is_default, comment: comment.join(" ") };
            shown.entry((section.clone(), name.to_owned())).or_default().push(found);
            comment.clear();
        } else if let Some(found) = text.strip_prefix('#') {
            comment.push(found.trim().to_owned());
        } else {
            comment.clear();
        }
    }
    shown
}

#[test]
fn the_example_shows_each_key_once_with_its_default_and_meaning() {
    let mut shown = shown();
    for key in ALL {
        let path = key.path();
        let found = shown.remove(&(key.section.to_owned(), key.name.to_owned())).unwrap_or_default();
        let [one] = found.as_slice() else { panic!("{path}: {found:?}") };
        assert_eq!(one.is_default.then_some(one.value.as_str()), key.default, "{path}");
        let meaning = key.meaning.replace('`', "");
        assert!(
            one.comment.replace('`', "").starts_with(&meaning),
            "{path}: {:?}, not {meaning:?}",
            one.comment
        );
    }
}

/// The keys that the chart sets itself, from other values.
const SET_BY_THE_CHART: [&str; 10] = [
    "accounts_from.tokens_dir",
    "users.hash_key_file",
    "state.path",
    "web.listen_address",
    "web.systemd_socket",
    "web.config_file",
    "web.health_address",
    "shard.index",
    "shard.total",
    "config.auto_reload",
];

#[test]
fn the_chart_takes_every_key_that_it_does_not_set_itself() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let sections = schema["properties"]["config"]["properties"].as_object().unwrap();
    let names = sections.iter().flat_map(|(section, schema)| {
        let names = schema["properties"].as_object().unwrap().keys();
        names.map(move |name| format!("{section}.{name}"))
    });
    let keys = ALL.iter().filter(|key| !key.is_in_list()).map(Key::path);
    let keys = keys.filter(|path| !SET_BY_THE_CHART.contains(&path.as_str()));
    assert_eq!(names.collect::<BTreeSet<_>>(), keys.collect());
}

/// Whether the exporter takes this value of a key.
fn is_taken(key: &Key, value: &str) -> bool {
    let variables = [
        ("CLOUDFLARE_ACCOUNT_ID", "0123456789abcdef0123456789abcdef"),
        ("CLOUDFLARE_API_TOKEN", "x"),
        (&*key.variable().unwrap(), value),
    ];
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load(&Flags::default(), variables).is_ok()
}

#[test]
fn the_chart_has_the_bounds_and_choices_of_the_exporter() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut compared = 0;
    for key in ALL.iter().filter(|key| !key.is_in_list()) {
        let rule = &schema["properties"]["config"]["properties"][key.section]["properties"][key.name];
        if let (Some(least), Some(most)) = (rule["minimum"].as_i64(), rule["maximum"].as_i64()) {
            let wanted = [(least - 1, false), (least, true), (most, true), (most + 1, false)];
            assert_eq!(
                wanted.map(|(value, _)| (value, is_taken(key, &value.to_string()))),
                wanted,
                "{}",
                key.path()
            );
            compared += 1;
        }
        for word in rule["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // Without a key for it, `hash` is refused for another reason.
            assert_eq!(is_taken(key, word), word != "hash", "{} {word}", key.path());
            compared += 1;
        }
    }
    assert_eq!(compared, 19, "five numbers, nine identities, five formats");
}
