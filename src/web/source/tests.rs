//! Files that are half written, replaced while they are served, and read by many requests at once.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::*;
use crate::metrics::telemetry::Telemetry;
use crate::web::policy::ClientAuth;
use crate::web::{Checked, Web};

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
const CLIENTS: &str = "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans:\n    - a.example\n    - b.example\n  min_version: TLS13\n";
const USERS: &str = "basic_auth_users:\n  anna: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n  ben: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n";
const OTHERS: &str =
    "http_server_config:\n  headers:\n    X-Frame-Options: deny\nrate_limit:\n  interval: 1s\n  burst: 5\n";

#[test]
fn no_beginning_of_a_file_is_accepted_with_less_protection() {
    let parse = |text: &str| WebFile::parse(Path::new("web.yaml"), text);
    for text in [
        USERS.to_owned(),
        format!("# protected\n{OTHERS}{USERS}"),
        format!("{TLS}{USERS}"),
        format!("{USERS}{TLS}"),
        format!("{TLS}{CLIENTS}"),
        format!("{TLS}{CLIENTS}{OTHERS}{USERS}"),
        format!("{OTHERS}{USERS}{TLS}{CLIENTS}"),
    ] {
        let whole = parse(&text).unwrap();
        let (asks, wants_tls) = (!whole.users.is_empty(), whole.tls.is_some());
        let wants_client = whole.tls.as_ref().is_some_and(|tls| tls.client_auth != ClientAuth::None);
        let transport = if wants_tls { Transport::Tls } else { Transport::Plain };
        let limits = Limits { http2: whole.http2, transport, safeguards: Safeguard::of(&whole) };
        let mut accepted = 0;
        for end in 0..=text.len() {
            let Some(file) = parse(&text[..end]).ok().and_then(|file| limits.accept(file).ok()) else {
                continue;
            };
            accepted += 1;
            assert_eq!(!file.users.is_empty(), asks, "{:?}", &text[..end]);
            assert_eq!(file.tls.is_some(), wants_tls, "{:?}", &text[..end]);
            if let (true, Some(tls)) = (wants_client, &file.tls) {
                assert_eq!(tls.client_auth, ClientAuth::RequireAndVerify, "{:?}", &text[..end]);
                assert!(tls.allowed_sans.is_some() && tls.client_ca.is_some(), "{:?}", &text[..end]);
            }
        }
        assert!(accepted > 0, "the whole file is accepted");
    }
}

#[tokio::test]
async fn requests_at_once_share_a_read_and_see_what_was_there_when_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yaml");
    std::fs::write(&path, "").unwrap();
    let view = View::load(&path);
    let file = Arc::clone(view.file.as_ref().unwrap());
    let source = Source::new(path.clone(), view, &file, Transport::Plain, Clock::system());
    for round in 1..=5 {
        let held = source.reader.lock().await;
        let mut reads: Vec<_> = (0..50).map(|_| Box::pin(source.for_request())).collect();
        for read in &mut reads {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(read.as_mut().poll(&mut context).is_pending(), "they wait for the one before");
        }
        std::fs::write(&path, USERS.replace("anna", &format!("anna{round}"))).unwrap();
        drop(held);
        for read in reads {
            let view = read.await.unwrap();
            assert!(view.file.as_ref().unwrap().users.contains_key(&format!("anna{round}")));
        }
        assert_eq!(source.begun.load(Ordering::SeqCst), round);
    }
}

#[tokio::test]
async fn a_read_that_hangs_is_a_500_after_one_wait_and_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yaml");
    std::fs::write(&path, "").unwrap();
    let clock = Clock::system();
    let web = Web::new(Checked::load(&path).unwrap(), Telemetry::new(clock.clone()), clock);
    let source = &web.inner.source;
    let (_hanging, held) = std::sync::mpsc::sync_channel::<()>(0);
    {
        let mut reader = source.reader.lock().await;
        reader.reads = BackgroundRead::new("web-config", Duration::ZERO);
        let hangs = move || {
            let _ = held.recv();
            Err(OutOfFiles)
        };
        assert!(reader.reads.read(hangs).await.is_err());
    }
    let [caller] = crate::http::Caller::from_addresses(["192.0.2.1"]);
    let status = async || {
        let answer = async { crate::http::plain_text(hyper::StatusCode::OK, "admitted") };
        web.guard(&hyper::HeaderMap::new(), &caller, answer).await.unwrap().status()
    };
    let problem = format!(
        "web configuration {}, or a file that it names: the file cannot be read within 0 s",
        path.display()
    );
    for reads in 1..=3 {
        assert_eq!(status().await, 500);
        assert_eq!(source.begun.load(Ordering::SeqCst), reads, "each request waits once");
        assert_eq!(source.logged().as_ref(), Some(&problem));
    }
    source.reader.lock().await.reads = BackgroundRead::new("web-config", READ_WAIT);
    assert_eq!(status().await, 200);
    assert_eq!(*source.logged(), None);
}

const CONFIG: &str = "tls_server_config:\n  cert_file: crt\n  key_file: key\n  client_ca_file: ca\n  \
                      client_auth_type: RequireAndVerifyClientCert\n";

/// A certificate and its key as PEM.
fn pair() -> [String; 2] {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    [cert.pem(), signing_key.serialize_pem()]
}

fn at(millis: u64) -> Instant {
    Instant::after_start(Duration::from_millis(millis))
}

#[test]
fn the_pair_from_before_is_used_for_a_second_if_nothing_else_changed() {
    let ([cert, key], [new_cert, new_key], [ca, _], [other_ca, _]) = (pair(), pair(), pair(), pair());
    let others = CONFIG.replace("RequireAndVerify", "Require");
    let good = [("web", CONFIG), ("crt", &cert), ("key", &key), ("ca", &ca)];
    /// Which view a handshake gets.
    #[derive(Debug, PartialEq, Eq)]
    enum Used {
        Latest,
        Before,
        None,
    }
    type Changes<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Changes<'_>, u64, Used); 12] = [
        ("nothing changed", &[], 0, Used::Latest),
        ("the new certificate alone", &[("crt", &new_cert)], 0, Used::Before),
        ("for almost a second", &[("crt", &new_cert)], 999, Used::Before),
        ("for a second", &[("crt", &new_cert)], 1_000, Used::None),
        ("the new key alone", &[("key", &new_key)], 0, Used::Before),
        ("a certificate that is not written yet", &[("crt", "")], 0, Used::Before),
        ("both", &[("crt", &new_cert), ("key", &new_key)], 0, Used::Latest),
        ("another CA", &[("ca", &other_ca)], 0, Used::Latest),
        (
            "another CA, and the new certificate alone",
            &[("ca", &other_ca), ("crt", &new_cert)],
            0,
            Used::None,
        ),
        ("a CA that cannot be read", &[("ca", "junk")], 0, Used::None),
        (
            "another policy, and the new certificate alone",
            &[("web", &others), ("crt", &new_cert)],
            0,
            Used::None,
        ),
        ("a file that broke", &[("web", "junk")], 0, Used::None),
    ];
    for (name, changes, millis, wanted) in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web");
        let write = |(file, text): &(&str, &str)| std::fs::write(directory.path().join(file), text).unwrap();
        good.iter().for_each(write);
        let before = Arc::new(View::load(&path));
        let safeguards = Safeguard::of(before.file.as_ref().unwrap());
        let limits = Limits { http2: Http2::On, transport: Transport::Tls, safeguards };
        let mut views = Views { latest: Arc::clone(&before), usable: before, unusable_since: None };
        changes.iter().for_each(write);
        // The change is seen at the first of two readings.
        for seen in [5_000, 5_000 + millis] {
            let read = View::read(&path, Some((&views.latest, &limits))).unwrap();
            views.read(read, at(seen));
        }
        let used = match views.for_handshake(at(5_000 + millis)) {
            Some(view) if Arc::ptr_eq(&view, &views.latest) => Used::Latest,
            Some(view) if Arc::ptr_eq(&view, &views.usable) => Used::Before,
            _ => Used::None,
        };
        assert_eq!(used, wanted, "{name}");
        good.iter().for_each(write);
        views.read(View::read(&path, Some((&views.latest, &limits))).unwrap(), at(9_000));
        assert!(views.for_handshake(at(9_000)).is_some() && views.unusable_since.is_none(), "{name}");
    }
}
