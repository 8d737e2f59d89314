//! A Prometheus exporter for the user risk that Cloudflare Zero Trust scores.

pub mod budget;
pub mod check;
pub mod cli;
pub mod clock;
pub mod cloudflare;
pub mod config;
pub mod healthcheck;
pub mod http;
pub mod listen;
pub mod log;
pub mod model;
pub mod rate_limit;
