//! Corrects dates in the future, which a wrong clock leaves behind. Until then their age would be negative, and no alert
//! could fire.
//!
//! Dates of lists are Cloudflare's, or ours if an answer has none; dates of readings are ours. Either clock may be
//! ahead for a while and then be right. So dates that were taken from a clock are moved to the present when both clocks
//! are behind them. One clock alone proves nothing: a cache may send an old date. Dates that Cloudflare writes in its
//! answers are kept as they are, because they identify events.

use super::Account;
use crate::clock::Timestamp;
use crate::collector::ledger::CLOCK_SKEW;
use crate::collector::persist::Document;
use crate::store::row::Table;

/// The latest date of each clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clocks {
    /// Of this machine.
    local: Option<Timestamp>,
    /// Of Cloudflare, as shown by lists of users.
    cloudflare: Option<Timestamp>,
    /// The present at the latest list of users.
    at_last_list: Option<Timestamp>,
}

impl Clocks {
    /// The present: of two clocks, the one that is ahead. `None` before either was read.
    fn present(self) -> Option<Timestamp> {
        self.local.max(self.cloudflare)
    }

    /// A date that was taken from a clock, as exported: not in the future.
    pub(super) fn until_now(self, date: Timestamp) -> Timestamp {
        self.present().map_or(date, |present| date.min(present))
    }

    /// The date of an event as Cloudflare writes it, as exported: not in the future, and unknown if it is later than
    /// clocks differ.
    pub(super) fn of_event(self, date: Timestamp) -> Timestamp {
        match self.present() {
            Some(present) if date > present + CLOCK_SKEW => Timestamp::UNKNOWN,
            _ => self.until_now(date),
        }
    }
}

impl Account {
    /// The present date on our own clock. Readings dated later happened at this date at the latest.
    pub fn at_local_date(&mut self, date: Timestamp) {
        self.clocks.local = Some(date);
        for read in self.last_success.values_mut() {
            *read = date.min(*read);
        }
    }

    /// A list of users was read at `date` on Cloudflare's clock. If a clock was set back since the list before, or if
    /// this is the first list, what is dated later than both clocks began now at the latest.
    pub(super) fn at_date_of_list(&mut self, date: Timestamp, local_date: Timestamp) {
        (self.clocks.local, self.clocks.cloudflare) = (Some(local_date), Some(date));
        let present = date.max(local_date);
        let limit = present + CLOCK_SKEW;
        if self.clocks.at_last_list.replace(present).is_some_and(|before| before < limit) {
            return;
        }
        if self.ledger.move_start(limit, present) {
            self.unsaved.document(Document::Totals);
        }
        self.unsaved.users(Table::Users, self.roster.move_starts(limit, present));
        self.unsaved.users(Table::Pending, self.queue.move_starts(limit, present));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_exported_date_is_in_the_future() {
        let date = Timestamp::from_seconds;
        let year = |year: i64| date((year - 1970) * 31_556_952);
        let unknown = Timestamp::UNKNOWN;
        let table = [
            (None, None, year(9999), year(9999), year(9999)),
            (Some(1_000), None, date(900), date(900), date(900)),
            (Some(1_000), None, date(1_000), date(1_000), date(1_000)),
            (Some(1_000), None, date(1_300), date(1_000), date(1_000)),
            (Some(1_000), None, date(1_301), date(1_000), unknown),
            (Some(1_000), Some(5_000), date(4_000), date(4_000), date(4_000)),
            (Some(5_000), Some(1_000), date(4_000), date(4_000), date(4_000)),
            (None, Some(1_000), date(1_200), date(1_000), date(1_000)),
            (Some(1_000), Some(1_000), year(9999), date(1_000), unknown),
            (Some(1_000), Some(1_000), year(1), year(1), year(1)),
            (Some(1_000), Some(1_000), unknown, unknown, unknown),
        ];
        for (local, cloudflare, of, from_clock, of_event) in table {
            let (local, cloudflare) = (local.map(date), cloudflare.map(date));
            let clocks = Clocks { local, cloudflare, at_last_list: None };
            assert_eq!(
                (clocks.until_now(of), clocks.of_event(of)),
                (from_clock, of_event),
                "{clocks:?} {of}"
            );
        }
    }
}
