//! Every metric family, declared once: its name, type, help and labels.

pub mod cloudflare;
pub mod exporter;
