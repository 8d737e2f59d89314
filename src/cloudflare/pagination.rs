//! Reads lists that may come in pages. The server may not say that there are pages, or may count them wrongly.
//!
//! Today's schema has no pages. Older versions had, and the envelope still counts them. So the first request asks for
//! no particular page. More requests follow only if there is a hint of more elements: a total, a cursor, a link to the
//! next page, a page that is full by its size, or one whose size nothing says. A list is complete only if every hint was
//! followed to the end and every counted element arrived.
//!
//! A full page, or one of unknown size, is no more than a guess that there is another one. If the server refuses that page,
//! there is none, because a server without pages may refuse every query.

mod accumulator;
mod hint;

use serde::de::DeserializeOwned;

use super::decode::{Bounds, DecodedList, Element};
use super::error::{Error, Kind};
use super::operation::Operation;
use super::paging::{Fallback, ListPaging, PageNumbers, Probe, Totals};
use super::request::{Answer, Request};
use super::transport::{Deadline, Transport};
use crate::clock::Timestamp;
use crate::model::{Completeness, Identities, OddFields, UserId};
use accumulator::{Accumulator, PageAdded, Position};
use hint::ContinuationHint;

/// How many pages are requested on a guess after as many elements have arrived as another answer counts. A server without pages
/// that makes something new for each answer would have no last page.
const MOST_BEYOND: u32 = 20;

/// All pages of a list.
#[derive(Debug)]
pub(super) struct List<E> {
    /// Without duplicates.
    pub(super) items: Vec<E>,
    /// Users without a readable element, sorted.
    pub(super) unreadable: Vec<UserId>,
    pub(super) anonymous: u32,
    pub(super) odd: OddFields,
    /// Whether the server wrote null instead of a list.
    pub(super) is_null: bool,
    pub(super) identities: Option<Identities>,
    pub(super) completeness: Completeness,
    /// The `Date` header of the first page: the time by Cloudflare's clock.
    pub(super) date: Option<Timestamp>,
    /// How many pages were requested, repeated ones included.
    pub(super) pages: u32,
    first: Answer<()>,
}

impl<E> List<E> {
    /// Deserializes the result of the first page without the list.
    pub(super) fn head<R: DeserializeOwned>(&mut self, operation: Operation) -> Result<R, Error> {
        self.first.take_result(operation)
    }
}

/// Reads all pages of a list, of which another answer counts `expected` elements; 0 if none does.
///
/// # Errors
/// The first page failed, or a later page failed for a reason that applies to every request, such as a rate limit.
pub(super) async fn read<E: Element>(
    transport: &Transport,
    request: Request,
    paging: &ListPaging,
    expected: u64,
) -> Result<List<E>, Error> {
    let deadline = transport.deadline(request.operation);
    let mut reading =
        Reading { transport, request, paging, expected, deadline, pages: 0, probe: Probe::None };
    let (list, size) = reading.first_page().await?;
    let date = list.first.date;
    let (list, size) = reading.in_larger_size(list, size).await?;
    let (mut list, trouble) = reading.further_pages(list, size).await?;
    list.deduplicate();
    let partial = |reason: Option<String>| reason.map_or(Completeness::Complete, Completeness::Partial);
    let completeness = match trouble {
        Trouble::None => partial(list.missing()),
        Trouble::Contradiction(reason) => partial(list.missing().or(Some(reason))),
        Trouble::Cut(reason) => Completeness::Partial(reason),
        Trouble::Late(reason) => Completeness::Unfinished(reason),
    };
    if completeness == Completeness::Complete {
        paging.followed(list.largest_page, reading.probe);
        if list.kept_its_promise() {
            paging.totals(Totals::Proven);
        }
    }
    Ok(list.finish(completeness, date, reading.pages))
}

/// A list that is being read.
struct Reading<'a> {
    transport: &'a Transport,
    request: Request,
    paging: &'a ListPaging,
    /// How many elements another answer counts; 0 if none does.
    expected: u64,
    deadline: Deadline,
    /// How many pages were requested.
    pages: u32,
    /// Whether a page that was requested on a guess exists.
    probe: Probe,
}

/// The request for a further page.
struct NextRequest {
    request: Request,
    way: Way,
    /// Why the hint of more elements itself cannot be followed, so that the number of the page is only a guess.
    obstacle: Option<String>,
}

/// How a further page is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By a cursor, or by a link to the next page.
    Pointer,
    /// By its number.
    Number,
}

/// When further pages are requested by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByNumber {
    IfNothingElse,
    Always,
}

/// Why a list may be incomplete.
enum Trouble {
    None,
    /// The server says that there is more, but has no more. A total that is not reached is a better reason.
    Contradiction(String),
    Cut(String),
    /// A page took longer than our own limits allow.
    Late(String),
}

impl Reading<'_> {
    async fn page<E: Element>(
        &mut self,
        request: &Request,
        room: &Bounds,
        position: Position,
    ) -> Result<Accumulator<E>, Error> {
        self.pages += 1;
        let begin = |page: Answer<DecodedList<E>>| Accumulator::begin(page, request.operation, position);
        self.transport.list(request, room, &mut self.deadline, begin).await
    }

    /// Reads the first page, in the larger size if the server grants it. Returns the size that was asked for.
    async fn first_page<E: Element>(&mut self) -> Result<(Accumulator<E>, Option<u32>), Error> {
        let bounds = self.transport.bounds();
        let own_size = self.request.clone();
        let Some(size) = self.paging.granted() else {
            return Ok((self.page(&own_size, bounds, Position::First).await?, None));
        };
        let error = match self.page(&own_size.page(1, Some(size)), bounds, Position::First).await {
            Ok(list) => {
                self.paging.larger_succeeded();
                return Ok((list, Some(size)));
            }
            Err(error) if is_account_wide(&error) || is_permission(&error) => return Err(error),
            Err(error) => error,
        };
        if self.paging.larger_failed(&error) == Fallback::None {
            return Err(error);
        }
        if error.kind() == Kind::Invalid {
            self.paging.larger_is_refused();
        }
        // A size that is too large for the server may have used up the time.
        self.deadline = self.transport.deadline(self.request.operation);
        let list = self.page(&own_size, bounds, Position::First).await?;
        if error.kind() != Kind::Invalid {
            self.paging.give_up_larger();
        }
        Ok((list, None))
    }

    /// Reads the first page again in the larger size, if the list has pages and it is not known whether the server grants
    /// that size.
    async fn in_larger_size<E: Element>(
        &mut self,
        list: Accumulator<E>,
        size: Option<u32>,
    ) -> Result<(Accumulator<E>, Option<u32>), Error> {
        let (bounds, facts, larger) = (self.transport.bounds(), self.paging.facts(), self.paging.larger_size);
        let has_pages = match list.continuation_hint(1, size, self.expected, facts) {
            None => false,
            Some(ContinuationHint::UnknownSize) => facts.page_numbers == PageNumbers::Used,
            Some(ContinuationHint::Total | ContinuationHint::Pointer | ContinuationHint::FullPage) => true,
        };
        if !has_pages || size.is_some() || !list.is_small(larger, bounds) || !self.paging.try_larger() {
            return Ok((list, size));
        }
        let request = self.request.page(1, Some(larger)).continuation();
        match self.page::<E>(&request, bounds, Position::First).await {
            Ok(page) if page.received > list.received => {
                self.paging.larger_is_granted();
                return Ok((page.after_own_size(&list), Some(larger)));
            }
            Ok(_) => {
                self.paging.larger_is_refused();
                self.paging.query_is_accepted();
            }
            Err(error) if is_account_wide(&error) => return Err(error),
            // The same list was answered without a query.
            Err(error) if matches!(error.kind(), Kind::Invalid | Kind::NotFound) => {
                self.paging.larger_is_refused();
            }
            Err(error) if is_permission(&error) => self.paging.give_up_larger(),
            // A transient error says nothing about the size. After several, the size is the likely cause.
            Err(error) => {
                if self.paging.larger_failed(&error) == Fallback::OwnSize {
                    self.paging.give_up_larger();
                }
            }
        }
        Ok((list, None))
    }

    /// Reads pages as long as there is a hint of more.
    async fn further_pages<E: Element>(
        &mut self,
        mut list: Accumulator<E>,
        size: Option<u32>,
    ) -> Result<(Accumulator<E>, Trouble), Error> {
        let bounds = *self.transport.bounds();
        let facts = self.paging.facts();
        let mut page = 1;
        // Whether the server ignores cursors and links, so that only page numbers are left.
        let mut by_number = ByNumber::IfNothingElse;
        let mut pages_beyond = 0;
        while let Some(hint) = list.continuation_hint(page, size, self.expected, facts) {
            if page >= bounds.pages {
                return Ok((list, Trouble::Cut(format!("there are more than {page} pages"))));
            }
            if list.left_out > 0 {
                break;
            }
            // Nothing says that there is more.
            let is_beyond = hint.is_guess() && self.expected > 0 && list.received as u64 >= self.expected;
            pages_beyond += u32::from(is_beyond);
            if pages_beyond > MOST_BEYOND {
                let reason = format!("each page has more elements, although {} are all", self.expected);
                return Ok((list, Trouble::Cut(reason)));
            }
            page += 1;
            let reached_total = list.reached_total();
            let NextRequest { request, way, obstacle } =
                list.next_request(&self.request, page, size, by_number);
            let added = self.page(&request.continuation(), &list.room(&bounds), Position::Later).await;
            let added = match added {
                Ok(added) if is_beyond && list.has_the_like_of(&added) => PageAdded::Repeated,
                Ok(added) => list.add(added),
                Err(error) if is_account_wide(&error) || (!hint.is_guess() && is_permission(&error)) => {
                    return Err(error);
                }
                Err(error) if self.has_no_page(hint, &list, &error) => {
                    self.probe = Probe::NoPage;
                    break;
                }
                Err(error) => {
                    let why = error.refusal_of_page().unwrap_or_else(|| error.to_string());
                    let reason = format!("page {page} is missing: {why}");
                    let is_late = error.kind() == Kind::Timeout;
                    return Ok((list, if is_late { Trouble::Late(reason) } else { Trouble::Cut(reason) }));
                }
            };
            let but = |problem: &str| match &obstacle {
                Some(obstacle) => format!("{obstacle}, and page {page} {problem}"),
                None => format!("page {page} {problem}"),
            };
            if way == Way::Number && !matches!(added, PageAdded::Repeated | PageAdded::Overlapping) {
                self.paging.pages_are_turned();
            }
            match added {
                PageAdded::New if reached_total => self.paging.totals(Totals::OfPages),
                // The only page of a server without pages, with something that is newer.
                PageAdded::Overlapping if is_beyond => {
                    self.probe = Probe::NoPage;
                    break;
                }
                PageAdded::New | PageAdded::Overlapping => {}
                PageAdded::Repeated if way == Way::Pointer => {
                    (by_number, page) = (ByNumber::Always, page - 1);
                }
                // A server without pages ignores the page number too, and its only page may look full.
                PageAdded::Repeated if hint.is_guess() => {
                    self.probe = Probe::NoPage;
                    break;
                }
                PageAdded::Repeated => {
                    return Ok((list, Trouble::Cut(but("repeats earlier pages"))));
                }
                PageAdded::EmptyWithMore => {
                    let reason = but("has no elements, but says that there are more");
                    return Ok((list, Trouble::Cut(reason)));
                }
                PageAdded::Empty if hint == ContinuationHint::Total || obstacle.is_some() => {
                    return Ok((list, Trouble::Contradiction(but("has no elements"))));
                }
                PageAdded::Empty => break,
            }
            if list.received > bounds.elements {
                let reason = format!("it is too large: more than {} elements", bounds.elements);
                return Err(list.first.shape_error(self.request.operation, &reason));
            }
        }
        let trouble = list.limit_reached(&bounds).map_or(Trouble::None, Trouble::Cut);
        Ok((list, trouble))
    }
}

impl Reading<'_> {
    /// Whether the failure of a page that was requested on a guess says that there is no such page.
    fn has_no_page<E: Element>(&self, hint: ContinuationHint, list: &Accumulator<E>, error: &Error) -> bool {
        if !hint.is_guess() {
            return false;
        }
        // A page that is full by the size that the answer names is a sign of more, unless a total says that it is the last.
        let is_total = list.reached_total() && self.paging.facts().totals != Totals::OfPages;
        let is_likely = hint == ContinuationHint::FullPage && !is_total;
        match error.kind() {
            Kind::NotFound => true,
            // Another query was accepted, so the page is the reason.
            Kind::Invalid => !is_likely || self.paging.reads_queries(),
            _ => !is_likely && self.paging.probe_failed() == Probe::NoPage,
        }
    }
}

/// Whether every further request would fail like this one.
fn is_account_wide(error: &Error) -> bool {
    matches!(error.kind(), Kind::Limited(_) | Kind::Credentials | Kind::Refused)
}

/// Whether the credentials may not send this request. Once the first page was read, that may be because of its query.
fn is_permission(error: &Error) -> bool {
    matches!(error.kind(), Kind::Forbidden(_) | Kind::NotEntitled)
}
