//! How many requests may be sent, and when: the budget of a credential, and the rate limit that it enforces.

mod budget;
mod lease;
mod rate_limit;

pub use budget::{Budget, BudgetStatus, Journal, JournalTurn, Permit, Spent};
pub use lease::{Lease, Spending};
pub use rate_limit::{
    Admission, Counted, Held, HeldReason, Owner, QUOTA, RateLimit, RequestId, ServerLimit, WINDOW,
};
