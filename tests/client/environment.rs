//! Proxies and trust anchors come from the environment, which belongs to the process: each case runs this test
//! program again.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use secrecy::SecretString;
use zt_risk_exporter::cloudflare::{Client, Credentials, Options};

use crate::canned::{ACCOUNT, Canned, DetailRequest, answer, budget, good};

/// Set in the second process: the base URL to request.
const BASE: &str = "ZT_TEST_BASE_URL";
/// Set in the second process: the file for the result.
const RESULT_FILE: &str = "ZT_TEST_SAID";

/// Runs in the second process: sends a request and writes the result.
#[tokio::test]
async fn request_with_another_environment() {
    let Ok(base_url) = std::env::var(BASE) else { return };
    let options = Options { base_url, ..Options::default() };
    let token = Credentials::Token(SecretString::from("t"));
    let result = match Client::new(ACCOUNT, token, budget(), options) {
        Err(error) => error.to_string(),
        Ok(client) => match client.integrations().await {
            Err(error) => error.to_string(),
            Ok(_) => "answered".to_owned(),
        },
    };
    std::fs::write(std::env::var(RESULT_FILE).unwrap(), result).unwrap();
}

/// The result of a request to this base URL in a process with these variables, and no others that matter.
async fn result(base_url: &str, variables: &[(&str, &str)]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "environment::request_with_another_environment"]);
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    command.envs(variables.iter().copied());
    command.env(BASE, base_url).env(RESULT_FILE, file.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::read_to_string(file.path()).unwrap()
}

#[tokio::test]
async fn https_uses_the_proxy_unless_excluded_and_loopback_never_does() {
    let proxy = Canned::script([answer(502, &[], "")]).await;
    let at_proxy = format!("http://me:s3cret@{}", proxy.address);
    let remote = "https://api.cloudflare.invalid/client/v4";
    let text = result(remote, &[("HTTPS_PROXY", &at_proxy)]).await;
    let wanted = format!(
        "no connection to api.cloudflare.invalid through the proxy {}: the proxy refuses the connection (HTTP 502); check \
         HTTPS_PROXY, and retry later",
        proxy.address
    );
    assert_eq!(text, wanted);
    let lines: Vec<String> = proxy.requests().into_iter().map(|asked| asked.line).collect();
    let twice = "a refused tunnel is asked for three times, and each time once more for its status";
    assert_eq!(lines, vec!["CONNECT api.cloudflare.invalid:443"; 6], "{twice}");
    let authorized =
        |asked: &DetailRequest| asked.head.to_lowercase().contains("proxy-authorization: basic bwu6cznjcmv0");
    assert!(proxy.requests().iter().all(authorized), "{:?}", proxy.requests());

    for (value, wanted) in [
        (format!("{at_proxy}\n"), "the proxy refuses the connection (HTTP 502)"),
        (format!(" {at_proxy} "), "the proxy refuses the connection (HTTP 502)"),
        (
            "http://me:s3cret@pro xy:3128".to_owned(),
            "HTTPS_PROXY is not the URL of a proxy: it contains blanks",
        ),
        (
            "socks5://me:s3cret@proxy".to_owned(),
            "HTTPS_PROXY is not the URL of a proxy: it must start with http",
        ),
    ] {
        let text = result(remote, &[("HTTPS_PROXY", &value)]).await;
        assert!(text.contains(wanted) && !text.contains("s3cret"), "{value:?}: {text}");
    }
    let text = result(remote, &[("HTTPS_PROXY", ""), ("https_proxy", &at_proxy)]).await;
    assert!(text.contains("(HTTP 502); check https_proxy"), "{text}");
    let asked = proxy.requests().len();

    let excepted = [("HTTPS_PROXY", at_proxy.as_str()), ("NO_PROXY", "cloudflare.invalid")];
    let text = result(remote, &excepted).await;
    assert!(text.starts_with("no connection to api.cloudflare.invalid: "), "{text}");
    assert!(text.ends_with("; retry later; investigate if it persists"), "{text}");
    assert_eq!(proxy.requests().len(), asked, "excepted");

    let api = Canned::script([good("[]")]).await;
    let base = format!("http://{}/client/v4", api.address);
    assert_eq!(result(&base, &[("HTTP_PROXY", &at_proxy), ("ALL_PROXY", &at_proxy)]).await, "answered");
    assert_eq!((proxy.requests().len(), api.requests().len()), (asked, 1), "loopback");
}

#[tokio::test]
async fn configured_trust_anchors_must_exist() {
    let remote = "https://api.cloudflare.invalid";
    let text = result(remote, &[("SSL_CERT_FILE", "/nowhere/roots.pem")]).await;
    let wanted = "the trust anchors cannot be read: SSL_CERT_FILE contains no trust anchor: ";
    assert!(text.starts_with(wanted) && text.contains("/nowhere/roots.pem"), "{text}");
    // On loopback no trust anchor is needed.
    let api = Canned::script([good("[]")]).await;
    let base = format!("http://{}", api.address);
    assert_eq!(result(&base, &[("SSL_CERT_FILE", "/nowhere/roots.pem")]).await, "answered");
}

/// A TLS server that never answers, and the number of its connections.
fn tls_server(certificate: &Certificate, key: &KeyPair) -> (SocketAddr, Arc<AtomicUsize>) {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client is expected to abort the handshake.
            let _ = connection.complete_io(&mut stream.unwrap());
        }
    });
    (address, visits)
}

#[tokio::test]
async fn an_untrusted_certificate_is_explained_and_not_retried() {
    let params = |name: &str| CertificateParams::new([name.to_owned()]).unwrap();
    let mut past = params("127.0.0.1");
    (past.not_before, past.not_after) = (date_time_ymd(1996, 1, 1), date_time_ymd(1997, 1, 1));
    let mut authority = params("127.0.0.1");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let chosen = tempfile::NamedTempFile::new().unwrap();
    let path = chosen.path().to_str().unwrap();
    for (params, variables, wanted) in [
        (params("127.0.0.1"), &[][..], "its certificate is not signed by a trusted authority"),
        (params("example.com"), &[("SSL_CERT_FILE", path)][..], "its certificate is for another name"),
        (
            past,
            &[("SSL_CERT_FILE", path)][..],
            "its certificate has expired, according to this machine's clock",
        ),
        (authority, &[("SSL_CERT_FILE", path)][..], "its certificate cannot be trusted"),
    ] {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(path, certificate.pem()).unwrap();
        let (address, visits) = tls_server(&certificate, &key);
        assert_eq!(
            result(&format!("https://{address}"), variables).await,
            format!(
                "no connection to {address}: {wanted}; check SSL_CERT_FILE, and whether a proxy inspects TLS"
            )
        );
        assert_eq!(visits.load(Ordering::Relaxed), 1, "{wanted}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_explained() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Unread data would make the kernel drop the answer.
            let _ = stream.read(&mut [0; 16_384]).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        }
    });
    assert_eq!(
        result(&format!("https://{address}"), &[]).await,
        format!(
            "no connection to {address}: the server does not speak TLS; retry later; investigate if it persists"
        )
    );
}
