//! Compares the manual with the program: names, defaults, flags, messages and examples.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use zt_risk_exporter::cloudflare::Outcome;
use zt_risk_exporter::internals::collector::ledger::Loss;
use zt_risk_exporter::internals::commands::Cli;
use zt_risk_exporter::internals::config::{Config, Flags};
use zt_risk_exporter::internals::http::CloseReason;
use zt_risk_exporter::internals::metrics::encode::Format;
use zt_risk_exporter::internals::metrics::families;
use zt_risk_exporter::internals::metrics::telemetry::Rejection;
use zt_risk_exporter::internals::store::Recovery;
use zt_risk_exporter::model::{DriftSetting, Resource};
use zt_risk_exporter::simulator::{Scenario, Story};

use crate::golden_table::GoldenTable;

/// The text of a file of the repository.
macro_rules! text {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path))
    };
}

const ALERTS: &str = text!("docs/alerts.md");
const CONFIGURATION: &str = text!("docs/configuration.md");
const DRILLS: &str = text!("docs/drills.md");
const METRICS: &str = text!("docs/metrics.md");
const SIMULATOR: &str = text!("docs/simulator.md");
const TROUBLESHOOTING: &str = text!("docs/troubleshooting.md");

/// The cells of the table under this header line, row by row; the header itself must be there once.
fn table(document: &'static str, header: &str) -> Vec<Vec<&'static str>> {
    assert_eq!(document.matches(header).count(), 1, "{header}");
    tables(document, header)
}

/// The same for all tables with this header.
fn tables(document: &'static str, header: &str) -> Vec<Vec<&'static str>> {
    let after = document.split(header).skip(1);
    let rows = after.flat_map(|text| text.lines().skip(2).take_while(|line| line.starts_with('|')));
    let cells = |row: &'static str| row.strip_prefix('|')?.strip_suffix('|');
    rows.filter_map(cells).map(|row| row.split('|').map(str::trim).collect()).collect()
}

/// The texts in backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The fenced blocks in this language.
fn blocks(document: &'static str, language: &str) -> Vec<&'static str> {
    let after = document.split(&format!("```{language}\n")).skip(1).collect::<Vec<_>>();
    after.into_iter().filter_map(|text| text.split("```").next()).collect()
}

/// Fails unless the manual has exactly these values, in any order.
fn agree<T: Ord + Debug>(documented: impl IntoIterator<Item = T>, wanted: impl IntoIterator<Item = T>) {
    let documented: BTreeSet<T> = documented.into_iter().collect();
    let wanted: BTreeSet<T> = wanted.into_iter().collect();
    let excess: Vec<&T> = documented.difference(&wanted).collect();
    let missing: Vec<&T> = wanted.difference(&documented).collect();
    assert!(
        excess.is_empty() && missing.is_empty(),
        "only in the manual: {excess:#?}, only in the program: {missing:#?}"
    );
}

#[test]
fn the_metrics_tables_are_the_declared_families() {
    // Some families about the exporter have values of accounts, and are declared beside those about Cloudflare.
    let of_accounts = families::cloudflare::ALL.into_iter();
    let (cloudflare, of_exporter): (Vec<_>, Vec<_>) =
        of_accounts.partition(|family| family.name.starts_with("cloudflare_"));
    let mut exporter = families::exporter::ALL.to_vec();
    exporter.extend(of_exporter);
    exporter.sort_by_key(|family| family.name.starts_with("process_"));
    for (heading, families) in [("## About Cloudflare", cloudflare), ("## About the exporter", exporter)] {
        let table = GoldenTable::read("docs/metrics.md", heading, "| Name | Type | Labels | Meaning |");
        table.assert_is(families.iter().map(|family| {
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, kind) = (format!("`{}`", family.name), family.kind.as_str().to_owned());
            [name, kind, labels.join(", "), family.help.to_owned()]
        }));
    }
}

#[test]
fn the_values_of_closed_labels_are_all_listed() {
    let rows = table(METRICS, "| Label | Values |");
    let values = |label: &str| -> Vec<&str> {
        let row = rows.iter().find(|row| code(row[0]).contains(&label));
        code(row.unwrap_or_else(|| panic!("{label}"))[1])
    };
    let outcomes: Vec<_> = Outcome::ALL.map(Outcome::as_str).into();
    let closed: Vec<_> = CloseReason::ALL.map(CloseReason::as_str).into();
    let losses: Vec<_> = Loss::ALL.map(Loss::as_str).into();
    let resources: Vec<_> = Resource::ALL.map(Resource::as_str).into();
    assert_eq!(values("zt_risk_exporter_web_connections_closed_total"), closed);
    let recoveries: Vec<_> = Recovery::ALL.map(Recovery::as_str).into();
    assert_eq!(values("zt_risk_exporter_state_recoveries_total"), recoveries);
    assert_eq!(values("zt_risk_exporter_state_commits_total"), ["ok", "failed"]);
    assert_eq!(values("format"), Format::ALL.map(Format::as_str));
    let rejected: Vec<_> = Rejection::ALL.map(Rejection::as_str).into();
    assert_eq!(values("zt_risk_exporter_web_requests_rejected_total"), rejected);
    let settings: Vec<_> = DriftSetting::ALL.map(DriftSetting::as_str).into();
    assert_eq!(values("setting"), settings);
    assert_eq!((values("outcome"), values("reason"), values("resource")), (outcomes, losses, resources));
}

#[test]
fn every_variable_of_the_configuration_table_is_known() {
    let rows = table(CONFIGURATION, "| Key | Default | Environment | Change | Meaning |");
    for row in rows {
        let value = match code(row[0]).concat().as_str() {
            // Looked at only with the identity `hash`, and then it has to be there.
            "users.hash_key_file" => "hash.key".to_owned(),
            "shard.index" => "0".to_owned(),
            // Some directory.
            "accounts_from.tokens_dir" => "src".to_owned(),
            "web.health_address" => ":10070".to_owned(),
            "web.grafana_url" => "https://grafana.example.com".to_owned(),
            "accounts[].id" => "0123456789abcdef0123456789abcdef".to_owned(),
            "accounts[].email" => "user@example.com".to_owned(),
            _ if row[1].is_empty() => "x".to_owned(),
            _ => code(row[1]).concat(),
        };
        for variable in code(row[2]) {
            let base = [
                ("CLOUDFLARE_ACCOUNT_ID", "0123456789abcdef0123456789abcdef"),
                ("CLOUDFLARE_API_TOKEN", "x"),
                (variable, value.as_str()),
            ];
            let environment = base.map(|(name, value)| (name.into(), value.into()));
            let loaded = Config::load(&Flags::default(), environment).map(|_| ());
            assert_eq!(loaded.map_err(|error| error.to_string()), Ok(()), "{variable}");
        }
    }
}

#[test]
fn the_configuration_of_the_manual_loads() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "secret\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let yaml = blocks(CONFIGURATION, "yaml").into_iter().find(|text| text.starts_with("accounts:")).unwrap();
    let file = directory.path().join("zt.yaml");
    fs::write(&file, yaml).unwrap();
    let config = Config::load(&Flags { config_file: Some(file), ..Flags::default() }, []).unwrap();
    let aliases: Vec<_> = config.accounts.iter().map(|account| account.alias.as_str()).collect();
    assert_eq!((aliases, config.warnings.len()), (vec!["acme", "subsidiary"], 0));
}

#[test]
fn the_scenario_of_the_manual_can_be_played() {
    let yaml = blocks(SIMULATOR, "yaml").into_iter().find(|text| text.contains("generated_users")).unwrap();
    let scenario = Scenario::from_yaml(yaml).map_err(|error| error.to_string()).unwrap();
    assert_eq!((scenario.accounts.len(), scenario.tokens.len(), scenario.faults.len()), (1, 2, 1));
}

/// The allowed values in place of the invalid one: the error lists them.
fn known(nonsense: &str) -> Vec<String> {
    let refusal = Scenario::from_yaml(nonsense).expect_err("nonsense is refused").to_string();
    let list = ["known keys: ", "but must be "].iter().find_map(|before| refusal.split_once(before));
    let (_, list) = list.unwrap_or_else(|| panic!("{refusal}"));
    list.split(", ").flat_map(|words| words.split(" or ")).map(str::to_owned).collect()
}

/// The name of a choice, which may have fields.
fn name_of_choice(choice: &str) -> Option<String> {
    choice.split([':', ' ', '{']).find(|word| !word.is_empty()).map(str::to_owned)
}

#[test]
fn the_manual_knows_every_key_and_choice_of_a_scenario() {
    let keys = table(SIMULATOR, "| Key | Meaning |").into_iter().map(|row| code(row[0]).concat());
    agree(keys, known("nonsense: 1"));
    let options = table(SIMULATOR, "| Option | Values | What it controls |");
    agree(options.iter().map(|row| code(row[0]).concat()), known("api: { nonsense: 1 }"));
    for row in options {
        let key = code(row[0]).concat();
        // Values that are not words are numbers.
        let values = if code(row[1]).is_empty() { vec!["7"] } else { code(row[1]) };
        for value in values {
            let scenario = Scenario::from_yaml(&format!("api: {{ {key}: {value} }}"));
            assert_eq!(scenario.map(|_| ()).map_err(|error| error.to_string()), Ok(()), "{key}: {value}");
        }
        if !code(row[1]).is_empty() {
            let names = code(row[1]).into_iter().filter_map(name_of_choice);
            agree(names, known(&format!("api: {{ {key}: nonsense }}")));
        }
    }
    let rules = table(SIMULATOR, "| Rule | Meaning |").into_iter().map(|row| code(row[0]).concat());
    agree(rules, known("faults: [{ nonsense: 1 }]"));
}

#[test]
fn the_manual_knows_every_fault_and_spells_it_right() {
    let rows = table(SIMULATOR, "| Fault | What goes wrong |");
    let faults: Vec<String> = rows.iter().map(|row| code(row[0]).concat()).collect();
    for fault in &faults {
        let scenario = Scenario::from_yaml(&format!("faults: [{{ fault: {fault} }}]"));
        assert_eq!(scenario.map(|_| ()).map_err(|error| error.to_string()), Ok(()), "{fault}");
    }
    agree(faults.iter().filter_map(|fault| name_of_choice(fault)), known("faults: [{ fault: nonsense }]"));
}

#[test]
fn the_drills_table_has_every_story_and_alerts_that_exist() {
    let rows = table(DRILLS, "| Story | What happens | Alerts | `--speed 1` | `--speed 60` |");
    agree(rows.iter().map(|row| code(row[0]).concat()), Story::ALL.map(|story| story.as_str().to_owned()));
    let alerts = table(ALERTS, "| Alert | Severity | Fires when |");
    let alerts: BTreeSet<_> = alerts.iter().map(|row| code(row[0]).concat()).collect();
    for row in rows {
        let fires = code(row[2]);
        assert!(fires.iter().all(|alert| alerts.contains(*alert)), "{row:?}");
        for times in [row[3], row[4]] {
            assert_eq!(times.split(", ").count(), fires.len(), "{row:?}");
        }
    }
}

#[test]
fn the_commands_table_is_the_command_line() {
    let table =
        GoldenTable::read("docs/commands.md", "## All commands", "| Command | Flags | What it does |");
    table.assert_is(commands(&Cli::command(), "").into_iter().map(|(words, flags, about)| {
        let words = format!("`{words}`");
        // The manual says more about a command than the one line of its help.
        let what = table.last_cell(&words).map_or(format!("{about}."), str::to_owned);
        [words, flags.join(", "), what]
    }));
}

/// The commands under this one that do something, by their words, with their flags and the line about them.
fn commands(command: &clap::Command, before: &str) -> Vec<(String, Vec<String>, String)> {
    let mut found = Vec::new();
    for command in command.get_subcommands() {
        let words = format!("{before}{}", command.get_name());
        if command.has_subcommands() {
            found.extend(commands(command, &format!("{words} ")));
            continue;
        }
        let flags = command.get_arguments().filter_map(|argument| argument.get_long());
        let flags = flags.filter(|name| *name != "help").map(|name| format!("`--{name}`"));
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        found.push((words, flags.collect(), about));
    }
    found
}

/// The text of all files below a directory of the repository.
fn text_below(directory: &str) -> String {
    fn collect(directory: &Path, text: &mut String) {
        for entry in fs::read_dir(directory).expect("sources are there") {
            let path = entry.expect("sources can be listed").path();
            if path.is_dir() {
                collect(&path, text);
            } else {
                text.push_str(&fs::read_to_string(path).expect("sources are text"));
            }
        }
    }
    let mut text = String::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut text);
    text
}

/// The text of all sources, with strings as the program has them: in one line, quotes unescaped.
fn sources() -> String {
    let text = text_below("src");
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    let joined = parts.fold(first, |text, part| text + part.trim_start());
    joined.replace("\\\"", "\"")
}

#[test]
fn every_message_in_troubleshooting_is_one_of_the_program() {
    let sources = sources();
    let rows = table(TROUBLESHOOTING, "| Message | Cause | What to do |");
    assert!(rows.len() > 30, "{} rows", rows.len());
    for row in rows {
        for message in code(row[0]) {
            for piece in message.split("...").map(|piece| piece.trim_matches([' ', ';', ':', ','])) {
                assert!(sources.contains(piece), "{piece:?} of {message:?} is nowhere in the sources");
            }
        }
    }
}

/// The documents whose links are checked: path and text.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths =
        ["README.md", "SECURITY.md", "CHANGELOG.md", "tests/README.md"].map(|path| root.join(path)).to_vec();
    for directory in ["docs", ".github"] {
        let entries = fs::read_dir(root.join(directory)).expect("the directory is there");
        let files = entries.map(|entry| entry.expect("it can be listed").path());
        paths.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The lines outside fenced blocks: a comment in a shell block is no heading.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

/// The anchors of a document's headings, as GitHub and GitLab make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        let anchor = kept.collect::<String>().replace(' ', "-");
        assert!(anchors.insert(anchor.clone()), "two headings have the anchor {anchor}");
    }
    anchors
}

#[test]
fn every_relative_link_and_anchor_resolves() {
    let documents = documents();
    let mut links = 0;
    let mut broken = Vec::new();
    for (path, text) in &documents {
        for target in
            prose(text).flat_map(|line| line.split("](").skip(1)).filter_map(|text| text.split(')').next())
        {
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (file, anchor) =
                target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let file = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            let found = file.exists()
                && anchor.is_none_or(|anchor| {
                    fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(anchor))
                });
            if !found {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(links > 100, "only {links} links were found");
}

#[test]
fn the_readme_is_a_first_look_and_leads_to_the_whole_manual() {
    let readme = text!("README.md");
    assert!(
        readme.lines().count() <= 250,
        "README.md has {} lines, and may have 250",
        readme.lines().count()
    );
    let (_, index) = readme.split_once("\n## Manual\n").expect("the index of docs/");
    let (index, _) = index.split_once("\n## ").expect("a section after it");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).expect("docs/ is there") {
        let name = entry.expect("docs/ can be listed").file_name();
        let name = name.to_str().expect("names are UTF-8");
        assert_eq!(index.matches(&format!("](docs/{name})")).count(), 1, "{name} in the index");
    }
}

#[test]
fn every_file_and_test_that_the_recipes_name_exists() {
    let (_, recipes) = text!(".github/CONTRIBUTING.md").split_once("\n## Recipes\n").expect("the recipes");
    let code_of_tests = ["src", "tests/client", "tests/commands", "tests/daemon"].map(text_below).concat();
    let (mut files, mut tests) = (0, 0);
    for name in code(recipes) {
        if ["src/", "docs/", "deploy/", "tests/"].iter().any(|folder| name.starts_with(folder)) {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name.replace("NAME", "check"));
            assert!(path.exists(), "{name} does not exist");
            files += 1;
        } else if name.matches('_').count() > 3 {
            assert!(code_of_tests.contains(&format!("fn {name}(")), "there is no test {name}");
            tests += 1;
        }
    }
    assert!(files > 25 && tests > 8, "{files} files and {tests} tests were found");
}
