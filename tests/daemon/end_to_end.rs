//! The whole exporter through real HTTP, against the simulator.

mod day;
mod history;
mod live;
mod rig;
mod scenarios;
