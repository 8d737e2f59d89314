//! Durability of the real program: killed, stopped, restarted, and with a state file that fails.

mod budget;
mod commands;
mod formats;
mod kill;
mod process;
mod trouble;
