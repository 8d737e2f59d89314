//! How many requests may still go to Cloudflare, and when the next one may.
//!
//! Counts below Cloudflare's own limit, so that a 429 is news and not how the limit is found.
//! Nothing here sleeps or reads a clock: callers say what time it is, tests too.
//!
//! A request weighs on the window from the moment it leaves until one window after its answer ended. The
//! server may see it at any time in between, so no window of its clock holds more than the limit either.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Instant;

/// Cloudflare allows each user 1,200 requests in five minutes, over all tokens and the dashboard.
pub const QUOTA: u32 = 1_200;

/// The window of [`QUOTA`]; a 429 blocks for as long.
pub const WINDOW: Duration = Duration::from_secs(300);

/// When the next request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// At once.
    Now,
    /// Not before this moment.
    At(Instant),
    /// Not before a request that is under way has its answer.
    AfterAnswer,
}

/// How much of its limit a server says is left (`Ratelimit: "default";r=50;t=30`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimit {
    /// Requests left (`r`).
    pub remaining: u64,
    /// Until more are allowed (`t`).
    pub resets_in: Duration,
}

/// A sliding window of requests, a block, and what the server last said was left.
#[derive(Debug)]
pub struct RateLimit {
    limit: u32,
    window: Duration,
    under_way: u32,
    /// When the requests of the last window weigh no more, soonest first.
    free_at: VecDeque<Instant>,
    blocked_until: Option<Instant>,
    narrowed: Option<Narrowed>,
}

#[derive(Clone, Copy, Debug)]
struct Narrowed {
    left: u64,
    until: Instant,
}

impl RateLimit {
    /// At most `limit` requests (at least 1) in any `window`.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit: limit.max(1),
            window,
            under_way: 0,
            free_at: VecDeque::new(),
            blocked_until: None,
            narrowed: None,
        }
    }

    /// Requests allowed in a window.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Allows `limit` requests (at least 1) in a window from now on.
    pub fn resize(&mut self, limit: u32) {
        self.limit = limit.max(1);
    }

    /// Requests that may still go before the window, or what the server allows, is full.
    pub fn remaining(&self, now: Instant) -> u32 {
        let own = self.limit.saturating_sub(self.weight(now));
        match self.narrowed {
            Some(server) if now < server.until => own.min(u32::try_from(server.left).unwrap_or(u32::MAX)),
            _ => own,
        }
    }

    /// Until when nothing may be sent, if a block is in force.
    pub fn blocked_until(&self, now: Instant) -> Option<Instant> {
        self.blocked_until.filter(|until| now < *until)
    }

    /// When the next request may go.
    pub fn turn(&self, now: Instant) -> Turn {
        if let Some(until) = self.blocked_until {
            if now < until {
                return Turn::At(until);
            }
            // After a block one request finds out whether it is over.
            if self.under_way > 0 {
                return Turn::AfterAnswer;
            }
        }
        if let Some(server) = self.narrowed
            && now < server.until
            && server.left == 0
        {
            return Turn::At(server.until);
        }
        if self.weight(now) < self.limit {
            return Turn::Now;
        }
        match self.free_at.iter().find(|free_at| **free_at > now) {
            Some(soonest) => Turn::At(*soonest),
            None => Turn::AfterAnswer,
        }
    }

    /// A request leaves.
    pub fn begin(&mut self, now: Instant) {
        while self.free_at.front().is_some_and(|free_at| *free_at <= now) {
            self.free_at.pop_front();
        }
        self.under_way += 1;
        if let Some(server) = &mut self.narrowed {
            server.left = server.left.saturating_sub(1);
        }
    }

    /// A request was answered, or given up.
    pub fn end(&mut self, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        self.free_at.push_back(now + self.window);
    }

    /// An earlier process sent `requests`; they weigh until `free_at`, or for a window at most.
    pub fn spent_before(&mut self, requests: u32, free_at: Instant, now: Instant) {
        let free_at = free_at.min(now + self.window);
        let place = self.free_at.partition_point(|known| *known <= free_at);
        for _ in 0..requests.min(self.limit) {
            self.free_at.insert(place, free_at);
        }
    }

    /// An answer was no refusal for the rate limit: a block whose time is over is no more. One that still
    /// has time to go stays, as the request may have left before it.
    pub fn passed(&mut self, now: Instant) {
        self.blocked_until = self.blocked_until(now);
    }

    /// The server refused for its rate limit; nothing goes for `wait`.
    pub fn block(&mut self, now: Instant, wait: Duration) {
        let until = now + wait;
        self.blocked_until = Some(self.blocked_until.map_or(until, |known| known.max(until)));
    }

    /// The server said what is left of its own limit. `share` (0 to 1) of it is ours, rounded up.
    pub fn narrow(&mut self, now: Instant, server: ServerLimit, share: f64) {
        let left = (server.remaining as f64 * share).ceil() as u64;
        self.narrowed = Some(Narrowed { left, until: now + server.resets_in });
    }

    /// Requests under way or ended within the last window.
    fn weight(&self, now: Instant) -> u32 {
        let recent = self.free_at.iter().rev().take_while(|free_at| **free_at > now).count();
        self.under_way.saturating_add(u32::try_from(recent).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{at, seconds};

    fn spend(limit: &mut RateLimit, second: u64) {
        limit.begin(at(second));
        limit.end(at(second));
    }

    #[test]
    fn a_full_window_waits_for_its_oldest_request() {
        let mut limit = RateLimit::new(2, seconds(10));
        spend(&mut limit, 0);
        spend(&mut limit, 4);
        for (now, turn) in [(4, Turn::At(at(10))), (9, Turn::At(at(10))), (10, Turn::Now)] {
            assert_eq!(limit.turn(at(now)), turn, "at second {now}");
        }
    }

    #[test]
    fn a_request_weighs_from_its_start_until_a_window_after_its_end() {
        let mut limit = RateLimit::new(1, seconds(10));
        limit.begin(at(0));
        assert_eq!(limit.turn(at(50)), Turn::AfterAnswer);
        limit.end(at(60));
        assert_eq!((limit.turn(at(60)), limit.remaining(at(60))), (Turn::At(at(70)), 0));
        assert_eq!((limit.turn(at(70)), limit.remaining(at(70))), (Turn::Now, 1));
    }

    #[test]
    fn after_a_block_one_request_finds_out_whether_it_is_over() {
        let mut limit = RateLimit::new(10, seconds(10));
        limit.block(at(0), seconds(300));
        limit.block(at(1), seconds(5));
        assert_eq!((limit.turn(at(299)), limit.blocked_until(at(299))), (Turn::At(at(300)), Some(at(300))));
        assert_eq!((limit.turn(at(300)), limit.blocked_until(at(300))), (Turn::Now, None));
        limit.begin(at(300));
        assert_eq!(limit.turn(at(300)), Turn::AfterAnswer);
        limit.end(at(301));
        limit.passed(at(301));
        assert_eq!(limit.turn(at(301)), Turn::Now);
    }

    #[test]
    fn what_an_earlier_process_sent_weighs_until_its_window_is_over() {
        let mut limit = RateLimit::new(4, seconds(300));
        for (requests, free_at) in [(2, 200), (1, 100), (1, 9_999)] {
            limit.spent_before(requests, at(free_at), at(0));
        }
        for (now, remaining) in [(0, 0), (99, 0), (100, 1), (199, 1), (200, 3), (299, 3), (300, 4)] {
            assert_eq!(limit.remaining(at(now)), remaining, "at second {now}");
        }
        assert_eq!(limit.turn(at(0)), Turn::At(at(100)));
    }

    #[test]
    fn an_answer_to_a_request_from_before_a_block_does_not_end_it() {
        let mut limit = RateLimit::new(10, seconds(10));
        limit.begin(at(0));
        limit.block(at(1), seconds(300));
        limit.end(at(2));
        limit.passed(at(2));
        assert_eq!(limit.turn(at(2)), Turn::At(at(301)));
    }

    #[test]
    fn probes_after_blocks_keep_the_window_too() {
        let mut limit = RateLimit::new(2, seconds(300));
        for second in [0, 2] {
            assert_eq!(limit.turn(at(second)), Turn::Now);
            spend(&mut limit, second);
            limit.block(at(second), seconds(1));
        }
        assert_eq!(limit.turn(at(4)), Turn::At(at(300)));
    }

    #[test]
    fn the_server_narrows_the_limit_until_its_reset_and_never_widens_it() {
        let mut limit = RateLimit::new(10, seconds(10));
        for (remaining, share, left) in [(0, 0.25, 0), (1, 0.25, 1), (8, 0.25, 2), (1_000, 0.25, 10)] {
            limit.narrow(at(0), ServerLimit { remaining, resets_in: seconds(30) }, share);
            assert_eq!(limit.remaining(at(1)), left, "{remaining} left, {share} ours");
            let turn = if left == 0 { Turn::At(at(30)) } else { Turn::Now };
            assert_eq!(limit.turn(at(1)), turn, "{remaining} left, {share} ours");
            assert_eq!(limit.remaining(at(30)), 10, "after the reset");
        }
        limit.narrow(at(0), ServerLimit { remaining: 1, resets_in: seconds(30) }, 1.0);
        spend(&mut limit, 1);
        assert_eq!(limit.turn(at(2)), Turn::At(at(30)), "what is sent counts against what was left");
    }

    #[test]
    fn no_window_holds_more_than_the_limit_however_slow_the_answers() {
        let mut limit = RateLimit::new(5, seconds(10));
        let mut random = fastrand::Rng::with_seed(7);
        let (mut now, mut arrivals) = (at(0), Vec::new());
        for _ in 0..2_000 {
            match limit.turn(now) {
                Turn::Now => {
                    limit.begin(now);
                    let (before, after) = (random.u64(0..3_000), random.u64(0..3_000));
                    arrivals.push(now + Duration::from_millis(before));
                    now = now + Duration::from_millis(before + after);
                    limit.end(now);
                }
                Turn::At(later) => now = later,
                Turn::AfterAnswer => unreachable!("requests go one by one here"),
            }
        }
        for first in 0..arrivals.len() - 5 {
            assert!(arrivals[first + 5].since(arrivals[first]) >= seconds(10), "from {first}");
        }
    }
}
