//! The API client against a server that returns scripted responses, and the simulator over real HTTP.
//!
//! What belongs here needs the client, the simulator, the model and the clock, and nothing else: no state file, no
//! collector, no configuration. A test of what the exporter makes of the answers belongs to `daemon`, a test of a
//! command to `commands`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod account_list;
#[path = "../shared/canned.rs"]
mod canned;
mod cut_lists;
mod effects;
mod endpoint;
mod environment;
mod errors;
mod faults;
mod limits;
mod operations;
mod pages;
mod simulator;
