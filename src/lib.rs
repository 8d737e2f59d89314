//! A Prometheus exporter for the user risk that Cloudflare Zero Trust scores.

pub mod account;
pub mod app;
pub mod audit;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod cloudflare;
pub mod config;
pub mod exposition;
pub mod healthcheck;
pub mod http;
pub mod identity;
pub mod labels;
pub mod ledger;
pub mod listen;
pub mod log;
pub mod model;
pub mod poller;
pub mod publisher;
pub mod queue;
pub mod rate_limit;
pub mod roster;
pub mod schedule;
pub mod series;
pub mod server;
pub mod telemetry;
