//! The feed: each risk event, change of level and reset as one record for a SIEM, exactly once.
//!
//! A [`record`] says what happened; a [`Format`] makes it one line. The [`outbox`] of an account keeps lines from when they are counted
//! until each sink has them, also over restarts. A [`writer`] for each sink takes them from there. [`hub`] has the feed as a whole.
//! [`fields`] declares every field of the own format, which the manual and the schema are held against.

mod ecs;
pub(crate) mod fields;
pub(crate) mod file;
mod follow;
mod format;
pub(crate) mod hub;
mod json;
mod object;
mod ocsf;
pub(crate) mod outbox;
pub(crate) mod record;
#[cfg(test)]
mod samples;
pub(crate) mod saved;
mod sentence;
pub(crate) mod signal;
mod sink_kind;
pub(crate) mod sinks;
mod stats;
mod text;
mod writer;

pub(crate) use follow::Follower;
pub use format::Format;
pub use sink_kind::SinkKind;
