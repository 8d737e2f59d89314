//! The whole exporter over HTTP, against the simulator.

mod day;
mod history;
mod live;
mod rig;
mod scenarios;
