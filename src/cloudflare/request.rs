//! A request to the API, and a successful response.

use reqwest::Url;

use super::envelope::{Envelope, sanitize};
use super::error::{Error, Kind, ResponseInfo};
use super::operation::Operation;
use super::page_info::PageCursor;
use crate::clock::Timestamp;

/// A request before it is sent.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) url: Url,
    pub(super) body: Option<Vec<u8>>,
    pub(super) sequence: Sequence,
}

/// Whether a request is the first of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    First,
    /// A further page of a list. It waits for the budget for up to a whole window of the rate limit, because giving up
    /// would waste the requests for the pages before it.
    Continuation,
}

/// A successful response.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) envelope: Envelope,
    pub(super) list: T,
    /// The time by Cloudflare's clock, from the `Date` header.
    pub(super) date: Option<Timestamp>,
    /// The URL of the next page, from the `Link` header.
    pub(super) next_link: Option<String>,
    pub(super) answered: ResponseInfo,
}

impl Request {
    /// A request for `segments` below `base`. Each is percent-encoded, so that it stays one path segment.
    pub(super) fn new(operation: Operation, base: &Url, segments: &[&str]) -> Self {
        let mut url = base.clone();
        url.path_segments_mut()
            .expect("the base URL was checked to be http or https, which have paths")
            .pop_if_empty()
            .extend(segments);
        Self { operation, url, body: None, sequence: Sequence::First }
    }

    pub(super) fn with_body(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(body.to_string().into_bytes());
        self
    }

    /// The same request for one page, of `size` elements or of the server's default size.
    pub(super) fn page(&self, page: u32, size: Option<u32>) -> Self {
        let mut request = self.clone();
        let mut query = request.url.query_pairs_mut();
        query.append_pair("page", &page.to_string());
        if let Some(size) = size {
            query.append_pair("per_page", &size.to_string());
        }
        drop(query);
        request
    }

    /// The same request for the page that a cursor points to.
    pub(super) fn after_cursor(&self, cursor: &PageCursor, size: Option<u32>) -> Self {
        let mut request = self.clone();
        let mut query = request.url.query_pairs_mut();
        query.append_pair(cursor.parameter, &cursor.value);
        if let Some(size) = size {
            query.append_pair("per_page", &size.to_string());
        }
        drop(query);
        request
    }

    /// The same request with the query of a link to the next page; `None` if the link leads to another resource, which
    /// could be another host. Only the query is taken, so the credentials go nowhere else in any case.
    pub(super) fn follow(&self, link: &str) -> Option<Self> {
        let next = self.url.join(link).ok()?;
        if next.path() != self.url.path() || next.host_str() != self.url.host_str() || next.query().is_none()
        {
            return None;
        }
        let mut request = self.clone();
        request.url.set_query(next.query());
        Some(request)
    }

    /// The same request as [`Sequence::Continuation`].
    pub(super) fn continuation(mut self) -> Self {
        self.sequence = Sequence::Continuation;
        self
    }
}

impl<T> Answer<T> {
    /// Takes the result out of the envelope and deserializes it.
    pub(super) fn take_result<R: serde::de::DeserializeOwned>(
        &mut self,
        operation: Operation,
    ) -> Result<R, Error> {
        let Some(result) = self.envelope.result.take() else {
            return Err(self.shape_error(operation, "it has no result"));
        };
        serde_json::from_value(result).map_err(|error| {
            let reason = format!("its result is not as documented: {}", sanitize(&error.to_string(), 150));
            self.shape_error(operation, &reason)
        })
    }

    /// Separates the envelope from the list.
    pub(super) fn split(self) -> (Answer<()>, T) {
        let around = Answer {
            envelope: self.envelope,
            list: (),
            date: self.date,
            next_link: self.next_link,
            answered: self.answered,
        };
        (around, self.list)
    }

    /// The error for a response whose shape is wrong.
    pub(super) fn shape_error(&self, operation: Operation, reason: &str) -> Error {
        Error::new(operation, Kind::Shape, reason).answered(self.answered.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_segment_stays_one_segment() {
        let base = Url::parse("https://example.com/client/v4/").unwrap();
        let request = Request::new(Operation::IntegrationByReference, &base, &["a", "b/../c?d#e%2f é"]);
        assert_eq!(request.url.as_str(), "https://example.com/client/v4/a/b%2F..%2Fc%3Fd%23e%252f%20%C3%A9");
        assert_eq!(
            Request::new(Operation::Summary, &base, &["summary"]).page(2, Some(1_000)).url.query(),
            Some("page=2&per_page=1000")
        );
    }
}
