//! What the client reports about each attempt.

use std::sync::Arc;
use std::time::Duration;

use super::error::Outcome;
use crate::model::Resource;

/// Called after each attempt.
pub type Observer = Arc<dyn Fn(&Report) + Send + Sync>;

/// How one attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The resource that was requested.
    pub resource: Resource,
    /// How it ended.
    pub outcome: Outcome,
    /// Real time from sending to the last byte. Waiting for the budget does not count.
    pub took: Duration,
    /// 1 for the first attempt, more for retries.
    pub attempt: u32,
    /// The CF-Ray id of the response, if it has one.
    pub ray: Option<String>,
}
