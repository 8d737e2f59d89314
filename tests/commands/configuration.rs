//! The manual, the example file and the Helm chart say of each setting what its declaration says.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;
use zt_risk_exporter::internals::config::keys::{ALL, Change, Key};
use zt_risk_exporter::internals::config::{Config, Flags};

const HEADER: &str = "| Key | Default | Environment | Meaning |\n|---|---|---|---|\n";
const MANUAL: &str = "docs/configuration.md";
const EXAMPLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/zt-risk-exporter.example.yaml"));
const SCHEMA: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/zt-risk-exporter/values.schema.json"));

fn manual() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(MANUAL)).unwrap()
}

/// The name of a key in the manual.
fn name(key: &Key) -> String {
    if key.is_of_account() { format!("{}[].{}", key.section, key.name) } else { key.path() }
}

/// The row of a key in the manual; `links` follow the meaning.
fn row(key: &Key, links: &str) -> String {
    let code = |text: &str| format!("`{text}`");
    let variables = key.variable().into_iter().chain(key.cloudflare_variable.map(str::to_owned));
    let variables: Vec<_> = variables.map(|variable| code(&variable)).collect();
    let cells = [
        code(&name(key)),
        key.default.map(code).unwrap_or_default(),
        variables.join(" or "),
        format!("{}{links}", key.meaning),
    ];
    let cells = cells.map(|cell| if cell.is_empty() { " ".to_owned() } else { format!(" {cell} ") });
    format!("|{}|\n", cells.join("|"))
}

#[test]
fn the_table_of_the_manual_is_what_the_keys_declare() {
    let text = manual();
    let (before, after) = text.split_once(HEADER).expect("the table is there");
    let rows: Vec<&str> = after.lines().take_while(|line| line.starts_with('|')).collect();
    let links_of = |key: &Key| {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{}` |", name(key))));
        let links = row.and_then(|row| row.split_once(" See ["));
        links.map(|(_, links)| format!(" See [{}", links.trim_end_matches(" |"))).unwrap_or_default()
    };
    let wanted: String = ALL.iter().map(|key| row(key, &links_of(key))).collect();
    let found: String = rows.iter().map(|row| format!("{row}\n")).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let rest = after.strip_prefix(&found).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(MANUAL);
        return std::fs::write(path, format!("{before}{HEADER}{wanted}{rest}")).unwrap();
    }
    assert_eq!(found, wanted, "UPDATE_GOLDEN=1 writes the table anew");
}

#[test]
fn the_manual_says_when_a_change_takes_effect() {
    let manual = manual();
    let words: Vec<_> = manual.split_whitespace().collect();
    for key in ALL {
        let sentence = match key.change {
            Change::Restart => "All other changes need a restart.",
        };
        assert!(words.join(" ").contains(sentence), "{}: {sentence}", key.path());
    }
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
            let said =
                Shown { value: value.trim_matches('"').to_owned(), is_default, comment: comment.join(" ") };
            shown.entry((section.clone(), name.to_owned())).or_default().push(said);
            comment.clear();
        } else if let Some(said) = text.strip_prefix('#') {
            comment.push(said.trim().to_owned());
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
const SET_BY_THE_CHART: [&str; 8] = [
    "users.hash_key_file",
    "state.path",
    "web.listen_address",
    "web.systemd_socket",
    "web.config_file",
    "web.health_address",
    "shard.index",
    "shard.total",
];

#[test]
fn the_chart_takes_every_key_that_it_does_not_set_itself() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let sections = schema["properties"]["config"]["properties"].as_object().unwrap();
    let names = sections.iter().flat_map(|(section, schema)| {
        let names = schema["properties"].as_object().unwrap().keys();
        names.map(move |name| format!("{section}.{name}"))
    });
    let keys = ALL.iter().filter(|key| !key.is_of_account()).map(Key::path);
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
    for key in ALL.iter().filter(|key| !key.is_of_account()) {
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
    assert_eq!(compared, 8, "two numbers, four identities, two formats");
}
