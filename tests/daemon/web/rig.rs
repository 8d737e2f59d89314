//! An exporter with a web configuration in a directory of its own, and clients of every kind.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::internals::metrics::exposition::{Encoder, Form};
use zt_risk_exporter::internals::metrics::telemetry::Telemetry;
use zt_risk_exporter::internals::server::demand::Demand;
use zt_risk_exporter::internals::server::lifecycle::Lifecycle;
use zt_risk_exporter::internals::server::{self, Parts, Readiness, Sockets};
use zt_risk_exporter::internals::web::{Checked, Web};

use super::certificates::{Authority, Pair};
use crate::accounts;

/// A hash of `secret`, at the lowest cost.
pub(super) fn hash() -> String {
    bcrypt::hash("secret", 4).unwrap()
}

/// A directory with a web configuration, a certificate of the server, and its CA.
pub(super) struct Place {
    directory: Arc<TempDir>,
    pub(super) authority: Authority,
}

/// The section of a web configuration that turns TLS on, with the files of a [`Place`].
pub(super) const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

impl Place {
    pub(super) fn new(config: &str) -> Self {
        let place = Self {
            directory: Arc::new(tempfile::tempdir().unwrap()),
            authority: Authority::new("server CA"),
        };
        place.write("web.yaml", config);
        place.renew();
        place
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    /// Writes a new certificate with its key.
    pub(super) fn renew(&self) -> Pair {
        let pair = self.authority.issue(&["localhost", "127.0.0.1"]);
        self.write("server.crt", &pair.cert);
        self.write("server.key", &pair.key);
        pair
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("web.yaml")
    }

    /// What loading the configuration says.
    pub(super) fn load(&self) -> Result<Checked, String> {
        Checked::load(&self.path())
            .map_err(|error| error.to_string().replace(&format!("{}/", self.directory.path().display()), ""))
    }

    /// Serves as the configuration says.
    pub(super) async fn serve(&self) -> Exporter {
        self.serve_on(1, None).await
    }

    /// The same on several sockets, and perhaps on one for the health.
    pub(super) async fn serve_on(&self, sockets: usize, health: Option<TcpListener>) -> Exporter {
        self.serve_with(sockets, health, Clock::system()).await
    }

    /// The same with a clock of its own.
    pub(super) async fn serve_with(
        &self,
        sockets: usize,
        health: Option<TcpListener>,
        clock: Clock,
    ) -> Exporter {
        let telemetry = Telemetry::new(clock.clone());
        let snapshots = [Arc::new(accounts::full())];
        let parts = Parts {
            exposition: watch::channel(Arc::new(Encoder::new().encode(&snapshots, &Form::ALL.into()))).1,
            demand: Demand::new(clock.clone()),
            telemetry: telemetry.clone(),
            readiness: watch::channel(Readiness::Ready).1,
            status: None,
            lifecycle: Lifecycle::Disabled,
            clock: clock.clone(),
            allowed_hosts: Vec::new(),
            web: Some(Web::new(self.load().unwrap(), telemetry.clone(), clock)),
            metrics_path: "/metrics".to_owned(),
        };
        let mut main = Vec::new();
        for _ in 0..sockets {
            main.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addresses = main.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server::run(Sockets { main, health }, parts, async {
            let _ = stopped.await;
        }));
        Exporter { addresses, telemetry, stop, running, _files: Arc::clone(&self.directory) }
    }
}

/// A running server.
pub(super) struct Exporter {
    pub(super) addresses: Vec<SocketAddr>,
    telemetry: Telemetry,
    /// The files are read at each request.
    _files: Arc<TempDir>,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) running: JoinHandle<()>,
}

impl Exporter {
    pub(super) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The value of a sample about this process, which `/metrics` would show.
    pub(super) fn sample(&self, series: &str) -> Option<f64> {
        let text = self.telemetry.render(zt_risk_exporter::internals::metrics::encode::Format::Text);
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

/// An answer: the status line and the headers in lower case, and the body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a GET request without TLS; `headers` are whole lines.
pub(super) async fn get(address: SocketAddr, path: &str, headers: &str) -> io::Result<Answer> {
    exchange(TcpStream::connect(address).await?, path, headers).await
}

/// Sends a GET request on `stream`, and reads until the server closes it.
pub(super) async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    path: &str,
    headers: &str,
) -> io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Ok(Answer { head: head.to_lowercase(), body: body.to_owned() })
}

/// The header for a user and a password.
pub(super) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let encoded = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {encoded}\r\n")
}

/// A client that speaks TLS. It accepts any server; which one it met can be asked afterwards.
pub(super) struct Client {
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) provider: CryptoProvider,
    pub(super) alpn: Vec<&'static str>,
    pub(super) identity: Option<Pair>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            versions: rustls::ALL_VERSIONS.to_vec(),
            provider: ring::default_provider(),
            alpn: Vec::new(),
            identity: None,
        }
    }
}

impl Client {
    pub(super) fn with(identity: Pair) -> Self {
        Self { identity: Some(identity), ..Self::default() }
    }

    /// The configuration, which keeps the tickets of its sessions.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider.clone()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer));
        let mut config = match &self.identity {
            Some(Pair { cert, key }) => {
                let chain = CertificateDer::pem_slice_iter(cert.as_bytes()).map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                // Not checked, so that a client can present a certificate whose key it does not have.
                let key = CertifiedKey::new(chain, self.provider.key_provider.load_private_key(key).unwrap());
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// The handshake. With TLS 1.3 a server's refusal of the client comes only with the first answer.
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        connect(self.config(), address).await
    }

    pub(super) async fn get(&self, address: SocketAddr, path: &str, headers: &str) -> io::Result<Answer> {
        exchange(self.connect(address).await?, path, headers).await
    }

    /// The certificate that the server presents.
    pub(super) async fn server(&self, address: SocketAddr) -> CertificateDer<'static> {
        let stream = self.connect(address).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

/// The handshake with a configuration of its own.
pub(super) async fn connect(
    config: Arc<ClientConfig>,
    address: SocketAddr,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config).connect(name, stream).await
}

/// The body of a request without one.
pub(super) type Empty = http_body_util::Empty<bytes::Bytes>;

/// A connection of HTTP/2.
pub(super) async fn http2(
    client: &Client,
    address: SocketAddr,
) -> (SendRequest<Empty>, JoinHandle<hyper::Result<()>>) {
    let io = TokioIo::new(client.connect(address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    (sender, tokio::spawn(connection))
}

#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
