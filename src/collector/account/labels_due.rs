//! When events get labels although the behaviors cannot be read.
//!
//! An event may carry a display name, and only the list of behaviors leads from it to the id. So the first events wait for the
//! list, and so do events of a behavior that nobody knows. They do not wait forever: once the credentials may not read it,
//! the answer cannot be used, or it fails for ten minutes while the list of users answers, the names themselves become labels.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Instant;
use crate::model::UserId;

/// How long events wait for behaviors that fail. Most failures of a resource alone are over by then.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What to do with an event whose behavior has no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Read the behaviors now.
    Due,
    /// The behaviors fail: wait until they are read or given up.
    Later,
    /// The behaviors have failed for too long: the name becomes a label.
    GivenUp,
}

/// How the latest request for the behaviors ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Latest {
    /// With the behaviors, or in a way that will not change soon; or there was no request yet. Each name that has no label is
    /// looked up once.
    #[default]
    Final,
    /// It fails since this instant.
    Failed(Instant),
    /// It fails, and the wait is over.
    GivenUp,
}

/// Whether events may get labels.
#[derive(Debug, Default)]
pub(super) struct LabelsDue {
    settled: bool,
    latest: Latest,
    /// The users whose events wait for the behaviors. They are in the queue, and the budget bounds how many can be read within
    /// the wait.
    users: BTreeSet<UserId>,
}

impl LabelsDue {
    /// Whether the behaviors were read once, or given up.
    pub(super) fn are_settled(&self) -> bool {
        self.settled
    }

    /// An earlier process settled this.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }

    /// The behaviors were read, or no request will read them soon. Returns the users whose events waited for them.
    pub(super) fn end(&mut self) -> BTreeSet<UserId> {
        (self.settled, self.latest) = (true, Latest::Final);
        std::mem::take(&mut self.users)
    }

    /// The behaviors could not be read, although the list of users answers. Returns the users whose events need not wait any
    /// more, if that has lasted too long.
    pub(super) fn failed(&mut self, now: Instant) -> Option<BTreeSet<UserId>> {
        match self.latest {
            Latest::Final => self.latest = Latest::Failed(now),
            Latest::Failed(since) if now >= since + LONGEST_WAIT => self.latest = Latest::GivenUp,
            Latest::Failed(_) | Latest::GivenUp => {}
        }
        (self.latest == Latest::GivenUp).then(|| {
            self.settled = true;
            std::mem::take(&mut self.users)
        })
    }

    /// What to do with an event whose behavior has no label.
    pub(super) fn lookup(&self) -> Lookup {
        match self.latest {
            Latest::Final => Lookup::Due,
            Latest::Failed(_) => Lookup::Later,
            Latest::GivenUp => Lookup::GivenUp,
        }
    }

    /// The user's events wait for the behaviors.
    pub(super) fn wait(&mut self, id: UserId) {
        self.users.insert(id);
    }

    /// The credentials changed, so earlier failures say nothing.
    pub(super) fn retry(&mut self) {
        self.latest = Latest::Final;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::at;

    #[test]
    fn events_wait_for_behaviors_that_fail_for_ten_minutes_and_no_longer() {
        let table: [(&[u64], Lookup); 5] = [
            (&[], Lookup::Due),
            (&[100], Lookup::Later),
            (&[100, 400, 699], Lookup::Later),
            (&[100, 700], Lookup::GivenUp),
            (&[100, 701, 702], Lookup::GivenUp),
        ];
        for (failures, wanted) in table {
            let mut labels = LabelsDue::default();
            labels.wait(UserId::from_u128(1));
            let released: usize = failures
                .iter()
                .filter_map(|second| labels.failed(at(*second)))
                .map(|users| users.len())
                .sum();
            let is_over = wanted == Lookup::GivenUp;
            assert_eq!((labels.lookup(), labels.are_settled()), (wanted, is_over), "{failures:?}");
            assert_eq!(released, usize::from(is_over), "{failures:?}");
            let released = labels.end().len();
            assert_eq!((released, labels.lookup()), (usize::from(!is_over), Lookup::Due), "{failures:?}");
        }
    }
}
