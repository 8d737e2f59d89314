//! Every metric family, declared once: its name, type, help and labels.

pub(crate) mod cloudflare;
pub(crate) mod exporter;
