//! What is known about each account, and the poller that keeps it up to date.
//!
//! [`poller`] sends the requests, saves and publishes. [`account`] is pure and decides: it knows which users are listed
//! ([`roster`]), whose events to read next ([`queue`], [`audit`]) and when ([`schedule`]), and which events were counted
//! ([`ledger`]). [`persist`] converts all of it to rows for the store, and back. [`shared_failures`] knows which failures several
//! accounts have in common.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod behavior_labels;
mod credential_watch;
pub(crate) mod discoverer;
mod field_watch;
mod known_accounts;
pub(crate) mod ledger;
pub(crate) mod persist;
pub(crate) mod poller;
pub(crate) mod queue;
pub(crate) mod roster;
pub(crate) mod schedule;
pub(crate) mod shared_failures;
pub(crate) mod top_users;
pub(crate) mod user_label;
