//! Estimates the remaining time.

use std::time::Duration;

use crate::clock::Instant;
use crate::cloudflare::limit::BudgetStatus;
use crate::cloudflare::limit::WINDOW;

/// How long `requests` requests take, if one takes `each` and this much of the budget is left.
pub(super) fn time_left(requests: u64, each: Duration, budget: BudgetStatus, now: Instant) -> Duration {
    let block = budget.blocked_until.map_or(Duration::ZERO, |until| until.since(now));
    let later = requests.saturating_sub(budget.remaining.into());
    let windows = later as f64 / f64::from(budget.limit.max(1));
    block + WINDOW.mul_f64(windows).max(each.mul_f64(requests as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{at, seconds};

    #[test]
    fn the_rest_takes_as_long_as_the_budget_or_the_answers() {
        let level = |remaining, blocked_until| BudgetStatus { limit: 300, remaining, blocked_until };
        for (requests, budget, wanted) in [
            (0, level(0, None), 0),
            (100, level(200, None), 10),
            (200, level(200, None), 20),
            (500, level(200, None), 300),
            (6_000, level(0, None), 6_000),
            (100, level(200, Some(at(160))), 160),
        ] {
            let left = time_left(requests, Duration::from_millis(100), budget, at(10));
            assert_eq!(left, seconds(wanted), "{requests} with {budget:?}");
        }
    }
}
