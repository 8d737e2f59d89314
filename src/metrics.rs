//! The metrics: their declarations, and the text of `/metrics`.
//!
//! [`families`] declares each metric once. `snapshot_samples` fills the metrics about Cloudflare from the snapshots of
//! all accounts, and [`exposition`] keeps the result encoded and compressed. [`telemetry`] adds the samples about this
//! process at each scrape.

mod account_rows;
mod coding;
pub(crate) mod encode;
pub(crate) mod exposition;
pub(crate) mod families;
pub(crate) mod family;
mod gzip;
pub(crate) mod label_text;
mod snapshot_samples;
pub(crate) mod telemetry;
