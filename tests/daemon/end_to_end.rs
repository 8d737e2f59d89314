//! The whole exporter over HTTP, against the simulator.

mod bad_hour;
mod cut_lists;
mod day;
mod discovery;
mod held_back;
mod history;
mod live;
mod odd_fields;
mod pages;
mod random_api;
mod refusals;
mod rig;
mod rotation;
mod scenarios;
mod slow_users;
