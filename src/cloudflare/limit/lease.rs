//! Which requests may be sent without another write to the journal of a budget.
//!
//! There are two kinds of leases. The standing lease allows up to half of the budget in every window, for an hour: an
//! account in which nothing happens writes hardly anything. It grows with the requests. What is beyond half of the budget
//! has short leases of a few requests. At the next start, all requests of a lease count as sent when the lease ended, or at
//! the start if it has not ended. So a process that restarts again and again can still use about half of its budget.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::cloudflare::limit::{RateLimit, WINDOW};

/// How long the standing lease is valid.
const STANDING: Duration = Duration::from_secs(3_600);

/// How long a short lease is valid.
const SHORT: Duration = Duration::from_secs(30);

/// A lease allows as many requests in advance as this process has sent already, so that what a crash wastes is in proportion
/// to what was used. It is at most 1/20 of the budget.
const LEASES: u32 = 20;

/// The longest that a block of an earlier process is respected. After that, one request tests whether it is over.
const LONGEST_BLOCK: Duration = Duration::from_secs(3_600);

/// Requests that still count against a budget, and the end of a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spending {
    /// How many requests were sent, each with the latest time at which they were sent.
    pub leases: Vec<(Timestamp, u32)>,
    /// The end of a block by Cloudflare.
    pub blocked_until: Option<Timestamp>,
}

impl Spending {
    /// Adds the spending of another account with the same budget.
    pub fn add(&mut self, other: Self) {
        self.leases.extend(other.leases);
        self.blocked_until = self.blocked_until.max(other.blocked_until);
    }

    /// Removes what no longer counts at `date`, and leases from the future, which a wrong clock has written.
    pub fn expire(&mut self, date: Timestamp) {
        self.leases.retain(|(until, _)| *until + WINDOW > date && *until <= date + STANDING);
        self.blocked_until = self.blocked_until.filter(|until| *until > date);
    }

    /// The budget that wrote this sends nothing after `date`. Removes what no longer counts then.
    pub(super) fn end(&mut self, date: Timestamp) {
        self.expire(date);
        for (until, _) in &mut self.leases {
            *until = date.min(*until);
        }
    }

    /// Counts against `limit` what has ended and is not expired.
    pub(super) fn count(&self, limit: &mut RateLimit, now: Instant, date: Timestamp) {
        for (sent, requests) in &self.leases {
            limit.spent_before(*requests, now + (*sent + WINDOW).since(date), now);
        }
        if let Some(until) = self.blocked_until {
            limit.block(now, until.since(date).min(LONGEST_BLOCK));
        }
    }
}

/// The leases of a budget.
#[derive(Debug, Default)]
pub(super) struct Leases {
    standing: Lease,
    /// Requests that may still be sent with the latest short lease.
    left: u32,
    /// The end of the latest short lease.
    until: Timestamp,
    /// Short leases, and what earlier processes have sent.
    others: Vec<(Timestamp, u32)>,
    /// The end of a block by Cloudflare.
    pub(super) blocked_until: Option<Timestamp>,
    /// How many requests were sent by this process.
    sent: u32,
    in_flight: u32,
    /// When each request of this process ended that still counts, earliest first. The rate limit bounds how many.
    ended: VecDeque<Instant>,
    /// Counts the changes that must be written.
    pub(super) version: u64,
}

/// A number of requests in every window, until a date.
#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    requests: u32,
    until: Timestamp,
}

/// Whether a request was taken from a lease that the journal has, or from a new one, which must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    FromOld,
    FromNew,
}

impl Leases {
    /// Continues after earlier processes.
    pub(super) fn after(Spending { leases: others, blocked_until }: Spending) -> Self {
        Self { others, blocked_until, ..Self::default() }
    }

    /// Takes a request, which may still be held back, when `remaining` of the `limit` of a window are left.
    pub(super) fn take(&mut self, now: Instant, date: Timestamp, limit: u32, remaining: u32) -> Taken {
        while self.ended.front().is_some_and(|ended| *ended + WINDOW <= now) {
            self.ended.pop_front();
        }
        let taken = self.take_at(date, limit, remaining);
        self.version += u64::from(taken == Taken::FromNew);
        taken
    }

    fn take_at(&mut self, date: Timestamp, limit: u32, remaining: u32) -> Taken {
        let others = self.in_flight.saturating_add(u32::try_from(self.ended.len()).unwrap_or(u32::MAX));
        let ahead = self.sent.min(limit / LEASES).min(remaining).max(1);
        if others < self.standing.requests && is_valid(date, self.standing.until, STANDING) {
            Taken::FromOld
        } else if others < limit / 2 {
            let requests = others.saturating_add(ahead).min(limit / 2);
            self.standing = Lease { requests, until: date + STANDING };
            Taken::FromNew
        } else {
            self.take_short(date, ahead)
        }
    }

    fn take_short(&mut self, date: Timestamp, ahead: u32) -> Taken {
        let is_new = self.left == 0 || !is_valid(date, self.until, SHORT);
        if is_new {
            // The remaining requests of the ended lease will not be sent.
            let (until, rest) = (self.until, std::mem::replace(&mut self.left, ahead));
            if let Some((_, requests)) = self.others.iter_mut().rfind(|(known, _)| *known == until) {
                *requests = requests.saturating_sub(rest);
            }
            self.until = date + SHORT;
            self.others.retain(|(until, _)| *until + WINDOW > date);
            self.others.push((self.until, ahead));
        }
        self.left -= 1;
        if is_new { Taken::FromNew } else { Taken::FromOld }
    }

    /// The request that was taken is sent.
    pub(super) fn begun(&mut self) {
        self.sent = self.sent.saturating_add(1);
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// A request was answered or abandoned.
    pub(super) fn ended(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ended.push_back(now);
    }

    /// Counts what was spent elsewhere too, without a write.
    pub(super) fn add(&mut self, spent: Spending, date: Timestamp) {
        // Budgets may be joined again and again without a new lease.
        self.others.retain(|(until, _)| *until + WINDOW > date);
        self.others.extend(spent.leases);
        self.blocked_until = self.blocked_until.max(spent.blocked_until);
    }

    /// Ends all leases, none of whose requests counts any more. The next request begins another one.
    pub(super) fn give_back(&mut self) {
        (self.standing, self.left) = (Lease::default(), 0);
        self.others.clear();
    }

    /// What the journal must have at `date`.
    pub(super) fn spending(&self, date: Timestamp) -> Spending {
        let Lease { requests, until } = self.standing;
        let mut leases = self.others.clone();
        leases.push((until, requests));
        leases.retain(|(until, requests)| *requests > 0 && *until + WINDOW > date);
        Spending { leases, blocked_until: self.blocked_until.filter(|until| *until > date) }
    }
}

/// Whether a lease of this duration that ends at `until` may be used. Setting the clock back must not extend it.
fn is_valid(date: Timestamp, until: Timestamp, duration: Duration) -> bool {
    date <= until && until <= date + duration
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_900_000_000);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Sends a request at each of these seconds, with a budget of `limit`, and returns how many leases were written.
    fn send(leases: &mut Leases, limit: u32, at: impl IntoIterator<Item = u64>) -> u32 {
        let sends = at.into_iter().map(|second| {
            let now = Instant::after_start(seconds(second));
            let taken = leases.take(now, START + seconds(second), limit, limit);
            leases.begun();
            leases.ended(now);
            u32::from(taken == Taken::FromNew)
        });
        sends.sum()
    }

    fn counted(spending: &Spending) -> u32 {
        spending.leases.iter().map(|(_, requests)| requests).sum()
    }

    #[test]
    fn an_account_that_sends_the_same_each_minute_writes_a_lease_an_hour() {
        let mut leases = Leases::default();
        // Five requests a minute, so 25 of 300 in a window.
        let requests = |minutes: std::ops::Range<u64>| minutes.flat_map(|minute| [minute * 60; 5]);
        assert_eq!(send(&mut leases, 300, requests(0..10)), 6, "1, 2, 4, 8, 16 and 31 requests");
        assert_eq!(send(&mut leases, 300, requests(10..250)), 4);
        let spending = leases.spending(START + seconds(250 * 60));
        assert_eq!(counted(&spending), 35, "the 20 of the minutes before, and 15 ahead");
    }

    #[test]
    fn at_most_half_of_the_budget_is_a_standing_lease() {
        let mut leases = Leases::default();
        send(&mut leases, 300, [0; 300]);
        assert_eq!(leases.standing.requests, 150);
        assert_eq!(counted(&leases.spending(START)), 300);
        // Later it falls to what is used, and the short leases no longer count.
        send(&mut leases, 300, [3_700; 2]);
        assert_eq!(counted(&leases.spending(START + seconds(3_700))), 15);
    }

    #[test]
    fn a_lease_that_was_given_back_is_not_used_again() {
        let mut leases = Leases::default();
        send(&mut leases, 300, [0; 300]);
        leases.give_back();
        assert_eq!(leases.spending(START + seconds(301)), Spending::default());
        assert_eq!(send(&mut leases, 300, [301]), 1);
    }

    #[test]
    fn the_rest_of_an_ended_short_lease_is_not_spent() {
        // Each ends before the next request.
        let mut leases = Leases { sent: 8, ..Leases::default() };
        for sent in 0..4 {
            assert_eq!(leases.take_short(START + seconds(35 * sent), 8), Taken::FromNew);
        }
        assert_eq!(counted(&leases.spending(START + seconds(105))), 1 + 1 + 1 + 8);
    }

    #[test]
    fn requests_of_another_budget_are_kept_as_long_as_they_count() {
        let mut leases = Leases::default();
        for second in [0, 100, 399] {
            let date = START + seconds(second);
            leases.add(Spending { leases: vec![(date, 3)], blocked_until: None }, date);
        }
        assert_eq!(leases.others.len(), 2, "the first no longer counts");
        for (second, wanted) in [(399, 6), (400, 3), (699, 0)] {
            assert_eq!(counted(&leases.spending(START + seconds(second))), wanted, "at second {second}");
        }
    }

    #[test]
    fn a_lease_is_used_until_its_end_and_not_longer_if_the_clock_is_set_back() {
        for duration in [SHORT, STANDING] {
            let end = START + duration;
            let table = [
                (START - seconds(1), false),
                (START, true),
                (end, true),
                (end + Duration::from_millis(1), false),
            ];
            for (date, wanted) in table {
                assert_eq!(is_valid(date, end, duration), wanted, "{duration:?} {date}");
            }
        }
    }

    #[test]
    fn what_is_written_changes_with_each_new_lease_only() {
        let mut leases = Leases::default();
        let written = send(&mut leases, 40, (0..40).map(|number| 10 * number));
        assert_eq!(leases.version, u64::from(written));
    }

    #[test]
    fn an_earlier_process_sent_everything_before_the_start() {
        let lease = |second: i64| (Timestamp::from_seconds(second), 1);
        let leases = [-301, -300, -299, 0, 30, 3_600, 3_601].map(|second| lease(10_000 + second)).to_vec();
        let mut spending = Spending { leases, blocked_until: Some(Timestamp::from_seconds(10_000)) };
        spending.end(Timestamp::from_seconds(10_000));
        let wanted = [-299, 0, 0, 0].map(|second| lease(10_000 + second)).to_vec();
        assert_eq!(spending, Spending { leases: wanted, blocked_until: None });
    }
}
