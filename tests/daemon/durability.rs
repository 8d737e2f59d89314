//! What survives: the real program, killed, stopped, restarted, and in trouble with its file.

mod budget;
mod commands;
mod kill;
mod process;
mod trouble;
