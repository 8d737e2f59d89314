//! The pages of a list that have arrived so far, as one list.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;

use super::hint::{ContinuationHint, Progress};
use super::{ByNumber, List, NextRequest, Way};
use crate::clock::Timestamp;
use crate::cloudflare::decode::{Bounds, DecodedList, Element, Pages, Presence};
use crate::cloudflare::error::Error;
use crate::cloudflare::operation::Operation;
use crate::cloudflare::page_info::{Next, PageInfo};
use crate::cloudflare::paging::Facts;
use crate::cloudflare::request::{Answer, Request};
use crate::model::{Completeness, Identities, OddFields, UserId};

/// The pages read so far, as one list.
pub(super) struct Accumulator<E: Element> {
    items: Vec<E>,
    unreadable: Vec<UserId>,
    anonymous: u32,
    odd: OddFields,
    /// Bytes of text in `items`.
    text_bytes: usize,
    /// Elements that were left out because of a limit.
    pub(super) left_out: usize,
    identities: Option<Identities>,
    pub(super) first: Answer<()>,
    /// What the last page says of pages.
    last: PageInfo,
    /// Whether the first page has null instead of a list.
    is_null: bool,
    /// The link of the last page to the next one.
    next_link: Option<String>,
    /// Number of elements on the first page.
    first_page: usize,
    /// Number of elements on the last page.
    last_page: usize,
    /// Number of elements on the largest page, without duplicates as far as these are known: no page is that large because an
    /// element is on it twice.
    pub(super) largest_page: usize,
    /// The largest total that counted more elements than had arrived.
    promised: Option<u64>,
    /// Number of elements that occur more than once on the same page.
    duplicates: usize,
    /// Number of elements received, readable or not, duplicates included.
    pub(super) received: usize,
    /// Empty until there is a second page.
    seen: Seen,
}

/// Whether a response is the first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    First,
    Later,
}

/// What a further page contained.
pub(super) enum PageAdded {
    /// New elements, and at most as many of earlier pages.
    New,
    /// Mostly elements of earlier pages, which may be the same page after the list changed: a server that ignores the page
    /// number sends that.
    Overlapping,
    /// No element: this is the end of the list.
    Empty,
    /// No element, but a hint of more.
    EmptyWithMore,
    /// Only elements of earlier pages: the server ignores the page number.
    Repeated,
}

impl<E: Element> Accumulator<E> {
    pub(super) fn begin(
        page: Answer<DecodedList<E>>,
        operation: Operation,
        position: Position,
    ) -> Result<Self, Error> {
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
            is_null: list.seen == Presence::Missing,
            received: list.received(),
            last: first.envelope.info.clone(),
            next_link: first.next_link.clone(),
            first_page: list.received(),
            last_page: list.received(),
            largest_page: list.received(),
            promised: promised(&first.envelope.info, list.received()),
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
    pub(super) fn is_small(&self, size: u32, bounds: &Bounds) -> bool {
        self.received < size as usize && self.used_text() <= bounds.text_bytes / 4
    }

    /// The bounds of the next page, so that all pages together stay within `bounds`.
    pub(super) fn room(&self, bounds: &Bounds) -> Bounds {
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

    /// Why there may be more elements after `page`, which was requested with the size `asked`. Another answer counts
    /// `expected` elements.
    pub(super) fn continuation_hint(
        &self,
        page: u32,
        asked: Option<u32>,
        expected: u64,
        facts: Facts,
    ) -> Option<ContinuationHint> {
        let progress = Progress {
            info: &self.last,
            link: self.next_link.as_deref(),
            page,
            asked,
            received: self.received,
            last_page: self.last_page,
            largest_page: self.largest_page,
            promised: self.promised,
            expected,
            facts,
        };
        progress.hint()
    }

    /// The request for `page`.
    pub(super) fn next_request(
        &self,
        request: &Request,
        page: u32,
        size: Option<u32>,
        by_number: ByNumber,
    ) -> NextRequest {
        let numbered =
            |obstacle| NextRequest { request: request.page(page, size), way: Way::Number, obstacle };
        let pointed = |request| NextRequest { request, way: Way::Pointer, obstacle: None };
        if by_number == ByNumber::Always {
            return numbered(None);
        }
        let link = match (&self.next_link, &self.last.next) {
            (Some(link), _) | (None, Next::Link(link)) => link,
            (None, Next::Cursor(cursor)) => return pointed(request.after_cursor(cursor, size)),
            (None, Next::Elsewhere(reason)) => return numbered(Some(reason.clone())),
            (None, Next::Unsaid) => return numbered(None),
        };
        match request.follow(link) {
            Some(next) => pointed(next),
            None => numbered(Some("the link to the next page leads elsewhere".to_owned())),
        }
    }

    /// Takes over what the first page said that was requested with the server's own size.
    pub(super) fn after_own_size(mut self, own: &Self) -> Self {
        self.promised = self.promised.max(own.promised);
        self
    }

    /// Whether as many elements arrived as the server counts, which may be those of a page.
    pub(super) fn reached_total(&self) -> bool {
        self.last.total_count == Some(self.received as u64)
    }

    /// Whether the server counted more elements than one page has, and these are all of them.
    pub(super) fn kept_its_promise(&self) -> bool {
        self.promised.is_some_and(|total| self.counts().contains(&total))
    }

    /// Whether each element of `page` is like one that has arrived, whatever their ids are.
    pub(super) fn has_the_like_of(&self, page: &Self) -> bool {
        let hash = |item: &E| self.seen.hasher.hash_one(item.likeness());
        let arrived: HashSet<u64> = self.items.iter().map(hash).collect();
        !page.items.is_empty() && page.items.iter().all(|item| arrived.contains(&hash(item)))
    }

    pub(super) fn add(&mut self, page: Self) -> PageAdded {
        if page.received == 0 {
            let points_on = page.next_link.is_some() || page.last.next != Next::Unsaid;
            return if points_on { PageAdded::EmptyWithMore } else { PageAdded::Empty };
        }
        if self.seen.hashes.is_empty() {
            let (hashes, duplicates) = self.seen.page(&self.items, &self.unreadable);
            self.seen.add(hashes);
            self.duplicates = duplicates;
            self.largest_page = self.first_page - duplicates;
        }
        let before = self.seen.hashes.len();
        let (hashes, duplicates) = self.seen.page(&page.items, &page.unreadable);
        let arrived = hashes.len();
        self.seen.add(hashes);
        let new = self.seen.hashes.len() - before;
        if new == 0 && page.left_out == 0 {
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
        self.largest_page = self.largest_page.max(page.last_page - duplicates);
        self.promised = self.promised.max(promised(&self.last, self.received));
        if new < arrived - new { PageAdded::Overlapping } else { PageAdded::New }
    }

    pub(super) fn finish(
        mut self,
        completeness: Completeness,
        date: Option<Timestamp>,
        pages: u32,
    ) -> List<E> {
        if let Some(identities) = &mut self.identities {
            identities.finish();
        }
        List {
            completeness,
            items: self.items,
            unreadable: self.unreadable,
            anonymous: self.anonymous,
            odd: self.odd,
            is_null: self.is_null,
            identities: self.identities,
            date,
            pages,
            first: self.first,
        }
    }

    /// Removes duplicate elements. The numbers of elements that the server may count are known only then.
    pub(super) fn deduplicate(&mut self) {
        let pages = if self.has_several_pages() { Pages::Several } else { Pages::One };
        E::deduplicate(&mut self.items, pages, &mut self.unreadable, &mut self.odd);
        if pages == Pages::One {
            let [arrived, _] = self.counts();
            self.largest_page = usize::try_from(arrived).unwrap_or(self.largest_page);
        }
    }

    fn has_several_pages(&self) -> bool {
        self.received > self.last_page
    }

    /// How many elements arrived, without and with duplicates: some servers count them.
    fn counts(&self) -> [u64; 2] {
        let arrived = self.items.len() + self.unreadable.len() + self.anonymous as usize;
        let duplicates =
            if self.seen.hashes.is_empty() { self.received.saturating_sub(arrived) } else { self.duplicates };
        [arrived as u64, (arrived + duplicates) as u64]
    }

    /// Why the list is incomplete, according to the server's own counts.
    pub(super) fn missing(&self) -> Option<String> {
        let rejected = self.unreadable.len() + self.anonymous as usize;
        let arrived = self.items.len() + rejected;
        // A total of 0 beside elements, or of less than one page of several, counts something else.
        let is_total = |total: &u64| {
            self.received == 0
                || (*total > 0 && !(self.has_several_pages() && *total <= self.first_page as u64))
        };
        let (first, last) =
            (self.first.envelope.info.total_count.filter(is_total), self.last.total_count.filter(is_total));
        if let (Some(first), Some(last)) = (first, last)
            && first != last
        {
            return Some(format!("the total changed from {first} to {last} while the pages were read"));
        }
        // A server that counts duplicates too lacks no element.
        let counts = self.counts();
        if let Some(total) = first.or(last)
            && !counts.contains(&total)
        {
            return Some(format!("{arrived} of {total} elements arrived"));
        }
        (rejected > E::allowed_unreadable(self.items.len(), arrived))
            .then(|| format!("{rejected} of {arrived} elements are unreadable: {}", self.odd))
    }

    /// Why elements were left out.
    pub(super) fn limit_reached(&self, bounds: &Bounds) -> Option<String> {
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

/// The total of a page, if it counts more elements than have arrived.
fn promised(info: &PageInfo, received: usize) -> Option<u64> {
    info.total_count.filter(|total| *total > received as u64)
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
