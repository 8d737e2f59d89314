//! The exporter's server over real sockets: every path, format and coding, and which clients it answers.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::internals::metrics::encode::Format;
use zt_risk_exporter::internals::metrics::exposition::{Encoder, Form, encode};
use zt_risk_exporter::internals::metrics::telemetry::Telemetry;
use zt_risk_exporter::internals::server::demand::Demand;
use zt_risk_exporter::internals::server::lifecycle::{Lifecycle, ReloadRequest, ReloadResult};
use zt_risk_exporter::internals::server::status::Recorder;
use zt_risk_exporter::internals::server::{self, Parts, Readiness};
use zt_risk_exporter::model::Snapshot;

use crate::accounts;

/// An answer: the status line and the headers in lower case, and the body.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Sends `request` and reads until the server closes the connection.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    read_answer(stream).await
}

pub(crate) async fn read_answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let body = end.map_or_else(Vec::new, |end| bytes.split_off(end + 4));
    Answer { head: String::from_utf8(bytes).unwrap().to_lowercase(), body }
}

/// Sends one request; `headers` are whole lines.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    exchange(address, &request).await
}

/// A server with the golden accounts.
pub(crate) struct Exporter {
    pub(crate) address: SocketAddr,
    readiness: watch::Sender<Readiness>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// Whether the live page is served.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LivePage {
    On,
    Off,
}

pub(crate) async fn exporter() -> Exporter {
    exporter_with(LivePage::On, Lifecycle::Disabled).await
}

fn snapshots() -> [Arc<Snapshot>; 2] {
    [accounts::full(), accounts::unread()].map(Arc::new)
}

async fn exporter_with(live_page: LivePage, lifecycle: Lifecycle) -> Exporter {
    exporter_on("127.0.0.1:0", live_page, lifecycle).await
}

async fn exporter_on(listen: &str, live_page: LivePage, lifecycle: Lifecycle) -> Exporter {
    let clock = Clock::scaled(Timestamp::from_seconds(1_795_219_230), 1.0);
    let snapshots = snapshots();
    let exposition = Arc::new(Encoder::new().encode(&snapshots, &Form::ALL.into()));
    let (readiness, receiver) = watch::channel(Readiness::Starting);
    let telemetry = Telemetry::new(clock.clone());
    let status = (live_page == LivePage::On).then(|| {
        let mut recorder = Recorder::new(Duration::from_secs(60), &snapshots);
        recorder.prepare(&snapshots, &telemetry, clock.now(), clock.date())
    });
    let parts = Parts {
        exposition: watch::channel(exposition).1,
        demand: Demand::new(clock.clone()),
        telemetry,
        readiness: receiver,
        status: status.map(|status| watch::channel(Arc::new(status)).1),
        lifecycle,
        clock,
        web: None,
        metrics_path: "/metrics".to_owned(),
        allowed_hosts: vec!["exporter.internal".to_owned()],
    };
    let listener = TcpListener::bind(listen).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server::run(listener, parts, async {
        let _ = stopped.await;
    }));
    Exporter { address, readiness, stop, running }
}

#[tokio::test]
async fn metrics_have_the_negotiated_format_and_coding() {
    let exporter = exporter().await;
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let escaping = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
    let cases = [
        ("", Format::Text, text, None),
        ("Accept-Encoding: gzip\r\n", Format::Text, text, Some("gzip")),
        (
            "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n\
             Accept-Encoding: gzip\r\n",
            Format::OpenMetrics,
            open_metrics,
            Some("gzip"),
        ),
        (
            "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5\r\n\
             Accept-Encoding: identity\r\n",
            Format::OpenMetrics,
            escaping,
            None,
        ),
    ];
    for (headers, format, content_type, coding) in cases {
        let answer = ask(exporter.address, "GET", "/metrics?name[]=up", headers).await;
        assert_eq!(answer.status(), "200", "{headers}");
        assert_eq!(answer.header("content-type"), Some(content_type), "{headers}");
        assert_eq!(answer.header("content-encoding"), coding, "{headers}");
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{headers}");
        let body = match coding {
            Some(_) => gunzip(&answer.body),
            None => answer.text().to_owned(),
        };
        let own = body.strip_prefix(&encode(format, &snapshots())).expect(headers);
        assert!(own.starts_with("# HELP zt_risk_exporter_"), "{own}");
        assert_eq!(own.ends_with("# EOF\n"), format == Format::OpenMetrics, "{own}");
    }
    let last = ask(exporter.address, "GET", "/metrics", "").await;
    let counted = "\nzt_risk_exporter_scrapes_total{format=\"text\"} 3\n";
    assert!(last.text().contains(counted), "{}", last.text());
}

/// Decodes exactly one member, and panics if anything follows it.
pub(crate) fn gunzip(member: &[u8]) -> String {
    let mut decoder = flate2::bufread::GzDecoder::new(member);
    let mut text = String::new();
    decoder.read_to_string(&mut text).unwrap();
    assert!(decoder.into_inner().is_empty(), "something follows the member");
    text
}

#[tokio::test]
async fn every_path_and_method_has_its_answer() {
    let exporter = exporter().await;
    exporter.readiness.send_replace(Readiness::Ready);
    for (method, path, status) in [
        ("GET", "/", "200"),
        ("GET", "/page.js", "200"),
        ("GET", "/draw.js", "200"),
        ("GET", "/page.css", "200"),
        ("GET", "/icon.svg", "200"),
        ("GET", "/api/v1/status", "200"),
        ("GET", "/metrics", "200"),
        ("GET", "/-/healthy", "200"),
        ("GET", "/-/ready", "200"),
        ("GET", "/-/ready?verbose", "200"),
        ("HEAD", "/metrics", "200"),
        ("GET", "/nothing", "404"),
        ("POST", "/nothing", "404"),
        ("GET", "/metrics/", "404"),
        ("GET", "//", "404"),
        ("GET", "/index.html", "404"),
        ("GET", "/page.js/", "404"),
        ("GET", "/api/v1/status/", "404"),
        ("GET", "/api/v1/", "404"),
        ("POST", "/api/v1/status", "405"),
        ("PUT", "/page.css", "405"),
        ("POST", "/metrics", "405"),
        ("DELETE", "/", "405"),
        ("OPTIONS", "/-/healthy", "405"),
        ("POST", "/-/ready", "405"),
    ] {
        let answer = ask(exporter.address, method, path, "").await;
        assert_eq!(answer.status(), status, "{method} {path}");
        assert!(answer.header("content-type").is_some(), "{method} {path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{method} {path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"), "{method} {path}");
        let allow = (status == "405").then_some("get, head");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn a_reload_is_a_post_or_put_where_it_is_enabled_and_answers_with_its_result() {
    let off = exporter().await;
    let reload = async |exporter: &Exporter, method: &str| {
        let answer = ask(exporter.address, method, "/-/reload", "Content-Length: 0\r\n").await;
        (answer.status().to_owned(), answer.header("allow").map(str::to_owned), answer.text().to_owned())
    };
    let refused = "reloading over HTTP is off; serve --web.enable-lifecycle turns it on\n";
    for method in ["POST", "PUT"] {
        assert_eq!(reload(&off, method).await, ("403".to_owned(), None, refused.to_owned()));
    }
    let (requests, mut reloads) = mpsc::channel::<ReloadRequest>(1);
    let on = exporter_with(LivePage::On, Lifecycle::Enabled(requests)).await;
    for exporter in [&off, &on] {
        let (status, allow, _) = reload(exporter, "GET").await;
        assert_eq!((status.as_str(), allow.as_deref()), ("405", Some("post, put")));
    }
    let forged =
        ask(on.address, "POST", "/-/reload", "Content-Length: 0\r\nOrigin: http://evil.example\r\n").await;
    assert_eq!(forged.status(), "403");
    let results: [(&str, ReloadResult, &str); 2] =
        [("POST", Ok("a changed; b changed".into()), "200"), ("PUT", Err("no such file".into()), "500")];
    for (method, result, status) in results {
        let text = result.clone().unwrap_or_else(|reason| reason);
        let answer = async { reloads.recv().await.unwrap().send(result).unwrap() };
        let (found, ()) = tokio::join!(reload(&on, method), answer);
        assert_eq!(found, (status.to_owned(), None, format!("{text}\n")));
    }
    // The exporter is stopping: one request was not taken up, the next cannot be sent.
    let (found, ()) = tokio::join!(reload(&on, "POST"), async { drop(reloads.recv().await) });
    assert_eq!(found.0, "503");
    drop(reloads);
    assert_eq!(reload(&on, "POST").await.0, "503");
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let exporter = exporter().await;
    for path in
        ["/", "/page.js", "/page.css", "/icon.svg", "/api/v1/status", "/metrics", "/-/healthy", "/-/ready"]
    {
        let [get, head] =
            [ask(exporter.address, "GET", path, "").await, ask(exporter.address, "HEAD", path, "").await];
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
        // Values change between the two requests, so only the names of the headers are compared.
        let names = |answer: &Answer| -> Vec<String> {
            let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
            lines.map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(names(&get), names(&head), "{path}");
        assert_eq!(get.status(), head.status(), "{path}");
        assert_eq!(get.header("content-type"), head.header("content-type"), "{path}");
    }
}

#[tokio::test]
async fn readiness_changes_and_health_does_not() {
    let exporter = exporter().await;
    for (readiness, status, text) in [
        (Readiness::Starting, "503", "starting\n"),
        (Readiness::Ready, "200", "ready\n"),
        (Readiness::Draining, "503", "draining\n"),
    ] {
        exporter.readiness.send_replace(readiness);
        let answer = ask(exporter.address, "GET", "/-/ready", "").await;
        assert_eq!((answer.status(), answer.text()), (status, text));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{text}");
        let answer = ask(exporter.address, "GET", "/-/healthy", "").await;
        assert_eq!(answer.status(), "200");
    }
}

#[tokio::test]
async fn the_live_page_may_load_only_files_of_this_server_and_run_no_inline_scripts() {
    let exporter = exporter().await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for (path, content_type, cache, policy) in [
        ("/", "text/html; charset=utf-8", "no-cache", Some(policy)),
        ("/page.js", "text/javascript; charset=utf-8", "no-cache", Some(policy)),
        ("/account.js", "text/javascript; charset=utf-8", "no-cache", Some(policy)),
        ("/charts.js", "text/javascript; charset=utf-8", "no-cache", Some(policy)),
        ("/commands.js", "text/javascript; charset=utf-8", "no-cache", Some(policy)),
        ("/draw.js", "text/javascript; charset=utf-8", "no-cache", Some(policy)),
        ("/health.js", "text/javascript; charset=utf-8", "no-cache", Some(policy)),
        ("/overview.js", "text/javascript; charset=utf-8", "no-cache", Some(policy)),
        ("/page.css", "text/css; charset=utf-8", "no-cache", Some(policy)),
        ("/icon.svg", "image/svg+xml", "no-cache", Some(policy)),
        ("/api/v1/status", "application/json", "no-store", None),
    ] {
        let answer = ask(exporter.address, "GET", path, "").await;
        assert_eq!(answer.header("content-type"), Some(content_type), "{path}");
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        assert_eq!(answer.header("content-security-policy"), policy, "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        for foreign in
            ["http:", "https:", "//cdn", " style=", " onclick=", " onload=", "javascript:", "innerHTML"]
        {
            let text = answer.text().replace("http://www.w3.org/2000/svg", "");
            let is_of_upstream = path == "/api/v1/status";
            assert!(is_of_upstream || !text.contains(foreign), "{foreign} in {path}");
        }
    }
}

#[tokio::test]
async fn the_status_document_is_as_of_the_request() {
    let exporter = exporter().await;
    let answer = ask(exporter.address, "GET", "/api/v1/status", "").await;
    let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(status["now"].as_str().unwrap().starts_with("2026-11-21T00:00:3"), "{}", status["now"]);
    for (pointer, wanted) in [
        ("/accounts/0/account", serde_json::json!("acme \"EU\" \\ north")),
        ("/accounts/0/users/by_level/high", 1.into()),
        ("/accounts/0/events/by_behavior/imp_travel/total", 33.into()),
        ("/accounts/1/account", "branch".into()),
        ("/accounts/1/up", serde_json::Value::Null),
    ] {
        assert_eq!(status.pointer(pointer), Some(&wanted), "{pointer}");
    }
}

#[tokio::test]
async fn the_status_document_is_compressed_for_those_who_accept_that() {
    let exporter = exporter().await;
    let plain = ask(exporter.address, "GET", "/api/v1/status", "").await;
    let small = ask(exporter.address, "GET", "/api/v1/status", "Accept-Encoding: gzip\r\n").await;
    assert_eq!((plain.header("content-encoding"), small.header("content-encoding")), (None, Some("gzip")));
    assert!(small.body.len() * 2 < plain.body.len(), "{} of {} bytes", small.body.len(), plain.body.len());
    let accounts = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["accounts"].take();
    assert_eq!(accounts(&gunzip(&small.body)), accounts(plain.text()));
    for answer in [&plain, &small] {
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    }
    // The tag is that of the content, whatever the coding.
    assert_eq!(plain.header("etag"), small.header("etag"));
}

#[tokio::test]
async fn a_client_that_has_the_status_document_gets_no_second_copy() {
    let exporter = exporter().await;
    let overview = "/api/v1/status?view=overview";
    let get = async |path: &str, tag: &str| {
        ask(exporter.address, "GET", path, &format!("If-None-Match: {tag}\r\n")).await
    };
    let first = get(overview, "W/\"0\"").await;
    let tag = first.header("etag").unwrap();
    // The head of an answer is in lower case here, and a tag is not the same in another case.
    let named = tag.replace("w/", "W/");
    assert_eq!(first.status(), "200");
    for method in ["GET", "HEAD"] {
        let headers = format!("If-None-Match: {named}\r\nAccept-Encoding: gzip\r\n");
        let answer = ask(exporter.address, method, overview, &headers).await;
        assert_eq!((answer.status(), answer.header("etag")), ("304", Some(tag)), "{method}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{method}");
        assert_eq!((answer.body.len(), answer.header("content-length")), (0, None), "{method}");
    }
    // Another part of the document has another tag.
    let whole = get("/api/v1/status", &named).await;
    assert_eq!(whole.status(), "200");
    assert_ne!(whole.header("etag"), Some(tag));
}

#[tokio::test]
async fn an_unknown_view_of_the_status_document_is_refused() {
    let exporter = exporter().await;
    for (query, status) in
        [("view=all", "400"), ("view=overview", "200"), ("account=0", "200"), ("t=1", "200")]
    {
        let answer = ask(exporter.address, "GET", &format!("/api/v1/status?{query}"), "").await;
        assert_eq!(answer.status(), status, "{query}");
    }
}

#[tokio::test]
async fn with_the_live_page_off_only_its_paths_are_gone() {
    let exporter = exporter_with(LivePage::Off, Lifecycle::Disabled).await;
    exporter.readiness.send_replace(Readiness::Ready);
    for (path, status) in [
        ("/", "404"),
        ("/page.js", "404"),
        ("/draw.js", "404"),
        ("/page.css", "404"),
        ("/icon.svg", "404"),
        ("/api/v1/status", "404"),
        ("/metrics", "200"),
        ("/-/healthy", "200"),
        ("/-/ready", "200"),
    ] {
        let answer = ask(exporter.address, "GET", path, "").await;
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_read_over_loopback_through_its_own_name() {
    // A socket for all interfaces is reached over loopback too.
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let exporter = exporter_on(listen, LivePage::On, Lifecycle::Disabled).await;
        for (host, status) in [
            ("localhost", "200"),
            ("127.0.0.1:10069", "200"),
            ("exporter.internal", "200"),
            ("attacker.example", "421"),
            ("attacker.example:10069", "421"),
        ] {
            for path in ["/metrics", "/", "/api/v1/status", "/-/healthy"] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
                let answer = exchange(exporter.address, &request).await;
                assert_eq!(answer.status(), status, "{listen} {host} {path}");
                let policy = answer.header("cross-origin-resource-policy");
                assert_eq!(policy, Some("same-origin"), "{host} {path}");
                assert_eq!(answer.text().contains("web.allowed_hosts"), status == "421", "{host} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_of_http_1_1_has_exactly_one_host() {
    let exporter = exporter().await;
    for (version, headers, status) in [
        ("1.1", "Host: localhost\r\n", "200"),
        ("1.1", "Host:\r\n", "200"),
        ("1.1", "", "400"),
        ("1.1", "Host: localhost\r\nHost: localhost\r\n", "400"),
        ("1.1", "Host: localhost\r\nHost: attacker.example\r\n", "400"),
        ("1.1", "Host: local host\r\n", "400"),
        ("1.1", "Host: user@localhost\r\n", "400"),
        ("1.1", "Host: localhost/path\r\n", "400"),
        ("1.0", "", "200"),
        ("1.0", "Host: localhost\r\nHost: localhost\r\n", "400"),
    ] {
        let request = format!("GET /metrics HTTP/{version}\r\n{headers}\r\n");
        let mut stream = TcpStream::connect(exporter.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        // Every refusal closes the connection. The others are closed by this end.
        stream.shutdown().await.unwrap();
        let answer = read_answer(stream).await;
        assert_eq!(answer.status(), status, "{version} {headers:?}");
        if status == "400" {
            assert!(answer.text().starts_with("the header Host "), "{}", answer.text());
            assert_eq!(answer.header("connection"), Some("close"), "{version} {headers:?}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{version} {headers:?}");
        }
    }
}

#[tokio::test]
async fn a_stopped_server_ends_even_if_a_connection_is_kept_open() {
    let exporter = exporter().await;
    let mut idle = TcpStream::connect(exporter.address).await.unwrap();
    let request = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
    idle.write_all(request).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    exporter.stop.send(()).unwrap();
    exporter.running.await.unwrap();
    assert!(TcpStream::connect(exporter.address).await.is_err());
}
