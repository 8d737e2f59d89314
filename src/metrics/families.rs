//! The declarations of all metric families.

pub(crate) mod cloudflare;
pub(crate) mod exporter;
