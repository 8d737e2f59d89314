//! The command line from outside: what it says and the code it ends with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::thread;

use crate::program::program;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    outcome(program().args(arguments).output().unwrap())
}

fn outcome(output: Output) -> (Option<i32>, String, String) {
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Answers one request with `answer`, and gives back what was asked.
fn answering(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, asked)
}

#[test]
fn the_version_and_the_help_go_to_standard_output() {
    let version = concat!("zt-risk-exporter ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(&["--version"]), (Some(0), version.to_owned(), String::new()));
    let (code, help, errors) = run(&["--help"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    for word in [
        "serve",
        "demo",
        "simulate",
        "check",
        "healthcheck",
        "completions",
        "man",
        "--config.file",
        "--web.listen-address",
        "--log.level",
        "--log.format",
    ] {
        assert!(help.contains(word), "{word} in {help}");
    }
}

#[test]
fn there_is_no_flag_for_a_token() {
    for command in ["serve", "demo", "simulate", "check", "healthcheck", "users", "user", "reset"] {
        let (_, help, _) = run(&[command, "--help"]);
        assert!(help.contains("Usage: "), "{help}");
        for word in ["token", "key"] {
            assert!(!help.contains(&format!("--{word}")), "{word} in {help}");
        }
    }
}

#[test]
fn an_invalid_command_line_exits_with_2() {
    let table: [&[&str]; 11] = [
        &["nonsense"],
        &["--web.listen-addres", ":1"],
        &["--config.file"],
        &["--config.file", "x", "check"],
        &["demo", "--users", "0"],
        &["demo", "--users", "1000001"],
        &["demo", "--speed", "0"],
        &["simulate", "--listen-address", "nowhere"],
        &["simulate", "--scenario", "x", "--seed", "1"],
        &["simulate", "--scenario", "x", "--speed", "600"],
        &["healthcheck", "--url", "http://127.0.0.1", "--web.listen-address", ":1"],
    ];
    for arguments in table {
        let (code, output, errors) = run(arguments);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{arguments:?}: {errors}");
        assert!(errors.starts_with("error: "), "{arguments:?}: {errors}");
    }
}

#[test]
fn a_refused_configuration_is_said_once_and_ends_with_2() {
    let none = "no account is configured: set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN, or name a file with \
                --config.file";
    let file = "cannot read the configuration file /none/such: No such file or directory (os error 2)";
    let address = "flag --web.listen-address: web.listen_address is \"10069\", but must be an address and a port, such as \
                   :10069, 127.0.0.1:10069, [::1]:10069 or localhost:10069";
    let level = "flag --log.level: log.level is \"loud\", but must be off, error, warn, info, debug, trace, or directives \
                 such as info,hyper=warn";
    let url = "\"ftp://127.0.0.1\" is not a URL to request; it must be like http://127.0.0.1:10069/-/healthy";
    let two = |mistake: &str| format!("the configuration has 2 errors:\n{mistake}\n{none}");
    let (address_and_none, level_and_none) = (two(address), two(level));
    let table: [(&[&str], &str); 7] = [
        (&[], none),
        (&["serve"], none),
        (&["--config.file=/none/such"], file),
        (&["--web.listen-address=10069"], &address_and_none),
        (&["healthcheck", "--web.listen-address=10069"], address),
        (&["users", "--log.level=loud"], &level_and_none),
        (&["healthcheck", "--url", "ftp://127.0.0.1"], url),
    ];
    for (arguments, message) in table {
        let wanted = (Some(2), String::new(), format!("zt-risk-exporter: {message}\n"));
        assert_eq!(run(arguments), wanted, "{arguments:?}");
    }
}

#[test]
fn a_scenario_that_cannot_be_played_is_named_and_ends_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scenario.yaml");
    let (path, name) = (&path, path.display());
    let none = format!("the scenario {name}: it lists no accounts, so there is nothing to ask for");
    let table = [
        (None, format!("the scenario {name}: No such file or directory (os error 2)")),
        (Some(""), none.clone()),
        (Some("seed: 7\n"), none),
        (
            Some("accounts:\n- id: 0123456789abcdef0123456789abcdef\n  users: [{ id: x }]\n"),
            format!(
                "{name}:3: accounts[0].users[0].id is \"x\", but must be a UUID such as \
                 4cfe8442-664b-4915-acd4-b39cd65c4314"
            ),
        ),
    ];
    for (text, message) in table {
        if let Some(text) = text {
            std::fs::write(path, text).unwrap();
        }
        let wanted = format!("zt-risk-exporter: {message}\n");
        let scenario = path.to_str().unwrap();
        let found = run(&["simulate", "--listen-address", "127.0.0.1:0", "--scenario", scenario]);
        assert_eq!(found, (Some(2), String::new(), wanted), "{text:?}");
    }
}

#[test]
fn files_that_do_not_end_are_refused() {
    for arguments in [
        &["simulate", "--listen-address", "127.0.0.1:0", "--scenario", "/dev/zero"][..],
        &["--config.file", "/dev/zero"],
    ] {
        let (code, output, errors) = run(arguments);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{arguments:?}: {errors}");
        assert!(errors.contains(" longer than "), "{arguments:?}: {errors}");
    }
}

#[test]
fn completions_are_written_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, errors) = run(&["completions", shell]);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{shell}");
        assert!(script.contains("_ZT_RISK_EXPORTER_COMPLETE"), "{shell}: {script}");
    }
    assert_eq!(run(&["completions", "cmd"]).0, Some(2));
}

#[test]
fn every_command_has_a_manual_page_and_the_same_source_has_the_same_pages() {
    let directory = tempfile::tempdir().unwrap();
    let written = |name: &str| {
        let place = directory.path().join(name);
        let output =
            program().env("SOURCE_DATE_EPOCH", "1793491200").arg("man").arg(&place).output().unwrap();
        assert!(
            output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(),
            "{output:?}"
        );
        let pages = std::fs::read_dir(place).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
        });
        pages.collect::<std::collections::BTreeMap<_, _>>()
    };
    let pages = written("a/new/directory");
    assert_eq!(pages, written("again"));
    for (name, parts) in [
        (
            "zt-risk-exporter.1",
            &["ENVIRONMENT", "CLOUDFLARE_API_TOKEN", r"\-\-web.listen\-address", "1 2026-11-01 "][..],
        ),
        ("zt-risk-exporter-serve.1", &[r"\-\-config.file"]),
        ("zt-risk-exporter-integrations-by-reference.1", &["REFERENCE", "EXIT STATUS", "SEE ALSO"]),
        ("zt-risk-exporter-man.1", &["DIRECTORY"]),
    ] {
        for part in parts {
            assert!(pages[name].contains(part), "{part} in {}", pages[name]);
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let (code, _, errors) = run(&["man", file.path().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(errors.starts_with(&format!("zt-risk-exporter: {}: ", file.path().display())), "{errors}");
}

#[test]
fn a_healthy_exporter_answers_200() {
    let (address, asked) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let (code, output, errors) = run(&["healthcheck", &format!("--web.listen-address={address}")]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(output, format!("http://{address}/-/healthy answers 200\n"));
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("GET /-/healthy HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("host: {address}\r\n")), "{asked}");
}

#[test]
fn the_health_check_finds_the_address_where_the_exporter_finds_it() {
    let (address, asked) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let everywhere = format!(":{}", address.port());
    let output = program()
        .arg("healthcheck")
        .env("ZT_RISK_EXPORTER__WEB__LISTEN_ADDRESS", everywhere)
        .env("HTTP_PROXY", "http://192.0.2.1:1")
        .output()
        .unwrap();
    let wanted = format!("http://{address}/-/healthy answers 200\n");
    assert_eq!(outcome(output), (Some(0), wanted, String::new()));
    assert!(asked.join().unwrap().starts_with("GET /-/healthy "));
}

#[test]
fn an_exporter_that_is_not_healthy_ends_the_health_check_with_1() {
    let failing = [
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "answers 503 Service Unavailable"),
        ("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", "answers 302 Found"),
        ("SSH-2.0-none\r\n", "does not answer as HTTP; check that an exporter listens there"),
        ("", "does not answer as HTTP; check that an exporter listens there"),
    ];
    for (answer, message) in failing {
        let (address, asked) = answering(answer);
        let url = format!("http://{address}/x?y");
        let wanted = format!("zt-risk-exporter: {url} {message}\n");
        assert_eq!(run(&["healthcheck", "--url", &url]), (Some(1), String::new(), wanted));
        assert!(asked.join().unwrap().starts_with("GET /x?y HTTP/1.1\r\n"));
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wanted = format!(
        "zt-risk-exporter: http://{free}/-/healthy does not answer: Connection refused (os error 111)\n"
    );
    let found = run(&["healthcheck", &format!("--web.listen-address={free}")]);
    assert_eq!(found, (Some(1), String::new(), wanted));
}

#[test]
fn a_health_check_without_an_answer_ends_after_its_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/-/healthy", listener.local_addr().unwrap());
    let wanted = format!("zt-risk-exporter: {url} gave no answer within 3 s\n");
    assert_eq!(run(&["healthcheck", "--url", &url]), (Some(1), String::new(), wanted));
}

#[test]
fn a_check_that_fails_shows_its_table_and_ends_with_1() {
    const REFUSAL: &str = r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            let head = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close";
            write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{REFUSAL}", REFUSAL.len()).unwrap();
        }
    });
    let output = program()
        .arg("check")
        .env("CLOUDFLARE_ACCOUNT_ID", "0123456789abcdef0123456789abcdef")
        .env("CLOUDFLARE_API_TOKEN", "s3cr3t")
        .env("CLOUDFLARE_BASE_URL", url)
        .output()
        .unwrap();
    let (code, table, errors) = outcome(output);
    assert_eq!((code, errors.as_str()), (Some(1), "zt-risk-exporter: 4 checks failed\n"));
    assert_eq!(table.lines().last(), Some("6 checks of 1 account: 1 passed, 4 failed, 1 skipped"));
    for word in ["token_verify", "behaviors", "integrations", "summary", "skipped", "HTTP 401"] {
        assert!(table.contains(word), "{word} in {table}");
    }
    assert!(!table.contains("s3cr3t") && !table.contains('\u{1b}'), "{table}");
}
