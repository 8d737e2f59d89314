//! `healthcheck`: requests `/-/healthy` from a running exporter, for containers without a shell or curl.
//!
//! It speaks plain HTTP over TCP, without TLS, proxies or anything else that takes time to set up, because it runs
//! every few seconds next to the exporter.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::Empty;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Failure, Outcome, setup, terminal};
use crate::config::{Flags, Local};
use crate::http::listen::Listen;

/// Below the 5 s that container engines commonly allow, so that the message can still be written.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Request /-/healthy from a running exporter, for containers without a shell
#[derive(Debug, Clone, Args)]
pub(crate) struct Healthcheck {
    /// The configuration file of the exporter, which has its address
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// The address of the exporter; the configured one if left out
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen_address: Option<String>,
    /// The URL to request, instead of http://ADDRESS/-/healthy
    #[arg(long, value_name = "URL", conflicts_with_all = ["config_file", "listen_address"])]
    url: Option<String>,
}

impl Healthcheck {
    pub(crate) fn run(&self) -> Outcome {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => url(&Local::load(&self.flags(), std::env::vars_os())?.web.listen),
        };
        setup::block_on(ask(&url))?.map_err(|error| match error {
            Error::Url(_) => Failure::usage(error),
            _ => Failure::runtime(error),
        })?;
        terminal::print(format!("{url} answers 200\n"))
    }

    fn flags(&self) -> Flags {
        Flags {
            config_file: self.config_file.clone(),
            listen_address: self.listen_address.clone(),
            ..Flags::default()
        }
    }
}

/// Why an exporter is not healthy.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0:?} is not a URL to request; it must be like http://127.0.0.1:10069/-/healthy")]
    Url(String),
    #[error("{url} does not answer: {source}")]
    Connect { url: Uri, source: std::io::Error },
    #[error("{url} does not answer as HTTP: {source}")]
    Http { url: Uri, source: hyper::Error },
    #[error("{url} answers {status}")]
    Status { url: Uri, status: StatusCode },
    #[error("{url} gave no answer within {} s", TIMEOUT.as_secs())]
    TimedOut { url: Uri },
}

/// The URL for an exporter that listens at `listen`.
fn url(listen: &Listen) -> String {
    format!("http://{}/-/healthy", Listen::reach(listen.preferred()))
}

/// Requests `url` once; the exporter is healthy if it answers 200 within [`TIMEOUT`].
async fn ask(url: &str) -> Result<(), Error> {
    let refuse = || Error::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| refuse())?;
    let authority = uri.authority().cloned().ok_or_else(refuse)?;
    if uri.scheme_str() != Some("http") {
        return Err(refuse());
    }
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(80);
    let answer = async {
        let stream = TcpStream::connect((host.as_str(), port))
            .await
            .map_err(|source| Error::Connect { url: uri.clone(), source })?;
        get(&uri, authority.as_str(), stream).await.map_err(|source| Error::Http { url: uri.clone(), source })
    };
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(status)) => Err(Error::Status { url: uri, status }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::TimedOut { url: uri }),
    }
}

async fn get(uri: &Uri, authority: &str, stream: TcpStream) -> Result<StatusCode, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .body(Empty::<Bytes>::new())
        .expect("path and authority come from a parsed URI");
    tokio::select! {
        answer = sender.send_request(request) => Ok(answer?.status()),
        Err(error) = connection => Err(error),
    }
}
