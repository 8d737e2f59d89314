//! The whole exporter through real HTTP, against the simulator.

mod day;
mod rig;
mod scenarios;
