//! Counting against random histories, and how late a change is counted at worst.
//!
//! A history is a world with a truth and an account that watches it. To the world's users happens what may
//! happen: events, also late, early, dated in 2999 or twice at one time; resets, deletions, returns; events
//! that fall off the lists and come back; levels that rise and fall. Its answers fail, lag, come in part,
//! cut short, shuffled, doubled, with rows that cannot be read. The clocks disagree, and days and months pass
//! unseen. What the account learns is saved, or cannot be saved for a while, or the process ends before or
//! after the commit and another goes on from what was committed.
//!
//! Proved of every history, after each answer ([`expected`] holds the rules as the specification has them):
//! - events, first users of a behavior, level changes and resets on the page are those of the committed
//!   answers, by label, each once;
//! - no published counter falls, whatever ends in between;
//! - the baseline costs no request, and no event is labelled before the behaviors were read or refused.
//!
//! And at its end: within 8 hours and a round of the audit after the last trouble everything that can be
//! read is counted and nobody waits; after a hundred days without anybody on the list nothing is kept but
//! what is dated in the future.
//!
//! `COUNTING_SEED` replays one history, `COUNTING_SEEDS` says how many are played (100), `COUNTING_AUDIT=off`
//! plays them without the audit: what it would find is then not asked for, and what it would hide is seen.
//! What a listing hides is told by an estimate then, which one seed in some thousands shows to be one.

mod expected;
mod history;
mod latency;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use history::{Audits, History};

/// Seeds that show mistakes once made; what happens in a seed's history changes with the world's rules, and
/// then `tests/mutants/run` tells which seeds show them now.
const REGRESSIONS: [(u64, &str); 5] = [
    (1, "a key dated a little after its user left was kept for ever"),
    (8, "a reset made a level known that never was"),
    (77, "when counting began was not saved with the first whole list"),
    (176, "a row listed twice stood for one that was missing"),
    (510, "a reset read before the count fell was not why it fell"),
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

/// Plays the seeds in their order, and returns the first that fails, and how. One thread plays them all: other tests
/// of this binary, some with a clock, run beside it.
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
fn what_is_delivered_is_counted_once_and_what_is_readable_gets_delivered() {
    if let Some(seed) = number("COUNTING_SEED") {
        return History::new(seed, audits()).play();
    }
    let known = REGRESSIONS.iter().map(|(seed, _)| *seed);
    let seeds: Vec<_> = (0..number("COUNTING_SEEDS").unwrap_or(100)).chain(known).collect();
    if let Some((seed, text)) = first_failure(&seeds) {
        panic!("replay with COUNTING_SEED={seed}, COUNTING_AUDIT as now: {text}");
    }
}
