//! Whether there may be more elements than those that arrived, and what says so.

use crate::cloudflare::page_info::{Next, PageInfo};
use crate::cloudflare::paging::{Facts, PageNumbers, Totals};

/// Why there may be more elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContinuationHint {
    /// The server counts more.
    Total,
    /// There is a cursor, a link to the next page, or a field that says so.
    Pointer,
    /// The page is full, and no total says that it is the last one.
    FullPage,
    /// Nothing says how many elements a full page has, and this page may be one.
    UnknownSize,
}

impl ContinuationHint {
    /// Whether nothing says that there are more elements.
    pub(super) fn is_guess(self) -> bool {
        matches!(self, Self::FullPage | Self::UnknownSize)
    }
}

/// What is known after a page.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    pub(super) info: &'a PageInfo,
    /// The `Link` header to the next page.
    pub(super) link: Option<&'a str>,
    pub(super) page: u32,
    /// The page size that was asked for.
    pub(super) asked: Option<u32>,
    /// Elements of all pages.
    pub(super) received: usize,
    /// Elements of this page.
    pub(super) last_page: usize,
    /// Elements of the largest page of this list, each once.
    pub(super) largest_page: usize,
    /// A total that was larger than what had arrived when it was read.
    pub(super) promised: Option<u64>,
    /// How many elements another answer counts; 0 if none does.
    pub(super) expected: u64,
    pub(super) facts: Facts,
}

impl Progress<'_> {
    /// Why there may be more elements.
    pub(super) fn hint(&self) -> Option<ContinuationHint> {
        let PageInfo { total_pages, total_count, per_page: _, next } = self.info;
        let received = self.received as u64;
        if total_pages.is_some_and(|pages| pages > u64::from(self.page))
            || total_count.is_some_and(|count| count > received)
        {
            return Some(ContinuationHint::Total);
        }
        if *total_count == Some(received) && self.total_counts_the_list() {
            return None;
        }
        if self.link.is_some() || *next != Next::Unsaid {
            return Some(ContinuationHint::Pointer);
        }
        if self.last_page == 0 { None } else { self.full_page() }
    }

    /// Whether a total counts more than one page: some servers count the elements of each page.
    fn total_counts_the_list(&self) -> bool {
        self.facts.totals == Totals::Proven
            || self.promised == Some(self.received as u64)
            || self.received > self.largest_page
    }

    /// Whether the page may be full.
    fn full_page(&self) -> Option<ContinuationHint> {
        let rows = self.last_page as u64;
        let asked = self.asked.map(u64::from);
        // A server may repeat the size that was asked for and grant less, and may name a size that it does not use.
        let named = self.info.per_page.filter(|size| Some(*size) != asked && *size >= rows);
        let largest = self.facts.largest_page as u64;
        let lacks_expected = (self.received as u64) < self.expected;
        let is_known_end = self.facts.page_numbers == PageNumbers::Ignored && !lacks_expected;
        // The size of pages may have become smaller.
        let may_be_smaller = self.facts.page_numbers == PageNumbers::Used && lacks_expected;
        match named {
            Some(size) => (size == rows).then_some(ContinuationHint::FullPage),
            None if asked == Some(rows) => Some(ContinuationHint::FullPage),
            // The pages before it have the size.
            None if self.page > 1 => {
                (self.last_page >= self.largest_page).then_some(ContinuationHint::FullPage)
            }
            None if rows > largest || (rows == largest && !is_known_end) || may_be_smaller => {
                Some(ContinuationHint::UnknownSize)
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudflare::page_info::PageCursor;

    /// What is known after a first page with so many rows.
    fn after_one_page(info: &PageInfo, rows: usize) -> Progress<'_> {
        Progress {
            info,
            link: None,
            page: 1,
            asked: None,
            received: rows,
            last_page: rows,
            largest_page: rows,
            promised: None,
            expected: 0,
            facts: Facts::default(),
        }
    }

    #[test]
    fn a_page_is_the_last_one_only_if_something_proves_it() {
        let none = Facts::default();
        let at_most = |largest_page| Facts { largest_page, page_numbers: PageNumbers::Used, ..none };
        let unpaged = |largest_page| Facts { largest_page, page_numbers: PageNumbers::Ignored, ..none };
        let of_pages = Facts { totals: Totals::OfPages, ..at_most(20) };
        let proven = Facts { totals: Totals::Proven, ..none };
        let info = |per_page, total_count| PageInfo { per_page, total_count, ..PageInfo::default() };
        let pages = |total_pages| PageInfo { total_pages: Some(total_pages), ..PageInfo::default() };
        let cursor = Next::Cursor(PageCursor { parameter: "cursor", value: "a".to_owned() });
        let pointing =
            |total_count, per_page| PageInfo { next: cursor.clone(), ..info(per_page, total_count) };
        for (rows, asked, info, facts, wanted) in [
            // The answer names its size.
            (19, None, info(Some(20), None), none, None),
            (20, None, info(Some(20), None), none, Some(ContinuationHint::FullPage)),
            (20, None, info(Some(20), Some(20)), none, Some(ContinuationHint::FullPage)),
            (20, None, info(Some(20), Some(20)), proven, None),
            (20, None, info(Some(20), Some(45)), none, Some(ContinuationHint::Total)),
            (20, None, pages(2), none, Some(ContinuationHint::Total)),
            // It repeats the size that was asked for, or names none, or a smaller one than it uses.
            (100, Some(1_000), info(Some(1_000), None), none, Some(ContinuationHint::UnknownSize)),
            (100, Some(1_000), info(Some(1_000), None), at_most(100), Some(ContinuationHint::UnknownSize)),
            (99, Some(1_000), info(Some(1_000), None), at_most(100), None),
            (1_000, Some(1_000), info(Some(1_000), None), at_most(2_000), Some(ContinuationHint::FullPage)),
            (100, Some(1_000), info(Some(100), None), at_most(2_000), Some(ContinuationHint::FullPage)),
            (100, Some(1_000), info(None, None), none, Some(ContinuationHint::UnknownSize)),
            (20, None, info(None, None), none, Some(ContinuationHint::UnknownSize)),
            (150, None, info(Some(20), None), none, Some(ContinuationHint::UnknownSize)),
            (150, None, info(Some(20), Some(150)), none, Some(ContinuationHint::UnknownSize)),
            // A server without pages needs no second look until the list is larger than ever.
            (20, None, info(None, None), unpaged(20), None),
            (20, None, info(None, Some(20)), unpaged(20), None),
            (21, None, info(None, None), unpaged(20), Some(ContinuationHint::UnknownSize)),
            // A total that was never larger than a page may count the page.
            (19, None, info(None, Some(19)), at_most(20), None),
            (20, None, info(None, Some(20)), at_most(20), Some(ContinuationHint::UnknownSize)),
            (21, None, info(None, Some(21)), at_most(20), Some(ContinuationHint::UnknownSize)),
            (20, None, info(None, Some(20)), of_pages, Some(ContinuationHint::UnknownSize)),
            (21, None, info(None, Some(21)), proven, None),
            // A total of one page beats no cursor.
            (20, None, pointing(Some(20), None), none, Some(ContinuationHint::Pointer)),
            (20, None, pointing(Some(20), Some(20)), none, Some(ContinuationHint::Pointer)),
            (150, None, pointing(Some(150), Some(20)), none, Some(ContinuationHint::Pointer)),
            (20, None, pointing(Some(20), None), proven, None),
            (0, None, pointing(None, None), none, Some(ContinuationHint::Pointer)),
            (0, None, info(None, Some(0)), none, None),
        ] {
            let progress = Progress { asked, facts, ..after_one_page(&info, rows) };
            assert_eq!(progress.hint(), wanted, "{progress:?}");
        }
    }

    #[test]
    fn a_later_page_is_full_if_it_is_as_large_as_those_before() {
        for (last_page, received, promised, total_count, wanted) in [
            (20, 40, None, None, Some(ContinuationHint::FullPage)),
            (19, 39, None, None, None),
            (20, 40, None, Some(20), Some(ContinuationHint::FullPage)),
            (20, 40, None, Some(40), None),
            (20, 40, Some(40), Some(40), None),
            (20, 40, Some(60), Some(60), Some(ContinuationHint::Total)),
        ] {
            let info = PageInfo { total_count, ..PageInfo::default() };
            let facts = Facts { largest_page: 90, ..Facts::default() };
            let first = after_one_page(&info, 20);
            let progress = Progress { page: 2, received, last_page, promised, facts, ..first };
            assert_eq!(progress.hint(), wanted, "{progress:?}");
        }
    }

    #[test]
    fn a_page_with_fewer_elements_than_expected_may_be_full() {
        let info = PageInfo::default();
        let facts = Facts { largest_page: 20, page_numbers: PageNumbers::Ignored, ..Facts::default() };
        for (rows, expected, wanted) in
            [(20, 0, None), (20, 20, None), (20, 21, Some(ContinuationHint::UnknownSize)), (19, 21, None)]
        {
            let progress = Progress { expected, facts, ..after_one_page(&info, rows) };
            assert_eq!(progress.hint(), wanted, "{rows} of {expected}");
        }
        // A server that has pages may have made them smaller.
        let facts = Facts { page_numbers: PageNumbers::Used, ..facts };
        for (rows, expected, wanted) in
            [(4, 0, None), (4, 4, None), (4, 21, Some(ContinuationHint::UnknownSize)), (0, 21, None)]
        {
            let progress = Progress { expected, facts, ..after_one_page(&info, rows) };
            assert_eq!(progress.hint(), wanted, "{rows} of {expected}");
        }
    }

    #[test]
    fn a_total_that_was_larger_than_a_page_counts_the_list() {
        for (promised, wanted) in [
            (Some(60), None),
            (Some(70), Some(ContinuationHint::UnknownSize)),
            (None, Some(ContinuationHint::UnknownSize)),
        ] {
            let info = PageInfo { total_count: Some(60), ..PageInfo::default() };
            let progress = Progress { asked: Some(1_000), promised, ..after_one_page(&info, 60) };
            assert_eq!(progress.hint(), wanted, "{promised:?}");
        }
    }
}
