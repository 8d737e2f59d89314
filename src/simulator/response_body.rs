//! Response bodies: plain, compressed, truncated, slow or endless.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

use crate::http::{Abort, Body, stream};

const MEBIBYTE: usize = 1 << 20;

/// Rows in one chunk of an endless body: some 30 kB.
const ENDLESS_PART: u128 = 200;

/// How a body is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Delivery {
    #[default]
    Plain,
    Gzip,
    /// The first half, with the `Content-Length` of the whole body.
    Truncated,
    Slow {
        bytes: usize,
        pause: Duration,
    },
    /// The rows of a summary without end.
    Endless,
    Bomb {
        mebibytes: usize,
    },
}

impl Delivery {
    /// Whether the body is compressed.
    pub(super) fn content_encoding(self) -> Option<&'static str> {
        matches!(self, Self::Gzip | Self::Bomb { .. }).then_some("gzip")
    }

    /// The body of these chunks. Slow and endless bodies end once `stopped` is set.
    pub(super) fn body(self, chunks: Vec<Bytes>, stopped: &Arc<AtomicBool>) -> Body {
        let length: usize = chunks.iter().map(Bytes::len).sum();
        let mut body = ResponseBody {
            chunks: Box::new(chunks.into_iter()),
            length: None,
            encoder: None,
            pace: None,
            end: End::Whole,
            stopped: Arc::clone(stopped),
        };
        match self {
            Self::Plain => body.length = Some(length as u64),
            Self::Gzip => body.encoder = Some(GzEncoder::new(Vec::new(), Compression::fast())),
            Self::Truncated => {
                body.length = Some(length as u64);
                body.chunks = Box::new(first(length / 2, body.chunks));
                body.end = End::Cutting;
            }
            Self::Slow { bytes, pause } => {
                body.length = Some(length as u64);
                body.chunks = Box::new(body.chunks.flat_map(move |piece| parts(piece, bytes.max(1))));
                body.pace = Some(Pace { pause, sleep: Box::pin(tokio::time::sleep(Duration::ZERO)) });
            }
            Self::Endless => body.chunks = Box::new(endless()),
            Self::Bomb { mebibytes } => {
                body.chunks = Box::new(bomb(mebibytes));
            }
        }
        stream(body)
    }
}

struct ResponseBody {
    chunks: Box<dyn Iterator<Item = Bytes> + Send>,
    length: Option<u64>,
    encoder: Option<GzEncoder<Vec<u8>>>,
    pace: Option<Pace>,
    end: End,
    stopped: Arc<AtomicBool>,
}

struct Pace {
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy)]
enum End {
    Whole,
    /// The body will be cut, but what was written must be flushed first: an error would discard it.
    Cutting,
    Cut,
}

impl ResponseBody {
    /// The next bytes, compressed if there is an encoder; `None` at the end.
    fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            let piece = self.chunks.next();
            let Some(encoder) = &mut self.encoder else {
                return Ok(piece);
            };
            let Some(piece) = piece else {
                let Some(encoder) = self.encoder.take() else {
                    return Ok(None);
                };
                return Ok(Some(Bytes::from(encoder.finish()?)));
            };
            encoder.write_all(&piece)?;
            let done = std::mem::take(encoder.get_mut());
            if !done.is_empty() {
                return Ok(Some(Bytes::from(done)));
            }
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Abort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Abort>>> {
        let body = &mut *self;
        if body.length.is_none() && body.stopped.load(Ordering::Relaxed) {
            return Poll::Ready(Some(Err("the simulator stops".into())));
        }
        if let Some(pace) = &mut body.pace {
            if body.stopped.load(Ordering::Relaxed) {
                return Poll::Ready(Some(Err("the simulator stops".into())));
            }
            std::task::ready!(pace.sleep.as_mut().poll(context));
            pace.sleep = Box::pin(tokio::time::sleep(pace.pause));
        }
        match (body.next(), body.end) {
            (Ok(Some(piece)), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (Ok(None), End::Whole) => Poll::Ready(None),
            (Ok(None), End::Cutting) => {
                body.end = End::Cut;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            (Ok(None), End::Cut) => Poll::Ready(Some(Err("the body is cut here".into()))),
            (Err(error), _) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The first `count` bytes of `chunks`.
fn first(count: usize, chunks: impl Iterator<Item = Bytes>) -> impl Iterator<Item = Bytes> {
    chunks.scan(count, |left, mut piece| {
        piece.truncate(*left);
        *left -= piece.len();
        (!piece.is_empty()).then_some(piece)
    })
}

/// Splits `piece` into parts of at most `size` bytes.
fn parts(mut piece: Bytes, size: usize) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || (!piece.is_empty()).then(|| piece.split_to(size.min(piece.len()))))
}

/// A summary without end; each row has another user.
fn endless() -> impl Iterator<Item = Bytes> {
    let row = |number: u128| {
        let id = uuid::Uuid::from_u128(number << 80 | 0x4000_8000_0000_0000_0000);
        format!(
            "{{\"user_id\":\"{id}\",\"name\":\"N\",\"email\":\"n@example.com\",\"max_risk_level\":\"low\",\
             \"event_count\":1,\"last_event\":\"2026-01-01T00:00:00Z\"}},"
        )
    };
    let rows = (0_u128..).map(move |part| {
        let numbers = part * ENDLESS_PART..(part + 1) * ENDLESS_PART;
        Bytes::from(numbers.map(row).collect::<String>())
    });
    std::iter::once(Bytes::from_static(b"{\"success\":true,\"result\":{\"users\":[")).chain(rows)
}

/// A valid, empty summary padded with white space, as one gzip member.
///
/// A block that ends with a full flush does not depend on earlier ones. So one block of white space is
/// compressed once and sent repeatedly; only the checksum has to be combined.
fn bomb(mebibytes: usize) -> impl Iterator<Item = Bytes> {
    // RFC 1952: magic number, deflate, no flags, no time, no hints, unknown system.
    const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    const HEAD: &[u8] = b"{\"success\":true,\"errors\":[],\"messages\":[],\"result\":{\"users\":[";
    const TAIL: &[u8] = b"]}}";
    let space = vec![b' '; MEBIBYTE];
    let block = deflated(&space, FlushCompress::Full);

    let checksum = |text: &[u8]| {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(text);
        hasher
    };
    let mut sum = checksum(HEAD);
    let spaces = checksum(&space);
    for _ in 0..mebibytes {
        sum.combine(&spaces);
    }
    sum.combine(&checksum(TAIL));
    let length = HEAD.len() + mebibytes * MEBIBYTE + TAIL.len();
    // RFC 1952 stores the length modulo 2^32.
    let trailer = [sum.finalize().to_le_bytes(), (length as u32).to_le_bytes()].concat();

    [Bytes::from_static(HEADER), deflated(HEAD, FlushCompress::Full)]
        .into_iter()
        .chain(std::iter::repeat_n(block, mebibytes))
        .chain([deflated(TAIL, FlushCompress::Finish), Bytes::from(trailer)])
}

/// `text` as raw deflate blocks.
fn deflated(text: &[u8], flush: FlushCompress) -> Bytes {
    let mut out = Vec::with_capacity(text.len() / 64 + 128);
    Compress::new(Compression::default(), false)
        .compress_vec(text, &mut out, flush)
        .expect("deflate accepts every input");
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http_body_util::BodyExt as _;

    use super::*;

    fn joined(chunks: impl Iterator<Item = Bytes>) -> Vec<u8> {
        chunks.collect::<Vec<_>>().concat()
    }

    #[test]
    fn chunks_are_truncated_and_split() {
        let chunks = || ["abc", "de", "f"].into_iter().map(Bytes::from);
        for (count, wanted) in [(0, ""), (2, "ab"), (3, "abc"), (4, "abcd"), (9, "abcdef")] {
            assert_eq!(joined(first(count, chunks())), wanted.as_bytes(), "{count}");
        }
        let small: Vec<_> = parts(Bytes::from("abcde"), 2).collect();
        assert_eq!(small, ["ab", "cd", "e"]);
    }

    #[tokio::test]
    async fn a_bomb_is_small_until_it_is_decompressed() {
        let body = Delivery::Bomb { mebibytes: 8 }.body(Vec::new(), &Arc::default());
        let bytes = body.collect().await.unwrap().to_bytes();
        assert!(bytes.len() < MEBIBYTE / 16, "{}", bytes.len());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        assert!(text.len() > 8 * MEBIBYTE);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn the_rows_of_an_endless_body_are_valid() {
        let mut text = joined(endless().take(1 + 5));
        assert_eq!(text.pop(), Some(b','));
        text.extend(b"]}}");
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["result"]["users"].as_array().unwrap().len(), 1_000);
    }
}
