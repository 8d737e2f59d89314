//! `/-/reload`: asks for the configuration to be read again, and answers with the result.

use std::sync::Arc;

use hyper::header::ORIGIN;
use hyper::{HeaderMap, Method, Response, StatusCode};
use tokio::sync::{mpsc, oneshot};

use crate::http::{self, Body};

/// How a reload ended: what changed, or why the earlier configuration stays in use. One or more lines.
pub type ReloadResult = Result<Arc<str>, Arc<str>>;

/// Asks for a reload. The result comes back through it.
pub type ReloadRequest = oneshot::Sender<ReloadResult>;

/// Whether a request over HTTP may reload the configuration.
#[derive(Clone, Debug)]
pub enum Lifecycle {
    /// It may; the requests are sent here.
    Enabled(mpsc::Sender<ReloadRequest>),
    /// `/-/reload` answers 403.
    Disabled,
}

impl Lifecycle {
    /// The answer to a request with this method and these headers. A request that comes during a reload waits for a reload
    /// of its own.
    pub(super) async fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<Body> {
        if !matches!(*method, Method::POST | Method::PUT) {
            return http::method_not_allowed("POST, PUT", "only POST and PUT are allowed here\n");
        }
        let Self::Enabled(requests) = self else {
            let text = "reloading over HTTP is off; serve --web.enable-lifecycle turns it on\n";
            return http::plain_text(StatusCode::FORBIDDEN, text);
        };
        // A browser adds this header to what a page sends, and no page of this server sends such a request.
        if headers.contains_key(ORIGIN) {
            return http::plain_text(StatusCode::FORBIDDEN, "a web page may not reload the configuration\n");
        }
        let (request, result) = oneshot::channel();
        // Either fails only if the exporter is stopping.
        let result = match requests.send(request).await {
            Ok(()) => result.await,
            Err(_) => return stopping(),
        };
        match result {
            Ok(Ok(changes)) => http::plain_text(StatusCode::OK, format!("{changes}\n")),
            Ok(Err(reason)) => http::plain_text(StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")),
            Err(_) => stopping(),
        }
    }
}

fn stopping() -> Response<Body> {
    http::plain_text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
}
