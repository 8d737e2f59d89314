//! Which rows of a list are on one page, and the page's `result_info`.

use serde_json::{Map, Value, json};

use super::api_options::{ApiOptions, BeyondLast, NextPage, Pages, PerPage, Queries, Totals};
use super::faults::Fault;
use super::routes::parameter;

/// A cursor is this text with the number of rows before the page. A client must encode it in a query.
const CURSOR: (&str, &str) = ("next+", "/=");

/// The number in a long cursor has so many digits.
const LONG_CURSOR: usize = 3_000;

/// The rows of a page and its `result_info`.
#[derive(Clone, Debug)]
pub(super) struct PageSlice {
    skip: usize,
    take: usize,
    /// How many of the first rows are repeated at the end.
    repeated: usize,
    pub(super) info: PageInfo,
}

/// Why a query gets no page.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoPage {
    /// Every query is refused with this status.
    Queries { status: u16 },
    /// The page is beyond the last one, which is an invalid request.
    Invalid,
    /// The page is beyond the last one, and does not exist.
    NotFound,
}

/// `result_info` and the `Link` header.
#[derive(Clone, Debug)]
pub(super) struct PageInfo {
    page: usize,
    /// What the answer says of the size.
    named_size: Option<usize>,
    per_page: usize,
    count: usize,
    total_count: i64,
    total_pages: usize,
    totals: Totals,
    next_page: NextPage,
    /// How many rows are before the next page; `None` on the last page.
    next_start: Option<usize>,
}

impl PageSlice {
    /// The page for a query. A `page` that is not a number from 1 up means the first page.
    pub(super) fn of(
        options: &ApiOptions,
        query: Option<&str>,
        faults: &[Fault],
        total: usize,
    ) -> Result<Self, NoPage> {
        if let Queries::Refused { status } = options.queries
            && query.is_some_and(|query| !query.is_empty())
        {
            return Err(NoPage::Queries { status });
        }
        let number = |name| parameter(query, name).and_then(|text| text.parse::<usize>().ok());
        let asked = number("page").filter(|page| *page > 0).unwrap_or(1);
        let asked_size = number("per_page").filter(|size| *size > 0);
        let (page, per_page, start) = match options.pages {
            // Larger than the list, because a full page is a sign of more.
            Pages::Whole => {
                existing_page(options.beyond_last, asked, 1)?;
                (1, total + 100, 0)
            }
            Pages::Sized { standard, largest } => {
                let size = asked_size.unwrap_or(standard as usize).min(largest as usize);
                match options.next_page.parameter() {
                    None if options.next_page == NextPage::Nowhere => (1, size, 0),
                    None => {
                        let page = existing_page(options.beyond_last, asked, total.div_ceil(size).max(1))?;
                        (page, size, (page - 1).saturating_mul(size))
                    }
                    Some(name) => {
                        let start = parameter(query, name).and_then(|cursor| cursor_start(&cursor));
                        let start = start.unwrap_or(0);
                        (start / size + 1, size, start)
                    }
                }
            }
            Pages::Repeated { size } => (1, size as usize, 0),
        };
        let total_pages = total.div_ceil(per_page).max(1);
        let one_page = total_pages == 1;
        let (mut skip, mut repeated, mut by) = (start, 0, 0);
        for fault in faults {
            match fault {
                Fault::DuplicatedRows if one_page => repeated = 1,
                Fault::DuplicatedRows => skip = skip.saturating_sub(1),
                Fault::ShiftedRows if one_page || start > 0 => skip = skip.saturating_add(1),
                Fault::LyingTotals { by: more } => by = *more,
                _ => {}
            }
        }
        let named_size = match options.per_page {
            PerPage::Granted => Some(per_page),
            PerPage::Asked => Some(asked_size.unwrap_or(per_page)),
            PerPage::Absent => None,
        };
        let info = PageInfo {
            page,
            named_size,
            per_page,
            count: total.saturating_sub(skip).min(per_page) + repeated,
            total_count: (total as i64).saturating_add(by),
            total_pages,
            totals: options.totals,
            next_page: options.next_page,
            next_start: start.checked_add(per_page).filter(|next| *next < total),
        };
        Ok(Self { skip, take: per_page, repeated, info })
    }

    /// Pairs of how many rows to skip and how many to take.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        [(self.skip, self.take), (0, self.repeated)].into_iter()
    }
}

impl PageInfo {
    /// A page of a list whose pages Cloudflare documents, with all numbers.
    pub(super) fn numbered(page: usize, size: usize, count: usize, total: usize) -> Self {
        Self {
            page,
            named_size: Some(size),
            per_page: size,
            count,
            total_count: total as i64,
            total_pages: total.div_ceil(size),
            totals: Totals::Numbers,
            next_page: NextPage::Page,
            next_start: None,
        }
    }

    /// `result_info`; `None` if the answer has none.
    pub(super) fn json(&self) -> Option<Value> {
        let (count, total_count, total_pages) = (self.count, self.total_count, self.total_pages);
        let mut info =
            Map::from_iter([("page".to_owned(), json!(self.page)), ("count".to_owned(), json!(count))]);
        if let Some(size) = self.named_size {
            info.insert("per_page".to_owned(), json!(size));
        }
        let totals = match self.totals {
            Totals::Numbers => Some((json!(total_count), json!(total_pages))),
            Totals::Strings => {
                info.values_mut().for_each(|value| *value = json!(value.to_string()));
                Some((json!(total_count.to_string()), json!(total_pages.to_string())))
            }
            Totals::Null => Some((Value::Null, Value::Null)),
            Totals::Zero => {
                info.insert("count".to_owned(), json!(0));
                Some((json!(0), json!(0)))
            }
            Totals::Page => Some((json!(count), json!(1))),
            Totals::Absent => None,
            Totals::NoInfo => return None,
        };
        if let Some((count, pages)) = totals {
            info.insert("total_count".to_owned(), count);
            info.insert("total_pages".to_owned(), pages);
        }
        let digits = if self.next_page == NextPage::LongCursor { LONG_CURSOR } else { 0 };
        let cursor = self.next_start.map(|start| format!("{}{start:0digits$}{}", CURSOR.0, CURSOR.1));
        // The last page has an empty cursor, as Cloudflare's other lists do.
        let cursor = cursor.unwrap_or_default();
        match self.next_page {
            NextPage::Page | NextPage::Link => None,
            NextPage::Next => {
                let url = self.next_start.map(|_| format!("?{}", self.next_query()));
                info.insert("next".to_owned(), json!(url))
            }
            NextPage::HasMore | NextPage::Nowhere => {
                info.insert("has_more".to_owned(), json!(self.next_start.is_some()))
            }
            NextPage::Cursor | NextPage::LongCursor => info.insert("cursor".to_owned(), json!(cursor)),
            NextPage::CursorsAfter => info.insert("cursors".to_owned(), json!({"after": cursor})),
            NextPage::NextCursor => info.insert("next_cursor".to_owned(), json!(cursor)),
            NextPage::NextPageToken => info.insert("next_page_token".to_owned(), json!(cursor)),
        };
        Some(Value::Object(info))
    }

    /// The query of the next page for a `Link` header, if the answer has one.
    pub(super) fn link(&self) -> Option<String> {
        (self.next_page == NextPage::Link && self.next_start.is_some()).then(|| self.next_query())
    }

    fn next_query(&self) -> String {
        format!("page={}&per_page={}", self.page + 1, self.per_page)
    }
}

/// The page that answers a request for page `asked` of `pages`. An empty page is a page too.
fn existing_page(beyond_last: BeyondLast, asked: usize, pages: usize) -> Result<usize, NoPage> {
    match beyond_last {
        _ if asked <= pages => Ok(asked),
        BeyondLast::Empty => Ok(asked),
        BeyondLast::Last => Ok(pages),
        BeyondLast::BadRequest => Err(NoPage::Invalid),
        BeyondLast::NotFound => Err(NoPage::NotFound),
    }
}

fn cursor_start(cursor: &str) -> Option<usize> {
    cursor.strip_prefix(CURSOR.0)?.strip_suffix(CURSOR.1)?.parse().ok()
}
