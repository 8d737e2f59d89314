//! A Prometheus exporter for the user risk that Cloudflare Zero Trust scores.

pub mod budget;
pub mod clock;
pub mod exposition;
pub mod http;
pub mod model;
pub mod publisher;
pub mod rate_limit;
pub mod server;
pub mod telemetry;
