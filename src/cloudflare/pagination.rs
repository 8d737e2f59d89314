//! Reads lists that may come in pages. The server may not say that there are pages, or may count them wrongly.
//!
//! Today's schema has no pages; older ones had, and the envelope still counts them. So the first request asks for
//! no page, and only an answer that counts more elements than it holds leads to further requests. A list is
//! complete only if every counted element came.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decode::{Element, Listing, Seen};
use super::envelope::PageInfo;
use super::error::{Error, Kind};
use super::operation::Operation;
use super::request::{Answer, Request};
use super::transport::{Deadline, Transport};
use crate::clock::Timestamp;
use crate::model::{Completeness, Identities, UserId};

/// A list still counts as complete if at most one element in this many is unreadable.
const ONE_REJECTED_IN: usize = 100;

/// What the client knows about the page size of each list.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) summary: PageSizeProbe,
    pub(super) user: PageSizeProbe,
}

/// Finds out once whether the server grants a larger page size for a list.
#[derive(Debug)]
pub(super) struct PageSizeProbe {
    /// The size to try once a list turns out to have pages.
    size: u32,
    result: Mutex<ProbeResult>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeResult {
    /// No list needed pages so far.
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
    /// Sorted; no user in it has a readable element.
    pub(super) unreadable: Vec<UserId>,
    pub(super) anonymous: u32,
    pub(super) identities: Option<Identities>,
    pub(super) completeness: Completeness,
    /// Cloudflare's clock when the first page was answered.
    pub(super) date: Option<Timestamp>,
    /// How many pages were requested, repeated ones included.
    pub(super) pages: u32,
    first: Answer<()>,
}

/// Reads all pages of a list.
///
/// # Errors
/// The first page failed; or a later one did for a reason that concerns every request, such as a rate limit.
pub(super) async fn read<E: Element>(
    transport: &Transport,
    request: Request,
    probe: &PageSizeProbe,
    total_wait: Duration,
) -> Result<List<E>, Error> {
    let mut deadline = Deadline::new(total_wait);
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
    if list.wants_more(1) && probe.untried() {
        let larger = request.page(1, Some(probe.size)).continuation();
        pages += 1;
        match transport.list(&larger, &mut deadline, begin).await {
            Ok(larger) if larger.received > list.received => {
                probe.record(ProbeResult::Granted);
                size = Some(probe.size);
                list = larger;
            }
            Ok(_) => probe.record(ProbeResult::Refused),
            Err(error) if concerns_all(&error) => return Err(error),
            Err(error) if error.kind() == Kind::Invalid => probe.record(ProbeResult::Refused),
            // A transient error proves nothing about the size; go on with the server's own.
            Err(_) => {}
        }
    }
    let mut page = 1;
    let mut trouble = None;
    while trouble.is_none() && list.wants_more(page) {
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
            Ok(Added::Something) => None,
            Ok(Added::Nothing) => break,
            Ok(Added::Repetition) => Some(format!("page {page} repeats earlier ones")),
            Err(error) if concerns_all(&error) => return Err(error),
            Err(error) => Some(format!("page {page} is missing: {error}")),
        };
        if list.received > transport.bounds().elements {
            let reason = format!("it is too large: more than {} elements", transport.bounds().elements);
            return Err(list.first.misshapen(operation, &reason));
        }
    }
    Ok(list.finish(trouble, date, pages))
}

/// Whether every further request would fail like this one.
fn concerns_all(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Limited(_) | Kind::Credentials | Kind::Refused | Kind::Forbidden(_) | Kind::NotEntitled
    )
}

impl Paging {
    /// `size` is tried once a list turns out to have pages.
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
    /// Reads the first page's result without the list.
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
    /// Keys of `items`; empty until there is a second page.
    known: HashSet<E::Key>,
    known_unreadable: HashSet<UserId>,
}

/// Which page an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    First,
    Later,
}

/// What a further page added.
enum Added {
    Something,
    /// It was empty: the end.
    Nothing,
    /// It holds only elements of earlier pages: the server ignores the page number.
    Repetition,
}

impl<E: Element> Accumulator<E> {
    fn begin(page: Answer<Listing<E>>, operation: Operation, position: Position) -> Result<Self, Error> {
        let (first, list) = page.split();
        if list.seen == Seen::No {
            // An empty list may be written as null; on the first page only a count of 0 proves it.
            let result = first.envelope.result.as_ref();
            let null = result.and_then(|result| result.get(E::LIST)) == Some(&Value::Null);
            let proven = position == Position::Later || first.envelope.info.total_count == Some(0);
            if !(null && proven) {
                let reason = match result {
                    None => "it has no result".to_owned(),
                    Some(_) => format!("its result has no list of {}", E::LIST),
                };
                return Err(first.misshapen(operation, &reason));
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

    /// Whether the server counts more pages or elements than came up to `page`.
    fn wants_more(&self, page: u32) -> bool {
        let PageInfo { total_pages, total_count } = self.last;
        total_pages.is_some_and(|pages| pages > u64::from(page))
            || total_count.is_some_and(|count| count > self.received as u64)
    }

    fn add(&mut self, page: Self) -> Added {
        if page.received == 0 {
            return Added::Nothing;
        }
        if self.known.is_empty() && self.known_unreadable.is_empty() {
            self.known.extend(self.items.iter().map(E::key));
            self.known_unreadable.extend(&self.unreadable);
        }
        let before = (self.known.len(), self.known_unreadable.len());
        self.known.extend(page.items.iter().map(E::key));
        self.known_unreadable.extend(&page.unreadable);
        if (self.known.len(), self.known_unreadable.len()) == before {
            return Added::Repetition;
        }
        self.items.extend(page.items);
        self.unreadable.extend(page.unreadable);
        self.anonymous += page.anonymous;
        if let (Some(all), Some(these)) = (&mut self.identities, page.identities) {
            all.append(&these);
        }
        self.received += page.received;
        self.last = page.last;
        Added::Something
    }

    fn finish(mut self, trouble: Option<String>, date: Option<Timestamp>, pages: u32) -> List<E> {
        E::settle(&mut self.items, &mut self.unreadable);
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

    /// Why the list is incomplete, by the server's own counts.
    fn missing(&self) -> Option<String> {
        let rejected = self.unreadable.len() + self.anonymous as usize;
        let came = self.items.len() + rejected;
        let (first, last) = (self.first.envelope.info.total_count, self.last.total_count);
        if let (Some(first), Some(last)) = (first, last)
            && first != last
        {
            return Some(format!("the total changed from {first} to {last} while the pages were read"));
        }
        if let Some(total) = first.or(last)
            && total != came as u64
        {
            return Some(format!("{came} of {total} came"));
        }
        (rejected * ONE_REJECTED_IN > came).then(|| format!("{rejected} of {came} could not be read"))
    }
}
