//! Which forms of the exposition are asked for.
//!
//! Most Prometheus servers ask for one form, compressed OpenMetrics. Each other form takes memory, and time at each change,
//! so it is made when it is first asked for, and kept up as long as somebody asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, Instant};
use crate::metrics::exposition::Form;

/// How long a form is kept up after a scrape. A server that scrapes less often has gaps in its graphs: Prometheus takes a
/// series as ended five minutes after its last sample.
const KEPT_UP: Duration = Duration::from_secs(5 * 60);

/// Which forms are asked for. Clones share the data.
#[derive(Clone, Debug)]
pub struct Demand {
    asked: watch::Sender<Asked>,
    clock: Clock,
}

/// When each form was last asked for.
#[derive(Debug, Default)]
struct Asked(BTreeMap<Form, Instant>);

impl Demand {
    /// Nothing was asked for. `clock` is the clock of those who scrape, so it is not scaled unless they are.
    pub fn new(clock: Clock) -> Self {
        Self { asked: watch::Sender::default(), clock }
    }

    /// A scrape asks for `form`, which is there.
    pub(super) fn met(&self, form: Form) {
        let now = self.clock.now();
        self.asked.send_if_modified(|asked| {
            asked.record(form, now);
            false
        });
    }

    /// A scrape asks for `form`, which is missing, and waits for it.
    pub(super) fn unmet(&self, form: Form) {
        let now = self.clock.now();
        self.asked.send_modify(|asked| asked.record(form, now));
    }

    /// The forms to be kept up.
    pub(super) fn forms(&self) -> BTreeSet<Form> {
        self.asked.borrow().kept_up(self.clock.now()).collect()
    }

    /// Waits until a scrape asks for a form that is not in `present`.
    pub(super) async fn exceeds(&self, present: &BTreeSet<Form>) {
        let mut asked = self.asked.subscribe();
        let is_missing = |asked: &Asked| asked.kept_up(self.clock.now()).any(|form| !present.contains(&form));
        // An error means that all senders are gone, but `self` has one.
        let _ = asked.wait_for(is_missing).await;
    }
}

impl Asked {
    fn record(&mut self, form: Form, now: Instant) {
        self.0.insert(form, now);
    }

    fn kept_up(&self, now: Instant) -> impl Iterator<Item = Form> {
        self.0.iter().filter(move |(_, last)| now.since(**last) <= KEPT_UP).map(|(form, _)| *form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_kept_up_for_five_minutes_after_it_was_last_asked_for() {
        let at = |seconds| Instant::after_start(Duration::from_secs(seconds));
        let [text, compressed, ..] = Form::ALL;
        let mut asked = Asked::default();
        assert_eq!(asked.kept_up(at(0)).count(), 0);
        asked.record(text, at(10));
        asked.record(compressed, at(50));
        asked.record(compressed, at(100));
        for (now, forms) in
            [(310, vec![text, compressed]), (311, vec![compressed]), (400, vec![compressed]), (401, vec![])]
        {
            assert_eq!(asked.kept_up(at(now)).collect::<Vec<_>>(), forms, "at second {now}");
        }
    }
}
