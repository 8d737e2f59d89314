//! Reads lists that may come in pages. The server may not say that there are pages, or may count them wrongly.
//!
//! Today's schema has no pages. Older versions had, and the envelope still counts them. So the first request asks for
//! no particular page. More requests follow only if there is a hint of more elements: a total, a cursor, a link to the
//! next page, or a full page without a total. A list is complete only if every hint was followed to the end and every
//! counted element arrived.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decode::{Bounds, DecodedList, Element, Presence};
use super::envelope::PageInfo;
use super::error::{Error, Kind};
use super::operation::Operation;
use super::page_size::{PageSizeProbe, ProbeResult};
use super::request::{Answer, Request};
use super::transport::{Deadline, Transport};
use crate::clock::Timestamp;
use crate::model::{Completeness, Identities, OddFields, UserId};

/// All pages of a list.
#[derive(Debug)]
pub(super) struct List<E> {
    /// Without duplicates.
    pub(super) items: Vec<E>,
    /// Users without a readable element, sorted.
    pub(super) unreadable: Vec<UserId>,
    pub(super) anonymous: u32,
    pub(super) odd: OddFields,
    pub(super) identities: Option<Identities>,
    pub(super) completeness: Completeness,
    /// The `Date` header of the first page: the time by Cloudflare's clock.
    pub(super) date: Option<Timestamp>,
    /// How many pages were requested, repeated ones included.
    pub(super) pages: u32,
    first: Answer<()>,
}

/// Reads all pages of a list.
///
/// # Errors
/// The first page failed, or a later page failed for a reason that applies to every request, such as a rate limit.
pub(super) async fn read<E: Element>(
    transport: &Transport,
    request: Request,
    probe: &PageSizeProbe,
    total_timeout: Duration,
) -> Result<List<E>, Error> {
    let mut deadline = Deadline::new(total_timeout);
    let bounds = transport.bounds();
    let (operation, mut size) = (request.operation, probe.granted());
    let begin = |page| Accumulator::<E>::begin(page, operation, Position::First);
    let mut pages = 1;
    let mut list = match size {
        None => transport.list(&request, bounds, &mut deadline, begin).await?,
        Some(_) => match transport.list(&request.page(1, size), bounds, &mut deadline, begin).await {
            Err(error) if error.kind() == Kind::Invalid => {
                probe.record(ProbeResult::Refused);
                size = None;
                pages += 1;
                transport.list(&request, bounds, &mut deadline, begin).await?
            }
            first => first?,
        },
    };
    let date = list.first.date;
    if list.continuation_hint(1, size).is_some() && probe.untried() && list.is_small(probe.size, bounds) {
        let larger = request.page(1, Some(probe.size)).continuation();
        pages += 1;
        match transport.list(&larger, bounds, &mut deadline, begin).await {
            Ok(larger) if larger.received > list.received => {
                probe.record(ProbeResult::Granted);
                size = Some(probe.size);
                list = larger;
            }
            Ok(_) => probe.record(ProbeResult::Refused),
            Err(error) if is_account_wide(&error) => return Err(error),
            Err(error) if error.kind() == Kind::Invalid => probe.record(ProbeResult::Refused),
            // A transient error says nothing about the size, so this reading uses the server's default.
            Err(_) => {}
        }
    }
    let mut page = 1;
    let mut incomplete_reason = None;
    // Whether the server ignores cursors and links, so that only page numbers are left.
    let mut by_number = ByNumber::IfNothingElse;
    while incomplete_reason.is_none()
        && let Some(hint) = list.continuation_hint(page, size)
    {
        if page >= bounds.pages {
            incomplete_reason = Some(format!("there are more than {page} pages"));
            break;
        }
        if list.left_out > 0 {
            break;
        }
        page += 1;
        pages += 1;
        let (next, way) = match list.next_request(&request, page, size, by_number) {
            Ok(next) => next,
            Err(reason) => {
                incomplete_reason = Some(reason);
                break;
            }
        };
        let begin = |page| Accumulator::<E>::begin(page, operation, Position::Later);
        let room = list.room(bounds);
        let added = transport.list(&next.continuation(), &room, &mut deadline, begin).await;
        incomplete_reason = match added.map(|page| list.add(page)) {
            Ok(PageAdded::New) => None,
            Ok(PageAdded::Empty) => break,
            Ok(PageAdded::Repeated) if way == Way::Pointer => {
                (by_number, page) = (ByNumber::Always, page - 1);
                None
            }
            // A server without pages ignores the page number too, and its only page may look full.
            Ok(PageAdded::Repeated) if hint == ContinuationHint::FullPage => break,
            Ok(PageAdded::Repeated) => Some(format!("page {page} repeats earlier pages")),
            Err(error) if is_account_wide(&error) => return Err(error),
            Err(error) => Some(format!("page {page} is missing: {error}")),
        };
        if list.received > bounds.elements {
            let reason = format!("it is too large: more than {} elements", bounds.elements);
            return Err(list.first.shape_error(operation, &reason));
        }
    }
    let incomplete_reason = incomplete_reason.or_else(|| list.limit_reached(bounds));
    Ok(list.finish(incomplete_reason, date, pages))
}

/// Why there may be more elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContinuationHint {
    /// The server counts more.
    Total,
    /// There is a cursor, or a link to the next page.
    Pointer,
    /// The page is full, and no total says that it is the last one.
    FullPage,
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

/// Which elements were read, as hashes of their keys: the keys of a million rows would take more memory than the rows.
///
/// Two elements with the same hash count as duplicates. Among two million elements, this happens in one list of ten
/// million, and makes that reading partial.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl Seen {
    /// The hashes of one page's elements, and how many elements occur on it more than once.
    fn page<E: Element>(&self, items: &[E], unreadable: &[UserId]) -> (HashSet<u64>, usize) {
        let total = items.len() + unreadable.len();
        let mut hashes = HashSet::with_capacity(total);
        hashes.extend(items.iter().map(|item| self.hasher.hash_one(item.key())));
        // The flag distinguishes the unreadable row of a user from a readable one.
        hashes.extend(unreadable.iter().map(|user| self.hasher.hash_one((user, true))));
        let duplicates = total - hashes.len();
        (hashes, duplicates)
    }

    /// Adds the elements of a page.
    fn add(&mut self, page: HashSet<u64>) {
        if self.hashes.is_empty() {
            self.hashes = page;
        } else {
            self.hashes.extend(page);
        }
    }
}

/// Whether every further request would fail like this one.
fn is_account_wide(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Limited(_) | Kind::Credentials | Kind::Refused | Kind::Forbidden(_) | Kind::NotEntitled
    )
}

impl<E> List<E> {
    /// Deserializes the result of the first page without the list.
    pub(super) fn head<R: DeserializeOwned>(&mut self, operation: Operation) -> Result<R, Error> {
        self.first.take_result(operation)
    }
}

/// The pages read so far, as one list.
struct Accumulator<E: Element> {
    items: Vec<E>,
    unreadable: Vec<UserId>,
    anonymous: u32,
    odd: OddFields,
    /// Bytes of text in `items`.
    text_bytes: usize,
    /// Elements that were left out because of a limit.
    left_out: usize,
    identities: Option<Identities>,
    first: Answer<()>,
    /// What the last page says of pages.
    last: PageInfo,
    /// The link of the last page to the next one.
    next_link: Option<String>,
    /// Number of elements on the first page.
    first_page: usize,
    /// Number of elements on the last page.
    last_page: usize,
    /// Number of elements that occur more than once on the same page.
    duplicates: usize,
    /// Number of elements received, readable or not, duplicates included.
    received: usize,
    /// Empty until there is a second page.
    seen: Seen,
}

/// Whether a response is the first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    First,
    Later,
}

/// What a further page contained.
enum PageAdded {
    /// At least one new element.
    New,
    /// No element: this is the end of the list.
    Empty,
    /// Only elements of earlier pages: the server ignores the page number.
    Repeated,
}

impl<E: Element> Accumulator<E> {
    fn begin(page: Answer<DecodedList<E>>, operation: Operation, position: Position) -> Result<Self, Error> {
        let (first, list) = page.split();
        if list.seen == Presence::Missing {
            // Some servers write an empty list as null. A total above 0 contradicts that.
            let result = first.envelope.result.as_ref();
            let null = result.and_then(|result| result.get(E::LIST)) == Some(&Value::Null);
            let total = first.envelope.info.total_count.unwrap_or(0);
            if !(null && (position == Position::Later || total == 0)) {
                let reason = match result {
                    None => "it has no result".to_owned(),
                    Some(_) => format!("its result has no list of {}", E::LIST),
                };
                return Err(first.shape_error(operation, &reason));
            }
        }
        Ok(Self {
            received: list.received(),
            last: first.envelope.info.clone(),
            next_link: first.next_link.clone(),
            first_page: list.received(),
            last_page: list.received(),
            duplicates: 0,
            odd: list.odd,
            text_bytes: list.items.iter().map(E::heap_bytes).sum(),
            left_out: list.left_out,
            first,
            items: list.items,
            unreadable: list.unreadable,
            anonymous: list.anonymous,
            identities: list.identities,
            seen: Seen::default(),
        })
    }

    /// Whether larger pages of `size` elements may help: they would have more elements, and all of these would be kept.
    fn is_small(&self, size: u32, bounds: &Bounds) -> bool {
        self.received < size as usize && self.used_text() <= bounds.text_bytes / 4
    }

    /// The bounds of the next page, so that all pages together stay within `bounds`.
    fn room(&self, bounds: &Bounds) -> Bounds {
        Bounds {
            events: bounds.events.saturating_sub(self.items.len()),
            text_bytes: bounds.text_bytes.saturating_sub(self.used_text()),
            ..*bounds
        }
    }

    /// Bytes that count against [`Bounds::text_bytes`].
    fn used_text(&self) -> usize {
        self.text_bytes + self.identities.as_ref().map_or(0, Identities::excess_bytes)
    }

    /// Why there may be more elements after `page`, which was requested with this size.
    fn continuation_hint(&self, page: u32, size: Option<u32>) -> Option<ContinuationHint> {
        let PageInfo { total_pages, total_count, per_page, cursor } = &self.last;
        let received = self.received as u64;
        if total_pages.is_some_and(|pages| pages > u64::from(page))
            || total_count.is_some_and(|count| count > received)
        {
            return Some(ContinuationHint::Total);
        }
        if self.last_page == 0 {
            return None;
        }
        let full_page = per_page.filter(|size| *size > 0).or(size.map(u64::from));
        // A total that is no larger than a page may be the total of that page.
        let is_total = |count: u64| count >= received && full_page.is_none_or(|size| count > size);
        if total_count.is_some_and(is_total) || total_pages.is_some_and(|pages| pages > 1) {
            return None;
        }
        if self.next_link.is_some() || cursor.is_some() {
            return Some(ContinuationHint::Pointer);
        }
        full_page.is_some_and(|size| self.last_page as u64 == size).then_some(ContinuationHint::FullPage)
    }

    /// The request for `page`, or why there is none.
    fn next_request(
        &self,
        request: &Request,
        page: u32,
        size: Option<u32>,
        by_number: ByNumber,
    ) -> Result<(Request, Way), String> {
        if by_number == ByNumber::IfNothingElse {
            if let Some(link) = &self.next_link {
                let next = request.follow(link);
                let next = next.ok_or_else(|| "the link to the next page leads elsewhere".to_owned())?;
                return Ok((next, Way::Pointer));
            }
            if let Some(cursor) = &self.last.cursor {
                return Ok((request.after_cursor(cursor, size), Way::Pointer));
            }
        }
        Ok((request.page(page, size), Way::Number))
    }

    fn add(&mut self, page: Self) -> PageAdded {
        if page.received == 0 {
            return PageAdded::Empty;
        }
        if self.seen.hashes.is_empty() {
            let (hashes, duplicates) = self.seen.page(&self.items, &self.unreadable);
            self.seen.add(hashes);
            self.duplicates = duplicates;
        }
        let before = self.seen.hashes.len();
        let (hashes, duplicates) = self.seen.page(&page.items, &page.unreadable);
        self.seen.add(hashes);
        if self.seen.hashes.len() == before && page.left_out == 0 {
            return PageAdded::Repeated;
        }
        self.duplicates += duplicates;
        self.odd.append(&page.odd, self.received);
        self.left_out += page.left_out;
        self.text_bytes += page.text_bytes;
        self.items.extend(page.items);
        self.unreadable.extend(page.unreadable);
        self.anonymous += page.anonymous;
        if let (Some(all), Some(these)) = (&mut self.identities, page.identities) {
            all.append(&these);
        }
        self.received += page.received;
        (self.last, self.next_link, self.last_page) = (page.last, page.next_link, page.last_page);
        PageAdded::New
    }

    fn finish(mut self, incomplete_reason: Option<String>, date: Option<Timestamp>, pages: u32) -> List<E> {
        E::deduplicate(&mut self.items, &mut self.unreadable);
        if let Some(identities) = &mut self.identities {
            identities.finish();
        }
        List {
            completeness: match incomplete_reason.or_else(|| self.missing()) {
                Some(reason) => Completeness::Partial(reason),
                None => Completeness::Complete,
            },
            items: self.items,
            unreadable: self.unreadable,
            anonymous: self.anonymous,
            odd: self.odd,
            identities: self.identities,
            date,
            pages,
            first: self.first,
        }
    }

    /// Why the list is incomplete, according to the server's own counts.
    fn missing(&self) -> Option<String> {
        let rejected = self.unreadable.len() + self.anonymous as usize;
        let arrived = self.items.len() + rejected;
        // A total of 0 beside elements, or of less than one page of several, counts something else.
        let is_total = |total: &u64| {
            let several_pages = self.received > self.last_page;
            self.received == 0 || (*total > 0 && !(several_pages && *total <= self.first_page as u64))
        };
        let (first, last) =
            (self.first.envelope.info.total_count.filter(is_total), self.last.total_count.filter(is_total));
        if let (Some(first), Some(last)) = (first, last)
            && first != last
        {
            return Some(format!("the total changed from {first} to {last} while the pages were read"));
        }
        // Some servers count duplicates, which is no hint of missing elements.
        let duplicates =
            if self.seen.hashes.is_empty() { self.received.saturating_sub(arrived) } else { self.duplicates };
        let counts = [arrived as u64, (arrived + duplicates) as u64];
        if let Some(total) = first.or(last)
            && !counts.contains(&total)
        {
            return Some(format!("{arrived} of {total} elements arrived"));
        }
        (rejected > E::allowed_unreadable(self.items.len(), arrived))
            .then(|| format!("{rejected} of {arrived} elements are unreadable: {}", self.odd))
    }

    /// Why elements were left out.
    fn limit_reached(&self, bounds: &Bounds) -> Option<String> {
        let most = E::limit(bounds);
        if self.left_out == 0 {
            return None;
        }
        Some(if self.items.len() >= most {
            format!("it has more than {most} elements")
        } else {
            format!("its elements have more than {} bytes of text", bounds.text_bytes)
        })
    }
}
