//! The commands of an operator as a person or a script meets them: through the program, against a simulated
//! Cloudflare, and where the simulator cannot be made to do it, against answers by script.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[allow(dead_code, reason = "only what answers by script is used here")]
#[path = "../client/canned.rs"]
mod canned;
mod changing;
mod reading;
mod refusing;
mod rig;
mod settings;
mod terminal;
