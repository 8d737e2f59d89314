//! What is known of each account, and the poller that keeps it up to date.
//!
//! [`poller`] requests, saves and publishes. It asks [`account`], which is pure: the account holds who is listed
//! ([`roster`]), whose events are to be read ([`queue`], [`audit`]) and when ([`schedule`]), and which events were counted
//! ([`ledger`]). [`persist`] turns all of it into rows for the store, and back.

pub mod account;
pub mod audit;
pub mod behavior_labels;
pub mod ledger;
pub mod persist;
pub mod poller;
pub mod queue;
pub mod roster;
pub mod schedule;
pub mod top_users;
pub mod user_label;
