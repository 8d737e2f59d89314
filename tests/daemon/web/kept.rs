//! Connections that are kept open, and sessions that are resumed, while what a client must present changes or ends.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response, StatusCode};
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::internals::http::{self, CloseReason, ConnectionStats, Connections, Limits, Listener};
use zt_risk_exporter::internals::metrics::telemetry::Telemetry;
use zt_risk_exporter::internals::web::Web;

use super::certificates::Authority;
use super::rig::{Client, Empty, Exporter, Place, TLS, connect, exchange, http2};

fn verified(lines: &str) -> String {
    format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n{lines}")
}

/// Sends a request on a connection that stays open, and returns the status; `None` if the connection is closed instead.
async fn ask(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) -> Option<String> {
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"healthy\n") {
        answer.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(answer[9..12].to_vec()).unwrap())
}

async fn ask_http2(sender: &mut SendRequest<Empty>) -> hyper::Result<Response<Incoming>> {
    let request = Request::get("https://localhost/-/healthy").body(Empty::new()).unwrap();
    sender.send_request(request).await
}

/// Why a request was not answered.
fn reason(error: &hyper::Error) -> Option<h2::Reason> {
    std::error::Error::source(error)?.downcast_ref::<h2::Error>()?.reason()
}

/// A client of `authority`, with HTTP/1.1 and with HTTP/2.
fn clients(authority: &Authority) -> [Client; 2] {
    let of = |alpn| Client { alpn: vec![alpn], ..Client::with(authority.issue(&["client.test"])) };
    [of("http/1.1"), of("h2")]
}

#[tokio::test]
async fn a_policy_that_changes_reaches_open_connections() {
    let [old, new] = ["old CA", "new CA"].map(Authority::new);
    let names = "  client_allowed_sans: [client.test]\n";
    // What changes, and whether the client may connect again.
    for (what, lines, ca, comes_back) in [
        ("the CA", "", new.cert(), false),
        ("a further CA", "", format!("{}{}", old.cert(), new.cert()), true),
        ("the names", "  client_allowed_sans: [nobody]\n", old.cert(), false),
        ("names for the first time", names, old.cert(), true),
        ("the version", "  min_version: TLS13\n", old.cert(), true),
    ] {
        let place = Place::new(&verified(""));
        place.write("ca.crt", &old.cert());
        let exporter = place.serve().await;
        let [client, client_of_http2] = clients(&old);
        let mut kept = client.connect(exporter.address()).await.unwrap();
        let (mut sender, connection) = http2(&client_of_http2, exporter.address()).await;
        for _ in 0..2 {
            assert_eq!(ask(&mut kept).await.as_deref(), Some("200"), "{what}");
            assert_eq!(ask_http2(&mut sender).await.unwrap().status(), StatusCode::OK, "{what}");
            // A renewed certificate of the server changes nothing for a connection that is open.
            place.renew();
        }
        place.write("ca.crt", &ca);
        place.write("web.yaml", &verified(lines));
        assert_eq!(ask(&mut kept).await, None, "{what}");
        let refused = ask_http2(&mut sender).await.unwrap_err();
        assert_eq!(reason(&refused), Some(h2::Reason::REFUSED_STREAM), "{what}: {refused}");
        connection.await.unwrap().unwrap_or_else(|error| panic!("{what}: the client is told: {error}"));
        let again = client.get(exporter.address(), "/-/healthy", "").await;
        assert_eq!(again.is_ok_and(|answer| answer.status() == "200"), comes_back, "{what}");
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_is_a_500_on_open_connections() {
    let authority = Authority::new("client CA");
    let place = Place::new(&verified(""));
    place.write("ca.crt", &authority.cert());
    let exporter = place.serve().await;
    let [client, _] = clients(&authority);
    let kept = client.connect(exporter.address()).await.unwrap();
    place.write("web.yaml", &verified("").replace("ca.crt", "none.crt"));
    assert_eq!(exchange(kept, "/-/healthy", "").await.unwrap().status(), "500");
}

#[tokio::test]
async fn a_client_certificate_that_ends_ends_its_connection() {
    let authority = Authority::new("client CA");
    let place = Place::new(&verified(""));
    place.write("ca.crt", &authority.cert());
    // The handshake reads the system's clock, and the guard this one.
    let year_5000 = Clock::scaled(Timestamp::from_seconds(95_617_584_000), 1.0);
    let exporter: Exporter = place.serve_with(1, None, year_5000).await;
    let [client, client_of_http2] = clients(&authority);
    assert_eq!(ask(&mut client.connect(exporter.address()).await.unwrap()).await, None);
    let (mut sender, _) = http2(&client_of_http2, exporter.address()).await;
    assert!(ask_http2(&mut sender).await.is_err());
}

#[tokio::test]
async fn a_session_is_resumed_only_if_no_client_certificate_is_asked_for() {
    let authority = Authority::new("client CA");
    for (policy, wanted) in [
        ("NoClientCert", HandshakeKind::Resumed),
        ("RequestClientCert", HandshakeKind::Full),
        ("RequireAnyClientCert", HandshakeKind::Full),
        ("VerifyClientCertIfGiven", HandshakeKind::Full),
        ("RequireAndVerifyClientCert", HandshakeKind::Full),
    ] {
        let ca = if policy.contains("Verify") { "  client_ca_file: ca.crt\n" } else { "" };
        let place = Place::new(&format!("{TLS}  client_auth_type: {policy}\n{ca}"));
        place.write("ca.crt", &authority.cert());
        let exporter = place.serve().await;
        for version in [&TLS12, &TLS13] {
            let identity = Some(authority.issue(&["client.test"]));
            let client = Client { versions: vec![version], identity, ..Client::default() }.config();
            for kind in [HandshakeKind::Full, wanted] {
                let mut stream = connect(Arc::clone(&client), exporter.address()).await.unwrap();
                assert_eq!(exchange(&mut stream, "/-/healthy", "").await.unwrap().status(), "200");
                assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{policy} {version:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_of_http_2_is_told_that_its_idle_connection_ends() {
    let place = Place::new(TLS);
    let clock = Clock::system();
    let web = Web::new(place.load().unwrap(), Telemetry::new(clock.clone()), clock);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let wide = Duration::from_secs(60);
    let limits = Limits {
        connections: 10,
        connections_of_one_peer: 10,
        first_header_wait: wide,
        header_wait: Duration::from_millis(50),
        header_bytes: 8 * 1024,
        answer_wait: wide,
        unsent_bytes: 1 << 20,
        drain: wide,
    };
    let stats = Arc::new(ConnectionStats::default());
    let connections = Connections::new(limits, Arc::clone(&stats));
    let listener = Listener { socket, security: web.security() };
    let handle = |_| async { Ok(http::plain_text(StatusCode::OK, "short\n")) };
    let serving = tokio::spawn(http::serve(listener, connections, &[], std::future::pending(), handle));
    let client = Client { alpn: vec!["h2"], ..Client::default() };
    let (mut sender, connection) = http2(&client, address).await;
    assert_eq!(ask_http2(&mut sender).await.unwrap().status(), StatusCode::OK);
    // Without the announcement the connection would end with an error, because the client could not tell it from a cut.
    connection.await.unwrap().unwrap();
    assert_eq!(stats.closed(CloseReason::Idle), 1);
    serving.abort();
}
