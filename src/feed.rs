//! The feed: each risk event, change of level and reset as one record for a SIEM.
//!
//! A [`record`] says what happened; a [`Format`] makes it one line. [`fields`] declares every field of the own format, which the
//! manual and the schema are held against.

mod ecs;
pub(crate) mod fields;
mod follow;
mod format;
mod json;
mod object;
mod ocsf;
pub(crate) mod record;
#[cfg(test)]
mod samples;
mod sentence;
mod text;

pub(crate) use follow::Follower;
pub(crate) use format::Format;
