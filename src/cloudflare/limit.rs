//! How many requests may be sent, and when: the budget of a credential and the rate limit inside it.

mod budget;
mod rate_limit;

pub use budget::{Budget, Journal, Level, Permit, Spending};
pub use rate_limit::{QUOTA, RateLimit, ServerLimit, Turn, WINDOW};
