//! The feed: what happens at the simulator, line by line, whatever happens to the exporter and its disk.

mod failures;
mod kills;
mod kinds;
mod rig;
