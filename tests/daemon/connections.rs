//! The limits of the HTTP server over real sockets: connections, time, memory, and the drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use zt_risk_exporter::internals::http::{
    self, Abort, Body, CloseReason, ConnectionStats, Connections, Limits,
};

use crate::server::{ask, exchange, exporter};

const WIDE: Limits = Limits {
    connections: 10,
    connections_of_one_peer: 10,
    first_header_wait: Duration::from_secs(60),
    header_wait: Duration::from_secs(60),
    header_bytes: 8 * 1024,
    answer_wait: Duration::from_secs(60),
    unsent_bytes: 1 << 30,
    drain: Duration::from_secs(60),
};

const SHORT: Duration = Duration::from_millis(50);

/// Serves `handle` within `limits` until the sender is used or dropped.
async fn serve<H, F>(limits: Limits, handle: H) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    serve_and_count(limits, Arc::default(), handle).await
}

/// The same; `stats` counts the connections.
async fn serve_and_count<H, F>(
    limits: Limits,
    stats: Arc<ConnectionStats>,
    handle: H,
) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Abort>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let connections = Connections::new(limits, stats);
    (address, stop, tokio::spawn(http::serve(listener, connections, &[], stopped, handle)))
}

async fn short(_: Request<Incoming>) -> Result<Response<Body>, Abort> {
    Ok(http::plain_text(StatusCode::OK, "short\n"))
}

/// Answers a request for `/slow` only when it is told to, and all others at once.
#[derive(Clone, Default)]
struct Slow {
    /// `/slow` was asked for.
    asked: Arc<Notify>,
    /// It may be answered.
    answer: Arc<Notify>,
}

impl Slow {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Abort> {
        if request.uri().path() == "/slow" {
            self.asked.notify_one();
            self.answer.notified().await;
        }
        short(request).await
    }
}

#[tokio::test]
async fn a_header_that_does_not_end_closes_the_connection() {
    let answered = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let half = "GET / HTTP/1.1\r\nHost: loc";
    let first = Limits { first_header_wait: SHORT, ..WIDE };
    let next = Limits { header_wait: SHORT, ..WIDE };
    for (limits, beginning, answers) in [
        (first, String::new(), 0),
        (first, half.to_owned(), 0),
        (next, answered.to_owned(), 1),
        (next, format!("{answered}{half}"), 1),
    ] {
        let (address, _stop, _) = serve(limits, short).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200").count(), answers, "{beginning:?}: {text}");
    }
}

#[tokio::test]
async fn a_connection_with_a_request_is_kept_longer_than_one_without() {
    let limits = Limits { first_header_wait: SHORT, ..WIDE };
    let (address, _stop, _) = serve(limits, short).await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        kept.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"short\n") {
            answer.push(kept.read_u8().await.unwrap());
        }
        // Opened later, and closed because no request came in time.
        let idle = exchange(address, "").await;
        assert_eq!(idle.head, "");
    }
}

#[tokio::test]
async fn a_header_that_is_too_large_is_refused() {
    let (address, _stop, _) = serve(WIDE, short).await;
    let padding = format!("X-Padding: {}\r\n", "x".repeat(WIDE.header_bytes));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\n{padding}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 431");
}

#[tokio::test]
async fn a_missing_answer_is_a_503() {
    let limits = Limits { answer_wait: SHORT, ..WIDE };
    let (address, _stop, _) = serve(limits, |_| std::future::pending()).await;
    let answer = ask(address, "GET", "/", "").await;
    assert_eq!((answer.status(), answer.text()), ("503", "the answer took too long\n"));
}

/// Opens a connection from a loopback address.
async fn connect_from(address: SocketAddr, source: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Sends a request on a connection that is kept open, and reads the beginning of the answer.
async fn begin(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

/// Whether the server has closed the connection; waits until it has, or until another answer is complete.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let request = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut rest = Vec::new();
    // Both fail if the server has closed the connection.
    let sent = stream.write_all(request).await;
    let read = stream.read_to_end(&mut rest).await;
    sent.is_err() || read.is_err() || !String::from_utf8_lossy(&rest).contains("HTTP/1.1 200")
}

#[tokio::test]
async fn a_scrape_succeeds_while_many_connections_are_kept_open() {
    let exporter = exporter().await;
    let mut held = Vec::new();
    for count in 0..300 {
        let mut idle = connect_from(exporter.address, "127.0.0.1").await;
        begin(&mut idle, "/-/healthy").await;
        held.push(idle);
        if count % 10 == 0 {
            let scrape = ask(exporter.address, "GET", "/metrics", "").await;
            assert_eq!(scrape.status(), "200", "beside {count} connections of the same address");
        }
    }
    for source in 10..30 {
        for _ in 0..32 {
            let mut idle = connect_from(exporter.address, &format!("127.0.0.{source}")).await;
            begin(&mut idle, "/-/healthy").await;
            held.push(idle);
        }
        let scrape = ask(exporter.address, "GET", "/metrics", "").await;
        assert_eq!(scrape.status(), "200", "beside {source} addresses with 32 connections each");
    }
    let scrape = ask(exporter.address, "GET", "/metrics", "").await;
    let value = |series: &str| -> u64 {
        let line = scrape.text().lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("{series} in {}", scrape.text())).trim().parse().unwrap()
    };
    assert_eq!(value("zt_risk_exporter_web_connections "), 256);
    // 300 and 640 connections were held, of which 256 are left.
    let [peer, total] = ["peer_limit", "connection_limit"].map(|reason| {
        value(&format!("zt_risk_exporter_web_connections_closed_total{{reason=\"{reason}\"}}"))
    });
    assert!(peer >= 300 - 32 && total >= 32 + 640 - 256, "{peer} and {total}");
    assert!(is_closed(held.first_mut().unwrap()).await);
    assert!(!is_closed(held.last_mut().unwrap()).await);
}

#[tokio::test]
async fn the_connection_that_has_been_idle_for_longest_makes_room_and_not_one_that_waits_for_its_answer() {
    let Slow { asked, answer } = Slow::default();
    let slow = Slow { asked: Arc::clone(&asked), answer: Arc::clone(&answer) };
    let handle = move |request| slow.clone().answer(request);
    let stats = Arc::<ConnectionStats>::default();
    let limits = Limits { connections: 3, ..WIDE };
    let (address, _stop, _) = serve_and_count(limits, Arc::clone(&stats), handle).await;
    let slow = tokio::spawn(async move { ask(address, "GET", "/slow", "").await });
    asked.notified().await;
    let [mut first, mut second] =
        [connect_from(address, "127.0.0.4").await, connect_from(address, "127.0.0.2").await];
    begin(&mut second, "/").await;
    begin(&mut first, "/").await;
    let mut newest = connect_from(address, "127.0.0.3").await;
    begin(&mut newest, "/").await;
    assert_eq!((stats.open(), stats.closed(CloseReason::ConnectionLimit)), (3, 1));
    assert!(is_closed(&mut second).await, "it was used before the other one");
    assert!(!is_closed(&mut first).await);
    answer.notify_one();
    assert_eq!(slow.await.unwrap().text(), "short\n");
}

#[tokio::test]
async fn a_client_that_reads_its_answer_too_slowly_loses_its_connection() {
    let stats = Arc::<ConnectionStats>::default();
    let limits = Limits { answer_wait: SHORT, ..WIDE };
    let handle = |_| async { Ok(Response::new(http::full(vec![0; 100_000_000]))) };
    let (address, _stop, _) = serve_and_count(limits, Arc::clone(&stats), handle).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    begin(&mut slow, "/").await;
    assert_eq!(stats.unsent_bytes(), 100_000_000);
    // Each byte makes room for another write, so no single write takes long.
    let mut byte = [0];
    while stats.closed(CloseReason::SlowReader) == 0 {
        let _ = slow.read(&mut byte).await;
        tokio::task::yield_now().await;
    }
    let mut rest = Vec::new();
    let read = slow.read_to_end(&mut rest).await;
    assert!(read.is_err() || rest.len() < 90_000_000, "the answer was sent completely");
    assert_eq!((stats.open(), stats.unsent_bytes()), (0, 0));
}

#[tokio::test]
async fn superseded_answers_take_a_bounded_amount_of_memory() {
    const BYTES: usize = 20_000_000;
    let stats = Arc::<ConnectionStats>::default();
    let limits = Limits { unsent_bytes: 1_000, ..WIDE };
    let current = bytes::Bytes::from(vec![0; BYTES]);
    let handle = move |request: Request<Incoming>| {
        let bytes = match request.uri().path() {
            "/current" => current.clone(),
            _ => vec![1; BYTES].into(),
        };
        async { Ok(Response::new(http::full(bytes))) }
    };
    let (address, _stop, _) = serve_and_count(limits, Arc::clone(&stats), handle).await;
    let mut readers = Vec::new();
    // Three times the largest buffer is allowed, and the current one counts once.
    let cases = [
        ("/old", 1, 0),
        ("/current", 2, 0),
        ("/current", 2, 0),
        ("/old", 3, 0),
        ("/old", 3, 1),
        ("/old", 3, 3),
    ];
    for (path, buffers, closed) in cases {
        let mut reader = TcpStream::connect(address).await.unwrap();
        begin(&mut reader, path).await;
        readers.push(reader);
        let found = (stats.unsent_bytes(), stats.closed(CloseReason::UnsentBytes));
        assert_eq!(found, (buffers * BYTES as u64, closed), "after {} readers", readers.len());
    }
    // The oldest ones were closed; the others get their whole answer.
    for (number, mut reader) in readers.into_iter().enumerate() {
        let _ = reader.shutdown().await;
        let mut rest = Vec::new();
        let read = reader.read_to_end(&mut rest).await;
        assert_eq!(read.is_ok() && rest.len() > BYTES, number >= 3, "reader {number}");
    }
}

#[tokio::test]
async fn a_running_answer_is_finished_after_the_stop() {
    let Slow { asked, answer } = Slow::default();
    let slow = Slow { asked: Arc::clone(&asked), answer: Arc::clone(&answer) };
    let handle = move |request| slow.clone().answer(request);
    let (address, stop, running) = serve(WIDE, handle).await;
    let client = tokio::spawn(async move { ask(address, "GET", "/slow", "").await });
    asked.notified().await;
    stop.send(()).unwrap();
    answer.notify_one();
    running.await.unwrap();
    assert_eq!(client.await.unwrap().text(), "short\n");
}

#[tokio::test]
async fn a_request_during_the_drain_is_answered_and_its_connection_closed() {
    let Slow { asked, answer } = Slow::default();
    let slow = Slow { asked: Arc::clone(&asked), answer: Arc::clone(&answer) };
    let handle = move |request| slow.clone().answer(request);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let [stop, draining] = [Arc::new(Notify::new()), Arc::new(Notify::new())];
    let stopped = {
        let (stop, draining) = (Arc::clone(&stop), Arc::clone(&draining));
        async move {
            stop.notified().await;
            draining.notify_one();
        }
    };
    let running =
        tokio::spawn(http::serve(listener, Connections::new(WIDE, Arc::default()), &[], stopped, handle));
    let slow = tokio::spawn(async move { ask(address, "GET", "/slow", "").await });
    asked.notified().await;
    stop.notify_one();
    draining.notified().await;
    let late = exchange(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((late.text(), late.header("connection")), ("short\n", Some("close")));
    answer.notify_one();
    running.await.unwrap();
    assert_eq!(slow.await.unwrap().text(), "short\n");
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed after the drain");
}

#[tokio::test]
async fn an_answer_that_never_ends_does_not_outlive_the_drain() {
    let asked = Arc::new(Notify::new());
    let handle = {
        let asked = Arc::clone(&asked);
        move |_| {
            asked.notify_one();
            std::future::pending()
        }
    };
    let limits = Limits { drain: SHORT, ..WIDE };
    let (address, stop, running) = serve(limits, handle).await;
    let client = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut nothing = Vec::new();
        let _ = stream.read_to_end(&mut nothing).await;
        nothing
    });
    asked.notified().await;
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(client.await.unwrap(), b"");
}
