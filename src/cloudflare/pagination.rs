//! Lists that may come in pages, from a server that may not say so, or not tell the truth about it.
//!
//! Today's schema knows no pages; older ones did, and the envelope still counts them. So the first request
//! asks for nothing special, and only an answer that counts more than it holds leads to further ones. What
//! comes out is whole only if everything that was counted came.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decode::element::Element;
use super::decode::stream::{Listing, Seen};
use super::envelope::PageInfo;
use super::error::{Error, Kind};
use super::operation::Operation;
use super::request::{Answer, Call};
use super::transport::{Allowance, Transport};
use crate::clock::Timestamp;
use crate::model::{Extent, Identities, UserId};

/// One in so many elements may be unreadable in a list that still counts as whole.
const ONE_REJECTED_IN: usize = 100;

/// What earlier readings taught about the pages of each list.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) summary: Habit,
    pub(super) user: Habit,
}

/// How a list's pages are asked for.
#[derive(Debug)]
pub(super) struct Habit {
    /// The size to try once there are pages.
    size: u32,
    learned: Mutex<Learned>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learned {
    /// No page was ever needed.
    Nothing,
    /// Pages become larger when asked to, so the first request asks already.
    Grants,
    /// Pages keep the server's own size.
    Refuses,
}

/// All pages of a list.
#[derive(Debug)]
pub(super) struct List<E> {
    /// Each once.
    pub(super) items: Vec<E>,
    /// Sorted; nobody in it has a readable element.
    pub(super) unreadable: Vec<UserId>,
    pub(super) anonymous: u32,
    pub(super) identities: Option<Identities>,
    pub(super) extent: Extent,
    /// Cloudflare's clock when the first page was answered.
    pub(super) date: Option<Timestamp>,
    /// How many pages were asked for.
    pub(super) pages: u32,
    first: Answer<()>,
}

/// Reads all pages of a list.
///
/// # Errors
/// The first page failed; or a later one did for a reason that concerns every request, such as a rate limit.
pub(super) async fn read<E: Element>(
    transport: &Transport,
    call: Call,
    habit: &Habit,
    total_wait: Duration,
) -> Result<List<E>, Error> {
    let mut allowance = Allowance::new(total_wait);
    let (operation, mut size) = (call.operation, habit.granted());
    let begin = |page| Gathering::<E>::begin(page, operation, Position::First);
    let mut pages = 1;
    let mut gathering = match size {
        None => transport.list(&call, &mut allowance, begin).await?,
        Some(_) => match transport.list(&call.page(1, size), &mut allowance, begin).await {
            Err(error) if error.kind() == Kind::Invalid => {
                habit.learn(Learned::Refuses);
                size = None;
                pages += 1;
                transport.list(&call, &mut allowance, begin).await?
            }
            first => first?,
        },
    };
    let date = gathering.first.date;
    if gathering.wants_more(1) && habit.untried() {
        let larger = call.page(1, Some(habit.size)).further();
        pages += 1;
        match transport.list(&larger, &mut allowance, begin).await {
            Ok(larger) if larger.received > gathering.received => {
                habit.learn(Learned::Grants);
                size = Some(habit.size);
                gathering = larger;
            }
            Ok(_) => habit.learn(Learned::Refuses),
            Err(error) if concerns_all(&error) => return Err(error),
            Err(error) if error.kind() == Kind::Invalid => habit.learn(Learned::Refuses),
            // Passing trouble teaches nothing; the server's own size may still do.
            Err(_) => {}
        }
    }
    let mut page = 1;
    let mut trouble = None;
    while trouble.is_none() && gathering.wants_more(page) {
        if page >= transport.bounds().pages {
            trouble = Some(format!("there are more than {page} pages"));
            break;
        }
        page += 1;
        pages += 1;
        let next = |page| Gathering::<E>::begin(page, operation, Position::Later);
        let further = call.page(page, size).further();
        let added = transport.list(&further, &mut allowance, next).await;
        trouble = match added.map(|page| gathering.add(page)) {
            Ok(Added::Something) => None,
            Ok(Added::Nothing) => break,
            Ok(Added::Repetition) => Some(format!("page {page} repeats earlier ones")),
            Err(error) if concerns_all(&error) => return Err(error),
            Err(error) => Some(format!("page {page} is missing: {error}")),
        };
        if gathering.received > transport.bounds().elements {
            let reason = format!("it is too large: more than {} elements", transport.bounds().elements);
            return Err(gathering.first.misshapen(operation, &reason));
        }
    }
    Ok(gathering.finish(trouble, date, pages))
}

/// Whether an error of one page says how every further request would end.
fn concerns_all(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Limited(_) | Kind::Credentials | Kind::Refused | Kind::Forbidden(_) | Kind::NotEntitled
    )
}

impl Paging {
    /// `size` is tried once a list turns out to have pages.
    pub(super) fn new(size: u32) -> Self {
        let habit = || Habit { size, learned: Mutex::new(Learned::Nothing) };
        Self { summary: habit(), user: habit() }
    }
}

impl Habit {
    fn granted(&self) -> Option<u32> {
        (self.learned() == Learned::Grants).then_some(self.size)
    }

    fn untried(&self) -> bool {
        self.learned() == Learned::Nothing
    }

    fn learned(&self) -> Learned {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, learned: Learned) {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = learned;
    }
}

impl<E> List<E> {
    /// What stands around the list on the first page.
    pub(super) fn head<R: DeserializeOwned>(&mut self, operation: Operation) -> Result<R, Error> {
        self.first.take_result(operation)
    }
}

/// The pages that came so far.
struct Gathering<E: Element> {
    items: Vec<E>,
    unreadable: Vec<UserId>,
    anonymous: u32,
    identities: Option<Identities>,
    first: Answer<()>,
    /// What the last page says of all.
    last: PageInfo,
    /// Elements that came, readable or not, each as often as it came.
    received: usize,
    /// What came already, filled once there is a second page.
    known: HashSet<E::Key>,
    known_unreadable: HashSet<UserId>,
}

/// Which page an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    First,
    Later,
}

/// What a further page brought.
enum Added {
    Something,
    /// It was empty: the end.
    Nothing,
    /// It held only what was known: the server does not turn pages.
    Repetition,
}

impl<E: Element> Gathering<E> {
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

    /// Whether what was counted promises more than what came up to `page`.
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
            extent: match trouble.or_else(|| self.lacks()) {
                Some(reason) => Extent::Partial(reason),
                None => Extent::Whole,
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

    /// Why this is not all, by the server's own numbers.
    fn lacks(&self) -> Option<String> {
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
