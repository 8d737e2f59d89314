//! Corrects dates that come from a wrong clock.
//!
//! Answers are dated by Cloudflare's clock, whatever ours says. But a proxy on the way may have written the date, in 1970 as
//! well: then old events would count as new ones. So a date that is far behind our own clock is not used if the listed
//! events happened after it.
//!
//! A date in the future would have a negative age, and no alert could fire. Dates of lists are Cloudflare's, or ours if an
//! answer has none; dates of readings are ours. Either clock may be ahead for a while and then be right. So dates that were taken from a clock are moved to the present when both clocks
//! are behind them. One clock alone proves nothing: a cache may send an old date. Dates that Cloudflare writes in its
//! answers are kept as they are, because they identify events.

use std::time::Duration;

use super::Account;
use crate::clock::Timestamp;
use crate::collector::ledger::CLOCK_SKEW;
use crate::collector::persist::Document;
use crate::model::{Row, RowFingerprint, Summary};
use crate::store::row::Table;

/// Clocks that differ by more than this are not both right: those of machines that nobody watches differ by minutes, or by
/// hours if their time zone is wrong.
const DISAGREEMENT: Duration = Duration::from_secs(86_400);

/// Whether two clocks differ so much that one of them must be wrong.
pub(super) fn disagree(one: Timestamp, other: Timestamp) -> bool {
    one.max(other).since(one.min(other)) > DISAGREEMENT
}

/// Which clock dates the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reference {
    #[default]
    Cloudflare,
    /// Ours, because the dates of answers are too early.
    Local,
}

/// Whose clock is right. Only the dates of the latest events can tell, if the list is dated long before our own clock: most
/// of them lie between the two dates if the list's is wrong. A list without events is taken for wrong, because counting that
/// starts too late is corrected once the clocks agree, and counting that starts too early is not.
fn reference(summary: &Summary, local_date: Timestamp) -> Reference {
    let Some(date) = summary.date.filter(|date| *date < local_date && disagree(*date, local_date)) else {
        return Reference::Cloudflare;
    };
    let (mut later, mut earlier) = (0_u32, 0_u32);
    for Row { tuple: RowFingerprint { last_event, .. }, .. } in &summary.rows {
        later += u32::from((date + CLOCK_SKEW..=local_date + CLOCK_SKEW).contains(last_event));
        earlier += u32::from(*last_event != Timestamp::UNKNOWN && *last_event < date + CLOCK_SKEW);
    }
    if later >= earlier { Reference::Local } else { Reference::Cloudflare }
}

/// The latest date of each clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clocks {
    /// Of this machine.
    local: Option<Timestamp>,
    /// Of Cloudflare, as shown by lists of users.
    cloudflare: Option<Timestamp>,
    /// The present at the latest list of users.
    at_last_list: Option<Timestamp>,
    reference: Reference,
}

impl Clocks {
    /// The present: of two clocks, the one that is ahead. `None` before either was read.
    fn present(self) -> Option<Timestamp> {
        self.local.max(self.cloudflare)
    }

    /// The date of an answer with this `Date` header.
    pub(super) fn date_of(self, header: Option<Timestamp>, local_date: Timestamp) -> Timestamp {
        let is_wrong = |date: &Timestamp| {
            self.reference == Reference::Local && *date < local_date && disagree(*date, local_date)
        };
        header.filter(|date| !is_wrong(date)).unwrap_or(local_date)
    }

    /// The date of the latest list of users; `None` if this process has read none.
    pub(super) fn of_list(self) -> Option<Timestamp> {
        self.cloudflare
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

    /// A list of users was read. If a clock was set back since the list before, or if this is the first list, what is dated
    /// later than both clocks began now at the latest. Returns the date of the list.
    pub(super) fn at_date_of_list(&mut self, summary: &Summary, local_date: Timestamp) -> Timestamp {
        self.clocks.reference = reference(summary, local_date);
        let date = self.clocks.date_of(summary.date, local_date);
        (self.clocks.local, self.clocks.cloudflare) = (Some(local_date), Some(date));
        let present = date.max(local_date);
        let limit = present + CLOCK_SKEW;
        if self.clocks.at_last_list.replace(present).is_some_and(|before| before < limit) {
            return date;
        }
        if self.ledger.move_start(limit, present) {
            self.unsaved.document(Document::Totals);
        }
        self.unsaved.users(Table::Users, self.roster.move_starts(limit, present));
        self.unsaved.users(Table::Pending, self.queue.move_starts(limit, present));
        date
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
            let clocks = Clocks { local, cloudflare, ..Clocks::default() };
            assert_eq!(
                (clocks.until_now(of), clocks.of_event(of)),
                (from_clock, of_event),
                "{clocks:?} {of}"
            );
        }
    }

    #[test]
    fn a_list_that_is_dated_before_most_of_its_events_is_dated_by_our_clock() {
        use crate::model::{Level, UserId};
        const DAY: i64 = 86_400;
        let day = |day: i64| Timestamp::from_seconds(DAY * day);
        // The day of the header, our day, the days of the latest events, and the day that counts.
        let table: [(Option<i64>, i64, &[i64], i64); 12] = [
            (Some(100), 100, &[50, 99], 100),
            (None, 100, &[50], 100),
            // A small difference is one of time zones.
            (Some(99), 100, &[50, 100], 99),
            // Our clock is ahead, or behind.
            (Some(100), 140, &[50, 99, 100], 100),
            (Some(140), 100, &[50, 99, 140], 140),
            // A proxy says 1970, or something else long ago.
            (Some(0), 100, &[50, 99], 100),
            (Some(60), 100, &[50, 70, 99], 100),
            (Some(60), 100, &[50, 40, 99], 60),
            // One date in the distant future says nothing.
            (Some(100), 140, &[50, 1_000_000], 100),
            (Some(100), 140, &[120, 50, 60], 100),
            // Nothing shows which clock is right.
            (Some(0), 100, &[], 100),
            (Some(100), 140, &[], 140),
        ];
        for (header, local, events, wanted) in table {
            let rows = events.iter().zip(1..).map(|(event, user)| Row {
                user: UserId::from_u128(user),
                tuple: RowFingerprint { last_event: day(*event), count: 1.into(), level: Level::Low },
            });
            let summary = Summary { date: header.map(day), ..Summary::whole(rows.collect()) };
            let clocks = Clocks { reference: reference(&summary, day(local)), ..Clocks::default() };
            assert_eq!(
                clocks.date_of(summary.date, day(local)),
                day(wanted),
                "{header:?} on day {local}, {events:?}"
            );
        }
    }
}
