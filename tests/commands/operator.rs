//! The commands of an operator as a person or a script meets them: through the program, against a simulated
//! Cloudflare, and where the simulator cannot be made to do it, against answers by script.

mod changing;
mod reading;
mod refusing;
mod rig;
mod settings;
mod terminal;
