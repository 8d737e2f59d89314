//! A Prometheus exporter for the user risk that Cloudflare Zero Trust scores.

pub mod budget;
pub mod clock;
pub mod http;
pub mod model;
pub mod rate_limit;
pub mod simulator;
