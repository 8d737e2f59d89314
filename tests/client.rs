//! The client against a server that answers what it is told to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "client/canned.rs"]
mod canned;
#[path = "client/effects.rs"]
mod effects;
#[path = "client/environment.rs"]
mod environment;
#[path = "client/errors.rs"]
mod errors;
#[path = "client/faults.rs"]
mod faults;
#[path = "client/limits.rs"]
mod limits;
#[path = "client/operations.rs"]
mod operations;
#[path = "client/pages.rs"]
mod pages;
