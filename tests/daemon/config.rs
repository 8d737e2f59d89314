//! Accepted configurations, and the exact messages for the others.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use tempfile::TempDir;
use zt_risk_exporter::cloudflare::Credentials;
use zt_risk_exporter::internals::config::{
    Config, CredentialSource, Error, Flags, IdentityPolicy, Local, LogFormat, Sockets, WebFlags,
};

/// The mode of a file that only its owner may read.
const PRIVATE: u32 = 0o600;

const ID: &str = "0123456789abcdef0123456789abcdef";

/// Names and values of the environment.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// A directory with a configuration `zt.yaml` and secrets beside it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new(configuration: impl AsRef<[u8]>) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.write("zt.yaml", configuration);
        place.write("token", "secret-token\n");
        place.write("same-token", "secret-token");
        place.write("other-token", "other-secret\r\n");
        place.write("short-key", "0123456789\n");
        place.write("hash-key", "sixteen-or-more-bytes\n");
        place
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
        self.set_mode(name, PRIVATE);
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn flags(&self) -> Flags {
        Flags { config_file: Some(self.path("zt.yaml")), ..Flags::default() }
    }

    fn load(&self, environment: Variables<'_>) -> Result<Config, Error> {
        Config::load(&self.flags(), variables(environment))
    }

    /// The message of a refusal, without the directory.
    fn refusal(&self, environment: Variables<'_>) -> String {
        let message = self.load(environment).expect_err("it must be refused").to_string();
        message.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

fn variables(environment: Variables<'_>) -> Vec<(OsString, OsString)> {
    let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    environment.iter().map(pair).collect()
}

fn token_of(source: &CredentialSource) -> String {
    match source.read().unwrap() {
        Credentials::Token(token) => token.expose_secret().to_owned(),
        Credentials::Key { email, key } => format!("{email} {}", key.expose_secret()),
    }
}

/// A configuration with one good account, then `rest`.
fn with_account(rest: &str) -> String {
    format!("accounts: [{{id: {ID}, token: secret}}]\n{rest}\n")
}

#[test]
fn two_variables_are_enough_and_everything_else_has_its_default() {
    let environment = [("CLOUDFLARE_ACCOUNT_ID", ID), ("CLOUDFLARE_API_TOKEN", "secret\n")];
    let config = Config::load(&Flags::default(), variables(&environment)).unwrap();
    let [account] = config.accounts.as_slice() else {
        panic!("one account, not {:?}", config.accounts);
    };
    assert_eq!((account.id.as_str(), account.alias.as_str()), (ID, ID));
    assert_eq!(account.budget_share, 0.25);
    assert_eq!(token_of(&account.credentials), "secret");
    assert_eq!(config.base_url.as_str(), "https://api.cloudflare.com/client/v4");
    assert_eq!(config.intervals.summary, Duration::from_secs(30));
    assert_eq!(config.intervals.behaviors, Duration::from_secs(300));
    assert_eq!(config.intervals.integrations, Duration::from_secs(300));
    assert_eq!(config.intervals.audit, Duration::from_secs(6 * 3600));
    assert_eq!(config.users.limit, 100);
    assert!(matches!(config.users.identity, IdentityPolicy::Id));
    assert_eq!(config.web.sockets, Sockets::Bind(vec![":10069".parse().unwrap()]));
    assert_eq!(config.log.level.to_targets().to_string(), "info");
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn an_email_and_a_key_replace_a_token() {
    let environment = [
        ("CLOUDFLARE_ACCOUNT_ID", ID),
        ("CLOUDFLARE_EMAIL", "ann@example.com"),
        ("CLOUDFLARE_API_KEY", "key"),
        ("CLOUDFLARE_BASE_URL", "http://127.0.0.1:8069/client/v4/"),
    ];
    let config = Config::load(&Flags::default(), variables(&environment)).unwrap();
    assert_eq!(token_of(&config.accounts[0].credentials), "ann@example.com key");
    let key = Credentials::Key { email: "ann@example.com".to_owned(), key: "key".to_owned().into() };
    assert_eq!(config.credentials, [key]);
    assert_eq!(config.base_url.as_str(), "http://127.0.0.1:8069/client/v4");
}

#[test]
fn flags_precede_the_environment_and_the_environment_precedes_the_file() {
    let place = Place::new(with_account(
        "web: {listen_address: ':1'}\nlog: {level: error, format: json}\nusers: {limit: 5}\nintervals: {summary: 40s, audit: 7h}",
    ));
    let environment = variables(&[
        ("ZT_RISK_EXPORTER__WEB__LISTEN_ADDRESS", ":2"),
        ("ZT_RISK_EXPORTER__LOG__LEVEL", "warn,hyper=off"),
        ("ZT_RISK_EXPORTER__USERS__LIMIT", "6"),
        ("ZT_RISK_EXPORTER__INTERVALS__SUMMARY", ""),
    ]);
    let web = WebFlags { listen_address: vec![":3".to_owned()], ..WebFlags::default() };
    let flags = Flags { web, ..place.flags() };
    let config = Config::load(&flags, environment.clone()).unwrap();
    assert_eq!(config.web.sockets, Sockets::Bind(vec![":3".parse().unwrap()]), "the flag");
    assert_eq!(config.log.level.to_targets().to_string(), "hyper=off,warn", "the environment");
    assert_eq!(config.users.limit, 6, "the environment");
    assert_eq!(config.log.format, LogFormat::Json, "the file");
    assert_eq!(config.intervals.summary, Duration::from_secs(40), "an empty variable is none");
    assert_eq!(config.intervals.audit, Duration::from_secs(7 * 3600));
    let local = Local::load(&flags, environment).unwrap();
    assert_eq!((local.web, local.log), (config.web, config.log));
}

#[test]
fn the_file_may_be_named_by_a_variable_and_a_flag_takes_precedence() {
    let (one, two) =
        (Place::new(with_account("users: {limit: 1}")), Place::new(with_account("users: {limit: 2}")));
    let variable = one.path("zt.yaml").display().to_string();
    let environment = variables(&[("ZT_RISK_EXPORTER__CONFIG__FILE", &variable)]);
    let by_variable = Config::load(&Flags::default(), environment.clone()).unwrap();
    let by_flag = Config::load(&two.flags(), environment).unwrap();
    assert_eq!((by_variable.users.limit, by_flag.users.limit), (1, 2));
}

#[test]
fn texts_that_look_like_numbers_stay_as_written() {
    let place = Place::new(
        "accounts:\n\
         - {id: 01234567890123456789012345678901, alias: 007, token: 0123}\n\
         - {id: 1234567890123456789012345678901e, alias: true, token: 1_000}\n\
         - {id: '0x345678901234567890123456789012', token: x}\n",
    );
    assert_eq!(
        place.refusal(&[]),
        "zt.yaml:4: accounts[2].id must be 32 hexadecimal digits, as in the address of the dashboard"
    );
    let place = Place::new(
        "accounts:\n\
         - {id: 01234567890123456789012345678901, alias: 007, token: 0123}\n\
         - {id: 1234567890123456789012345678901E, alias: true, token: 1_000}\n\
         - {id: 22345678901234567890123456789012, alias: null, token: 0012e5}\n\
         - {id: 32345678901234567890123456789012, alias: ~, token: \" \\n\"}\n",
    );
    assert_eq!(
        place.refusal(&[]),
        "zt.yaml:5: accounts[3].token has a character that is not allowed in an HTTP header, such as a space, a line end or \
         an accent"
    );
    let place = Place::new(
        "accounts:\n\
         - {id: 01234567890123456789012345678901, alias: 007, token: 0123}\n\
         - {id: 1234567890123456789012345678901E, alias: true, token: 1_000}\n\
         - {id: 22345678901234567890123456789012, alias: null, token: 0012e5}\n\
         users: {limit: \"7\"}\n",
    );
    let config = place.load(&[]).unwrap();
    let found: Vec<_> =
        config.accounts.iter().map(|a| (a.id.as_str(), a.alias.as_str(), token_of(&a.credentials))).collect();
    let wanted = [
        ("01234567890123456789012345678901", "007", "0123".to_owned()),
        ("1234567890123456789012345678901e", "true", "1_000".to_owned()),
        ("22345678901234567890123456789012", "22345678901234567890123456789012", "0012e5".to_owned()),
    ];
    assert_eq!(found, wanted);
    assert_eq!(config.users.limit, 7);
}

#[test]
fn accounts_with_the_same_credential_share_its_number() {
    let place = Place::new(
        "accounts:\n\
         - {id: 00000000000000000000000000000001, alias: a, token_file: token}\n\
         - {id: 00000000000000000000000000000002, alias: b, token_file: other-token, budget_share: 0.5}\n\
         - {id: 00000000000000000000000000000003, alias: c, token_file: same-token}\n\
         - {id: 00000000000000000000000000000004, alias: d, token: secret-token}\n\
         - {id: 00000000000000000000000000000005, alias: e, email: a@b, api_key: secret-token, budget_share: 1}\n\
         - {id: 00000000000000000000000000000006, alias: f, email: a@b, api_key_file: token, budget_share: 1.0}\n",
    );
    let config = place.load(&[]).unwrap();
    let numbers: Vec<usize> = config.accounts.iter().map(|account| account.credential).collect();
    assert_eq!(numbers, [0, 1, 0, 0, 2, 2]);
    let token = |text: &str| Credentials::Token(text.to_owned().into());
    let key = Credentials::Key { email: "a@b".to_owned(), key: "secret-token".to_owned().into() };
    assert_eq!(config.credentials, [token("secret-token"), token("other-secret"), key]);
    assert_eq!(config.accounts[0].credentials.file(), Some(place.path("token").as_path()));
    assert_eq!(config.accounts[3].credentials.file(), None);
}

#[test]
fn a_shard_has_its_part_of_the_accounts_and_flags_take_precedence() {
    let list: String =
        (1..=9).map(|n| format!("  - {{id: {}, token: {n}}}\n", n.to_string().repeat(32))).collect();
    let place = Place::new(format!("accounts:\n{list}shard: {{total: 3}}\n"));
    let flags = |index: &str| Flags { shard_index: Some(index.to_owned()), ..place.flags() };
    // Computed with another implementation of the hash, as in the tests of the split.
    let table = [("0", "2578"), ("1", "36"), ("2", "149")];
    for (index, wanted) in table {
        let environment = variables(&[("ZT_RISK_EXPORTER__SHARD__INDEX", "1")]);
        let config = Config::load(&flags(index), environment).unwrap();
        let found: String = config.accounts.iter().map(|account| &account.id[..1]).collect();
        assert_eq!(found, wanted, "shard {index}");
    }
}

#[test]
fn a_credential_is_read_again_each_time() {
    let place = Place::new(format!("accounts: [{{id: {ID}, token_file: token}}]"));
    let source = &place.load(&[]).unwrap().accounts[0].credentials;
    let before = source.read().unwrap();
    assert_eq!(before, source.read().unwrap());
    place.write("token", "rotated");
    assert_ne!(before, source.read().unwrap());
    assert_eq!(token_of(source), "rotated");
    fs::remove_file(place.path("token")).unwrap();
    let message = source.read().unwrap_err().to_string();
    let path = place.path("token").display().to_string();
    assert_eq!(message, format!("cannot read {path}: No such file or directory (os error 2)"));
}

#[test]
fn without_settings_in_the_file_cloudflares_variables_are_used() {
    let environment = [("CLOUDFLARE_ACCOUNT_ID", ID), ("CLOUDFLARE_API_TOKEN", "secret")];
    for file in
        ["", "# nothing\n", "---\n", "---\n...\n", "accounts:\n", "accounts: []\n", "\u{feff}users:\n", "~"]
    {
        let place = Place::new(file);
        assert_eq!(place.load(&environment).unwrap().accounts.len(), 1, "{file:?}");
        assert_eq!(
            place.refusal(&[]),
            "zt.yaml lists no accounts: list one there, or set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN",
            "{file:?}"
        );
    }
}

#[test]
fn unused_settings_are_warned_about_once() {
    let listed = with_account("");
    let table: [(&str, Variables<'_>, &[&str]); 4] = [
        (&listed, &[("CLOUDFLARE_LOG", "debug"), ("CLOUDFLARE_API_TOKEN", "")], &[]),
        (
            &listed,
            &[("CLOUDFLARE_API_TOKEN", "x"), ("CLOUDFLARE_BASE_URL", "http://elsewhere")],
            &["not used, because the file lists accounts: CLOUDFLARE_API_TOKEN, CLOUDFLARE_BASE_URL"],
        ),
        (
            "",
            &[("CLOUDFLARE_ACCOUNT_ID", ID), ("CLOUDFLARE_API_TOKEN", "x"), ("CLOUDFLARE_API_KEY", "y")],
            &[
                "CLOUDFLARE_API_TOKEN and CLOUDFLARE_API_KEY are both set; the token is used, because it can do less",
            ],
        ),
        (
            &listed,
            &[("ZT_RISK_EXPORTER__USERS__HASH_KEY_FILE", "/nowhere")],
            &["users.hash_key_file is not used, because users.identity is not hash"],
        ),
    ];
    for (file, environment, warnings) in table {
        let config = Place::new(file).load(environment).unwrap();
        assert_eq!(config.warnings, warnings, "{environment:?}");
        assert!(config.base_url.host_str() == Some("api.cloudflare.com"));
    }
}

#[test]
fn line_ends_after_the_variables_of_cloudflares_tools_are_ignored() {
    for end in ["\n", "\r\n"] {
        let (id, token) = (format!("{ID}{end}"), format!("secret{end}"));
        let environment = [("CLOUDFLARE_ACCOUNT_ID", &*id), ("CLOUDFLARE_API_TOKEN", &*token)];
        let config = Config::load(&Flags::default(), variables(&environment)).unwrap();
        assert_eq!((&*config.accounts[0].id, &*config.accounts[0].alias), (ID, ID), "{end:?}");
        assert_eq!(token_of(&config.accounts[0].credentials), "secret", "{end:?}");
    }
}

#[test]
fn a_variable_with_wrong_underscores_is_ignored_with_a_warning() {
    let place = Place::new(with_account(""));
    for (name, meant) in [
        ("ZT_RISK_EXPORTER_LOG_LEVEL", Some("ZT_RISK_EXPORTER__LOG__LEVEL")),
        ("ZT_RISK_EXPORTER_LOG__LEVEL", Some("ZT_RISK_EXPORTER__LOG__LEVEL")),
        ("ZT_RISK_EXPORTER_WEB_LISTEN_ADDRESS", Some("ZT_RISK_EXPORTER__WEB__LISTEN_ADDRESS")),
        ("ZT_RISK_EXPORTER_CONFIG_FILE", Some("ZT_RISK_EXPORTER__CONFIG__FILE")),
        ("zt_risk_exporter_users_limit", Some("ZT_RISK_EXPORTER__USERS__LIMIT")),
        ("ZT_RISK_EXPORTER_PORT", None),
        ("ZT_RISK_EXPORTER_SERVICE_HOST", None),
        ("LOG_LEVEL", None),
    ] {
        let wanted =
            meant.map(|meant| format!("environment variable {name} is not used; did you mean {meant}?"));
        let warnings = place.load(&[(name, "nonsense")]).unwrap().warnings;
        assert_eq!(warnings, wanted.into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(
            place.load(&[(name, "")]).unwrap().warnings,
            Vec::<String>::new(),
            "an empty {name} is unset"
        );
    }
}

#[test]
fn a_secret_file_that_every_user_may_read_is_warned_about_once() {
    let place = Place::new(format!(
        "accounts:\n- {{id: {ID}, token_file: token}}\n- {{id: {}, token_file: token}}\n\
         - {{id: {}, email: a@b, api_key_file: other-token}}\nusers: {{identity: hash, hash_key_file: hash-key}}",
        ID.replace('0', "1"),
        ID.replace('0', "2"),
    ));
    for (mode, count) in [(0o600, 0), (0o640, 0), (0o644, 3), (0o604, 3)] {
        for name in ["token", "other-token", "hash-key"] {
            place.set_mode(name, mode);
        }
        let warnings = place.load(&[]).unwrap().warnings;
        assert_eq!(warnings.len(), count, "{mode:o}: {warnings:?}");
        for name in ["token", "other-token", "hash-key"] {
            let wanted = format!("/{name} (mode {mode:04o})");
            assert_eq!(
                warnings.iter().filter(|warning| warning.contains(&wanted)).count(),
                count / 3,
                "{warnings:?}"
            );
        }
    }
}

#[test]
fn only_regular_files_are_read_for_secrets() {
    let place = Place::new("");
    let pipe = place.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for (path, what) in [("pipe", "a pipe without a writer"), ("/dev/zero", "a device"), (".", "a directory")]
    {
        place.write("zt.yaml", format!("accounts: [{{id: {ID}, token_file: {path}}}]"));
        let refusal = place.refusal(&[]);
        assert!(refusal.ends_with("it is not a regular file"), "{what}: {refusal}");
    }
    std::os::unix::fs::symlink("token", place.path("link")).unwrap();
    place.write("zt.yaml", format!("accounts: [{{id: {ID}, token_file: link}}]"));
    assert_eq!(
        token_of(&place.load(&[]).unwrap().accounts[0].credentials),
        "secret-token",
        "a link is followed"
    );
}

#[test]
fn good_settings_are_taken() {
    for rest in [
        "cloudflare: {base_url: 'http://localhost:1'}",
        "cloudflare: {base_url: 'http://[::1]:1/x/'}",
        "cloudflare: {base_url: 'http://127.9.9.9'}",
        "cloudflare: {base_url: 'HTTPS://gateway.example/prefix'}",
        "cloudflare: {base_url: ~}",
        "intervals: {summary: 1s, behaviors: 1d, audit: 30d}",
        "users: {limit: 0, identity: none}",
        "users: {limit: 100000, identity: email}",
        "users: {identity: hash, hash_key_file: hash-key}",
        "web: {listen_address: '[::1]:0'}",
        "log: {level: 'info,zt_risk_exporter::internals::collector::poller=trace, hyper=warn'}",
        "log: {level: OFF, format: json}",
    ] {
        let loaded = Place::new(with_account(rest)).load(&[]);
        assert!(loaded.is_ok(), "{rest}: {}", loaded.unwrap_err());
    }
}

#[test]
fn kubernetes_variables_for_a_service_of_our_name_do_not_stop_the_start() {
    let environment = [
        ("CLOUDFLARE_ACCOUNT_ID", ID),
        ("CLOUDFLARE_API_TOKEN", "secret"),
        ("ZT_RISK_EXPORTER_SERVICE_HOST", "10.0.0.1"),
        ("ZT_RISK_EXPORTER_SERVICE_PORT", "10069"),
        ("ZT_RISK_EXPORTER_PORT", "tcp://10.0.0.1:10069"),
        ("ZT_RISK_EXPORTER_PORT_10069_TCP", "tcp://10.0.0.1:10069"),
        ("ZT_RISK_EXPORTER_PORT_10069_TCP_ADDR", "10.0.0.1"),
    ];
    assert!(Config::load(&Flags::default(), variables(&environment)).is_ok());
}

#[test]
fn each_refusal_of_a_file_names_key_value_and_line() {
    let intervals = |value: &str| with_account(&format!("intervals:\n  summary: {value}"));
    let duration = |value: &str| {
        format!(
            "zt.yaml:3: intervals.summary is {value}, but must be a duration from 1s to 1d, written like 30s, 5m or 1h30m"
        )
    };
    let limit = |value: &str| {
        format!("zt.yaml:2: users.limit is {value}, but must be a whole number from 0 to 100000")
    };
    let url = "zt.yaml:2: cloudflare.base_url must be an https URL such as https://api.cloudflare.com/client/v4, \
               or an http one on loopback";
    let level = |value: &str| {
        format!(
            "zt.yaml:2: log.level is {value}, but must be off, error, warn, info, debug, trace, or directives such as \
             info,hyper=warn"
        )
    };
    let line_2 = |problem: &str| format!("zt.yaml:2: {problem}");
    let total =
        |value: &str| line_2(&format!("shard.total is {value}, but must be a whole number from 1 to 1000"));
    let index = |value: &str, total: u32| {
        line_2(&format!(
            "shard.index is {value}, but must be a whole number below shard.total, which is {total}"
        ))
    };
    let table: Vec<(String, String)> = vec![
        // Values.
        (intervals("30"), duration("\"30\"")),
        (intervals("banana"), duration("\"banana\"")),
        (intervals("999ms"), duration("\"999ms\"")),
        (intervals("25h"), duration("\"25h\"")),
        (intervals("1.5m"), duration("\"1.5m\"")),
        (intervals("true"), duration("\"true\"")),
        (intervals("''"), duration("\"\"")),
        (with_account("intervals: {audit: 59s}"), line_2(
            "intervals.audit is \"59s\", but must be a duration from 1m to 30d, written like 30s, 5m or 1h30m",
        )),
        (with_account("shard: {total: 0}"), total("\"0\"")),
        (with_account("shard: {total: 1001}"), total("\"1001\"")),
        (with_account("shard: {total: +2}"), total("\"+2\"")),
        (with_account("shard: {index: 1}"), index("\"1\"", 1)),
        (with_account("shard: {index: 3, total: 3}"), index("\"3\"", 3)),
        (with_account("shard: {index: pod-1, total: 3}"), index("\"pod-1\"", 3)),
        (with_account("shard: {total: 3}"), line_2("shard.total is 3, but shard.index is not set")),
        (with_account("users: {limit: 1.7}"), limit("\"1.7\"")),
        (with_account("users: {limit: true}"), limit("\"true\"")),
        (with_account("users: {limit: -1}"), limit("\"-1\"")),
        (with_account("users: {limit: +1}"), limit("\"+1\"")),
        (with_account("users: {limit: 0x10}"), limit("\"0x10\"")),
        (with_account("users: {limit: 100001}"), limit("\"100001\"")),
        (with_account("users: {limit: 99999999999999999999999}"), limit("\"99999999999999999999999\"")),
        (with_account("users: {limit: [1]}"), line_2("users.limit is a list, but must be a single value")),
        (with_account("users: {identity: mail}"), line_2(
            "users.identity is \"mail\", but must be id, hash, email or none",
        )),
        (with_account("users: {identity: hash}"), line_2(
            "users.identity is hash, but users.hash_key_file is not set",
        )),
        (with_account("users: {identity: hash, hash_key_file: none-such}"), line_2(
            "users.hash_key_file must be the path of a file, but there is no file of that name",
        )),
        (with_account("users: {identity: hash, hash_key_file: short-key}"), line_2(
            "users.hash_key_file cannot be used: the key in short-key has 10 bytes, but must have from 16 to 1024",
        )),
        (with_account("users: {identity: hash, hash_key_file: ''}"), line_2("users.hash_key_file is \"\", but must be the path of a file")),
        (with_account("web: {listen_address: 10069}"), line_2(
            "web.listen_address is \"10069\", but must be an address and a port, such as :10069, 127.0.0.1:10069, \
             [::1]:10069 or localhost:10069",
        )),
        (with_account("cloudflare: {base_url: 'http://api.cloudflare.com'}"), url.to_owned()),
        (with_account("cloudflare: {base_url: 'http://localhost.evil.example'}"), url.to_owned()),
        (with_account("cloudflare: {base_url: 'ftp://127.0.0.1'}"), url.to_owned()),
        (with_account("cloudflare: {base_url: 'api.cloudflare.com'}"), url.to_owned()),
        (with_account("cloudflare: {base_url: 'https://me:pass@example.com'}"), line_2(
            "cloudflare.base_url must not contain a user name or a password",
        )),
        (with_account("cloudflare: {base_url: 'https://example.com?x'}"), line_2(
            "cloudflare.base_url must be a URL without query and fragment",
        )),
        (with_account("log: {level: inof}"), level("\"inof\"")),
        (with_account("log: {level: 'info,hyper=loud'}"), level("\"info,hyper=loud\"")),
        (with_account("log: {level: 'info,[span]=debug'}"), level("\"info,[span]=debug\"")),
        (with_account("log: {level: ''}"), level("\"\"")),
        (with_account("log: {format: xml}"), line_2("log.format is \"xml\", but must be text or json")),
        (with_account("web: {allowed_hosts: 'a.example,http://b.example'}"), line_2(
            "web.allowed_hosts is \"a.example,http://b.example\", but must be host names without ports, separated by \
             commas, such as exporter.internal",
        )),
        (with_account("web: {page: off}"), line_2("web.page is \"off\", but must be true or false")),
        (with_account("web: {enable_lifecycle: yes}"), line_2(
            "web.enable_lifecycle is \"yes\", but must be true or false",
        )),
        (with_account("config: {auto_reload: 30s}"), line_2(
            "config.auto_reload is \"30s\", but must be true or false",
        )),
        // Also if the files are not compared.
        (with_account("config: {auto_reload_interval: 2d}"), line_2(
            "config.auto_reload_interval is \"2d\", but must be a duration from 1s to 1d, written like 30s, 5m or 1h30m",
        )),
        // Keys.
        (with_account("interval: {summary: 30s}"), line_2(
            "interval is not a known key; did you mean intervals?",
        )),
        (with_account("intervals: {sumary: 30s}"), line_2(
            "intervals.sumary is not a known key; did you mean intervals.summary?",
        )),
        (with_account("web: {listen-address: ':1'}"), line_2(
            "web.listen-address is not a known key; did you mean web.listen_address?",
        )),
        (with_account("log: {rotation: daily}"), line_2(
            "log.rotation is not a known key; known keys: level, format",
        )),
        (with_account("<<: {}"), line_2(
            "<< is not a known key; known keys: accounts, cloudflare, intervals, users, state, web, shard, log, config",
        )),
        (with_account("log: {level: info,\n  format: text, level: warn}"),
            "zt.yaml:3: level is given twice, first on line 2".to_owned()),
        (with_account("accounts: []"), line_2("accounts is given twice, first on line 1")),
        // Shapes.
        ("[]".to_owned(),
            "zt.yaml:1: the configuration is a list, but must be a map of sections such as accounts and intervals".to_owned()),
        ("\n\nsecret-token\n".to_owned(),
            "zt.yaml:3: the configuration is a single value, but must be a map of sections such as accounts and intervals".to_owned()),
        (with_account("intervals: [30s]"), line_2("intervals is a list, but must be a map")),
        (with_account("log: info"), line_2("log is a single value, but must be a map")),
        (with_account("? [a]\n: b"), "zt.yaml:2:3: the keys of a map must be single words".to_owned()),
        (with_account("--- \nlog:\n"), "zt.yaml:2:1: the file may hold only one YAML document".to_owned()),
        (with_account("log: &x {level: info}"), "zt.yaml:2:9: YAML anchors, aliases and tags are not supported".to_owned()),
        (with_account("log: {level: !!str info}"), "zt.yaml:2:20: YAML anchors, aliases and tags are not supported".to_owned()),
        ("[".repeat(20) + &"]".repeat(20), "zt.yaml:1:18: the configuration is nested too deeply".to_owned()),
        ("#".repeat((1 << 20) + 1), "the configuration file zt.yaml is longer than 1 MiB".to_owned()),
    ];
    for (file, message) in table {
        let start: String = file.chars().take(300).collect();
        assert_eq!(Place::new(&file).refusal(&[]), message, "for {start}");
    }
}

#[test]
fn each_refusal_of_an_account_names_it_and_shows_no_secret() {
    let id = |n: u8| format!("0000000000000000000000000000000{n}");
    let one = |fields: &str| format!("accounts:\n- {{id: {ID}, {fields}}}");
    let two = |first: &str, second: &str| format!("accounts:\n- {{{first}}}\n- {{{second}}}\n");
    let header =
        "has a character that is not allowed in an HTTP header, such as a space, a line end or an accent";
    let table: Vec<(String, String)> = vec![
        ("accounts: {}".to_owned(), "zt.yaml:1: accounts is a map, but must be a list".to_owned()),
        ("accounts: s3cr3t".to_owned(), "zt.yaml:1: accounts is a single value, but must be a list".to_owned()),
        ("accounts:\n- s3cr3t".to_owned(),
            "zt.yaml:2: accounts[0] is a single value, but must be a map with an id and a credential".to_owned()),
        ("accounts:\n- {alias: x, token: s3cr3t}".to_owned(), "zt.yaml:2: accounts[0] has no id".to_owned()),
        (one("tokn: s3cr3t"),
            "zt.yaml:2: accounts[0].tokn is not a known key; did you mean accounts[0].token?".to_owned()),
        (one("alias: x"),
            "zt.yaml:2: accounts[0] has no credential: give it token_file, token, or email with api_key_file or api_key".to_owned()),
        (one("token: s3cr3t, token_file: token"),
            "zt.yaml:2: accounts[0] has both token and token_file, but must have one credential".to_owned()),
        (one("token: s3cr3t, email: a@b"),
            "zt.yaml:2: accounts[0] has both token and email, but an email goes with api_key_file or api_key".to_owned()),
        (one("email: a@b"), "zt.yaml:2: accounts[0] has an email, but neither api_key_file nor api_key".to_owned()),
        (one("api_key: s3cr3t"), "zt.yaml:2: accounts[0] has api_key, but no email".to_owned()),
        (one("api_key: s3cr3t, email: someone"),
            "zt.yaml:2: accounts[0].email must be an e-mail address in ASCII".to_owned()),
        (one("token: 's3cr3t two'"), format!("zt.yaml:2: accounts[0].token {header}")),
        (one("token: 's3cr3té'"), format!("zt.yaml:2: accounts[0].token {header}")),
        (one("token: ''"), "zt.yaml:2: accounts[0].token is empty".to_owned()),
        (one("token: [s3cr3t]"), "zt.yaml:2: accounts[0].token is a list, but must be a single value".to_owned()),
        (one(&format!("token: {}", "s3cr3t".repeat(200))),
            "zt.yaml:2: accounts[0].token is longer than 1024 characters, so it is not a Cloudflare token or key".to_owned()),
        (one("token_file: none-such"),
            "zt.yaml:2: accounts[0].token_file must be the path of a file, but there is no file of that name".to_owned()),
        (one("\n  token_file: /none/such"),
            "zt.yaml:3: accounts[0].token_file cannot be used: cannot read /none/such: No such file or directory (os error 2)".to_owned()),
        (one("\n  token_file: empty"),
            "zt.yaml:3: accounts[0].token_file cannot be used: the content of empty is empty".to_owned()),
        (one("email: a@b,\n  api_key_file: /"),
            "zt.yaml:3: accounts[0].api_key_file cannot be used: cannot read /: it is not a regular file".to_owned()),
        (one("token_file: two-lines"),
            format!("zt.yaml:2: accounts[0].token_file cannot be used: the content of two-lines {header}")),
        (one("token_file: /"),
            "zt.yaml:2: accounts[0].token_file cannot be used: cannot read /: it is not a regular file".to_owned()),
        (one("token: x, alias: ''"),
            "zt.yaml:2: accounts[0].alias is \"\", but must be 1 to 64 characters on one line, without leading or trailing spaces".to_owned()),
        (one(&format!("token: x, alias: {}", "ä".repeat(65))),
            format!("zt.yaml:2: accounts[0].alias is \"{}\"..., but must be 1 to 64 characters on one line, without leading or trailing spaces", "ä".repeat(60))),
        (one("token: x, alias: \"a\\nb\""),
            "zt.yaml:2: accounts[0].alias is \"a\\nb\", but must be 1 to 64 characters on one line, without leading or trailing spaces".to_owned()),
        (two(&format!("id: {}, token: x", id(1)), &format!("id: {}, alias: y, token: x", id(1))),
            format!("zt.yaml:3: accounts[1] has the id {} of accounts[0]; an account may be listed only once", id(1))),
        (two(&format!("id: {}, alias: y, token: x", id(1)), &format!("id: {}, alias: y, token: x", id(2))),
            "zt.yaml:3: accounts[1] has the alias \"y\" of accounts[0]; aliases must differ".to_owned()),
        (two(&format!("id: {}, token: x", id(1)), &format!("id: {}, alias: {}, token: x", id(2), id(1))),
            format!("zt.yaml:3: accounts[1] has the alias {:?} of accounts[0]; aliases must differ", id(1))),
        (two(&format!("id: {}, alias: y, token_file: token", id(1)),
             &format!("id: {}, alias: z, token: secret-token, budget_share: 0.5", id(2))),
            "zt.yaml:3: accounts[1] has budget_share 0.5, but \"y\" has 0.25 with the same credential, and they share one budget".to_owned()),
    ];
    for (file, message) in table {
        let place = Place::new(&file);
        place.write("two-lines", "s3cr3t\nline\n");
        place.write("empty", "\n");
        let refusal = place.refusal(&[]);
        assert_eq!(refusal, message, "for {file}");
        assert!(!refusal.contains("s3cr3t"), "{refusal}");
    }
    for share in ["0", "0.009", "1.01", "-1", "NaN", "inf", "1e-1", "25%", "half"] {
        assert_eq!(
            Place::new(one(&format!("token: x, budget_share: {share}"))).refusal(&[]),
            format!(
                "zt.yaml:2: accounts[0].budget_share is {share:?}, but must be a fraction from 0.01 to 1 of the 1,200 requests \
                 that Cloudflare allows in 5 minutes"
            )
        );
    }
}

#[test]
fn each_refusal_of_the_environment_names_the_variable_and_shows_no_secret() {
    const TOKEN: (&str, &str) = ("CLOUDFLARE_API_TOKEN", "s3cr3t");
    const ACCOUNT: (&str, &str) = ("CLOUDFLARE_ACCOUNT_ID", ID);
    let table: [(Variables<'_>, &str); 13] = [
        (
            &[],
            "no account is configured: set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN, or name a file with \
             --config.file",
        ),
        (&[ACCOUNT], "CLOUDFLARE_ACCOUNT_ID is set, but CLOUDFLARE_API_TOKEN is not"),
        (
            &[("CLOUDFLARE_ACCOUNT_ID", "acme"), TOKEN],
            "environment: CLOUDFLARE_ACCOUNT_ID must be 32 hexadecimal digits, as in the address of the dashboard",
        ),
        (&[ACCOUNT, ("CLOUDFLARE_EMAIL", "a@b")], "CLOUDFLARE_EMAIL is set, but CLOUDFLARE_API_KEY is not"),
        (
            &[ACCOUNT, ("CLOUDFLARE_API_KEY", "s3cr3t")],
            "CLOUDFLARE_API_KEY is set, but CLOUDFLARE_EMAIL is not",
        ),
        (
            &[ACCOUNT, ("CLOUDFLARE_API_TOKEN", "Bearer s3cr3t")],
            "CLOUDFLARE_API_TOKEN has a character that is not allowed in an HTTP header, such as a space, a line end \
             or an accent",
        ),
        (
            &[ACCOUNT, TOKEN, ("CLOUDFLARE_BASE_URL", "http://example.com")],
            "environment variable CLOUDFLARE_BASE_URL: cloudflare.base_url must be an https URL such as \
             https://api.cloudflare.com/client/v4, or an http one on loopback",
        ),
        (
            &[ACCOUNT, TOKEN, ("ZT_RISK_EXPORTER__INTERVALS__SUMMARY", "soon")],
            "environment variable ZT_RISK_EXPORTER__INTERVALS__SUMMARY: intervals.summary is \"soon\", but must be a \
             duration from 1s to 1d, written like 30s, 5m or 1h30m",
        ),
        (
            &[ACCOUNT, TOKEN, ("ZT_RISK_EXPORTER__INTERVAL__SUMMARY", "30s")],
            "environment variable ZT_RISK_EXPORTER__INTERVAL__SUMMARY is not known; did you mean \
             ZT_RISK_EXPORTER__INTERVALS__SUMMARY?",
        ),
        (
            &[ACCOUNT, TOKEN, ("ZT_RISK_EXPORTER__log__level", "info")],
            "environment variable ZT_RISK_EXPORTER__log__level is not known; did you mean \
             ZT_RISK_EXPORTER__LOG__LEVEL?",
        ),
        (
            &[ACCOUNT, TOKEN, ("ZT_RISK_EXPORTER__ACCOUNTS__0__TOKEN", "s3cr3t")],
            "environment variable ZT_RISK_EXPORTER__ACCOUNTS__0__TOKEN is not known; accounts are set in the \
             configuration file, or a single one by CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN",
        ),
        (
            &[ACCOUNT, TOKEN, ("ZT_RISK_EXPORTER__NOTHING_OF_THE_KIND_AT_ALL", "1")],
            "environment variable ZT_RISK_EXPORTER__NOTHING_OF_THE_KIND_AT_ALL is not known; a name \
             is ZT_RISK_EXPORTER__, a section, two underscores and a key of that section",
        ),
        (
            &[ACCOUNT, TOKEN, ("ZT_RISK_EXPORTER__CONFIG__FILE", "/none/such")],
            "cannot read the configuration file /none/such: No such file or directory (os error 2)",
        ),
    ];
    for (environment, message) in table {
        let refusal = Config::load(&Flags::default(), variables(environment)).unwrap_err();
        assert_eq!(refusal.to_string(), message, "for {environment:?}");
        assert!(!message.contains("s3cr3t"), "{message}");
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    const SECRET: &str = "v1-s3cr3tS3CR3Ts3cr3tS3CR3Ts3cr3tS3CR3Ts";
    let variable = |name: &'static str, value: String| (String::new(), vec![(name, value)]);
    let file = |file: String| (file, Vec::new());
    let table: Vec<(String, Vec<(&str, String)>)> = vec![
        variable("CLOUDFLARE_ACCOUNT_ID", SECRET.to_owned()),
        variable("CLOUDFLARE_EMAIL", SECRET.to_owned()),
        variable("CLOUDFLARE_BASE_URL", SECRET.to_owned()),
        variable("CLOUDFLARE_BASE_URL", format!("https://me:{SECRET}@exa mple.com/")),
        variable("CLOUDFLARE_BASE_URL", format!("https://me:{SECRET}@example.com/")),
        variable("CLOUDFLARE_BASE_URL", format!("me:{SECRET}@example.com/")),
        variable("CLOUDFLARE_BASE_URL", format!("https://example.com/?token={SECRET}")),
        file(format!("accounts: [{{id: {SECRET}, token: x}}]")),
        file(format!("accounts: [{{id: {ID}, token_file: {SECRET}}}]")),
        file(format!("accounts: [{{id: {ID}, email: a@b, api_key_file: {SECRET}}}]")),
        file(format!("accounts: [{{id: {ID}, token:{SECRET}}}]")),
        file(format!("accounts: [{{id: {ID}, token:{SECRET}, token:{SECRET}}}]")),
        file(format!("accounts: [{{id: {ID}, {SECRET}}}]")),
        file(format!("accounts: [{SECRET}]")),
        file(with_account(&format!("{SECRET}: x"))),
        file(with_account(&format!("users: {{identity: hash, hash_key_file: {SECRET}}}"))),
    ];
    for (file, environment) in table {
        let mut variables: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (name, value) in [("CLOUDFLARE_ACCOUNT_ID", ID), ("CLOUDFLARE_API_KEY", "key")] {
            if variables.iter().all(|(given, _)| *given != name) {
                variables.push((name, value));
            }
        }
        let refusal = Place::new(&file).refusal(&variables);
        assert!(!refusal.contains("s3cr3t"), "{refusal}, for {file} {environment:?}");
    }
}

#[test]
fn a_file_that_is_not_text_or_cannot_be_read_is_named() {
    let place = Place::new(b"accounts: []\n\xff\n");
    assert_eq!(place.refusal(&[]), "the configuration file zt.yaml is not UTF-8 text (byte 13)");
    fs::remove_file(place.path("zt.yaml")).unwrap();
    assert_eq!(
        place.refusal(&[]),
        "cannot read the configuration file zt.yaml: No such file or directory (os error 2)"
    );
    fs::create_dir(place.path("zt.yaml")).unwrap();
    assert_eq!(
        place.refusal(&[]),
        "cannot read the configuration file zt.yaml: Is a directory (os error 21)"
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let strange = OsString::from_vec(vec![0xff]);
    for (name, refused) in [
        ("ZT_RISK_EXPORTER__LOG__LEVEL", true),
        ("CLOUDFLARE_API_TOKEN", true),
        ("CLOUDFLARE_OTHER", false),
        ("PATH", false),
    ] {
        let environment = variables(&[
            ("CLOUDFLARE_ACCOUNT_ID", ID),
            ("CLOUDFLARE_EMAIL", "a@b"),
            ("CLOUDFLARE_API_KEY", "x"),
        ]);
        let strange = [(OsString::from(name), strange.clone())];
        let loaded = Config::load(&Flags::default(), environment.into_iter().chain(strange));
        let message = loaded.err().map(|error| error.to_string());
        let wanted = format!("environment variable {name} is not UTF-8 text");
        assert_eq!(message, refused.then_some(wanted), "{name}");
    }
}

#[test]
fn broken_yaml_is_refused_with_its_line() {
    let table = [
        ("accounts: [", "zt.yaml:1:11", "unclosed bracket '['"),
        ("a: b: c", "zt.yaml:1:5", "mapping values are not allowed in this context"),
        ("log:\n\tlevel: info", "zt.yaml:2:2", "tabs disallowed within this context (block indentation)"),
        (
            "log: {level: info\nweb: x",
            "zt.yaml:2:4",
            "while parsing a flow mapping, did not find expected ',' or '}'",
        ),
        ("log: 'info", "zt.yaml:1:6", "unclosed quote"),
    ];
    for (file, place, message) in table {
        let refusal = Place::new(file).refusal(&[]);
        assert_eq!(refusal, format!("{place}: not valid YAML: {message}"), "{file:?}");
    }
}

#[test]
fn nothing_that_is_printed_of_a_configuration_shows_a_secret() {
    let place = Place::new(format!(
        "accounts:\n- {{id: {ID}, token: s3cr3t}}\n- {{id: {}, email: a@b, api_key: s3cr3t}}\n\
         users: {{identity: hash, hash_key_file: hash-key}}",
        ID.replace('0', "1")
    ));
    let config = place.load(&[]).unwrap();
    let printed = format!("{config:?} {:?}", config.accounts[0].credentials.read());
    assert!(!printed.contains("s3cr3t") && !printed.contains("sixteen"), "{printed}");
    let IdentityPolicy::Hash { key } = &config.users.identity else {
        panic!("a hash was asked for");
    };
    assert_eq!(key.expose_secret(), b"sixteen-or-more-bytes");
}
