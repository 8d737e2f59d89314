//! What the documents say is what the program does: names, defaults, flags, messages and examples.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use zt_risk_exporter::cloudflare::Outcome;
use zt_risk_exporter::collector::ledger::Loss;
use zt_risk_exporter::commands::Cli;
use zt_risk_exporter::config::{Config, Flags};
use zt_risk_exporter::metrics::families;
use zt_risk_exporter::simulator::{Scenario, Story};

const README: &str = include_str!("../../README.md");
const LIB: &str = include_str!("../../src/lib.rs");
const EXAMPLE: &str = include_str!("../../deploy/zt-risk-exporter.example.yaml");

/// The cells of the table under this header line, row by row; the header itself must be there once.
fn table(header: &str) -> Vec<Vec<&'static str>> {
    assert_eq!(README.matches(header).count(), 1, "{header}");
    tables(header)
}

/// The same for all tables with this header.
fn tables(header: &str) -> Vec<Vec<&'static str>> {
    let after = README.split(header).skip(1);
    let rows = after.flat_map(|text| text.lines().skip(2).take_while(|line| line.starts_with('|')));
    let cells = |row: &'static str| row.strip_prefix('|')?.strip_suffix('|');
    rows.filter_map(cells).map(|row| row.split('|').map(str::trim).collect()).collect()
}

/// What stands in backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The fenced blocks in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let after = README.split(&format!("```{language}\n")).skip(1).collect::<Vec<_>>();
    after.into_iter().filter_map(|text| text.split("```").next()).collect()
}

/// Fails unless the README says exactly what is wanted, in whatever order.
fn agree<T: Ord + Debug>(said: impl IntoIterator<Item = T>, wanted: impl IntoIterator<Item = T>) {
    let said: BTreeSet<T> = said.into_iter().collect();
    let wanted: BTreeSet<T> = wanted.into_iter().collect();
    let excess: Vec<&T> = said.difference(&wanted).collect();
    let missing: Vec<&T> = wanted.difference(&said).collect();
    assert!(
        excess.is_empty() && missing.is_empty(),
        "only in the README: {excess:#?}, only in the program: {missing:#?}"
    );
}

#[test]
fn the_metrics_tables_are_the_declared_families() {
    let rows = tables("| Name | Type | Labels | Meaning |").into_iter().map(|row| {
        let [name, kind, labels, meaning] = row[..] else { panic!("{row:?}") };
        (code(name).concat(), kind.to_owned(), code(labels).join(","), meaning.to_owned())
    });
    let declared = families::cloudflare::ALL.into_iter().chain(families::exporter::ALL).map(|family| {
        let kind = family.kind.as_str().to_owned();
        (family.name.to_owned(), kind, family.labels.join(","), family.help.to_owned())
    });
    agree(rows, declared);
}

#[test]
fn the_values_of_closed_labels_are_all_listed() {
    let rows = table("| Label | Values |");
    let values = |label: &str| -> Vec<&str> {
        let row = rows.iter().find(|row| code(row[0]).contains(&label));
        code(row.unwrap_or_else(|| panic!("{label}"))[1])
    };
    let outcomes: Vec<_> = Outcome::ALL.map(Outcome::as_str).into();
    let losses: Vec<_> = Loss::ALL.map(Loss::as_str).into();
    assert_eq!((values("outcome"), values("reason")), (outcomes, losses));
}

/// The settings of the example: key, default.
fn settings() -> Vec<(String, String)> {
    let mut section = "";
    let mut settings = Vec::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.contains([' ', '#'])) {
            section = name;
        }
        let setting = line.trim_start_matches([' ', '#', '-']).split_once(": ");
        let Some((name, value)) = setting.filter(|(name, _)| !name.contains(' ')) else {
            continue;
        };
        // `#key: value` is a default, `# key: example` is none.
        let is_default = line.trim_start().strip_prefix('#').is_some_and(|rest| !rest.starts_with(' '));
        let key =
            if section == "accounts" { format!("accounts[].{name}") } else { format!("{section}.{name}") };
        settings.push((key, if is_default { value.trim_matches('"').to_owned() } else { String::new() }));
    }
    settings
}

#[test]
fn the_configuration_table_is_the_example_file() {
    let rows = table("| Key | Default | Environment | Meaning |");
    let said = rows.iter().map(|row| (code(row[0]).concat(), code(row[1]).concat()));
    agree(said, settings());
    for row in &rows {
        let (key, variables) = (code(row[0]).concat(), code(row[2]));
        let ours = format!("ZT_RISK_EXPORTER__{}", key.replace('.', "__").to_uppercase());
        let wanted = !key.starts_with("accounts[]");
        assert_eq!(variables.contains(&ours.as_str()), wanted, "{key}: {variables:?}");
    }
}

#[test]
fn every_variable_of_the_readme_is_known() {
    let rows = table("| Key | Default | Environment | Meaning |");
    for row in rows {
        let value = match code(row[0]).concat().as_str() {
            // Looked at only with the identity `hash`, and then it has to be there.
            "users.hash_key_file" => "hash.key".to_owned(),
            "shard.index" => "0".to_owned(),
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
fn the_configuration_of_the_readme_loads() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("token"), "secret\n").unwrap();
    let yaml = blocks("yaml").into_iter().find(|text| text.starts_with("accounts:")).unwrap();
    let file = directory.path().join("zt.yaml");
    fs::write(&file, yaml).unwrap();
    let config = Config::load(&Flags { config_file: Some(file), ..Flags::default() }, []).unwrap();
    let aliases: Vec<_> = config.accounts.iter().map(|account| account.alias.as_str()).collect();
    assert_eq!((aliases, config.warnings.len()), (vec!["acme", "subsidiary"], 0));
}

#[test]
fn the_scenario_of_the_readme_can_be_played() {
    let yaml = blocks("yaml").into_iter().find(|text| text.contains("generated_users")).unwrap();
    let scenario = Scenario::from_yaml(yaml).map_err(|error| error.to_string()).unwrap();
    assert_eq!((scenario.accounts.len(), scenario.tokens.len(), scenario.faults.len()), (1, 2, 1));
}

/// What a scenario may say where it says nonsense: the refusal lists it.
fn known(nonsense: &str) -> Vec<String> {
    let refusal = Scenario::from_yaml(nonsense).expect_err("nonsense is refused").to_string();
    let list = refusal.split_once("expected one of ").and_then(|(_, list)| list.split_once(" at line "));
    let (list, _) = list.unwrap_or_else(|| panic!("{refusal}"));
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_readme_knows_every_key_and_choice_of_a_scenario() {
    let keys = table("| Key | Meaning |").into_iter().map(|row| code(row[0]).concat());
    agree(keys, known("nonsense: 1"));
    let (_, choices) = README.split_once("In `api` stand: ").unwrap();
    let (choices, _) = choices.split_once(". ").unwrap();
    let choices = code(choices).into_iter().map(str::to_owned);
    agree(choices, known("api: { nonsense: 1 }"));
}

#[test]
fn the_readme_knows_every_fault_and_spells_it_right() {
    let rows = table("| Fault | What goes wrong |");
    let faults: Vec<String> = rows.iter().map(|row| code(row[0]).concat()).collect();
    for fault in &faults {
        let scenario = Scenario::from_yaml(&format!("faults: [{{ fault: {fault} }}]"));
        assert_eq!(scenario.map(|_| ()).map_err(|error| error.to_string()), Ok(()), "{fault}");
    }
    let name = |fault: &String| fault.split([':', ' ', '{']).find(|word| !word.is_empty()).map(str::to_owned);
    let known = known("faults: [{ fault: nonsense }]");
    agree(faults.iter().filter_map(name), known);
}

#[test]
fn the_drills_table_has_every_story_and_alerts_that_exist() {
    let rows = table("| Story | What happens | Alerts | `--speed 1` | `--speed 60` |");
    agree(rows.iter().map(|row| code(row[0]).concat()), Story::ALL.map(|story| story.as_str().to_owned()));
    let alerts = table("| Alert | Severity | Fires when |");
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
    let rows = table("| Command | Flags | What it does |").into_iter();
    let said = rows.map(|row| {
        (code(row[0]).concat(), code(row[1]).into_iter().map(str::to_owned).collect::<BTreeSet<_>>())
    });
    agree(said, commands(&Cli::command(), ""));
}

/// The commands under this one that do something, by their words, with their flags.
fn commands(command: &clap::Command, before: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    for command in command.get_subcommands() {
        let words = format!("{before}{}", command.get_name());
        if command.has_subcommands() {
            found.extend(commands(command, &format!("{words} ")));
            continue;
        }
        let flags = command.get_arguments().filter_map(|argument| argument.get_long());
        let flags = flags.filter(|name| *name != "help").map(|name| format!("--{name}"));
        found.push((words, flags.collect()));
    }
    found
}

/// The text of all sources, with strings as the program has them: in one line, quotes unescaped.
fn sources() -> String {
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
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    let joined = parts.fold(first, |text, part| text + part.trim_start());
    joined.replace("\\\"", "\"")
}

#[test]
fn every_message_in_troubleshooting_is_one_of_the_program() {
    let sources = sources();
    let rows = table("| Message | Cause | What to do |");
    assert!(rows.len() > 30, "{} rows", rows.len());
    for row in rows {
        for message in code(row[0]) {
            for piece in message.split("...").map(|piece| piece.trim_matches([' ', ';', ':', ','])) {
                assert!(sources.contains(piece), "{piece:?} of {message:?} is nowhere in the sources");
            }
        }
    }
}

#[test]
fn the_example_for_the_library_is_the_one_that_is_compiled() {
    let documented = LIB.split("//! ```\n").nth(2).unwrap();
    let plain = |line: &str| line.strip_prefix("//!").unwrap().trim_start_matches(' ').to_owned();
    let compiled: Vec<_> = documented.lines().map(plain).collect();
    let [shown] = blocks("rust")[..] else { panic!("one example in Rust") };
    let shown: Vec<_> = shown.lines().map(|line| line.trim_start().to_owned()).collect();
    assert_eq!(shown, compiled);
}

#[test]
fn the_map_of_the_crate_names_each_module_once() {
    let (map, modules) = LIB.split_at(LIB.find("pub mod ").unwrap());
    for module in modules.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        assert_eq!(map.matches(&format!("//! - [`{module}`]: ")).count(), 1, "{module}");
    }
}

#[test]
fn files_and_headings_that_the_readme_links_to_are_there() {
    let slug = |heading: &str| {
        let heading = heading.trim_start_matches(['#', ' ']).to_lowercase();
        // As the forges do it: punctuation is left out.
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.collect::<String>().replace(' ', "-")
    };
    let headings: Vec<_> = README.lines().filter(|line| line.starts_with('#')).map(slug).collect();
    for target in README.split("](").skip(1).filter_map(|text| text.split(')').next()) {
        match target.strip_prefix('#') {
            Some(anchor) => assert!(headings.iter().any(|heading| heading == anchor), "{target}"),
            None => assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(target).exists(), "{target}"),
        }
    }
}
