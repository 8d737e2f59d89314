//! What a client has learned about the pages of each list: which page size the server grants, whether it uses page numbers,
//! and whether its totals count the whole list.
//!
//! Nothing of this is documented, and the answers may be silent about it. Then one more request shows it. That a server uses
//! page numbers is known as long as the process runs. That it does not is checked again now and then: a server may answer
//! a page beyond the last one with the last one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{Error, Kind, SideEffect};

/// So many failures in a row of requests with the larger page size are a reason to try the server's own size.
const FAILURES: u32 = 2;

/// After it was given up, the larger size is not tried for so many lists with pages, then for twice as many, and so on.
const FIRST_PAUSE: u32 = 16;

/// The longest such pause: a day, if the list is read every minute or two.
const LONGEST_PAUSE: u32 = 1_024;

/// A server that ignored or refused a page number is asked for page 2 again after so many lists of the same size, then after
/// twice as many, and so on.
const FIRST_CHECK: u32 = 2;

/// The longest time between two such requests, in lists: so long a list that grows beyond a page may be cut, and so little
/// the requests cost.
const LONGEST_CHECK: u32 = 4;

/// If so many requests for page 2 fail in a row, the server has no pages. A stray failure proves nothing.
const FAILED_PROBES: u32 = 3;

/// What the client knows about the pages of each list.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) summary: ListPaging,
    pub(super) user: ListPaging,
}

/// What the client knows about the pages of one list.
#[derive(Debug)]
pub(super) struct ListPaging {
    /// The size to ask for once a list turns out to have pages.
    pub(super) larger_size: u32,
    learned: Mutex<Learned>,
}

#[derive(Debug)]
struct Learned {
    larger: Larger,
    /// Failures in a row of requests for the larger size that say nothing about it.
    failures: u32,
    /// For how many more lists with pages the larger size is not tried.
    pause: u32,
    next_pause: u32,
    /// For how many more lists of the same size page 2 is not requested, if page numbers are ignored.
    check_in: u32,
    next_check: u32,
    /// Failures of requests for a page that may not exist, as long as nothing else is known of page numbers.
    failed_probes: u32,
    /// Whether a request for a page was answered, so that it is no query as such that the server refuses.
    accepts_queries: bool,
    facts: Facts,
}

/// The larger page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Larger {
    Untried,
    /// Even the first request asks for it.
    Granted,
    /// The server keeps its own size, or refuses the request.
    Refused,
}

/// What decides whether a page may be full although the answer does not say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The rows of the largest page after which the list was followed to its end.
    pub(super) largest_page: usize,
    pub(super) page_numbers: PageNumbers,
    pub(super) totals: Totals,
}

/// Whether the server uses the page number of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PageNumbers {
    #[default]
    Unknown,
    Used,
    /// Another page number gave the same page, or was refused.
    Ignored,
}

/// What became of a request for a page that may not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// There was none, or it showed more.
    None,
    /// The server repeated a page, or refused the request.
    NoPage,
}

/// Whether `total_count` counts the whole list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Totals {
    /// It may count each page: it was never larger than one, and the list ended there.
    #[default]
    Unproven,
    /// It counts each page: there was another page although the total was reached.
    OfPages,
    /// A total that was larger than its page was the number of elements in the end.
    Proven,
}

/// What to do after the first page failed in the larger size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fallback {
    /// Ask for it in the server's own size.
    OwnSize,
    None,
}

impl Paging {
    pub(super) fn new(larger_size: u32) -> Self {
        Self { summary: ListPaging::new(larger_size), user: ListPaging::new(larger_size) }
    }
}

impl ListPaging {
    fn new(larger_size: u32) -> Self {
        let learned = Learned {
            larger: Larger::Untried,
            failures: 0,
            pause: 0,
            next_pause: FIRST_PAUSE,
            check_in: 0,
            next_check: FIRST_CHECK,
            failed_probes: 0,
            accepts_queries: false,
            facts: Facts::default(),
        };
        Self { larger_size, learned: Mutex::new(learned) }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The larger size, if the server grants it.
    pub(super) fn granted(&self) -> Option<u32> {
        (self.learned().larger == Larger::Granted).then_some(self.larger_size)
    }

    pub(super) fn facts(&self) -> Facts {
        let learned = self.learned();
        let is_check_due = learned.facts.page_numbers == PageNumbers::Ignored && learned.check_in == 0;
        let page_numbers = if is_check_due { PageNumbers::Unknown } else { learned.facts.page_numbers };
        Facts { page_numbers, ..learned.facts }
    }

    /// Whether to try the larger size for a list that has pages. Counts the lists of a pause.
    pub(super) fn try_larger(&self) -> bool {
        let mut learned = self.learned();
        let is_due = learned.larger == Larger::Untried && learned.pause == 0;
        learned.pause = learned.pause.saturating_sub(1);
        is_due
    }

    /// The server grants the larger size.
    pub(super) fn larger_is_granted(&self) {
        let mut learned = self.learned();
        (learned.larger, learned.failures, learned.accepts_queries) = (Larger::Granted, 0, true);
        // Pages of the server's own size say nothing about larger ones.
        learned.facts.largest_page = 0;
    }

    /// The server keeps its own size, or refuses the larger one.
    pub(super) fn larger_is_refused(&self) {
        let mut learned = self.learned();
        (learned.larger, learned.facts.largest_page) = (Larger::Refused, 0);
    }

    /// A request with the larger size succeeded.
    pub(super) fn larger_succeeded(&self) {
        self.learned().failures = 0;
    }

    /// The first page failed in the larger size, and the request was not refused for the whole account.
    pub(super) fn larger_failed(&self, error: &Error) -> Fallback {
        let mut learned = self.learned();
        match error.kind() {
            Kind::Invalid => Fallback::OwnSize,
            // Neither says anything about the size: there is no such user, or no connection.
            Kind::NotFound => Fallback::None,
            _ if error.effect() == SideEffect::None => Fallback::None,
            _ => {
                learned.failures = learned.failures.saturating_add(1);
                if learned.failures.is_multiple_of(FAILURES) { Fallback::OwnSize } else { Fallback::None }
            }
        }
    }

    /// The larger size does not work now, and the server's own does.
    pub(super) fn give_up_larger(&self) {
        let mut learned = self.learned();
        (learned.larger, learned.failures) = (Larger::Untried, 0);
        learned.pause = learned.next_pause;
        learned.next_pause = learned.next_pause.saturating_mul(2).min(LONGEST_PAUSE);
        learned.facts.largest_page = 0;
    }

    /// A list was followed to its end; none of its pages had more rows than this.
    pub(super) fn followed(&self, largest_page: usize, probe: Probe) {
        let learned = &mut *self.learned();
        let facts = &mut learned.facts;
        if largest_page != facts.largest_page {
            // The list may have grown to a full page, or will have.
            (learned.check_in, learned.next_check) = (0, FIRST_CHECK);
        }
        facts.largest_page = facts.largest_page.max(largest_page);
        match probe {
            // Once pages were turned, a repeated or refused one is beyond the last one.
            Probe::NoPage if facts.page_numbers != PageNumbers::Used => {
                facts.page_numbers = PageNumbers::Ignored;
                learned.check_in = learned.next_check;
                learned.next_check = (2 * learned.next_check).min(LONGEST_CHECK);
            }
            Probe::NoPage | Probe::None => learned.check_in = learned.check_in.saturating_sub(1),
        }
    }

    /// Another page number gave another page, or none.
    pub(super) fn pages_are_turned(&self) {
        self.learned().facts.page_numbers = PageNumbers::Used;
    }

    /// A request for page 1 in another size was answered, whatever the size of the answer.
    pub(super) fn query_is_accepted(&self) {
        self.learned().accepts_queries = true;
    }

    /// Whether the server answers requests for a page, so that one that it refuses does not exist.
    pub(super) fn reads_queries(&self) -> bool {
        let learned = self.learned();
        learned.accepts_queries || learned.facts.page_numbers == PageNumbers::Used
    }

    /// A request for a page that may not exist failed, and it is not clear whether the page was the reason. Returns whether
    /// that has happened often enough.
    pub(super) fn probe_failed(&self) -> Probe {
        let mut learned = self.learned();
        match learned.facts.page_numbers {
            PageNumbers::Used => Probe::None,
            PageNumbers::Ignored => Probe::NoPage,
            PageNumbers::Unknown => {
                learned.failed_probes = learned.failed_probes.saturating_add(1);
                if learned.failed_probes < FAILED_PROBES { Probe::None } else { Probe::NoPage }
            }
        }
    }

    pub(super) fn totals(&self, totals: Totals) {
        self.learned().facts.totals = totals;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudflare::operation::Operation;

    fn error(kind: Kind) -> Error {
        Error::new(Operation::Summary, kind, "")
    }

    #[test]
    fn the_servers_own_size_is_tried_after_two_failures_or_one_refusal() {
        for (kinds, wanted) in [
            (&[Kind::Invalid][..], Fallback::OwnSize),
            (&[Kind::Unavailable], Fallback::None),
            (&[Kind::Unavailable, Kind::Timeout], Fallback::OwnSize),
            (&[Kind::Timeout, Kind::Shape, Kind::Timeout], Fallback::None),
            (&[Kind::NotFound, Kind::NotFound], Fallback::None),
            (&[Kind::Unavailable, Kind::NotFound], Fallback::None),
        ] {
            let paging = ListPaging::new(1_000);
            paging.larger_is_granted();
            let last = kinds.iter().map(|kind| paging.larger_failed(&error(*kind))).last();
            assert_eq!(last, Some(wanted), "{kinds:?}");
            let unsent = error(Kind::Unavailable).unsent();
            assert_eq!(paging.larger_failed(&unsent), Fallback::None, "nothing was asked");
            paging.larger_succeeded();
            assert_eq!(paging.larger_failed(&error(Kind::Timeout)), Fallback::None, "a success ends the row");
        }
    }

    #[test]
    fn a_size_that_was_given_up_is_tried_again_after_longer_and_longer_pauses() {
        let paging = ListPaging::new(1_000);
        assert_eq!(paging.granted(), None);
        for pause in [0, 16, 32, 64, 128, 256, 512, 1_024, 1_024] {
            for _ in 0..pause {
                assert!(!paging.try_larger());
            }
            assert!(paging.try_larger(), "after {pause} lists");
            paging.larger_is_granted();
            assert_eq!((paging.granted(), paging.try_larger()), (Some(1_000), false));
            paging.give_up_larger();
            assert_eq!(paging.granted(), None);
        }
        paging.larger_is_refused();
        assert!((0..2_000).all(|_| !paging.try_larger()));
    }

    #[test]
    fn the_largest_page_belongs_to_a_page_size() {
        let paging = ListPaging::new(1_000);
        let largest = || paging.facts().largest_page;
        paging.followed(20, Probe::None);
        paging.followed(10, Probe::None);
        assert_eq!(largest(), 20);
        paging.larger_is_granted();
        assert_eq!(largest(), 0);
        paging.followed(100, Probe::None);
        paging.give_up_larger();
        assert_eq!(largest(), 0);
    }

    #[test]
    fn a_server_that_ignored_a_page_number_is_asked_again_now_and_then_and_after_each_change() {
        let paging = ListPaging::new(1_000);
        let is_asked = || paging.facts().page_numbers == PageNumbers::Unknown;
        let read = |rows| {
            let probe = if is_asked() { Probe::NoPage } else { Probe::None };
            paging.followed(rows, probe);
            probe == Probe::NoPage
        };
        let asked = |lists: u32| (0..lists).filter(|_| read(20)).collect::<Vec<_>>();
        let pauses = [2, 4, 4, 4];
        for round in 0..2 {
            for pause in pauses {
                assert_eq!((read(20), asked(pause)), (true, vec![]), "round {round}, {pause}");
            }
            paging.followed(19, Probe::None);
        }
        paging.pages_are_turned();
        paging.followed(20, Probe::NoPage);
        assert_eq!(
            paging.facts().page_numbers,
            PageNumbers::Used,
            "a page beyond the last one may be the last one again"
        );
    }

    #[test]
    fn only_several_failures_in_a_row_show_that_there_are_no_pages() {
        let paging = ListPaging::new(1_000);
        assert_eq!([(); 2].map(|()| paging.probe_failed()), [Probe::None; 2]);
        paging.followed(20, Probe::NoPage);
        assert_eq!(paging.probe_failed(), Probe::NoPage, "the server has none");
        paging.pages_are_turned();
        assert_eq!([(); 9].map(|()| paging.probe_failed()), [Probe::None; 9], "it has pages");
        let paging = ListPaging::new(1_000);
        let failed = [(); 3].map(|()| paging.probe_failed());
        assert_eq!(failed, [Probe::None, Probe::None, Probe::NoPage]);
    }
}
