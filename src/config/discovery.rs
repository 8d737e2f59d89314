//! Tokens whose accounts are found by asking Cloudflare for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::accounts::DEFAULT_SHARE;
use super::baseline::BaselineFile;
use super::entry::Entry;
use super::error::{Error, Mistakes};
use super::keys;
use super::parse;
use super::secret_files::{CredentialSource, Secrets, unusable};
use super::yaml::Document;
use crate::cloudflare::Credentials;

/// Bounds of the number of tokens: each has a task and a few series.
const MOST: usize = 100;

/// The longest name of a token in a label.
const LONGEST_LABEL: usize = 64;

/// A token, and which of the accounts that it may read are watched.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// The file with the token of a user.
    pub token_file: PathBuf,
    /// The label `token_file`: the name of the file, distinct from those of others.
    pub label: String,
    /// What the file held when it was read last; `None` if it was not read.
    pub(crate) credential: Option<Credentials>,
    /// The settings that the behaviors of its accounts should have, if a file declares them.
    pub(super) baseline: Option<Arc<BaselineFile>>,
    /// The name by which its accounts are assigned to a shard, if that does not follow from them.
    pub(super) group: Option<String>,
    /// If this is not empty, only accounts whose id or name matches one of these.
    pub(crate) include: Vec<Pattern>,
    /// No accounts whose id or name matches one of these.
    pub(crate) exclude: Vec<Pattern>,
    /// What found accounts are called.
    pub alias: FoundAlias,
    /// How often the list of accounts is read, from a minute to a day.
    pub interval: Duration,
    /// The share of the 1,200 requests in five minutes that all found accounts may use together, from 0.01 to 1.
    pub budget_share: f64,
}

/// What a found account is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundAlias {
    /// By its name at Cloudflare.
    Name,
    /// By its id.
    Id,
}

/// A text in which `*` stands for any characters. Letter case does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<String>);

impl Pattern {
    fn new(text: &str) -> Self {
        Self(text.to_lowercase().split('*').map(str::to_owned).collect())
    }

    /// Whether the whole text matches.
    fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.0.first().is_some_and(|whole| *whole == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
        else {
            return false;
        };
        let after = |rest: &str, part: &String| rest.find(part.as_str()).map(|at| at + part.len());
        let rest =
            middle.iter().try_fold(rest, |rest, part| after(rest, part).and_then(|end| rest.get(end..)));
        rest.is_some()
    }
}

impl Discovery {
    /// Whether the other one has the same settings; its token may be another one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let settings = |one: &Self| {
            let Self { token_file, label, include, exclude, alias, interval, budget_share, .. } = one.clone();
            (token_file, label, include, exclude, alias, interval, budget_share)
        };
        settings(self) == settings(other)
    }

    /// Whether an account with this id and name is to be watched.
    pub(super) fn selects(&self, id: &str, name: &str) -> bool {
        let matches = |patterns: &[Pattern]| {
            patterns.iter().any(|pattern| pattern.matches(id) || pattern.matches(name))
        };
        (self.include.is_empty() || matches(&self.include)) && !matches(&self.exclude)
    }
}

/// The tokens that the file lists. What is missing is a mistake.
pub(super) fn load(document: &Document, secrets: Secrets, mistakes: &mut Mistakes) -> Vec<Discovery> {
    let section = keys::DISCOVERY_TOKEN_FILE.section;
    let entries = Entry::all(document, section, "a token_file", mistakes);
    if let Some(entry) = entries.get(MOST) {
        mistakes.add(entry.refuse(&format!("is one too many: at most {MOST} are allowed")));
    }
    let mut found: Vec<Discovery> = Vec::new();
    for entry in entries.iter().take(MOST) {
        if let Some(new) = read(entry, secrets, mistakes) {
            if found.iter().any(|known| known.token_file == new.token_file) {
                mistakes.add(entry.refuse("has the token_file of an entry before it"));
                continue;
            }
            found.push(new);
        }
    }
    label(&mut found);
    found
}

fn read(entry: &Entry<'_>, secrets: Secrets, mistakes: &mut Mistakes) -> Option<Discovery> {
    let misspelled = entry.check_names(mistakes);
    let file = mistakes.note(entry.get(keys::DISCOVERY_TOKEN_FILE));
    if file.as_ref().is_some_and(Option::is_none) && !misspelled.contains(&keys::DISCOVERY_TOKEN_FILE.name) {
        mistakes.add(entry.refuse("has no token_file"));
    }
    let token = file.flatten().and_then(|setting| {
        let path = mistakes.note(entry.path(&setting))?;
        let credential = match secrets {
            Secrets::Skip => None,
            Secrets::Read => {
                let read = CredentialSource::TokenFile(path.clone()).read();
                let directory = entry.document.directory();
                Some(mistakes.note(read.map_err(|error| unusable(&setting, &path, directory, &error)))?)
            }
        };
        Some((path, credential))
    });
    let alias = mistakes.note(entry.get(keys::DISCOVERY_ALIAS)).map(|setting| match setting {
        None => Some(FoundAlias::Name),
        Some(setting) => match setting.text.as_str() {
            "name" => Some(FoundAlias::Name),
            "id" => Some(FoundAlias::Id),
            _ => {
                mistakes.add(setting.must_be("name or id"));
                None
            }
        },
    });
    let interval = mistakes.note(entry.get(keys::DISCOVERY_INTERVAL)).map(|setting| match setting {
        None => Some(DEFAULT_INTERVAL),
        Some(setting) => mistakes.note(setting.parse(parse::discovery_interval)),
    });
    let budget_share = mistakes.note(entry.get(keys::DISCOVERY_SHARE)).map(|setting| match setting {
        None => Some(DEFAULT_SHARE),
        Some(setting) => mistakes.note(setting.parse(parse::share)),
    });
    let [include, exclude] = [keys::DISCOVERY_INCLUDE, keys::DISCOVERY_EXCLUDE]
        .map(|key| mistakes.note(entry.get_list(key).and_then(|settings| patterns(&settings))));
    let (token_file, credential) = token?;
    Some(Discovery {
        label: String::new(),
        token_file,
        credential,
        baseline: None,
        group: None,
        include: include?,
        exclude: exclude?,
        alias: alias??,
        interval: interval??,
        budget_share: budget_share??,
    })
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(600);

fn patterns(settings: &[super::Setting]) -> Result<Vec<Pattern>, Error> {
    let pattern = |setting: &super::Setting| match setting.text.as_str() {
        "" => Err(setting.must_be("an id or a name, in which * stands for any characters")),
        text => Ok(Pattern::new(text)),
    };
    settings.iter().map(pattern).collect()
}

/// Gives each token a name of its own: that of its file, with a number if others have it too.
fn label(found: &mut [Discovery]) {
    let mut taken: Vec<String> = Vec::new();
    for one in found {
        let name = one.token_file.file_name().unwrap_or_default().to_string_lossy();
        let name: String = name.chars().filter(|letter| !letter.is_control()).take(LONGEST_LABEL).collect();
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|label| !taken.contains(label));
        one.label = free.expect("there are more numbers than tokens");
        taken.push(one.label.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags};

    #[test]
    fn a_star_stands_for_any_characters_and_letter_case_does_not_matter() {
        for (pattern, text, wanted) in [
            ("acme", "acme", true),
            ("acme", "ACME", true),
            ("Acme", "acme inc", false),
            ("acme*", "Acme Inc", true),
            ("*inc", "Acme Inc", true),
            ("*c*i*", "Acme Inc", true),
            ("*i*c*", "acme", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("**", "x", true),
            ("a*e*c", "acme inc", true),
            ("größe*", "GRÖSSE", false),
            ("größe*", "GRÖßE 1", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), wanted, "{pattern} {text}");
        }
    }

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zt.yaml");
        std::fs::write(&path, text).unwrap();
        for (file, token) in [("token", "a"), ("other", "b"), ("empty", "")] {
            std::fs::write(folder.path().join(file), token).unwrap();
        }
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/token"), "c").unwrap();
        let flags = Flags { config_file: Some(path), ..Flags::default() };
        let directory = format!("{}/", folder.path().display());
        Config::load(&flags, []).map_err(|error| error.to_string().replace(&directory, ""))
    }

    #[test]
    fn an_entry_has_defaults_and_a_label_of_its_own() {
        let config = load(
            "discovery:\n- { token_file: token }\n- { token_file: sub/token, include: 'acme*', exclude: [a, 'b*'], alias: id, \
             interval: 1h, budget_share: 1 }\n",
        );
        let found = config.unwrap().discovery;
        let shown: Vec<_> = found
            .iter()
            .map(|one| {
                let counts = (one.include.len(), one.exclude.len());
                (one.label.as_str(), one.alias, one.interval.as_secs(), one.budget_share, counts)
            })
            .collect();
        let wanted =
            [("token", FoundAlias::Name, 600, 0.25, (0, 0)), ("token-2", FoundAlias::Id, 3_600, 1.0, (1, 2))];
        assert_eq!(shown, wanted);
        let [first, second] = found.as_slice() else { panic!("{found:?}") };
        for (id, name, wanted) in [
            ("1", "acme", [true, true]),
            ("acme-1", "other", [true, true]),
            ("1", "other", [true, false]),
            ("a", "acme", [true, false]),
            ("1", "B", [true, false]),
        ] {
            assert_eq!([first, second].map(|one| one.selects(id, name)), wanted, "{id} {name}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, wanted) in [
            ("discovery: token", "zt.yaml:1: discovery is a single value, but must be a list"),
            (
                "discovery: [token]",
                "zt.yaml:1: discovery[0] is a single value, but must be a map with a token_file",
            ),
            ("discovery: [{}]", "zt.yaml:1: discovery[0] has no token_file"),
            (
                "discovery: [{ token_fil: token }]",
                "zt.yaml:1: discovery[0].token_fil is not a known key; did you mean discovery[0].token_file?",
            ),
            (
                "discovery: [{ token_file: none }]",
                "zt.yaml:1: discovery[0].token_file must be the path of a file, but there is no file of that name",
            ),
            (
                "discovery: [{ token_file: empty }]",
                "zt.yaml:1: discovery[0].token_file cannot be used: the content of empty is empty",
            ),
            (
                "discovery: [{ token_file: token, alias: both }]",
                "zt.yaml:1: discovery[0].alias is \"both\", but must be name or id",
            ),
            (
                "discovery: [{ token_file: token, interval: 1s }]",
                "zt.yaml:1: discovery[0].interval is \"1s\", but must be a duration from 1m to 1d, written like 30s, 5m or 1h30m",
            ),
            (
                "discovery: [{ token_file: token, include: { a: b } }]",
                "zt.yaml:1: discovery[0].include is a map, but must be a text or a list of texts",
            ),
            (
                "discovery: [{ token_file: token, exclude: [''] }]",
                "zt.yaml:1: discovery[0].exclude is \"\", but must be an id or a name, in which * stands for any characters",
            ),
            (
                "discovery:\n- { token_file: token }\n- { token_file: token }",
                "zt.yaml:3: discovery[1] has the token_file of an entry before it",
            ),
        ] {
            assert_eq!(load(text).unwrap_err(), wanted, "{text}");
        }
    }
}
