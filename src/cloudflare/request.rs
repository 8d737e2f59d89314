//! What is asked, and what a good answer is made of.

use reqwest::Url;

use super::envelope::{Envelope, tidy};
use super::error::{Answered, Error, Kind};
use super::operation::Operation;
use crate::clock::Timestamp;

/// What is to be asked.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) url: Url,
    pub(super) body: Option<Vec<u8>>,
    pub(super) place: Place,
}

/// Whether the call begins its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    First,
    /// A page of a list that has begun: it waits for its turn in the budget, however long that takes.
    Further,
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) envelope: Envelope,
    pub(super) list: T,
    /// Cloudflare's clock.
    pub(super) date: Option<Timestamp>,
    pub(super) answered: Answered,
}

impl Call {
    /// `segments` of the path below `base`, each encoded so that it stays one segment.
    pub(super) fn new(operation: Operation, base: &Url, segments: &[&str]) -> Self {
        let mut url = base.clone();
        url.path_segments_mut()
            .expect("the base URL was checked to be http or https, which have paths")
            .pop_if_empty()
            .extend(segments);
        Self { operation, url, body: None, place: Place::First }
    }

    pub(super) fn with_body(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(body.to_string().into_bytes());
        self
    }

    /// The same for one page, in the server's own size or another.
    pub(super) fn page(&self, page: u32, size: Option<u32>) -> Self {
        let mut call = self.clone();
        let mut query = call.url.query_pairs_mut();
        query.append_pair("page", &page.to_string());
        if let Some(size) = size {
            query.append_pair("per_page", &size.to_string());
        }
        drop(query);
        call
    }

    /// The same, but behind a page that was already paid for.
    pub(super) fn further(mut self) -> Self {
        self.place = Place::Further;
        self
    }
}

impl<T> Answer<T> {
    /// The result as `R`, which is then gone from here.
    pub(super) fn take_result<R: serde::de::DeserializeOwned>(
        &mut self,
        operation: Operation,
    ) -> Result<R, Error> {
        let Some(result) = self.envelope.result.take() else {
            return Err(self.misshapen(operation, "it has no result"));
        };
        serde_json::from_value(result).map_err(|error| {
            let reason = format!("its result is not as documented: {}", tidy(&error.to_string(), 150));
            self.misshapen(operation, &reason)
        })
    }

    /// What stands around the list, and the list.
    pub(super) fn split(self) -> (Answer<()>, T) {
        let around = Answer { envelope: self.envelope, list: (), date: self.date, answered: self.answered };
        (around, self.list)
    }

    /// What is wrong with the shape of this answer.
    pub(super) fn misshapen(&self, operation: Operation, reason: &str) -> Error {
        Error::new(operation, Kind::Shape, reason).answered(self.answered.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_segment_stays_one() {
        let base = Url::parse("https://example.com/client/v4/").unwrap();
        let call = Call::new(Operation::IntegrationByReference, &base, &["a", "b/../c?d#e%2f é"]);
        assert_eq!(call.url.as_str(), "https://example.com/client/v4/a/b%2F..%2Fc%3Fd%23e%252f%20%C3%A9");
        assert_eq!(
            Call::new(Operation::Summary, &base, &["summary"]).page(2, Some(1_000)).url.query(),
            Some("page=2&per_page=1000")
        );
    }
}
