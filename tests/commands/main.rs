//! The commands, through the program, and the documents that describe it.
//!
//! What belongs here is about a command that does its work and ends: its arguments, its output, its exit code. A test
//! of the running exporter belongs to `daemon`, a test of the API client alone to `client`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod architecture;
mod backfill;
#[allow(dead_code, reason = "only a part of it is used here")]
#[path = "../shared/canned.rs"]
mod canned;
mod check;
mod check_accounts;
mod cli;
mod configuration;
mod feed;
mod golden_table;
mod manual;
mod offline;
mod operator;
mod plan;
#[path = "../shared/program.rs"]
mod program;
