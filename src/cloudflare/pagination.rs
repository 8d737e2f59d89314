//! Reads lists that may come in pages. The server may not say that there are pages, or may count them wrongly.
//!
//! Today's schema has no pages. Older versions had, and the envelope still counts them. So the first request asks for
//! no particular page. More requests follow only if the response counts more elements than it contains. A list is
//! complete only if every counted element arrived.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decode::{DecodedList, Element, Presence};
use super::envelope::PageInfo;
use super::error::{Error, Kind};
use super::operation::Operation;
use super::request::{Answer, Request};
use super::transport::{Deadline, Transport};
use crate::clock::Timestamp;
use crate::model::{Completeness, Identities, UserId};

/// A list still counts as complete if at most one in this many elements is unreadable.
const ONE_REJECTED_IN: usize = 100;

/// What the client knows about the page size of each list.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) summary: PageSizeProbe,
    pub(super) user: PageSizeProbe,
}

/// Finds out, once for each list, whether the server grants a larger page size.
#[derive(Debug)]
pub(super) struct PageSizeProbe {
    /// The size to ask for once a list turns out to have pages.
    size: u32,
    result: Mutex<ProbeResult>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeResult {
    /// No list had pages so far.
    Untried,
    /// The server grants the larger size, so even the first request asks for it.
    Granted,
    /// The server keeps its own size, or refuses the request.
    Refused,
}

/// All pages of a list.
#[derive(Debug)]
pub(super) struct List<E> {
    /// Without duplicates.
    pub(super) items: Vec<E>,
    /// Users without a readable element, sorted.
    pub(super) unreadable: Vec<UserId>,
    pub(super) anonymous: u32,
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
    if list.has_more(1) && probe.untried() {
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
    let mut page = 1;
    let mut trouble = None;
    while trouble.is_none() && list.has_more(page) {
        if page >= transport.bounds().pages {
            trouble = Some(format!("there are more than {page} pages"));
            break;
        }
        page += 1;
        pages += 1;
        let next = |page| Accumulator::<E>::begin(page, operation, Position::Later);
        let continuation = request.page(page, size).continuation();
        let added = transport.list(&continuation, &mut deadline, next).await;
        trouble = match added.map(|page| list.add(page)) {
            Ok(PageAdded::New) => None,
            Ok(PageAdded::Empty) => break,
            Ok(PageAdded::Repeated) => Some(format!("page {page} repeats earlier pages")),
            Err(error) if is_account_wide(&error) => return Err(error),
            Err(error) => Some(format!("page {page} is missing: {error}")),
        };
        if list.received > transport.bounds().elements {
            let reason = format!("it is too large: more than {} elements", transport.bounds().elements);
            return Err(list.first.shape_error(operation, &reason));
        }
    }
    Ok(list.finish(trouble, date, pages))
}

/// Whether every further request would fail like this one.
fn is_account_wide(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Limited(_) | Kind::Credentials | Kind::Refused | Kind::Forbidden(_) | Kind::NotEntitled
    )
}

impl Paging {
    pub(super) fn new(size: u32) -> Self {
        let probe = || PageSizeProbe { size, result: Mutex::new(ProbeResult::Untried) };
        Self { summary: probe(), user: probe() }
    }
}

impl PageSizeProbe {
    fn granted(&self) -> Option<u32> {
        (self.result() == ProbeResult::Granted).then_some(self.size)
    }

    fn untried(&self) -> bool {
        self.result() == ProbeResult::Untried
    }

    fn result(&self) -> ProbeResult {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, result: ProbeResult) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = result;
    }
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
    identities: Option<Identities>,
    first: Answer<()>,
    /// The counts of the last page.
    last: PageInfo,
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
            // Some servers write an empty list as null. On the first page, only a total of 0 proves that it is empty.
            let result = first.envelope.result.as_ref();
            let null = result.and_then(|result| result.get(E::LIST)) == Some(&Value::Null);
            let proven = position == Position::Later || first.envelope.info.total_count == Some(0);
            if !(null && proven) {
                let reason = match result {
                    None => "it has no result".to_owned(),
                    Some(_) => format!("its result has no list of {}", E::LIST),
                };
                return Err(first.shape_error(operation, &reason));
            }
        }
        Ok(Self {
            received: list.received(),
            last: first.envelope.info,
            first,
            items: list.items,
            unreadable: list.unreadable,
            anonymous: list.anonymous,
            identities: list.identities,
            known: HashSet::new(),
            known_unreadable: HashSet::new(),
        })
    }

    /// Whether the server counts more pages than `page`, or more elements than arrived.
    fn has_more(&self, page: u32) -> bool {
        let PageInfo { total_pages, total_count } = self.last;
        total_pages.is_some_and(|pages| pages > u64::from(page))
            || total_count.is_some_and(|count| count > self.received as u64)
    }

    fn add(&mut self, page: Self) -> PageAdded {
        if page.received == 0 {
            return PageAdded::Empty;
        }
        if self.known.is_empty() && self.known_unreadable.is_empty() {
            self.known.extend(self.items.iter().map(E::key));
            self.known_unreadable.extend(&self.unreadable);
        }
        let before = (self.known.len(), self.known_unreadable.len());
        self.known.extend(page.items.iter().map(E::key));
        self.known_unreadable.extend(&page.unreadable);
        if (self.known.len(), self.known_unreadable.len()) == before {
            return PageAdded::Repeated;
        }
        self.items.extend(page.items);
        self.unreadable.extend(page.unreadable);
        self.anonymous += page.anonymous;
        if let (Some(all), Some(these)) = (&mut self.identities, page.identities) {
            all.append(&these);
        }
        self.received += page.received;
        self.last = page.last;
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
        let (first, last) = (self.first.envelope.info.total_count, self.last.total_count);
        if let (Some(first), Some(last)) = (first, last)
            && first != last
        {
            return Some(format!("the total changed from {first} to {last} while the pages were read"));
        }
        if let Some(total) = first.or(last)
            && total != arrived as u64
        {
            return Some(format!("{arrived} of {total} elements arrived"));
        }
        (rejected * ONE_REJECTED_IN > arrived)
            .then(|| format!("{rejected} of {arrived} elements are unreadable"))
    }
}
