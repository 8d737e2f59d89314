//! The commands of an operator: through the program, against the simulator, and where the simulator cannot produce a
//! case, against scripted responses.

mod accounts;
mod changing;
mod completing;
mod reading;
mod refusing;
pub(crate) mod rig;
mod settings;
mod terminal;
