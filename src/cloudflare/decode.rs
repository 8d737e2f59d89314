//! Decodes the bytes of a response into values while they arrive.
//!
//! `gunzip` decompresses into a `sink`. `stream` is the sink for lists: it finds the list with `envelope_scan` and
//! decodes its elements with `element`. Rows in their usual form take `fast_path`; everything else takes `json`.

mod bounds;
mod element;
mod envelope_scan;
mod error;
mod fast_path;
mod gunzip;
mod json;
#[cfg(test)]
mod random_answers;
pub(super) mod rfc3339;
mod sink;
mod stream;

pub use bounds::{Bounds, Pii};
pub(super) use element::{Element, Pages};
pub(crate) use error::DecodeError;
pub(super) use gunzip::Body;
pub(super) use sink::{Sink, TextSink};
pub use stream::summary_rows;
pub(super) use stream::{DecodedList, Presence, Reader};
