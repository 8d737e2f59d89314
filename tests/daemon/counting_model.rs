//! Counting in random histories, and the longest delay until a change is counted.
//!
//! A history consists of a world that knows the truth, and an account that polls it. Users of the world have events
//! (also late, early, dated in 2999, or two at the same time), are reset, deleted, and return; events disappear from
//! the lists and come back; levels rise and fall. Answers fail, lag, are incomplete, shuffled, have duplicates, or rows
//! that cannot be read. The clocks disagree, and the process may be down for months. Changes of the account are handed over
//! to a commit, together with later ones or not; they cannot be saved for a while, or the process ends before or after a
//! commit and the next one restores the account.
//!
//! Checked after each answer ([`expected`] implements the rules of the specification a second time):
//! - the published events, first users of a behavior, level changes and resets are those of the committed answers, by
//!   label, each once;
//! - no published counter falls;
//! - `up` is 1 after a complete list of users, 0 after any other answer to a request for it, and changes with no other answer;
//! - the baseline costs no request, and no event gets a label before the behaviors were read or refused.
//!
//! Checked at the end: within 8 hours and a round of the audit after the last failure, everything that can be read is
//! counted and the queue is empty. After a hundred days with an empty list, only events dated in the future are kept.
//!
//! `COUNTING_SEED` replays one history, `COUNTING_SEEDS` is the number of histories (100), and `COUNTING_AUDIT=off` plays
//! them without the audit: then nothing finds what only the audit can find, and the audit hides no mistake. Missing
//! events are only estimated then, and one seed in some thousands shows the error of the estimate.

mod expected;
mod feed;
mod history;
mod latency;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use history::{Audits, History};

/// Seeds that showed mistakes. The history of a seed changes with the rules of the world; then `tests/mutants/run` finds
/// the seeds that show a mistake.
const REGRESSIONS: [(u64, &str); 7] = [
    (1, "a key dated a little after its user left was kept for ever"),
    (8, "a reset made an unknown level known"),
    (77, "when counting began was not saved with the first whole list"),
    (176, "a duplicate row explained a missing event"),
    (290, "an empty list made our clock the right one, and a user was dropped weeks too early"),
    (510, "a reset that was read before the count fell did not explain it"),
    (511, "an event that can be either of two counted ones was taken for the one with the lower hash"),
];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text}")))
}

fn audits() -> Audits {
    match std::env::var("COUNTING_AUDIT").as_deref() {
        Err(_) => Audits::On,
        Ok("off") => Audits::Off,
        Ok(other) => panic!("COUNTING_AUDIT must be off or unset, not {other}"),
    }
}

/// Plays the seeds in order, and returns the first that fails, with its message. Uses one thread, because other tests of
/// this binary, some of them timed, run at the same time.
fn first_failure(seeds: &[u64]) -> Option<(u64, String)> {
    let audits = audits();
    seeds.iter().find_map(|seed| {
        let panic = catch_unwind(AssertUnwindSafe(|| History::new(*seed, audits).play())).err()?;
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Some((*seed, text.unwrap_or_default()))
    })
}

#[test]
fn delivered_events_are_counted_once_and_readable_events_are_delivered() {
    if let Some(seed) = number("COUNTING_SEED") {
        return History::new(seed, audits()).play();
    }
    let known = REGRESSIONS.iter().map(|(seed, _)| *seed);
    let seeds: Vec<_> = (0..number("COUNTING_SEEDS").unwrap_or(100)).chain(known).collect();
    if let Some((seed, text)) = first_failure(&seeds) {
        panic!("replay with COUNTING_SEED={seed}, COUNTING_AUDIT as now: {text}");
    }
}
