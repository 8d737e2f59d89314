//! A body made of two buffers without copying them: one that many responses share, and one of this response alone.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

use super::body::Body;

/// A body that sends `shared`, then `own`.
pub(crate) fn chained(shared: Bytes, own: Bytes) -> Body {
    ChainedBody([shared, own]).map_err(|never: Infallible| match never {}).boxed_unsync()
}

struct ChainedBody([Bytes; 2]);

impl hyper::body::Body for ChainedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.iter_mut().find(|part| !part.is_empty());
        Poll::Ready(next.map(|part| Ok(Frame::data(std::mem::take(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|part| part.len() as u64).sum())
    }
}
