//! What an observer is told of each attempt.

use std::sync::Arc;
use std::time::Duration;

use super::error::Outcome;
use crate::model::Resource;

/// Called after each attempt.
pub type Observer = Arc<dyn Fn(&Report) + Send + Sync>;

/// How one attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was read or changed.
    pub endpoint: Resource,
    /// How it ended.
    pub outcome: Outcome,
    /// Real time from sending to the last byte, without the wait for the budget.
    pub took: Duration,
    /// 1 for the first attempt, more for retries.
    pub attempt: u32,
    /// The CF-Ray id of the answer, if one came with an id.
    pub ray: Option<String>,
}
