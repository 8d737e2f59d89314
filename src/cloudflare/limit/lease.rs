//! Which requests may be sent without another write to the journal of a budget.
//!
//! There are two kinds of leases. The standing lease allows up to half of the budget in every window, for an hour: an
//! account in which nothing happens writes hardly anything. It grows with the requests. What is beyond half of the budget
//! has short leases of a few requests. At the next start, all requests of a lease count as sent when the lease ended, or at
//! the start if it has not ended. So a process that restarts again and again can still use about half of its budget.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::cloudflare::limit::{Counted, Owner, QUOTA, RateLimit, RequestId, WINDOW};

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
    /// The requests. Several leases may have the same owner, and other spendings may have the same requests.
    pub leases: Vec<Lease>,
    /// The end of a block by Cloudflare.
    pub blocked_until: Option<Timestamp>,
}

/// Requests that were sent or may still be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// Whose requests they are.
    pub owner: Owner,
    /// The latest time at which they are sent.
    pub until: Timestamp,
    /// How many they are.
    pub requests: u32,
}

impl Spending {
    /// Removes what no longer counts at `date`, and leases from the future, which a wrong clock has written.
    pub fn expire(&mut self, date: Timestamp) {
        self.leases.retain(|lease| lease.until + WINDOW > date && lease.until <= date + STANDING);
        self.blocked_until = self.blocked_until.filter(|until| *until > date);
    }

    /// The budget that wrote this sends nothing after `date`. Removes what no longer counts then.
    pub(super) fn end(&mut self, date: Timestamp) {
        self.expire(date);
        for lease in &mut self.leases {
            lease.until = lease.until.min(date);
        }
    }

    /// Counts against `limit` what has ended and is not expired. What this and an earlier spending have of the same owner counts
    /// once: each has all requests that counted when it was made, so the larger number has all of the smaller one.
    pub(super) fn count(&self, limit: &mut RateLimit, now: Instant, date: Timestamp) {
        let mut leases = self.leases.clone();
        // The earliest stop counting first, and the ranks of the others stay the same.
        leases.sort_by_key(|lease| Reverse(lease.until));
        // The latest requests use up any limit, so more of them change nothing.
        let most = limit.limit().max(QUOTA);
        let (mut ranked, mut counted): (BTreeMap<Owner, u32>, Vec<Counted>) = Default::default();
        for Lease { owner, until, requests } in leases {
            let ranked = ranked.entry(owner).or_default();
            let from = std::mem::replace(ranked, ranked.saturating_add(requests).min(most));
            let free_at = now + (until + WINDOW).since(date);
            counted
                .extend((from..*ranked).map(|rank| Counted { id: RequestId::earlier(owner, rank), free_at }));
        }
        limit.count(counted, now);
        if let Some(until) = self.blocked_until {
            limit.block(now, until.since(date).min(LONGEST_BLOCK));
        }
    }
}

/// The leases of a budget.
#[derive(Debug, Default)]
pub(super) struct Leases {
    standing: Standing,
    /// Requests that may still be sent with the latest short lease.
    left: u32,
    /// The end of the latest short lease.
    until: Timestamp,
    /// The ends of short leases, and their requests.
    short: Vec<(Timestamp, u32)>,
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
struct Standing {
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
            self.standing = Standing { requests, until: date + STANDING };
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
            if let Some((_, requests)) = self.short.iter_mut().rfind(|(known, _)| *known == until) {
                *requests = requests.saturating_sub(rest);
            }
            self.until = date + SHORT;
            self.short.retain(|(until, _)| *until + WINDOW > date);
            self.short.push((self.until, ahead));
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

    /// Blocks until this date too, without a write.
    pub(super) fn block(&mut self, until: Option<Timestamp>) {
        self.blocked_until = self.blocked_until.max(until);
    }

    /// Ends all leases, none of whose requests counts any more. The next request begins another one.
    pub(super) fn give_back(&mut self) {
        (self.standing, self.left) = (Standing::default(), 0);
        self.short.clear();
    }

    /// What the journal must have at `date` of the requests of this budget, whose `owner` this is.
    pub(super) fn spending(&self, owner: Owner, date: Timestamp) -> Spending {
        let Standing { requests, until } = self.standing;
        let all = self.short.iter().copied().chain([(until, requests)]);
        let leases = all
            .map(|(until, requests)| Lease { owner, until, requests })
            .filter(|lease| lease.requests > 0 && lease.until + WINDOW > date)
            .collect();
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

    const OWNER: Owner = Owner(7);

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
        spending.leases.iter().map(|lease| lease.requests).sum()
    }

    #[test]
    fn an_account_that_sends_the_same_each_minute_writes_a_lease_an_hour() {
        let mut leases = Leases::default();
        // Five requests a minute, so 25 of 300 in a window.
        let requests = |minutes: std::ops::Range<u64>| minutes.flat_map(|minute| [minute * 60; 5]);
        assert_eq!(send(&mut leases, 300, requests(0..10)), 6, "1, 2, 4, 8, 16 and 31 requests");
        assert_eq!(send(&mut leases, 300, requests(10..250)), 4);
        let spending = leases.spending(OWNER, START + seconds(250 * 60));
        assert_eq!(counted(&spending), 35, "the 20 of the minutes before, and 15 ahead");
    }

    #[test]
    fn at_most_half_of_the_budget_is_a_standing_lease() {
        let mut leases = Leases::default();
        send(&mut leases, 300, [0; 300]);
        assert_eq!(leases.standing.requests, 150);
        assert_eq!(counted(&leases.spending(OWNER, START)), 300);
        // Later it falls to what is used, and the short leases no longer count.
        send(&mut leases, 300, [3_700; 2]);
        assert_eq!(counted(&leases.spending(OWNER, START + seconds(3_700))), 15);
    }

    #[test]
    fn a_lease_that_was_given_back_is_not_used_again() {
        let mut leases = Leases::default();
        send(&mut leases, 300, [0; 300]);
        leases.give_back();
        assert_eq!(leases.spending(OWNER, START + seconds(301)), Spending::default());
        assert_eq!(send(&mut leases, 300, [301]), 1);
    }

    #[test]
    fn the_rest_of_an_ended_short_lease_is_not_spent() {
        // Each ends before the next request.
        let mut leases = Leases { sent: 8, ..Leases::default() };
        for sent in 0..4 {
            assert_eq!(leases.take_short(START + seconds(35 * sent), 8), Taken::FromNew);
        }
        assert_eq!(counted(&leases.spending(OWNER, START + seconds(105))), 1 + 1 + 1 + 8);
    }

    #[test]
    fn spendings_that_have_requests_in_common_count_them_once() {
        /// Leases: the owner, how long before the start they ended, in seconds, and the number of requests.
        type Leased<'a> = &'a [(u64, u64, u32)];
        /// Two spendings, and what counts from each of these seconds on.
        type Case<'a> = (Leased<'a>, Leased<'a>, &'a [(u64, u32)]);
        let table: [Case<'_>; 8] = [
            (&[(1, 0, 3)], &[(1, 0, 5)], &[(0, 5), (299, 5), (300, 0)]),
            (&[(1, 0, 3)], &[(2, 0, 5)], &[(0, 8), (300, 0)]),
            // One of them was made later, and has one request more.
            (&[(1, 100, 2), (1, 50, 1)], &[(1, 100, 2)], &[(0, 3), (200, 1), (250, 0)]),
            (&[(1, 50, 1), (1, 100, 2)], &[(1, 100, 1), (1, 100, 1)], &[(0, 3), (200, 1), (250, 0)]),
            // One of them has leases, which end later than their requests were sent.
            (&[(1, 20, 4)], &[(1, 200, 1), (1, 100, 2)], &[(0, 4), (279, 4), (280, 0)]),
            (&[(1, 100, 2)], &[(1, 0, 1)], &[(0, 2), (200, 1), (300, 0)]),
            // Some of them no longer count.
            (
                &[(1, 300, 2), (1, 10, 1), (2, 20, 1)],
                &[(1, 10, 1), (1, 301, 1)],
                &[(0, 2), (280, 1), (290, 0)],
            ),
            // More than any budget.
            (&[(1, 100, u32::MAX), (1, 0, 7)], &[(1, 200, 1_201)], &[(0, 1_200), (200, 7), (300, 0)]),
        ];
        for (one, other, wanted) in table {
            for (first, second) in [(one, other), (other, one)] {
                let mut limit = RateLimit::new(2_000, WINDOW);
                limit.resize(300);
                for leased in [first, second] {
                    let lease = |&(owner, before, requests): &(u64, u64, u32)| Lease {
                        owner: Owner(owner),
                        until: START - seconds(before),
                        requests,
                    };
                    let mut spending =
                        Spending { leases: leased.iter().map(lease).collect(), blocked_until: None };
                    spending.end(START);
                    spending.count(&mut limit, Instant::after_start(seconds(0)), START);
                }
                limit.resize(2_000);
                for (from, counts) in wanted {
                    let left = limit.remaining(Instant::after_start(seconds(*from)));
                    assert_eq!(2_000 - left, *counts, "{first:?} {second:?} at {from}");
                }
            }
        }
    }

    #[test]
    fn a_spending_that_is_read_later_still_has_its_requests_in_common() {
        let leases = [(250, 2), (10, 3)].map(|(before, requests)| Lease {
            owner: Owner(1),
            until: START - seconds(before),
            requests,
        });
        let mut limit = RateLimit::new(300, WINDOW);
        // The two stop counting at second 50.
        for (second, counts) in [(0, 5), (49, 5), (50, 3), (100, 3), (289, 3), (290, 0)] {
            let (now, date) = (Instant::after_start(seconds(second)), START + seconds(second));
            let mut spending = Spending { leases: leases.to_vec(), blocked_until: None };
            spending.end(date);
            spending.count(&mut limit, now, date);
            assert_eq!(300 - limit.remaining(now), counts, "at second {second}");
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
        let lease =
            |second: i64| Lease { owner: Owner(1), until: Timestamp::from_seconds(second), requests: 1 };
        let leases = [-301, -300, -299, 0, 30, 3_600, 3_601].map(|second| lease(10_000 + second)).to_vec();
        let mut spending = Spending { leases, blocked_until: Some(Timestamp::from_seconds(10_000)) };
        spending.end(Timestamp::from_seconds(10_000));
        let wanted = [-299, 0, 0, 0].map(|second| lease(10_000 + second)).to_vec();
        assert_eq!(spending, Spending { leases: wanted, blocked_until: None });
    }
}
