//! Which rows of a list are on one page, and the page's `result_info`.

use super::api_options::Pages;
use super::faults::Fault;
use super::response::PageInfo;
use super::routes::parameter;

/// The rows of a page and its `result_info`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSlice {
    skip: usize,
    take: usize,
    /// How many of the first rows are repeated at the end.
    repeated: usize,
    pub(super) info: PageInfo,
}

impl PageSlice {
    /// The page for a query. A `page` that is not a number from 1 up means the first page.
    pub(super) fn of(pages: Pages, query: Option<&str>, fault: Option<&Fault>, total: usize) -> Self {
        let number = |name| parameter(query, name).and_then(|text| text.parse::<usize>().ok());
        let asked = number("page").filter(|page| *page > 0).unwrap_or(1);
        let (page, per_page, start) = match pages {
            Pages::Whole => (1, total.max(1), 0),
            Pages::Sized { standard, largest } => {
                let size = number("per_page").filter(|size| *size > 0);
                let size = size.unwrap_or(standard as usize).min(largest as usize);
                (asked, size, (asked - 1).saturating_mul(size))
            }
            Pages::Repeated { size } => (1, size as usize, 0),
        };
        let total_pages = total.div_ceil(per_page).max(1);
        let one_page = total_pages == 1;
        let (skip, repeated) = match fault {
            Some(Fault::DuplicatedRows) if one_page => (start, 1),
            Some(Fault::DuplicatedRows) => (start.saturating_sub(1), 0),
            Some(Fault::ShiftedRows) if one_page || start > 0 => (start.saturating_add(1), 0),
            _ => (start, 0),
        };
        let by = match fault {
            Some(Fault::LyingTotals { by }) => *by,
            _ => 0,
        };
        let info = PageInfo {
            page,
            per_page,
            count: total.saturating_sub(skip).min(per_page) + repeated,
            total_count: (total as i64).saturating_add(by),
            total_pages,
        };
        Self { skip, take: per_page, repeated, info }
    }

    /// Pairs of how many rows to skip and how many to take.
    pub(super) fn ranges(self) -> impl Iterator<Item = (usize, usize)> {
        [(self.skip, self.take), (0, self.repeated)].into_iter()
    }
}
