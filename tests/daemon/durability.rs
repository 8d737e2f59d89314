//! Durability of the real program: killed, stopped, restarted, and with a state file that fails.

mod budget;
mod commands;
mod disk_failures;
mod formats;
mod hanging_disk;
mod kill;
pub(crate) mod process;
