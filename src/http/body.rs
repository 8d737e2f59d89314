//! Bodies of answers, and the answers that are one sentence.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// An error that ends a connection without an answer, or in the middle of one.
pub type Abort = Box<dyn Error + Send + Sync>;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Abort>;

/// A body that is complete already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// An answer in plain text for people.
pub fn sentence(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
