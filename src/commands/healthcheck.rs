//! `healthcheck`: asks a running exporter whether it is healthy, for a container without a shell or curl.
//!
//! Straight over TCP, without TLS, proxies or anything else that takes time to set up: it runs every few
//! seconds beside the exporter.

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

/// Below the 5 s that container engines commonly allow, so that the message is still written.
const LIMIT: Duration = Duration::from_secs(3);

/// Ask a running exporter whether it is healthy; for a container without a shell
#[derive(Debug, Clone, Args)]
pub(crate) struct Healthcheck {
    /// The configuration file of the exporter, for its address
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// The address of the exporter; without it, the one it is configured to serve on
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen_address: Option<String>,
    /// Ask this in place of http://ADDRESS/-/healthy
    #[arg(long, value_name = "URL", conflicts_with_all = ["config_file", "listen_address"])]
    url: Option<String>,
}

impl Healthcheck {
    pub(crate) fn run(&self) -> Outcome {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => url(&Local::load(&self.flags(), std::env::vars_os())?.web.listen),
        };
        setup::wait(ask(&url))?.map_err(|error| match error {
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

/// Why an exporter cannot be called healthy.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// What was given is no URL that can be asked.
    #[error("{0:?} is no URL to ask, but must be such as http://127.0.0.1:10069/-/healthy")]
    Url(String),
    /// Nobody answers.
    #[error("{url} does not answer: {source}")]
    Connect {
        /// What was asked.
        url: Uri,
        /// Why not.
        source: std::io::Error,
    },
    /// What answers does not speak HTTP, or stopped.
    #[error("{url} does not answer as HTTP: {source}")]
    Http {
        /// What was asked.
        url: Uri,
        /// Why not.
        source: hyper::Error,
    },
    /// The answer is something else than 200.
    #[error("{url} answers {status}")]
    Status {
        /// What was asked.
        url: Uri,
        /// What came.
        status: StatusCode,
    },
    /// No answer came in time.
    #[error("{url} gave no answer within {} s", LIMIT.as_secs())]
    TimedOut {
        /// What was asked.
        url: Uri,
    },
}

/// The URL for an exporter that listens at `listen`.
fn url(listen: &Listen) -> String {
    format!("http://{}/-/healthy", Listen::reach(listen.preferred()))
}

/// Asks `url` once; it is healthy if the answer is 200 within [`LIMIT`].
///
/// # Errors
/// Why it is not.
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
    match tokio::time::timeout(LIMIT, answer).await {
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
