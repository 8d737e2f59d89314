//! Response bodies, and responses in plain text.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, SizeHint};
#[cfg(feature = "daemon")]
use hyper::header::ALLOW;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::connections::{OpenAnswer, OpenRequest};
use super::table::Buffer;

/// An error that closes a connection without an answer, or in the middle of an answer.
pub type Abort = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response.
#[derive(Debug)]
pub struct Body(Content);

#[derive(Debug)]
enum Content {
    /// Bytes that are all there already, sent one after the other.
    Buffers([Bytes; 2]),
    Stream {
        frames: UnsyncBoxBody<Bytes, Abort>,
        _answer: Option<OpenAnswer>,
    },
}

/// Bytes of an answer. The answer ends when the last of them was written to the socket and is dropped, and not when the
/// body ends: hyper and the TLS and HTTP/2 layers keep bytes that the client does not take yet.
struct Unsent {
    bytes: Bytes,
    _answer: Arc<OpenAnswer>,
}

/// A body whose bytes are all there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Body(Content::Buffers([bytes.into(), Bytes::new()]))
}

/// A body that sends `shared`, which many responses have in common, and then `own`, without copying them.
#[cfg(feature = "daemon")]
pub(crate) fn chained(shared: Bytes, own: Bytes) -> Body {
    Body(Content::Buffers([shared, own]))
}

/// A body whose bytes are made while it is sent.
pub(crate) fn stream<B>(frames: B) -> Body
where
    B: hyper::body::Body<Data = Bytes, Error = Abort> + Send + 'static,
{
    Body(Content::Stream { frames: frames.boxed_unsync(), _answer: None })
}

/// A response with a plain text for people.
pub fn plain_text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// The answer to a request whose method is none of `allowed`.
#[cfg(feature = "daemon")]
pub(crate) fn method_not_allowed(allowed: &'static str, text: &'static str) -> Response<Body> {
    let mut response = plain_text(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

impl Body {
    /// The same body as the answer to `request`.
    pub(super) fn answering(self, request: OpenRequest) -> Self {
        Self(match self.0 {
            Content::Buffers(parts) => {
                let sent = parts.iter().filter(|part| !part.is_empty());
                let answer = Arc::new(request.answer(sent.map(|part| Buffer::of(part)).collect()));
                Content::Buffers(parts.map(|bytes| match bytes.is_empty() {
                    true => bytes,
                    false => Bytes::from_owner(Unsent { bytes, _answer: Arc::clone(&answer) }),
                }))
            }
            Content::Stream { frames, .. } => {
                Content::Stream { frames, _answer: Some(request.answer(Vec::new())) }
            }
        })
    }
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Abort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Abort>>> {
        match &mut self.0 {
            Content::Buffers(parts) => {
                let next = parts.iter_mut().find(|part| !part.is_empty());
                Poll::Ready(next.map(|part| Ok(Frame::data(std::mem::take(part)))))
            }
            Content::Stream { frames, .. } => Pin::new(frames).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Buffers(parts) => parts.iter().all(Bytes::is_empty),
            Content::Stream { frames, .. } => frames.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Buffers(parts) => SizeHint::with_exact(parts.iter().map(|part| part.len() as u64).sum()),
            Content::Stream { frames, .. } => frames.size_hint(),
        }
    }
}
