//! How many requests may be sent, and when: the budget of a credential and the rate limit inside it.

pub mod budget;
pub mod rate_limit;
