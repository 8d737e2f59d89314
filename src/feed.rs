//! The feed: each risk event, change of level and reset as one record for a SIEM.
//!
//! A [`record`] says what happened; a [`Format`] makes it one line. [`fields`] declares every field of the own format, which the
//! manual and the schema are held against.

pub(crate) mod fields;
mod format;
mod json;
pub(crate) mod record;
mod text;

pub(crate) use format::Format;
