//! Reads lists that may come in pages. The server may not say that there are pages, or may count them wrongly.
//!
//! Today's schema has no pages. Older versions had, and the envelope still counts them. So the first request asks for
//! no particular page. More requests follow only if there is a sign of more elements: a total, a cursor, a link to the
//! next page, or a full page without a total. A list is complete only if every sign was followed to the end and every
//! counted element arrived.

use std::collections::HashSet;
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
    let (operation, mut size) = (request.operation, probe.granted());
    let begin = |page| Accumulator::<E>::begin(page, operation, Position::First);
    let mut pages = 1;
    let mut list = match size {
        None => transport.list(&request, &mut deadline, begin).await?,
        Some(_) => match transport.list(&request.page(1, size), &mut deadline, begin).await {
            Err(error) if error.kind() == Kind::Invalid => {
                probe.record(ProbeResult::Refused);
                size = None;
                pages += 1;
                transport.list(&request, &mut deadline, begin).await?
            }
            first => first?,
        },
    };
    let date = list.first.date;
    if list.sign_of_more(1, size).is_some() && probe.untried() {
        let larger = request.page(1, Some(probe.size)).continuation();
        pages += 1;
        match transport.list(&larger, &mut deadline, begin).await {
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
    (list.most, list.most_text) = (E::limit(transport.bounds()), transport.bounds().text_bytes);
    let mut page = 1;
    let mut trouble = None;
    // Whether the server ignores cursors and links, so that only page numbers are left.
    let mut by_number = ByNumber::IfNothingElse;
    while trouble.is_none()
        && let Some(sign) = list.sign_of_more(page, size)
    {
        if page >= transport.bounds().pages {
            trouble = Some(format!("there are more than {page} pages"));
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
                trouble = Some(reason);
                break;
            }
        };
        let begin = |page| Accumulator::<E>::begin(page, operation, Position::Later);
        let added = transport.list(&next.continuation(), &mut deadline, begin).await;
        trouble = match added.map(|page| list.add(page)) {
            Ok(PageAdded::New) => None,
            Ok(PageAdded::Empty) => break,
            Ok(PageAdded::Repeated) if way == Way::Pointer => {
                (by_number, page) = (ByNumber::Always, page - 1);
                None
            }
            // A server without pages ignores the page number too, and its only page may look full.
            Ok(PageAdded::Repeated) if sign == Sign::FullPage => break,
            Ok(PageAdded::Repeated) => Some(format!("page {page} repeats earlier pages")),
            Err(error) if is_account_wide(&error) => return Err(error),
            Err(error) => Some(format!("page {page} is missing: {error}")),
        };
        if list.received > transport.bounds().elements {
            let reason = format!("it is too large: more than {} elements", transport.bounds().elements);
            return Err(list.first.shape_error(operation, &reason));
        }
    }
    let trouble = trouble.or_else(|| list.limit_reached(transport.bounds()));
    Ok(list.finish(trouble, date, pages))
}

/// Why there may be more elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
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

/// How many elements of one page occur on it more than once.
fn duplicates<E: Element>(items: &[E], unreadable: &[UserId]) -> usize {
    let keys: HashSet<_> = items.iter().map(E::key).collect();
    let users: HashSet<_> = unreadable.iter().collect();
    items.len() - keys.len() + unreadable.len() - users.len()
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
    /// How many elements are kept, and how many bytes of text.
    most: usize,
    most_text: usize,
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
    /// The keys of `items`; empty until there is a second page.
    known: HashSet<E::Key>,
    known_unreadable: HashSet<UserId>,
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
            most: usize::MAX,
            most_text: usize::MAX,
            text_bytes: list.items.iter().map(E::heap_bytes).sum(),
            left_out: list.left_out,
            first,
            items: list.items,
            unreadable: list.unreadable,
            anonymous: list.anonymous,
            identities: list.identities,
            known: HashSet::new(),
            known_unreadable: HashSet::new(),
        })
    }

    /// Why there may be more elements after `page`, which was requested with this size.
    fn sign_of_more(&self, page: u32, size: Option<u32>) -> Option<Sign> {
        let PageInfo { total_pages, total_count, per_page, cursor } = &self.last;
        let received = self.received as u64;
        if total_pages.is_some_and(|pages| pages > u64::from(page))
            || total_count.is_some_and(|count| count > received)
        {
            return Some(Sign::Total);
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
            return Some(Sign::Pointer);
        }
        full_page.is_some_and(|size| self.last_page as u64 == size).then_some(Sign::FullPage)
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
        if self.known.is_empty() && self.known_unreadable.is_empty() {
            self.known.extend(self.items.iter().map(E::key));
            self.known_unreadable.extend(&self.unreadable);
            self.duplicates = duplicates(&self.items, &self.unreadable);
        }
        let before = (self.known.len(), self.known_unreadable.len());
        self.known.extend(page.items.iter().map(E::key));
        self.known_unreadable.extend(&page.unreadable);
        if (self.known.len(), self.known_unreadable.len()) == before {
            return PageAdded::Repeated;
        }
        self.duplicates += duplicates(&page.items, &page.unreadable);
        self.odd.append(&page.odd, self.received);
        self.left_out += page.left_out;
        self.text_bytes = self.text_bytes.saturating_add(page.text_bytes);
        let has_room = self.text_bytes <= self.most_text;
        let room = if has_room { self.most.saturating_sub(self.items.len()) } else { 0 };
        self.left_out += page.items.len().saturating_sub(room);
        self.items.extend(page.items.into_iter().take(room));
        self.unreadable.extend(page.unreadable);
        self.anonymous += page.anonymous;
        if let (Some(all), Some(these)) = (&mut self.identities, page.identities) {
            all.append(&these);
        }
        self.received += page.received;
        (self.last, self.next_link, self.last_page) = (page.last, page.next_link, page.last_page);
        PageAdded::New
    }

    fn finish(mut self, trouble: Option<String>, date: Option<Timestamp>, pages: u32) -> List<E> {
        E::deduplicate(&mut self.items, &mut self.unreadable);
        if let Some(identities) = &mut self.identities {
            identities.finish();
        }
        List {
            completeness: match trouble.or_else(|| self.missing()) {
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
        // Some servers count duplicates, which is no sign of missing elements.
        let duplicates = if self.known.is_empty() && self.known_unreadable.is_empty() {
            self.received.saturating_sub(arrived)
        } else {
            self.duplicates
        };
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
