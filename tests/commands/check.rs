//! The findings of `check` for an API that works, fails, or works in part.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use tokio::net::TcpListener;
use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::internals::app::logging::Colour;
use zt_risk_exporter::internals::commands::check;
use zt_risk_exporter::internals::config::{Config, Flags};
use zt_risk_exporter::internals::http::{Abort, Connections, Limits, full, serve};
use zt_risk_exporter::model::Resource;

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
const USER: &str = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e";

const TOKEN: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"id":"t","status":"active","expires_on":"2030-01-01T00:00:00Z"}}"#;
const BEHAVIORS: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"behaviors":{
    "imp_travel":{"name":"Impossible Travel","description":"","enabled":true,"risk_level":"high"},
    "high_dlp":{"name":"DLP","description":"","enabled":false,"risk_level":"low"}}}}"#;
const INTEGRATIONS: &str = r#"{"success":true,"errors":[],"messages":[],"result":[{"account_tag":"a","active":true,
    "created_at":"2025-03-19T19:53:56Z","id":"4cfe8442-664b-4915-acd4-b39cd65c4314","integration_type":"Okta",
    "reference_id":"r","tenant_url":"https://example.okta.com","well_known_url":"https://example.com"}]}"#;
const SUMMARY: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"users":[
    {"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e","name":"Ann","email":"ann@example.com",
    "max_risk_level":"high","event_count":1,"last_event":"2030-01-01T00:00:00Z"}]}}"#;
const NOBODY: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"users":[]}}"#;
const EVENTS: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"Ann","email":"ann@example.com",
    "events":[{"id":"e","name":"imp_travel","risk_level":"high","timestamp":"2030-01-01T00:00:00Z"}]}}"#;
/// One user where two are announced, on every page the same.
const PARTIAL: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"users":[
    {"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e","name":"Ann","email":"ann@example.com",
    "max_risk_level":"high","event_count":1,"last_event":"2030-01-01T00:00:00Z"}]},
    "result_info":{"page":1,"per_page":1,"total_count":2,"total_pages":2}}"#;
const DISABLED: &str =
    r#"{"success":true,"errors":[],"messages":[],"result":{"id":"t","status":"disabled"}}"#;
const FORBIDDEN: &str = r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#;
const REFUSED: &str = r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"messages":[],"result":null}"#;

/// Status and body by the end of the path.
type Answers = BTreeMap<&'static str, (u16, &'static str)>;

fn good() -> Answers {
    BTreeMap::from([
        ("verify", (200, TOKEN)),
        ("behaviors", (200, BEHAVIORS)),
        ("integrations", (200, INTEGRATIONS)),
        ("summary", (200, SUMMARY)),
        (USER, (200, EVENTS)),
    ])
}

/// An API that gives `answers`, and 404 for all else.
async fn api(answers: Answers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(answers);
    let limits = Limits {
        connections: 10,
        connections_of_one_peer: 10,
        first_header_wait: Duration::from_secs(10),
        header_wait: Duration::from_secs(10),
        header_bytes: 16_384,
        answer_wait: Duration::from_secs(10),
        unsent_bytes: 1 << 20,
        drain: Duration::ZERO,
    };
    let handle = move |request: hyper::Request<hyper::body::Incoming>| {
        let answers = Arc::clone(&answers);
        async move {
            let last = request.uri().path().rsplit('/').next().unwrap_or_default();
            let (status, body) = answers.get(last).copied().unwrap_or((404, "{}"));
            let answer = Response::builder()
                .status(status)
                .header("content-type", "application/json; charset=UTF-8")
                .body(full(body));
            answer.map_err(Abort::from)
        }
    };
    tokio::spawn(serve(
        listener,
        Connections::new(limits, Arc::default()),
        &[],
        std::future::pending(),
        handle,
    ));
    address
}

async fn report(api: SocketAddr, credential: &[(&str, &str)]) -> check::Report {
    let url = format!("http://{api}/client/v4");
    let mut environment = vec![("CLOUDFLARE_ACCOUNT_ID", ACCOUNT), ("CLOUDFLARE_BASE_URL", &url)];
    environment.extend(credential);
    let environment =
        environment.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let config = Config::load(&Flags::default(), environment).unwrap();
    check::run(&config, &Clock::system()).await
}

/// The output of `check` about the account, except times: a line for each row, `resource result: text`, then the rest.
async fn checked(api: SocketAddr, credential: &[(&str, &str)]) -> (Vec<String>, usize) {
    let report = report(api, credential).await;
    let shown = report.render(Colour::Off, None);
    let parts: Vec<&str> = shown.split("\n\n").collect();
    let rest = parts.iter().find_map(|part| part.strip_prefix(&format!("account {ACCOUNT}\n"))).unwrap();
    let lines = rest.lines().filter(|line| !line.starts_with("CHECK "));
    let plain = |line: &str| {
        // Two spaces stand between columns, and one between words. What was skipped has no time.
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        match cells.as_slice() {
            [endpoint, result, _, text] | [endpoint, result, text] => format!("{endpoint} {result}: {text}"),
            _ => line.to_owned(),
        }
    };
    (lines.map(plain).collect(), report.failures())
}

const BY_TOKEN: &[(&str, &str)] = &[("CLOUDFLARE_API_TOKEN", "secret")];

#[tokio::test]
async fn an_api_that_answers_well_works() {
    let (lines, failures) = checked(api(good()).await, BY_TOKEN).await;
    let wanted = [
        "token_verify passed: active, expires 2030-01-01T00:00:00Z",
        "behaviors passed: 2 behaviors, 1 enabled",
        "integrations passed: 1 integration, 1 active",
        // The answer does not say how many users a page has, so a second page is asked for.
        "summary passed: 1 user in 2 requests",
        "user passed: 1 event of one user",
    ];
    assert_eq!((lines, failures), (wanted.map(str::to_owned).to_vec(), 0));
    let tried = BTreeSet::from(wanted.map(|line| line.split(' ').next().unwrap()));
    assert_eq!(tried, Resource::of_account().map(Resource::as_str).collect(), "every resource is tried");
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_told() {
    let mut answers = good();
    let with_bad_row =
        r#"{"success":true,"result":{"behaviors":{"a":{"enabled":true},"b":{"enabled":null}}}}"#;
    answers.insert("behaviors", (200, with_bad_row));
    let (lines, failures) = checked(api(answers).await, BY_TOKEN).await;
    assert_eq!(lines[0], "behaviors warning: 2 behaviors, 1 enabled, 1 unreadable");
    assert_eq!(failures, 0);
}

#[tokio::test]
async fn a_missing_permission_is_named_beside_the_endpoint_and_once_at_the_end() {
    let mut answers = good();
    for endpoint in ["behaviors", "integrations", "summary"] {
        answers.insert(endpoint, (403, FORBIDDEN));
    }
    let (lines, failures) = checked(api(answers).await, BY_TOKEN).await;
    let wanted = [
        "behaviors failed: lacks Zero Trust Read",
        "integrations failed: lacks Zero Trust Read",
        "summary failed: lacks Zero Trust: PII Read",
        "token_verify passed: active, expires 2030-01-01T00:00:00Z",
        "user skipped: the list of users could not be read",
        "behaviors, integrations: the credentials lack a permission; add \"Zero Trust Read\" (or \"Zero Trust Write\") \
         to the token (HTTP 403, 10000 Authentication error)",
        "summary: the credentials lack a permission; add \"Zero Trust: PII Read\" to the token \
         (HTTP 403, 10000 Authentication error)",
        "add to the token: \"Zero Trust Read\" (or \"Zero Trust Write\") and \"Zero Trust: PII Read\"",
    ]
    .map(str::to_owned);
    assert_eq!((lines, failures), (wanted.to_vec(), 3));
}

#[tokio::test]
async fn skipped_checks_do_not_count_as_failures() {
    let mut answers = good();
    answers.insert("summary", (200, NOBODY));
    let key: &[(&str, &str)] = &[("CLOUDFLARE_EMAIL", "a@b"), ("CLOUDFLARE_API_KEY", "key")];
    let (lines, failures) = checked(api(answers).await, key).await;
    let wanted = [
        "behaviors passed: 2 behaviors, 1 enabled",
        "integrations passed: 1 integration, 1 active",
        "summary passed: 0 users in 1 request",
        "token_verify skipped: an API key is used",
        "user skipped: the list has no users",
        "token_verify: an API key can do everything; a token with two permissions is safer",
    ];
    assert_eq!((lines, failures), (wanted.map(str::to_owned).to_vec(), 0));
}

#[tokio::test]
async fn a_refused_or_disabled_token_and_a_partial_list_fail() {
    let mut answers = good();
    for endpoint in ["behaviors", "integrations"] {
        answers.insert(endpoint, (401, REFUSED));
    }
    answers.insert("verify", (200, DISABLED));
    answers.insert("summary", (200, PARTIAL));
    let (lines, failures) = checked(api(answers).await, BY_TOKEN).await;
    // The second page repeats the first; the request for larger pages is one more.
    let rows = [
        "token_verify failed: disabled",
        "behaviors failed: refused",
        "integrations failed: refused",
        "summary failed: 1 user in 3 requests, incomplete",
        "user passed: 1 event of one user",
        "token_verify: the token is disabled; enable it, or create another",
        "behaviors, integrations: the credentials were rejected; check that the token is active and not expired, or \
         create a new one (HTTP 401, 10000 Authentication error)",
    ];
    assert_eq!(lines[..7], rows);
    assert!(lines[7].starts_with("summary: the list is incomplete: "), "{}", lines[7]);
    assert_eq!((lines.len(), failures), (8, 4));
}

#[tokio::test]
async fn a_refused_verification_fails_nothing_where_the_token_works() {
    let mut answers = good();
    answers.insert("verify", (401, REFUSED));
    let (lines, failures) = checked(api(answers.clone()).await, BY_TOKEN).await;
    assert_eq!((lines[0].as_str(), failures), ("token_verify warning: refused", 0));
    let remark = "token_verify: a token that belongs to an account cannot be verified here, and need not be";
    assert_eq!((lines.len(), lines[5].as_str()), (6, remark));
    for endpoint in ["behaviors", "integrations", "summary"] {
        answers.insert(endpoint, (401, REFUSED));
    }
    let (lines, failures) = checked(api(answers).await, BY_TOKEN).await;
    assert_eq!((lines[0].as_str(), failures), ("token_verify failed: refused", 4));
}

#[tokio::test]
async fn a_refused_verification_asks_for_no_permission() {
    let mut answers = good();
    for endpoint in ["behaviors", "integrations", "summary"] {
        answers.insert(endpoint, (401, REFUSED));
    }
    answers.insert("verify", (403, FORBIDDEN));
    let (lines, failures) = checked(api(answers).await, BY_TOKEN).await;
    assert_eq!((lines[0].as_str(), failures), ("token_verify failed: refused", 4));
    let wanted = "token_verify: the verification was refused, although it needs no permission; check that the token is active \
                  (HTTP 403, 10000 Authentication error)";
    assert_eq!(lines[5], wanted);
    assert!(!lines.iter().any(|line| line.contains("add ")), "{lines:?}");
}

#[tokio::test]
async fn the_table_fits_a_terminal_with_and_without_colour() {
    let mut answers = good();
    answers.insert("behaviors", (403, FORBIDDEN));
    answers.insert("summary", (403, FORBIDDEN));
    let report = report(api(answers).await, BY_TOKEN).await;
    for (colour, width) in [(Colour::Off, 80), (Colour::On, 80), (Colour::Off, 52)] {
        let shown = report.render(colour, Some(width));
        assert_eq!(shown.contains('\u{1b}'), colour == Colour::On, "{shown}");
        // An escape sequence takes no room; those here end with m.
        let plain: String = shown
            .split('\u{1b}')
            .map(|part| match part.strip_prefix('[') {
                Some(code) => code.split_once('m').map_or("", |(_, rest)| rest),
                None => part,
            })
            .collect();
        let (_, plain) = plain.split_once("account ").unwrap_or_else(|| panic!("{plain}"));
        let (plain, _) = plain.split_once("\n\n").unwrap_or_else(|| panic!("{plain}"));
        assert!(plain.lines().all(|line| line.chars().count() <= width), "{plain}");
        let (table, _) = plain.split_once("\nbehaviors: ").unwrap_or_else(|| panic!("{plain}"));
        assert_eq!(table.lines().count() == 7, width == 80, "at 80 columns a row is one line: {plain}");
        assert!(plain.starts_with(&format!("{ACCOUNT}\n")), "{plain}");
    }
}

#[tokio::test]
async fn each_endpoint_is_tried_exactly_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hang_up = async {
        for connections in 1.. {
            drop(listener.accept().await.unwrap());
            assert!(connections <= 4, "something is tried again");
        }
    };
    tokio::select! {
        () = hang_up => {}
        (lines, failures) = checked(address, BY_TOKEN) => {
            assert_eq!(failures, 4);
            assert_eq!(lines[4], "user skipped: the list of users could not be read");
        }
    }
}

#[tokio::test]
async fn nobody_is_shown() {
    let url = format!("http://{}/client/v4", api(good()).await);
    let environment = [
        ("CLOUDFLARE_ACCOUNT_ID", ACCOUNT),
        ("CLOUDFLARE_BASE_URL", &url),
        ("CLOUDFLARE_API_TOKEN", "secret"),
        ("ZT_RISK_EXPORTER__USERS__IDENTITY", "email"),
    ];
    let environment = environment.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let config = Config::load(&Flags::default(), environment).unwrap();
    let shown = check::run(&config, &Clock::system()).await.render(Colour::On, None);
    assert!(shown.contains('\u{1b}'), "with colours: {shown}");
    for word in ["Ann", "ann@", USER, "secret"] {
        assert!(!shown.contains(word), "{word} in {shown}");
    }
}
