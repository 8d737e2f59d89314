//! A Prometheus exporter for the user risk that Cloudflare Zero Trust scores.

pub mod account;
pub mod audit;
pub mod budget;
pub mod clock;
pub mod http;
pub mod identity;
pub mod labels;
pub mod ledger;
pub mod model;
pub mod queue;
pub mod rate_limit;
pub mod roster;
pub mod schedule;
pub mod series;
