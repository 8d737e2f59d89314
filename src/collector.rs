//! What is known of each account, and the poller that keeps it up to date.
//!
//! [`poller`] requests, saves and publishes. It asks [`account`], which is pure: the account holds who is listed
//! ([`roster`]), whose events are to be read ([`queue`], [`audit`]) and when ([`schedule`]), and which events were counted
//! ([`ledger`]). [`persist`] turns all of it into rows for the store, and back.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod behavior_labels;
pub(crate) mod ledger;
pub(crate) mod persist;
pub(crate) mod poller;
pub(crate) mod queue;
pub(crate) mod roster;
pub(crate) mod schedule;
pub(crate) mod top_users;
pub(crate) mod user_label;
