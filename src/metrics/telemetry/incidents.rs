//! What went wrong with an account lately, for people.

use crate::clock::Timestamp;
use crate::cloudflare::Outcome;
use crate::model::Resource;

/// How many are kept of each account: a screen full. At most one for each endpoint can be going on.
const KEPT: usize = 10;

/// Trouble with an endpoint, from its first failure to the next answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What could not be read.
    pub endpoint: Resource,
    /// Why.
    pub cause: Cause,
    /// When it was first seen.
    pub first: Timestamp,
    /// When it was last seen.
    pub last: Timestamp,
    /// How often it was seen.
    pub times: u64,
    /// When it was over, or became another; `None` while it goes on.
    pub over: Option<Timestamp>,
    /// The error of the last time, in a sentence, as in the log.
    pub sentence: String,
}

/// Why an endpoint could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A request ended like this.
    Request(Outcome),
    /// Every request was answered, and the list was not whole.
    Partial,
}

impl Cause {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request(outcome) => outcome.as_str(),
            Self::Partial => "partial",
        }
    }
}

/// Those of one account, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Incidents(Vec<Incident>);

impl Incidents {
    /// It is there, or still there.
    pub(super) fn seen(&mut self, endpoint: Resource, cause: Cause, sentence: &str, date: Timestamp) {
        let sentence = without_ids(sentence);
        let same = |trouble: &&mut Incident| trouble.is_of(endpoint) && trouble.cause == cause;
        if let Some(known) = self.0.iter_mut().find(same) {
            (known.last, known.times, known.sentence) = (date, known.times + 1, sentence);
            return;
        }
        self.over(endpoint, date);
        if self.0.len() == KEPT {
            let oldest = self.0.iter().position(|trouble| trouble.over.is_some()).unwrap_or_default();
            self.0.remove(oldest);
        }
        let (first, last) = (date, date);
        self.0.push(Incident { endpoint, cause, first, last, times: 1, over: None, sentence });
    }

    /// The endpoint gave what it should.
    pub(super) fn over(&mut self, endpoint: Resource, date: Timestamp) {
        if let Some(trouble) = self.0.iter_mut().find(|trouble| trouble.is_of(endpoint)) {
            trouble.over = Some(date);
        }
    }

    pub(super) fn all(&self) -> Vec<Incident> {
        self.0.clone()
    }
}

/// The sentence without ids of users, which Cloudflare might quote: the identity policy may be to show none.
fn without_ids(sentence: &str) -> String {
    let mut kept = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some(first) = rest.chars().next() {
        // The parser alone would also take 36 characters that end with a UUID in braces, or begin with `urn:`.
        let id = rest
            .get(..36)
            .filter(|id| id.as_bytes().get(8) == Some(&b'-') && uuid::Uuid::try_parse(id).is_ok());
        let (text, length) =
            id.map_or((&rest[..first.len_utf8()], first.len_utf8()), |id| ("(id)", id.len()));
        kept.push_str(text);
        rest = &rest[length..];
    }
    kept
}

impl Incident {
    fn is_of(&self, endpoint: Resource) -> bool {
        self.endpoint == endpoint && self.over.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Cause = Cause::Request(Outcome::Timeout);

    fn date(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    #[test]
    fn trouble_that_goes_on_is_one_and_another_cause_or_an_answer_ends_it() {
        let mut incidents = Incidents::default();
        incidents.over(Resource::Summary, date(0));
        incidents.seen(Resource::Summary, TIMEOUT, "first", date(1));
        incidents.seen(Resource::Behaviors, TIMEOUT, "elsewhere", date(2));
        incidents.seen(Resource::Summary, TIMEOUT, "again", date(3));
        incidents.seen(Resource::Summary, Cause::Partial, "not whole", date(4));
        incidents.over(Resource::Summary, date(5));
        incidents.seen(Resource::Summary, Cause::Partial, "anew", date(6));
        let found: Vec<_> = incidents
            .all()
            .into_iter()
            .map(|trouble| {
                let span = (trouble.first.seconds(), trouble.last.seconds(), trouble.times);
                (trouble.sentence, span, trouble.over)
            })
            .collect();
        let wanted = [
            ("again", (1.0, 3.0, 2), Some(date(4))),
            ("elsewhere", (2.0, 2.0, 1), None),
            ("not whole", (4.0, 4.0, 1), Some(date(5))),
            ("anew", (6.0, 6.0, 1), None),
        ];
        assert_eq!(found, wanted.map(|(sentence, span, over)| (sentence.to_owned(), span, over)));
    }

    #[test]
    fn ids_of_users_are_not_shown() {
        let id = "6c3d41f4-0141-4643-8fd2-2cf6cd6f9c39";
        for (sentence, wanted) in [
            (format!("no user {id}, {} nor {id}", id.to_uppercase()), "no user (id), (id) nor (id)"),
            (format!("Größe {id}"), "Größe (id)"),
            (
                "HTTP 403, 10000 no, CF-Ray 78dde6e4fd29f054-AMS".to_owned(),
                "HTTP 403, 10000 no, CF-Ray 78dde6e4fd29f054-AMS",
            ),
            (String::new(), ""),
        ] {
            assert_eq!(without_ids(&sentence), wanted);
        }
    }

    #[test]
    fn what_goes_on_is_kept_longer_than_what_is_over() {
        let mut incidents = Incidents::default();
        incidents.seen(Resource::Behaviors, TIMEOUT, "goes on", date(0));
        for second in 1..100 {
            incidents.seen(Resource::Summary, TIMEOUT, &second.to_string(), date(second));
            incidents.over(Resource::Summary, date(second));
        }
        let kept: Vec<String> = incidents.all().into_iter().map(|trouble| trouble.sentence).collect();
        let latest = (91..100).map(|second| second.to_string());
        assert_eq!(kept, ["goes on".to_owned()].into_iter().chain(latest).collect::<Vec<_>>());
    }
}
