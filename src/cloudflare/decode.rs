//! From the bytes of an answer to values: unpacked, scanned and read while they arrive.

pub(super) mod element;
mod envelope_scan;
mod fast_path;
pub(super) mod gunzip;
mod json;
pub(super) mod rfc3339;
pub mod stream;
