//! How many requests may still be sent to Cloudflare, and when the next one may be sent.
//!
//! The limit is below Cloudflare's own, so that a 429 is an exception and not the way to find the limit. Nothing here
//! sleeps or reads a clock: callers and tests pass the current time.
//!
//! A request counts from the moment it is sent until one window after its response ended. The server may count it at any
//! time in between, so no window by the server's clock exceeds the limit either.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::clock::Instant;

/// Cloudflare allows each user 1,200 requests in five minutes, for all tokens and the dashboard together.
pub const QUOTA: u32 = 1_200;

/// The window of [`QUOTA`]. A 429 blocks for the same time.
pub const WINDOW: Duration = Duration::from_secs(300);

/// When the next request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may be sent immediately.
    Now,
    /// At this time.
    At(Instant),
    /// After the response to a request in flight.
    AfterResponse,
}

/// No request may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub reason: HeldReason,
    /// When the next request may be sent; `None` if that is after the response to a request in flight.
    pub until: Option<Instant>,
}

/// Why no request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldReason {
    /// The server blocks all requests.
    Block,
    /// A block has ended, and the request that tests this was not answered yet.
    BlockTest,
    /// The server says that nothing is left of its own limit.
    ServerLimit,
    /// The requests of the last window are as many as the limit.
    Limit,
}

/// What a server says about its own limit (`Ratelimit: "default";r=50;t=30`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimit {
    /// Requests left (`r`).
    pub remaining: u64,
    /// Time until the limit resets (`t`).
    pub resets_in: Duration,
}

/// Tells the limit that requests were sent under from all other limits, of this process and of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub u64);

impl Owner {
    /// One that there was never before.
    pub fn random() -> Self {
        Self(RandomState::new().hash_one(()))
    }
}

/// Tells a request from all others, of this process and of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId {
    owner: Owner,
    number: u64,
}

impl RequestId {
    /// A request of an earlier process: the one at `rank` of all of its owner that still count, from the latest on. Who knew more
    /// of them knew those too that another one knew, so equal ranks are the same request or a later one.
    pub fn earlier(owner: Owner, rank: u32) -> Self {
        // This process may have sent requests of its own, numbered from 0, under an owner that it reads.
        Self { owner, number: u64::MAX - u64::from(rank) }
    }

    /// The limit that it was sent under.
    pub fn owner(self) -> Owner {
        self.owner
    }
}

/// A request that counts against a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The request. It may count against several limits, but never twice against one.
    pub id: RequestId,
    /// When it stops counting.
    pub free_at: Instant,
}

/// A sliding window of requests, a block, and what the server last said about its own limit.
#[derive(Debug)]
pub struct RateLimit {
    limit: u32,
    window: Duration,
    owner: Owner,
    /// How many requests have an id.
    numbered: u64,
    in_flight: BTreeSet<RequestId>,
    /// The requests of the last window; the first one stops counting first.
    recent: VecDeque<Counted>,
    blocked_until: Option<Instant>,
    narrowed: Option<Narrowed>,
}

#[derive(Clone, Copy, Debug)]
struct Narrowed {
    left: u64,
    until: Instant,
}

impl RateLimit {
    /// Allows at most `limit` requests (at least 1) in any `window`.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit: limit.max(1),
            window,
            owner: Owner::random(),
            numbered: 0,
            in_flight: BTreeSet::new(),
            recent: VecDeque::new(),
            blocked_until: None,
            narrowed: None,
        }
    }

    /// The number of requests allowed in a window.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Whose requests are those that are sent under this limit.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Allows `limit` requests (at least 1) in a window from now on.
    pub fn resize(&mut self, limit: u32) {
        self.limit = limit.max(1);
    }

    /// How many requests may still be sent, by the window and by what the server says.
    pub fn remaining(&self, now: Instant) -> u32 {
        let own = self.limit.saturating_sub(self.counted(now));
        match self.narrowed {
            Some(server) if now < server.until => own.min(u32::try_from(server.left).unwrap_or(u32::MAX)),
            _ => own,
        }
    }

    /// When more than `reserve` requests will be left, as far as is known now; `None` if they are.
    pub fn more_than(&self, reserve: u32, now: Instant) -> Option<Instant> {
        let missing =
            reserve.saturating_add(1).min(self.limit).checked_sub(self.remaining(now))?.checked_sub(1)?;
        let counting = self.recent.iter().filter(|request| request.free_at > now);
        let place = usize::try_from(missing).unwrap_or(usize::MAX);
        Some(counting.map(|request| request.free_at).nth(place).unwrap_or(now + self.window))
    }

    /// Whether no request counts, and neither a block nor the server's own limit holds requests back.
    pub fn is_unspent(&self, now: Instant) -> bool {
        let is_narrowed = self.narrowed.is_some_and(|server| now < server.until);
        self.counted(now) == 0 && self.blocked_until(now).is_none() && !is_narrowed
    }

    /// The end of the current block.
    pub fn blocked_until(&self, now: Instant) -> Option<Instant> {
        self.blocked_until.filter(|until| now < *until)
    }

    /// Why no request may be sent now, and until when. `None` if one may be sent.
    pub fn held(&self, now: Instant) -> Option<Held> {
        if let Some(until) = self.blocked_until(now) {
            return Some(Held { reason: HeldReason::Block, until: Some(until) });
        }
        // After a block, a single request tests whether it is over.
        if self.blocked_until.is_some() && !self.in_flight.is_empty() {
            return Some(Held { reason: HeldReason::BlockTest, until: None });
        }
        if let Some(server) = self.narrowed
            && now < server.until
            && server.left == 0
        {
            return Some(Held { reason: HeldReason::ServerLimit, until: Some(server.until) });
        }
        if self.counted(now) < self.limit {
            return None;
        }
        let soonest = self.recent.iter().map(|request| request.free_at).find(|free_at| *free_at > now);
        Some(Held { reason: HeldReason::Limit, until: soonest })
    }

    /// When the next request may be sent.
    pub fn admission(&self, now: Instant) -> Admission {
        match self.held(now) {
            None => Admission::Now,
            Some(Held { until: Some(until), .. }) => Admission::At(until),
            Some(Held { until: None, .. }) => Admission::AfterResponse,
        }
    }

    /// Records that a request is sent.
    pub fn begin(&mut self, now: Instant) -> RequestId {
        while self.recent.front().is_some_and(|request| request.free_at <= now) {
            self.recent.pop_front();
        }
        let id = self.next_id();
        self.in_flight.insert(id);
        if let Some(server) = &mut self.narrowed {
            server.left = server.left.saturating_sub(1);
        }
        id
    }

    /// Records that a request was answered or abandoned.
    pub fn end(&mut self, id: RequestId, now: Instant) {
        if self.in_flight.remove(&id) {
            self.recent.push_back(Counted { id, free_at: now + self.window });
        }
    }

    /// Records requests of an earlier process. They count until `free_at`, but for at most one window.
    pub fn spent_before(&mut self, requests: u32, free_at: Instant, now: Instant) {
        let requests: Vec<_> =
            (0..requests.min(self.limit)).map(|_| Counted { id: self.next_id(), free_at }).collect();
        self.count(requests, now);
    }

    fn next_id(&mut self) -> RequestId {
        let id = RequestId { owner: self.owner, number: self.numbered };
        self.numbered += 1;
        id
    }

    /// Counts requests that count against another limit too, each once and for at most one window. Keeps the latest ones: as
    /// many as use up any limit, so that limits which take over from each other again and again do not grow.
    pub fn count(&mut self, requests: impl IntoIterator<Item = Counted>, now: Instant) {
        let latest = now + self.window;
        let mut places: BTreeMap<RequestId, usize> =
            self.recent.iter().enumerate().map(|(place, known)| (known.id, place)).collect();
        for Counted { id, free_at } in requests {
            let request = Counted { id, free_at: free_at.min(latest) };
            // One that is in flight counts longer than any that has ended.
            if request.free_at <= now || self.in_flight.contains(&id) {
                continue;
            }
            match places.get(&id).and_then(|place| self.recent.get_mut(*place)) {
                // It was in flight when it was counted here, or a lease ended later.
                Some(known) => known.free_at = known.free_at.max(request.free_at),
                None => {
                    places.insert(id, self.recent.len());
                    self.recent.push_back(request);
                }
            }
        }
        self.recent.retain(|request| request.free_at > now);
        self.recent.make_contiguous().sort_by_key(|request| request.free_at);
        let most = usize::try_from(self.limit.max(QUOTA)).unwrap_or(usize::MAX);
        self.recent.drain(..self.recent.len().saturating_sub(most));
        self.recent.shrink_to(most);
    }

    /// Records a response that was not a rate-limit error. It confirms the end of a block that has expired. A block that
    /// has not expired stays, because the request may have been sent before it.
    pub fn passed(&mut self, now: Instant) {
        self.blocked_until = self.blocked_until(now);
    }

    /// Records a rate-limit error: nothing may be sent for `wait`.
    pub fn block(&mut self, now: Instant, wait: Duration) {
        let until = now + wait;
        self.blocked_until = Some(self.blocked_until.map_or(until, |known| known.max(until)));
    }

    /// Ends a block, and forgets what the server said about its limit.
    pub fn unblock(&mut self) {
        (self.blocked_until, self.narrowed) = (None, None);
    }

    /// Records what the server says about its own limit. This process may use `share` (0 to 1) of it, rounded up.
    pub fn narrow(&mut self, now: Instant, server: ServerLimit, share: f64) {
        let left = (server.remaining as f64 * share).ceil() as u64;
        self.narrowed = Some(Narrowed { left, until: now + server.resets_in });
    }

    /// The requests that count, as if those in flight ended now.
    pub fn counting(&self, now: Instant) -> impl Iterator<Item = Counted> {
        let in_flight = self.in_flight.iter().map(move |id| Counted { id: *id, free_at: now + self.window });
        self.recent.iter().copied().filter(move |request| request.free_at > now).chain(in_flight)
    }

    /// The requests that count and were sent under other limits.
    pub fn of_others(&self, now: Instant) -> impl Iterator<Item = Counted> {
        self.counting(now).filter(|request| request.id.owner != self.owner)
    }

    /// Requests that are in flight or ended within the last window.
    fn counted(&self, now: Instant) -> u32 {
        let recent = self.recent.iter().rev().take_while(|request| request.free_at > now).count();
        u32::try_from(self.in_flight.len() + recent).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{at, seconds};

    fn spend(limit: &mut RateLimit, second: u64) {
        let request = limit.begin(at(second));
        limit.end(request, at(second));
    }

    #[test]
    fn a_full_window_waits_for_its_oldest_request() {
        let mut limit = RateLimit::new(2, seconds(10));
        spend(&mut limit, 0);
        spend(&mut limit, 4);
        for (now, turn) in [(4, Admission::At(at(10))), (9, Admission::At(at(10))), (10, Admission::Now)] {
            assert_eq!(limit.admission(at(now)), turn, "at second {now}");
        }
    }

    #[test]
    fn a_request_counts_from_its_start_until_a_window_after_its_end() {
        let mut limit = RateLimit::new(1, seconds(10));
        let request = limit.begin(at(0));
        assert_eq!(limit.admission(at(50)), Admission::AfterResponse);
        limit.end(request, at(60));
        assert_eq!((limit.admission(at(60)), limit.remaining(at(60))), (Admission::At(at(70)), 0));
        assert_eq!((limit.admission(at(70)), limit.remaining(at(70))), (Admission::Now, 1));
    }

    #[test]
    fn after_a_block_one_request_tests_whether_it_is_over() {
        let mut limit = RateLimit::new(10, seconds(10));
        limit.block(at(0), seconds(300));
        limit.block(at(1), seconds(5));
        assert_eq!(
            (limit.admission(at(299)), limit.blocked_until(at(299))),
            (Admission::At(at(300)), Some(at(300)))
        );
        assert_eq!((limit.admission(at(300)), limit.blocked_until(at(300))), (Admission::Now, None));
        let request = limit.begin(at(300));
        assert_eq!(limit.admission(at(300)), Admission::AfterResponse);
        limit.end(request, at(301));
        limit.passed(at(301));
        assert_eq!(limit.admission(at(301)), Admission::Now);
    }

    #[test]
    fn requests_of_an_earlier_process_count_until_their_window_is_over() {
        let mut limit = RateLimit::new(4, seconds(300));
        for (requests, free_at) in [(2, 200), (1, 100), (1, 9_999)] {
            limit.spent_before(requests, at(free_at), at(0));
        }
        for (now, remaining) in [(0, 0), (99, 0), (100, 1), (199, 1), (200, 3), (299, 3), (300, 4)] {
            assert_eq!(limit.remaining(at(now)), remaining, "at second {now}");
        }
        assert_eq!(limit.admission(at(0)), Admission::At(at(100)));
    }

    #[test]
    fn a_request_that_counts_elsewhere_too_counts_once_until_the_later_end() {
        let (mut one, mut other) = (RateLimit::new(9, seconds(300)), RateLimit::new(9, seconds(300)));
        spend(&mut one, 0);
        spend(&mut other, 1);
        let in_flight = one.begin(at(2));
        let counting = |limit: &RateLimit, second| limit.counting(at(second)).collect::<Vec<_>>();
        for round in 0..3 {
            // The one in flight counts there as if it had ended.
            other.count(counting(&one, 10), at(10));
            one.count(counting(&other, 10), at(10));
            assert_eq!([one.remaining(at(10)), other.remaining(at(10))], [6, 6], "round {round}");
            assert_eq!([&one, &other].map(|limit| limit.of_others(at(10)).count()), [1, 2], "round {round}");
        }
        one.end(in_flight, at(20));
        other.count(counting(&one, 20), at(20));
        for (second, left) in [(299, 6), (300, 7), (301, 8), (319, 8), (320, 9)] {
            assert_eq!([one.remaining(at(second)), other.remaining(at(second))], [left; 2], "{second}");
        }
        one.count(counting(&other, 20), at(400));
        assert_eq!(one.counting(at(400)).count(), 0, "none counts any more");
    }

    #[test]
    fn more_requests_of_others_than_any_limit_allows_take_no_memory_and_change_nothing() {
        let owners: Vec<Owner> = (1..=10).map(Owner).collect();
        let sent: Vec<Counted> = (0..5 * QUOTA)
            .map(|number| {
                let id = RequestId { owner: owners[number as usize % owners.len()], number: number.into() };
                // In no order of time.
                Counted { id, free_at: at(u64::from(number) * 7_919 % 300) }
            })
            .collect();
        for most in [1, 300, QUOTA] {
            let mut limit = RateLimit::new(most, WINDOW);
            for half in sent.chunks(sent.len() / 2) {
                limit.count(half.iter().copied(), at(0));
                assert_eq!(limit.counting(at(0)).count(), QUOTA as usize, "limit {most}");
            }
            for second in [0, 100, 239, 240, 241, 270, 285, 299, 300] {
                let counts = sent.iter().filter(|request| request.free_at > at(second)).count() as u32;
                let wanted = most.saturating_sub(counts);
                assert_eq!(limit.remaining(at(second)), wanted, "limit {most}, second {second}");
            }
        }
    }

    #[test]
    fn a_response_to_a_request_from_before_a_block_does_not_end_it() {
        let mut limit = RateLimit::new(10, seconds(10));
        let request = limit.begin(at(0));
        limit.block(at(1), seconds(300));
        limit.end(request, at(2));
        limit.passed(at(2));
        assert_eq!(limit.admission(at(2)), Admission::At(at(301)));
    }

    #[test]
    fn requests_that_test_a_block_count_in_the_window() {
        let mut limit = RateLimit::new(2, seconds(300));
        for second in [0, 2] {
            assert_eq!(limit.admission(at(second)), Admission::Now);
            spend(&mut limit, second);
            limit.block(at(second), seconds(1));
        }
        assert_eq!(limit.admission(at(4)), Admission::At(at(300)));
    }

    #[test]
    fn the_server_narrows_the_limit_until_its_reset_and_never_widens_it() {
        let mut limit = RateLimit::new(10, seconds(10));
        for (remaining, share, left) in [(0, 0.25, 0), (1, 0.25, 1), (8, 0.25, 2), (1_000, 0.25, 10)] {
            limit.narrow(at(0), ServerLimit { remaining, resets_in: seconds(30) }, share);
            assert_eq!(limit.remaining(at(1)), left, "{remaining} left, {share} ours");
            let turn = if left == 0 { Admission::At(at(30)) } else { Admission::Now };
            assert_eq!(limit.admission(at(1)), turn, "{remaining} left, {share} ours");
            assert_eq!(limit.remaining(at(30)), 10, "after the reset");
        }
        limit.narrow(at(0), ServerLimit { remaining: 1, resets_in: seconds(30) }, 1.0);
        spend(&mut limit, 1);
        assert_eq!(
            limit.admission(at(2)),
            Admission::At(at(30)),
            "sent requests count against the server's remaining"
        );
    }

    #[test]
    fn what_holds_requests_back_is_known_with_its_end() {
        let held = |reason, second| Some(Held { reason, until: Some(at(second)) });
        let mut limit = RateLimit::new(2, seconds(10));
        assert_eq!(limit.held(at(0)), None);
        let [first, second] = [limit.begin(at(0)), limit.begin(at(0))];
        let after_response = |reason| Some(Held { reason, until: None });
        let limited = after_response(HeldReason::Limit);
        assert_eq!(limit.held(at(1)), limited, "the end is not known before a response");
        limit.end(first, at(2));
        assert_eq!(limit.held(at(2)), held(HeldReason::Limit, 12));
        limit.narrow(at(2), ServerLimit { remaining: 0, resets_in: seconds(30) }, 1.0);
        assert_eq!(limit.held(at(2)), held(HeldReason::ServerLimit, 32));
        limit.block(at(2), seconds(60));
        assert_eq!(limit.held(at(2)), held(HeldReason::Block, 62));
        assert_eq!(limit.held(at(61)), held(HeldReason::Block, 62));
        assert_eq!(limit.held(at(62)), after_response(HeldReason::BlockTest));
        limit.end(second, at(62));
        assert_eq!(limit.held(at(62)), None, "the next request is the test");
        limit.unblock();
        assert_eq!(limit.held(at(2)), held(HeldReason::Limit, 12));
        assert_eq!(limit.held(at(12)), None);
    }

    #[test]
    fn no_window_holds_more_than_the_limit_however_slow_the_answers() {
        let mut limit = RateLimit::new(5, seconds(10));
        let mut random = fastrand::Rng::with_seed(7);
        let (mut now, mut arrivals) = (at(0), Vec::new());
        for _ in 0..2_000 {
            match limit.admission(now) {
                Admission::Now => {
                    let request = limit.begin(now);
                    let (before, after) = (random.u64(0..3_000), random.u64(0..3_000));
                    arrivals.push(now + Duration::from_millis(before));
                    now = now + Duration::from_millis(before + after);
                    limit.end(request, now);
                }
                Admission::At(later) => now = later,
                Admission::AfterResponse => unreachable!("requests are sent one at a time here"),
            }
        }
        for first in 0..arrivals.len() - 5 {
            assert!(arrivals[first + 5].since(arrivals[first]) >= seconds(10), "from {first}");
        }
    }
}
