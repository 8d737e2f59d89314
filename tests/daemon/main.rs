//! The exporter as a daemon: configuration, counting, the state file, the exposition, the server, the process.
//!
//! What belongs here is about a process that keeps running: what it counts, what it publishes, and what survives its
//! end. A test of the API client alone belongs to `client`, a test of a command that ends to `commands`.
//!
//! All tests share one process and run side by side. A test that needs a process for itself starts the program, or
//! this binary again. A test that only computes uses one thread, so that tests with a clock keep a processor.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "../shared/accounts.rs"]
mod accounts;
mod config;
mod connections;
mod counting;
mod counting_model;
mod damage;
mod durability;
mod end_to_end;
mod exposition;
mod feed;
mod process;
#[path = "../shared/program.rs"]
mod program;
mod publisher;
mod reload;
mod server;
mod status;
mod web;
