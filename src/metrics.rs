//! The metric families, and how samples are written for `/metrics`.
//!
//! [`families`] declares each metric once. [`exposition`] encodes the snapshots of all accounts; [`telemetry`] adds
//! the samples about this process at each scrape.

pub(crate) mod encode;
pub(crate) mod exposition;
pub(crate) mod families;
mod gzip;
mod samples;
pub(crate) mod telemetry;
