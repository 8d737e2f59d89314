use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::config::{Config, Error, Flags};

const ONE: &str = "11111111111111111111111111111111";
const TWO: &str = "22222222222222222222222222222222";
const THREE: &str = "33333333333333333333333333333333";

/// A directory with the configuration `zt.yaml`, and with tokens in `tokens`.
struct Place(TempDir);

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("tokens")).unwrap();
        for (name, content) in files {
            place.write(name, content);
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path("tokens").join(name), content).unwrap();
    }

    /// The configuration with this text beside the directory.
    fn load(&self, rest: &str) -> Result<Config, Error> {
        fs::write(self.path("zt.yaml"), format!("accounts_from: {{ tokens_dir: tokens }}\n{rest}")).unwrap();
        Config::load(&Flags { config_file: Some(self.path("zt.yaml")), ..Flags::default() }, [])
    }

    /// What is wrong with the files, without the path of the directory.
    fn problems(&self, config: &Config) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        let files = config.token_files.as_ref().unwrap();
        files.problems.iter().map(|problem| problem.to_string().replace(&directory, "")).collect()
    }
}

/// Id, alias, number of the credential, and share of each account.
fn accounts(config: &Config) -> Vec<(&str, &str, usize, f64)> {
    let mut shown = Vec::new();
    for Account { id, alias, credential, budget_share, .. } in &config.accounts {
        shown.push((id.as_str(), alias.as_str(), *credential, *budget_share));
    }
    shown
}

#[test]
fn a_name_says_which_account_a_file_is_of() {
    let upper = "ABCDEF0123456789ABCDEF0123456789";
    let longest = "x".repeat(64);
    for (name, wanted) in [
        (ONE.to_owned(), Some((ONE, ONE))),
        (format!("{ONE}.acme"), Some((ONE, "acme"))),
        (format!("{ONE}.acme.com"), Some((ONE, "acme.com"))),
        (format!("{ONE}.Acme Größe"), Some((ONE, "Acme Größe"))),
        (format!("{ONE}.{longest}"), Some((ONE, &longest))),
        (format!("{upper}.acme"), Some(("abcdef0123456789abcdef0123456789", "acme"))),
        (format!("{ONE}.{longest}x"), None),
        (format!("{ONE}."), None),
        (format!("{ONE}. acme"), None),
        (format!("{ONE}.ac\nme"), None),
        (format!("{ONE}-acme"), None),
        (format!("{ONE}0"), None),
        (ONE[1..].to_owned(), None),
        (format!("acme.{ONE}"), None),
        ("acme".to_owned(), None),
        ("token".to_owned(), None),
    ] {
        let wanted = wanted.map(|(id, alias)| (id.to_owned(), alias.to_owned()));
        assert_eq!(account_of(&name), wanted, "{name}");
    }
}

#[test]
fn each_file_is_an_account_and_hidden_files_and_directories_are_none() {
    // As Kubernetes mounts a Secret.
    let place = Place::new(&[]);
    let tokens = place.path("tokens");
    fs::create_dir_all(tokens.join("..2026_11_29")).unwrap();
    symlink("..2026_11_29", tokens.join("..data")).unwrap();
    for (name, token) in [(TWO, "b\n"), (&format!("{ONE}.acme"), "a")] {
        fs::write(tokens.join("..data").join(name), token).unwrap();
        symlink(Path::new("..data").join(name), tokens.join(name)).unwrap();
    }
    fs::create_dir(tokens.join("lost+found")).unwrap();
    fs::write(tokens.join(".swp"), "").unwrap();
    let config = place.load("").unwrap();
    assert_eq!(accounts(&config), [(ONE, "acme", 0, 0.25), (TWO, TWO, 1, 0.25)]);
    assert_eq!(place.problems(&config), Vec::<String>::new());
    assert_eq!(config.token_files.as_ref().unwrap().used, 2);
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_concerns_no_other() {
    let place = Place::new(&[
        (&format!("{ONE}.acme"), "a"),
        (TWO, "\n"),
        (&format!("{ONE}.bak"), "old"),
        ("acme", "b"),
        ("v1abcdefghijklmnopqrstuvwxyz0123456789abcdef", "c"),
        (&format!("{THREE}.spaces"), "a b"),
    ]);
    let id = |digit: &str| digit.repeat(32);
    symlink("nowhere", place.path("tokens").join(id("4"))).unwrap();
    fs::create_dir(place.path("tokens").join(id("5"))).unwrap();
    let config = place.load("").unwrap();
    assert_eq!(accounts(&config), [(ONE, "acme", 0, 0.25)]);
    let name =
        "its name must be an account id, which has 32 hexadecimal digits, or an id, a dot and an alias";
    let wanted = [
        format!("token file \"{ONE}.bak\" is not used: the file \"{ONE}.acme\" is of the same account"),
        format!("token file \"{TWO}\" is not used: the content of tokens/{TWO} is empty"),
        format!(
            "token file \"{THREE}.spaces\" is not used: the content of tokens/{THREE}.spaces has a character that is not \
             allowed in an HTTP header, such as a space, a line end or an accent"
        ),
        format!(
            "token file \"{0}\" is not used: cannot read tokens/{0}: No such file or directory (os error 2)",
            id("4")
        ),
        format!("token file \"{0}\" is not used: cannot read tokens/{0}: it is not a regular file", id("5")),
        format!("token file \"acme\" is not used: {name}"),
        // It looks like a token in the wrong place.
        format!("token file \"v1abcdef... (44 characters)\" is not used: {name}"),
    ];
    assert_eq!(place.problems(&config), wanted);
    let files = config.token_files.as_ref().unwrap();
    let counts = TokenFileResult::ALL.map(|result| (result.as_str(), files.count(result)));
    let wanted =
        [("used", 1), ("bad_name", 2), ("unusable", 4), ("duplicate_account", 1), ("duplicate_alias", 0)];
    assert_eq!(counts, wanted);
}

#[test]
fn a_listed_account_takes_precedence_and_may_have_its_token_in_the_directory() {
    let place = Place::new(&[(ONE, "a"), (&format!("{TWO}.two"), "b"), (THREE, "c")]);
    let listed = format!(
        "accounts:\n- {{ id: {ONE}, alias: one, token: listed }}\n\
         - {{ id: {TWO}, token_file: tokens/{TWO}.two, budget_share: 0.5 }}\n"
    );
    let config = place.load(&listed).unwrap();
    assert_eq!(accounts(&config), [(ONE, "one", 0, 0.25), (TWO, TWO, 1, 0.5), (THREE, THREE, 2, 0.25)]);
    let wanted =
        format!("token file \"{ONE}\" is not used: its account is listed under accounts, as \"one\"");
    assert_eq!(place.problems(&config), [wanted]);
    assert_eq!(config.token_files.as_ref().unwrap().used, 2);
}

#[test]
fn accounts_with_the_same_token_share_its_budget() {
    let place = Place::new(&[(ONE, "same"), (TWO, "same\n"), (THREE, "listed")]);
    let id = "4".repeat(32);
    let config =
        place.load(&format!("accounts: [{{ id: {id}, token: listed, budget_share: 0.5 }}]")).unwrap();
    let wanted = [
        (id.as_str(), id.as_str(), 0, 0.5),
        (ONE, ONE, 1, 0.25),
        (TWO, TWO, 1, 0.25),
        (THREE, THREE, 0, 0.5),
    ];
    assert_eq!(accounts(&config), wanted);
}

#[test]
fn accounts_with_the_same_alias_get_digits_of_their_ids_whatever_their_order() {
    let place = Place::new(&[
        (&format!("{ONE}.acme"), "a"),
        (&format!("{TWO}.acme"), "b"),
        (&format!("{THREE}.listed"), "c"),
        (&format!("{}.own", "5".repeat(32)), "d"),
    ]);
    let id = "4".repeat(32);
    let config = place.load(&format!("accounts: [{{ id: {id}, alias: listed, token: e }}]")).unwrap();
    let aliases: Vec<&str> = config.accounts.iter().map(|account| account.alias.as_str()).collect();
    assert_eq!(aliases, ["listed", "acme-11111111", "acme-22222222", "listed-33333333", "own"]);
    let wanted = [
        (ONE, "acme", "acme-11111111"),
        (TWO, "acme", "acme-22222222"),
        (THREE, "listed", "listed-33333333"),
    ];
    let wanted = wanted.map(|(id, alias, new)| {
        format!(
            "token file \"{id}.{alias}\" is used under another alias: another account has the alias \"{alias}\", so this one \
             is \"{new}\""
        )
    });
    assert_eq!(place.problems(&config), wanted);
    // A file that cannot be used keeps its alias.
    place.write(&format!("{TWO}.acme"), "");
    let config = place.load("").unwrap();
    assert_eq!(config.accounts[0].alias, "acme-11111111");
    assert_eq!(config.token_files.as_ref().unwrap().count(TokenFileResult::Unusable), 1);
}

#[test]
fn an_alias_that_others_have_stays_within_its_length_and_is_never_taken_twice() {
    let same = "1".repeat(8);
    let [first, second] = ["a", "b"].map(|digit| same.clone() + &digit.repeat(24));
    let longest = "x".repeat(64);
    let named = |file: &str, id: &str| Named {
        file: file.to_owned(),
        id: id.to_owned(),
        alias: longest.clone(),
        path: PathBuf::new(),
    };
    let mut all = [named("first", &first), named("second", &second)];
    assert_eq!(distinguish(&mut all, &[]).len(), 2);
    let [one, other] = all.map(|named| named.alias);
    assert_eq!((one, other), (format!("{}-{same}", "x".repeat(55)), format!("{}-{second}", "x".repeat(31))));
}

#[test]
fn a_directory_that_cannot_be_listed_is_a_mistake_and_an_empty_one_is_none() {
    let place = Place::new(&[]);
    let config = place.load("").unwrap();
    assert!(config.accounts.is_empty() && config.token_files.unwrap().is_empty());
    fs::remove_dir(place.path("tokens")).unwrap();
    for why in ["No such file or directory (os error 2)", "Not a directory (os error 20)"] {
        let told = place.load("").unwrap_err().to_string();
        let directory = place.0.path().display();
        let wanted = format!(
            "{directory}/zt.yaml:1: accounts_from.tokens_dir cannot be used: cannot list {directory}/tokens: {why}"
        );
        assert_eq!(told, wanted);
        fs::write(place.path("tokens"), "").unwrap();
    }
}

#[test]
fn every_shard_has_its_accounts_and_names_all_problems() {
    let files: Vec<(String, String)> =
        (0..40).map(|n| (format!("{n:032x}"), format!("token-{}", n / 2))).collect();
    let mut files: Vec<(&str, &str)> = files.iter().map(|(name, token)| (&**name, &**token)).collect();
    files.push(("bad", ""));
    let place = Place::new(&files);
    let shard = |index| place.load(&format!("shard: {{ index: {index}, total: 3 }}")).unwrap();
    let shards: Vec<Config> = (0..3).map(shard).collect();
    let mut ids: Vec<String> =
        shards.iter().flat_map(|config| &config.accounts).map(|account| account.id.clone()).collect();
    ids.sort_unstable();
    assert_eq!(ids, files[..40].iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    for config in &shards {
        let files = config.token_files.as_ref().unwrap();
        assert_eq!((files.used, files.count(TokenFileResult::BadName)), (40, 1));
        for account in &config.accounts {
            assert_eq!(config.sharing(account), 2, "accounts with one token stay together");
        }
    }
}

#[test]
fn an_account_whose_file_cannot_be_used_any_more_keeps_its_token_and_one_without_a_file_is_gone() {
    let place = Place::new(&[(&format!("{ONE}.one"), "a"), (&format!("{TWO}.two"), "b"), (THREE, "b")]);
    let before = place.load("").unwrap();
    assert!(before.keeping(&before).is_none(), "all files can be used");
    place.write(&format!("{ONE}.one"), "");
    fs::rename(
        place.path("tokens").join(format!("{TWO}.two")),
        place.path("tokens").join(format!("{TWO}.duo")),
    )
    .unwrap();
    place.write(&format!("{TWO}.duo"), "not a token");
    fs::remove_file(place.path("tokens").join(THREE)).unwrap();
    place.write(&"4".repeat(32), "a");
    place.write(&"5".repeat(32), "");
    let after = place.load("").unwrap();
    let kept = after.keeping(&before).unwrap();
    let four = "4".repeat(32);
    assert_eq!(accounts(&kept), [(&*four, &*four, 0, 0.25), (ONE, "one", 0, 0.25), (TWO, "duo", 1, 0.25)]);
    let tokens: Vec<_> = ["a", "b"].map(|token| crate::cloudflare::Credentials::Token(token.into())).into();
    assert!(kept.credentials == tokens);
    assert_eq!(kept.accounts[2].credentials.file(), Some(&*place.path("tokens").join(format!("{TWO}.duo"))));
    // Those that are kept are kept again.
    assert_eq!(accounts(&after.keeping(&kept).unwrap()), accounts(&kept));
}

#[test]
fn a_directory_that_has_become_empty_is_told_from_one_that_always_was_and_from_another_one() {
    let place = Place::new(&[(ONE, "a")]);
    let full = place.load("").unwrap();
    fs::remove_file(place.path("tokens").join(ONE)).unwrap();
    let empty = place.load("").unwrap();
    let mut other = full.clone();
    let files =
        TokenFiles { directory: "elsewhere".into(), ..TokenFiles::clone(full.token_files.as_ref().unwrap()) };
    other.token_files = Some(files.into());
    let listed = Config { token_files: None, ..full.clone() };
    for (what, now, before, wanted) in [
        ("it has become empty", &empty, &full, true),
        ("it was empty", &empty, &empty, false),
        ("it is not empty", &full, &full, false),
        ("another one is named", &empty, &other, false),
        ("none was named", &empty, &listed, false),
        ("none is named", &listed, &full, false),
    ] {
        assert_eq!(now.emptied_tokens_dir(before).is_some(), wanted, "{what}");
    }
}

#[test]
fn what_no_poller_reads_again_is_compared() {
    let place = Place::new(&[(ONE, "a"), (TWO, "")]);
    let config = place.load("").unwrap();
    assert_eq!(config.files.again(), config.files);
    place.write(ONE, "renewed");
    assert_eq!(config.files.again(), config.files, "its poller reads it again");
    place.write(TWO, "b");
    assert_ne!(config.files.again(), config.files);
    place.write(TWO, "");
    assert_eq!(config.files.again(), config.files);
    place.write(THREE, "c");
    assert_ne!(config.files.again(), config.files);
}
