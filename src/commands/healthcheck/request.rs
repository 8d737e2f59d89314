//! One request to an exporter, over HTTP or HTTPS, without a secret.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::trust::Trust;

/// Below the 5 s that container engines commonly allow, so that the message can still be written.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What shows that the exporter runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// It answered 200.
    Healthy,
    /// It answered that it wants a password, or fewer requests.
    Refused(StatusCode),
    /// It asked for a client certificate in the handshake.
    AsksForCertificate,
}

/// Why an exporter is not healthy.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0:?} is not a URL to request; it must be like http://127.0.0.1:10069/-/healthy")]
    Url(String),
    #[error("{0}")]
    Trust(String),
    #[error("{url} does not answer: {source}")]
    Connect { url: Uri, source: io::Error },
    #[error("{url} does not answer as HTTP; check that an exporter listens there")]
    Http { url: Uri },
    #[error("{url} answers {status}")]
    Status { url: Uri, status: StatusCode },
    #[error("{url} gave no answer within {} s", TIMEOUT.as_secs())]
    TimedOut { url: Uri },
}

/// Requests `url` once, for at most [`TIMEOUT`].
pub(super) async fn send(url: &str, trust: Trust) -> Result<Evidence, Error> {
    let refuse = || Error::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| refuse())?;
    let (scheme, default_port) = match uri.scheme_str() {
        Some("http") => (Scheme::Http, 80),
        Some("https") => (Scheme::Https, 443),
        _ => return Err(refuse()),
    };
    let host = uri.host().ok_or_else(refuse)?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(default_port);
    let answer = async {
        let connect = |source| Error::Connect { url: uri.clone(), source };
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(connect)?;
        let answered = match scheme {
            Scheme::Http => get(&uri, stream).await,
            Scheme::Https => {
                let name = ServerName::try_from(host.clone()).map_err(|_| refuse())?;
                let connector = TlsConnector::from(trust.config().map_err(Error::Trust)?);
                match connector.connect(name, stream).await {
                    Ok(stream) => get(&uri, stream).await,
                    Err(error) if asks_for_certificate(&error) => return Ok(Evidence::AsksForCertificate),
                    Err(source) => return Err(connect(source)),
                }
            }
        };
        match answered {
            Ok(StatusCode::OK) => Ok(Evidence::Healthy),
            Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS)) => {
                Ok(Evidence::Refused(status))
            }
            Ok(status) => Err(Error::Status { url: uri.clone(), status }),
            Err(error) if asks_for_certificate(&error) => Ok(Evidence::AsksForCertificate),
            Err(_) => Err(Error::Http { url: uri.clone() }),
        }
    };
    let timed_out = |_| Err(Error::TimedOut { url: uri.clone() });
    tokio::time::timeout(TIMEOUT, answer).await.unwrap_or_else(timed_out)
}

#[derive(Clone, Copy)]
enum Scheme {
    Http,
    Https,
}

async fn get(
    uri: &Uri,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<StatusCode, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .body(Empty::<Bytes>::new())
        .expect("path and authority come from a parsed URI");
    tokio::select! {
        answer = sender.send_request(request) => Ok(answer?.status()),
        Err(error) = connection => Err(error),
    }
}

/// Whether the exporter ended the handshake because it wants a client certificate. With TLS 1.3 the client learns that
/// only after it sent its request.
fn asks_for_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if matches!(tls, Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired))) {
            return true;
        }
        next = error.source();
    }
    false
}
