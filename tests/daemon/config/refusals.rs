//! Configurations that are refused: the message names the key, the variable or the account, and shows no secret.

use std::ffi::OsString;
use std::fs;

use zt_risk_exporter::internals::config::{Config, Flags};

use super::{ID, Place, Variables, variables, with_account};

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
    let grafana = "web.grafana_url must be an http or https URL without user name, password, query and fragment, such as \
                   https://grafana.example.com";
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
        (with_account("web: {listen_address: [':5', '127.0.0.1:6', ':5']}"), line_2(
            "web.listen_address has \":5\" twice",
        )),
        (with_account("web: {listen_address: ['127.0.0.1:5', ':5']}"), line_2(
            "web.listen_address has \"127.0.0.1:5\" and \":5\", which cannot be open at the same time",
        )),
        (with_account("web: {health_address: ':10069'}"), line_2(
            "web.health_address is \":10069\", but web.listen_address has \":10069\"; both cannot be open at the same time",
        )),
        (with_account("web: {telemetry_path: /page.css}"), line_2(
            "web.telemetry_path is \"/page.css\", but must be another path, because the live page has a file there",
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
        (with_account("web: {grafana_url: 'https://me:secret@grafana.example'}"), line_2(grafana)),
        (with_account("web: {grafana_url: 'javascript:alert(1)'}"), line_2(grafana)),
        (with_account("web: {grafana_url: grafana.example}"), line_2(grafana)),
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
            "<< is not a known key; known keys: accounts, accounts_from, discovery, cloudflare, intervals, behaviors, users, state, feed, web, shard, log, config",
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
