//! Handshakes: versions, suites, curves, client certificates, and certificates that are renewed.

use std::io::ErrorKind;
use std::sync::Arc;

use rustls::HandshakeKind;
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::certificates::{Authority, Pair, self_signed, self_signed_ended};
use super::rig::{Client, Exporter, Place, TLS, connect, exchange, get};

const FAILURES: &str = "zt_risk_exporter_web_tls_handshake_failures_total";

/// A TLS 1.1 ClientHello, which asks for nothing newer.
const HELLO_OF_TLS11: &[u8] = &[
    0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2, //
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 32, 0, 0, 2, 0xc0, 0x13, 1, 0,
];

fn only(suite: rustls::SupportedCipherSuite) -> Client {
    Client {
        versions: vec![&TLS12],
        provider: CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() },
        ..Client::default()
    }
}

fn curve(group: &'static dyn rustls::crypto::SupportedKxGroup) -> Client {
    Client {
        provider: CryptoProvider { kx_groups: vec![group], ..ring::default_provider() },
        ..Client::default()
    }
}

fn version(version: &'static rustls::SupportedProtocolVersion) -> Client {
    Client { versions: vec![version], ..Client::default() }
}

/// Whether a client gets an answer.
async fn is_answered(client: &Client, exporter: &Exporter) -> bool {
    client.get(exporter.address(), "/-/healthy", "").await.is_ok_and(|answer| answer.status() == "200")
}

#[tokio::test]
async fn client_and_server_need_a_version_a_suite_and_a_curve_in_common() {
    let chacha = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let aes = cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let only_chacha = format!("  cipher_suites: [{chacha}]\nhttp_server_config: {{http2: false}}\n");
    let failed = |exporter: &Exporter| exporter.sample(FAILURES).unwrap();
    for (lines, client, wanted) in [
        ("", version(&TLS12), true),
        ("", version(&TLS13), true),
        ("  min_version: TLS13\n", version(&TLS12), false),
        ("  min_version: TLS13\n", version(&TLS13), true),
        ("  max_version: TLS12\n", version(&TLS12), true),
        ("  max_version: TLS12\n", version(&TLS13), false),
        (&only_chacha, only(cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256), true),
        (&only_chacha, only(aes), false),
        (&only_chacha, version(&TLS13), true),
        ("  curve_preferences: [CurveP256]\n", curve(kx_group::SECP256R1), true),
        ("  curve_preferences: [CurveP256]\n", curve(kx_group::X25519), false),
    ] {
        let place = Place::new(&format!("{TLS}{lines}"));
        let exporter = place.serve().await;
        assert_eq!(is_answered(&client, &exporter).await, wanted, "{lines}");
        assert_eq!(failed(&exporter), f64::from(u8::from(!wanted)), "{lines}");
    }
}

#[tokio::test]
async fn a_client_of_tls_1_1_gets_an_alert() {
    let exporter = Place::new(TLS).serve().await;
    let mut stream = TcpStream::connect(exporter.address()).await.unwrap();
    stream.write_all(HELLO_OF_TLS11).await.unwrap();
    let mut alert = Vec::new();
    let _ = stream.read_to_end(&mut alert).await;
    // A fatal alert: the handshake failed.
    assert_eq!(alert.get(5..), Some([2, 40].as_slice()), "{alert:?}");
    assert_eq!(exporter.sample(FAILURES), Some(1.0));
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_explained_and_tls_on_a_plain_port_fails() {
    let place = Place::new(TLS);
    let exporter = place.serve().await;
    let answer = get(exporter.address(), "/metrics", "").await.unwrap();
    assert_eq!(answer.status(), "400");
    assert_eq!(answer.body, "this port speaks HTTPS; the client sent a request in HTTP\n");
    assert_eq!(exporter.sample(FAILURES), Some(1.0));
    // Only whether the port is open.
    drop(TcpStream::connect(exporter.address()).await.unwrap());
    assert!(is_answered(&Client::default(), &exporter).await);
    assert_eq!(exporter.sample(FAILURES), Some(1.0), "a connection without a byte is no failure");

    let plain = Place::new("{}").serve().await;
    assert!(Client::default().connect(plain.address()).await.is_err());
    assert_eq!(get(plain.address(), "/-/healthy", "").await.unwrap().status(), "200");
    assert_eq!(plain.sample(FAILURES), Some(0.0));
    assert_eq!(plain.sample("zt_risk_exporter_web_certificate_not_after_timestamp_seconds"), None);
}

#[tokio::test]
async fn a_pair_can_be_in_the_configuration_itself() {
    let pair = Authority::new("inline CA").issue(&["localhost"]);
    let indented = |pem: &str| pem.trim_end().replace('\n', "\n    ");
    let config = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n",
        indented(&pair.cert),
        indented(&pair.key)
    );
    let exporter = Place::new(&config).serve().await;
    assert!(is_answered(&Client::default(), &exporter).await);
}

#[tokio::test]
async fn http_2_is_used_if_client_and_configuration_allow_it() {
    let both = || Client { alpn: vec!["h2", "http/1.1"], ..Client::default() };
    for (config, client, wanted) in [
        ("", both(), Some("h2")),
        ("", Client { alpn: vec!["http/1.1"], ..Client::default() }, Some("http/1.1")),
        ("", Client::default(), None),
        ("http_server_config: {http2: false}\n", both(), Some("http/1.1")),
    ] {
        let place = Place::new(&format!("{TLS}{config}"));
        let exporter = place.serve().await;
        let stream = client.connect(exporter.address()).await.unwrap();
        let protocol =
            stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
        assert_eq!(protocol.as_deref(), wanted, "{config}");
        if wanted != Some("h2") {
            continue;
        }
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        let connection = tokio::spawn(connection);
        for path in ["/metrics", "/-/healthy", "/nothing"] {
            let body = http_body_util::Empty::<bytes::Bytes>::new();
            let request = hyper::Request::get(format!("https://localhost{path}")).body(body).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status() == 200, path != "/nothing", "{path}");
            let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
            assert_eq!(body.ends_with(b"healthy\n"), path == "/-/healthy", "{path}");
        }
        // The server says that it stops, so that the client sends nothing more on this connection.
        exporter.stop.send(()).unwrap();
        exporter.running.await.unwrap();
        connection.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn each_client_policy_accepts_what_it_says() {
    let [known, unknown] = ["known CA", "unknown CA"].map(Authority::new);
    let names = ["client.test"];
    let own = self_signed(&names);
    let ended_own = self_signed_ended(&names);
    let all = format!("{}{}{}", known.cert(), own.cert, ended_own.cert);
    let copy = |pair: &Pair| Pair { cert: pair.cert.clone(), key: pair.key.clone() };
    // Which of these clients each policy accepts, in this order.
    let clients = || {
        [
            ("no certificate", Client::default()),
            ("of the CA", Client::with(known.issue(&names))),
            ("of another CA", Client::with(unknown.issue(&names))),
            ("that has ended", Client::with(known.issue_ended(&names))),
            ("for servers", Client::with(known.issue_for_server(&names))),
            ("self-signed and listed", Client::with(copy(&own))),
            ("self-signed, listed and ended", Client::with(copy(&ended_own))),
            ("self-signed and not listed", Client::with(self_signed(&names))),
            (
                "with the key of another",
                Client::with(Pair { cert: own.cert.clone(), key: known.issue(&names).key }),
            ),
        ]
    };
    for (policy, accepted) in [
        ("NoClientCert", [true, true, true, true, true, true, true, true, true]),
        ("RequestClientCert", [true, true, true, true, true, true, true, true, false]),
        ("RequireAnyClientCert", [false, true, true, true, true, true, true, true, false]),
        ("VerifyClientCertIfGiven", [true, true, false, false, false, true, false, false, false]),
        ("RequireAndVerifyClientCert", [false, true, false, false, false, true, false, false, false]),
    ] {
        let ca = if policy.contains("Verify") { "  client_ca_file: ca.crt\n" } else { "" };
        let place = Place::new(&format!("{TLS}  client_auth_type: {policy}\n{ca}"));
        place.write("ca.crt", &all);
        let exporter = place.serve().await;
        for ((what, client), wanted) in clients().into_iter().zip(accepted) {
            for version in [&TLS12, &TLS13] {
                let client = Client { versions: vec![version], ..copy_client(&client) };
                assert_eq!(is_answered(&client, &exporter).await, wanted, "{policy}: {what}, {version:?}");
            }
        }
        let refused = accepted.iter().filter(|accepted| !**accepted).count() * 2;
        assert_eq!(exporter.sample(FAILURES), Some(refused as f64), "{policy}");
    }
}

fn copy_client(client: &Client) -> Client {
    let identity =
        client.identity.as_ref().map(|pair| Pair { cert: pair.cert.clone(), key: pair.key.clone() });
    Client { identity, ..Client::default() }
}

#[tokio::test]
async fn a_client_certificate_needs_one_of_the_allowed_names() {
    let authority = Authority::new("client CA");
    let place = Place::new(&format!(
        "{TLS}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n  client_allowed_sans: [a.test, 192.0.2.7, \
         '2001:db8::1', 'spiffe://a/b', x@example.com]\n"
    ));
    place.write("ca.crt", &authority.cert());
    let exporter = place.serve().await;
    for (names, wanted) in [
        (vec!["a.test"], true),
        (vec!["b.test", "a.test"], true),
        (vec!["192.0.2.7"], true),
        (vec!["2001:db8::1"], true),
        (vec!["spiffe://a/b"], true),
        (vec!["x@example.com"], true),
        (vec!["b.test"], false),
        (vec!["sub.a.test"], false),
        (vec!["A.test"], false),
        (vec![], false),
    ] {
        let client = Client::with(authority.issue(&names));
        assert_eq!(is_answered(&client, &exporter).await, wanted, "{names:?}");
    }
    assert!(!is_answered(&Client::default(), &exporter).await, "no certificate has none of the names");
}

#[tokio::test]
async fn a_new_certificate_is_presented_at_the_next_handshake_and_shown() {
    let place = Place::new(TLS);
    let exporter = place.serve().await;
    let ends = || exporter.sample("zt_risk_exporter_web_certificate_not_after_timestamp_seconds");
    let first = Client::default().server(exporter.address()).await;
    assert_eq!(Client::default().server(exporter.address()).await, first);
    let shown = ends().unwrap();
    // A connection that is kept open tells of the new certificate too.
    let mut kept = Client::default().connect(exporter.address()).await.unwrap();
    let ended = place.authority.issue_ended(&["localhost"]);
    place.write("server.crt", &ended.cert);
    place.write("server.key", &ended.key);
    kept.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(ends(), Some(1_609_459_200.0), "the end of the year 2020");
    assert_ne!(Client::default().server(exporter.address()).await, first);
    place.renew();
    assert!(is_answered(&Client::default(), &exporter).await);
    assert_eq!(ends(), Some(shown));
}

#[tokio::test]
async fn until_the_key_of_a_new_certificate_is_there_handshakes_get_the_certificate_from_before() {
    let place = Place::new(TLS);
    let exporter = place.serve().await;
    let before = Client::default().server(exporter.address()).await;
    let new = place.authority.issue(&["localhost"]);
    for (name, text) in [("server.crt", ""), ("server.crt", new.cert.as_str())] {
        place.write(name, text);
        assert_eq!(Client::default().server(exporter.address()).await, before, "{name} is {text:?}");
    }
    place.write("server.key", &new.key);
    assert_ne!(Client::default().server(exporter.address()).await, before);
    assert_eq!(exporter.sample(FAILURES), Some(0.0));
}

#[tokio::test]
async fn a_handshake_waits_for_a_file_that_is_missing() {
    let place = Place::new(TLS);
    let exporter = place.serve().await;
    std::fs::remove_file(place.path().with_file_name("server.key")).unwrap();
    let address = exporter.address();
    let waiting = tokio::spawn(async move { Client::default().get(address, "/-/healthy", "").await });
    // The handshake began, or will begin, without a key.
    tokio::task::yield_now().await;
    place.renew();
    assert_eq!(waiting.await.unwrap().unwrap().status(), "200");
    assert_eq!(exporter.sample(FAILURES), Some(0.0));
}

#[tokio::test]
async fn an_invalid_configuration_refuses_handshakes_and_requests_until_it_is_valid_again() {
    let place = Place::new(TLS);
    let exporter = place.serve().await;
    for broken in ["junk", "", TLS.replace("server.crt", "none.crt").as_str(), "basic_auth_users: {}\n"] {
        assert!(is_answered(&Client::default(), &exporter).await);
        place.write("web.yaml", broken);
        let refused = Client::default().connect(exporter.address()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UnexpectedEof, "{broken:?}: {refused}");
        place.write("web.yaml", TLS);
    }
    assert!(is_answered(&Client::default(), &exporter).await);
    assert_eq!(exporter.sample(FAILURES), Some(4.0));
}

#[tokio::test]
async fn a_session_of_an_old_policy_is_not_resumed() {
    let authority = Authority::new("client CA");
    for version in [&TLS12, &TLS13] {
        let place = Place::new(TLS);
        place.write("ca.crt", &authority.cert());
        let exporter = place.serve().await;
        let client = Client { versions: vec![version], ..Client::default() }.config();
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = connect(Arc::clone(&client), exporter.address()).await.unwrap();
            assert_eq!(exchange(&mut stream, "/-/healthy", "").await.unwrap().status(), "200");
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{version:?}");
        }
        let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
        place.write("web.yaml", &format!("{TLS}{policy}"));
        let refused = match connect(client, exporter.address()).await {
            Ok(stream) => exchange(stream, "/-/healthy", "").await.is_err(),
            Err(_) => true,
        };
        assert!(refused, "{version:?}");
        assert!(is_answered(&Client::with(authority.issue(&["client.test"])), &exporter).await);
    }
}
