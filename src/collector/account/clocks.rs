//! Corrects dates that come from a wrong clock.
//!
//! Answers are dated by Cloudflare's clock, or by ours if they have no date. If the two clocks are far apart, one of them is
//! wrong: a proxy on the way may have written the date, in 1970 as well, or our clock was never set. The latest events show
//! which ([`reference`]). While they do not, the later clock dates the answers: counting that starts too late is corrected
//! once it is known which clock is right, and counting that starts too early is not. Whatever the events show, nothing is
//! deleted or given up before its time on both clocks.
//!
//! A date in the future would have a negative age, and no alert could fire. Dates of lists are those of answers, and dates
//! of readings are ours. Either clock may be ahead for a while and then be right. So dates that were taken from a clock are
//! moved to the present when both clocks are behind them. One clock alone proves nothing: a cache may send an old date.
//! Dates that Cloudflare writes in its answers are kept as they are, because they identify events.

use std::time::Duration;

use super::Account;
use crate::clock::{Instant, Timestamp};
use crate::collector::ledger::CLOCK_SKEW;
use crate::collector::persist::Document;
use crate::model::{Row, Summary};
use crate::store::row::Table;

/// Clocks that differ by more than this are not both right: those of machines that nobody watches differ by minutes, or by
/// hours if their time zone is wrong.
const DISAGREEMENT: Duration = Duration::from_secs(86_400);

/// How old the latest event may be that proves a clock by itself.
const LAST_DAY: Duration = Duration::from_secs(86_400);

/// Whether two clocks differ so much that one of them must be wrong.
pub(super) fn disagree(one: Timestamp, other: Timestamp) -> bool {
    one.max(other).since(one.min(other)) > DISAGREEMENT
}

/// Which clock dates the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reference {
    /// Cloudflare's, because ours agrees with it.
    #[default]
    Agreed,
    /// The one that is ahead, because nothing shows which is right.
    Unknown,
    /// Cloudflare's, although ours disagrees.
    Cloudflare,
    /// Ours, although Cloudflare's disagrees.
    Local,
}

/// Which of two clocks is right at a list of users. An event cannot be later than the right clock, so events between the two
/// dates prove the later one: those of two users, because one may have a wrong date, or one of the last day. Otherwise events
/// of the last day before the earlier date prove that one. Users whose latest event is older prove nothing, and neither do
/// events later than both clocks. A list that proves nothing leaves the reference as it was `before`.
fn reference(before: Reference, header: Timestamp, local: Timestamp, rows: &[Row]) -> Reference {
    if !disagree(header, local) {
        return Reference::Agreed;
    }
    let (of_later, of_earlier) = match header > local {
        true => (Reference::Cloudflare, Reference::Local),
        false => (Reference::Local, Reference::Cloudflare),
    };
    let (earlier, later) = (header.min(local), header.max(local));
    let after_earlier = earlier + CLOCK_SKEW;
    let latest = rows.iter().map(|row| row.tuple.last_event).filter(|at| *at != Timestamp::UNKNOWN);
    let (mut between, mut just_before_later, mut just_before_earlier) = (0_u32, 0_u32, 0_u32);
    for at in latest.filter(|at| *at <= later + CLOCK_SKEW) {
        between += u32::from(at > after_earlier);
        just_before_later += u32::from(at > after_earlier && at + LAST_DAY >= later);
        just_before_earlier += u32::from(at <= after_earlier && at + LAST_DAY >= earlier);
    }
    if between >= 2 || just_before_later > 0 {
        of_later
    } else if just_before_earlier > between {
        of_earlier
    } else if before == Reference::Agreed {
        Reference::Unknown
    } else {
        before
    }
}

/// The latest date of each clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clocks {
    /// Of this machine.
    local: Option<Timestamp>,
    /// The date of the latest list of users.
    cloudflare: Option<Timestamp>,
    /// The earlier of the two clocks at the latest list of users, whichever is right.
    earlier: Option<Timestamp>,
    /// The present at the latest list of users.
    at_last_list: Option<Timestamp>,
    reference: Reference,
    /// When counting started, if it is not known yet which clock was right then.
    doubtful_start: Option<Instant>,
}

impl Clocks {
    /// The present: of two clocks, the one that is ahead. `None` before either was read.
    fn present(self) -> Option<Timestamp> {
        self.local.max(self.cloudflare)
    }

    /// The date of an answer with this `Date` header.
    pub(super) fn date_of(self, header: Option<Timestamp>, local_date: Timestamp) -> Timestamp {
        let Some(header) = header.filter(|header| disagree(*header, local_date)) else {
            return header.unwrap_or(local_date);
        };
        match self.reference {
            Reference::Cloudflare => header,
            Reference::Local => local_date,
            Reference::Agreed | Reference::Unknown => header.max(local_date),
        }
    }

    /// The present by which something may be deleted or given up: at the latest list of users, on the clock that was behind.
    /// `None` if this process has read no list.
    pub(super) fn earlier(self) -> Option<Timestamp> {
        self.earlier
    }

    /// Counting starts with the latest list of users.
    pub(super) fn counting_starts(&mut self, now: Instant) {
        self.doubtful_start = (self.reference == Reference::Unknown).then_some(now);
    }

    /// When counting started on the clock that is right, if that was doubtful and has just become known at `date`.
    fn proven_start(&mut self, now: Instant, date: Timestamp) -> Option<Timestamp> {
        if self.reference == Reference::Unknown {
            return None;
        }
        self.doubtful_start.take().map(|started| date - now.since(started))
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
    pub(super) fn at_date_of_list(
        &mut self,
        summary: &Summary,
        now: Instant,
        local_date: Timestamp,
    ) -> Timestamp {
        if let Some(header) = summary.date {
            self.clocks.reference = reference(self.clocks.reference, header, local_date, &summary.rows);
        }
        let date = self.clocks.date_of(summary.date, local_date);
        (self.clocks.local, self.clocks.cloudflare) = (Some(local_date), Some(date));
        self.clocks.earlier = Some(summary.date.unwrap_or(local_date).min(local_date));
        if let Some(start) = self.clocks.proven_start(now, date)
            && self.ledger.move_start(start, start)
        {
            self.unsaved.document(Document::Totals);
        }
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
    fn the_latest_events_show_which_of_two_clocks_is_right() {
        use crate::model::{Level, RowFingerprint, UserId};
        const HOUR: i64 = 3_600;
        // Days are written as hours, so that an event can be a little before one.
        let hour = |hour: i64| Timestamp::from_seconds(HOUR * hour);
        let day = |day: i64| hour(24 * day);
        let just_before = |day: i64| hour(24 * day - 1);
        // The day of the header, our day, the latest events, and the day that dates the list.
        let table: [(i64, i64, &[Timestamp], i64); 22] = [
            (100, 100, &[day(50), just_before(100)], 100),
            // A small difference is one of time zones.
            (99, 100, &[day(50), day(100)], 99),
            // Our clock is ahead, or behind.
            (100, 140, &[day(50), day(99), just_before(100)], 100),
            (140, 100, &[day(50), day(99), just_before(140)], 140),
            // A proxy says 1970, or something else long ago, or a day that has not come.
            (0, 100, &[day(50), day(99)], 100),
            (60, 100, &[day(50), day(70), day(98)], 100),
            (500, 100, &[day(50), just_before(100)], 100),
            (500, 100, &[just_before(100), just_before(100), Timestamp::UNKNOWN], 100),
            // However many users are idle.
            (90, 100, &[day(1), day(2), day(3), day(4), day(97), day(97)], 100),
            (60, 100, &[day(50), day(40), just_before(100)], 100),
            (100, 140, &[day(1), day(2), day(3), day(4), just_before(100)], 100),
            // One event with a wrong date outweighs no two others, but one.
            (100, 140, &[day(120), just_before(100), just_before(100)], 100),
            (100, 140, &[day(120), just_before(100)], 140),
            (500, 100, &[day(300), just_before(100), just_before(100)], 100),
            // Events later than both clocks say nothing.
            (100, 140, &[day(1_000_000), day(141), just_before(100)], 100),
            (100, 140, &[day(1_000_000), day(141)], 140),
            // Nothing shows which clock is right.
            (0, 100, &[], 100),
            (100, 140, &[], 140),
            (140, 100, &[], 140),
            (100, 140, &[day(50), day(60)], 140),
            (100, 140, &[day(120), day(50)], 140),
            (0, 100, &[Timestamp::UNKNOWN, Timestamp::UNKNOWN], 100),
        ];
        for (header, local, events, wanted) in table {
            let rows = events.iter().zip(1..).map(|(&last_event, user)| Row {
                user: UserId::from_u128(user),
                tuple: RowFingerprint { last_event, count: 1.into(), level: Level::Low },
            });
            let (header, local, rows) = (day(header), day(local), rows.collect::<Vec<_>>());
            let reference = reference(Reference::Agreed, header, local, &rows);
            let clocks = Clocks { reference, ..Clocks::default() };
            assert_eq!(clocks.date_of(Some(header), local), day(wanted), "{header} and {local}, {events:?}");
            assert_eq!(clocks.date_of(None, local), local, "an answer without a date");
        }
    }

    #[test]
    fn a_list_that_proves_nothing_leaves_the_proven_clock_until_both_agree() {
        use Reference::{Agreed, Cloudflare, Local, Unknown};
        let day = |day: i64| Timestamp::from_seconds(86_400 * day);
        for (before, local, wanted) in [
            (Cloudflare, 140, Cloudflare),
            (Local, 140, Local),
            (Unknown, 140, Unknown),
            (Agreed, 140, Unknown),
            (Cloudflare, 100, Agreed),
            (Local, 100, Agreed),
        ] {
            assert_eq!(reference(before, day(100), day(local), &[]), wanted, "{before:?}, day {local}");
        }
    }
}
