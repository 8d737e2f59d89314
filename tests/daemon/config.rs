//! Accepted configurations, and the exact messages for the others.

mod refusals;

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
            &[
                "not used, because the configuration names accounts: CLOUDFLARE_API_TOKEN, CLOUDFLARE_BASE_URL",
            ],
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
