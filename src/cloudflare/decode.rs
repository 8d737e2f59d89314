//! From the bytes of an answer to values: unpacked, scanned and read while they arrive.
//!
//! `gunzip` feeds a `sink`; `stream` is the sink of lists. It looks for the list with `envelope_scan` and
//! reads its elements with `element`: rows in their usual spelling by `fast_path`, everything else by `json`.

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
pub(super) use element::Element;
pub(crate) use error::DecodeError;
pub(super) use gunzip::Body;
pub(super) use sink::{Sink, Whole};
pub use stream::summary_rows;
pub(super) use stream::{Listing, Reader, Seen};
