//! What an observer is told of each attempt.

use std::sync::Arc;
use std::time::Duration;

use super::error::Outcome;
use crate::model::Endpoint;

/// Called after each attempt.
pub type Observer = Arc<dyn Fn(&Report) + Send + Sync>;

/// How one attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was asked.
    pub endpoint: Endpoint,
    /// How it ended.
    pub outcome: Outcome,
    /// From sending to the last byte, on the wall; waiting for the budget is not in it.
    pub took: Duration,
    /// 1 for the first attempt, more for retries.
    pub attempt: u32,
    /// The CF-Ray id of the answer, if one came with an id.
    pub ray: Option<String>,
}
