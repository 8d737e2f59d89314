//! What a poller is told to do, and when it takes that up.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::{Connection, Parts, Poller, saving};
use crate::clock::Instant;
use crate::collector::account::feed::FeedSettings;
use crate::collector::account::{Hold, Settings};
use crate::collector::credential_watch::CredentialWatch;
use crate::config::AccountOrigin;
use crate::metrics::telemetry::IncidentSource;
use crate::model::Resource;

/// What the configuration says of an account.
pub(crate) struct Assignment {
    /// How it is polled and shown.
    pub settings: Settings,
    /// What the records of the feed have, if there is a feed.
    pub feed: Option<FeedSettings>,
    /// How its requests are sent.
    pub connection: Arc<Connection>,
    /// Where the account comes from.
    pub origin: AccountOrigin,
}

impl Assignment {
    /// Whether `other`, of the same configuration apart from credentials, says the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connection, &other.connection) && self.settings.budget == other.settings.budget
    }
}

/// What a poller should do. A request in flight ends first, except before [`Order::Exit`], and what was read is applied, saved
/// and published. A request that only waits for the budget is given up, unless the order keeps the connection.
#[derive(Clone)]
pub(crate) enum Order {
    /// Poll the account as this says.
    Poll(Arc<Assignment>),
    /// End.
    Stop,
    /// End at once, because the process ends.
    Exit,
}

/// What the order says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Poll,
    Stop,
}

/// Whether a request is still what the orders want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orders {
    Kept,
    Changed,
    Exit,
}

impl Poller {
    /// Takes up a new order during a request, if it keeps the connection.
    async fn take_up(&mut self) -> Orders {
        let order = self.orders.borrow_and_update().clone();
        match order {
            Order::Poll(assignment) if Arc::ptr_eq(&assignment, &self.assignment) => Orders::Kept,
            Order::Poll(assignment) if Arc::ptr_eq(&assignment.connection, &self.assignment.connection) => {
                self.assign(assignment).await;
                Orders::Kept
            }
            Order::Poll(_) | Order::Stop => Orders::Changed,
            Order::Exit => Orders::Exit,
        }
    }

    /// Takes up a new order, if there is one.
    pub(super) async fn next_order(&mut self) -> Next {
        if self.orders.has_changed().is_err() {
            return Next::Stop;
        }
        let order = self.orders.borrow_and_update().clone();
        match order {
            Order::Stop | Order::Exit => return Next::Stop,
            Order::Poll(assignment) if Arc::ptr_eq(&assignment, &self.assignment) => {}
            Order::Poll(assignment) => self.assign(assignment).await,
        }
        Next::Poll
    }

    async fn assign(&mut self, assignment: Arc<Assignment>) {
        let now = self.parts.clock.now();
        self.parts.account.retune(assignment.settings.clone(), now);
        if let Some(feed) = &assignment.feed {
            self.parts.account.set_feed(feed);
        }
        if !Arc::ptr_eq(&assignment.connection, &self.assignment.connection) {
            self.connect(Connection::clone(&assignment.connection));
        }
        self.assignment = assignment;
        self.report_intervals();
        // The last step, because a caller may stop waiting.
        self.publish().await;
    }

    /// Sends requests over another connection from now on.
    fn connect(&mut self, connection: Connection) {
        let Parts { account, telemetry, clock, .. } = &self.parts;
        let before = std::mem::replace(&mut self.connection, connection);
        let Connection { credential, source, .. } = &self.connection;
        if source.file() != before.source.file() {
            self.credential_watch = CredentialWatch::default();
            telemetry.incident_over(&account.name().id, IncidentSource::CredentialFile, clock.date());
        }
        self.held_until = None;
        if *credential != before.credential {
            self.credentials_changed();
        }
    }

    /// Waits for the events of a user, however many pages they have. Reads the list of users meanwhile if it would be late
    /// otherwise. `None` as in [`Poller::answer`].
    pub(super) async fn answer_beside_list<T>(&mut self, request: impl Future<Output = T>) -> Option<T> {
        let mut request = pin!(request);
        let mut not_before = Instant::default();
        loop {
            let clock = self.parts.clock.clone();
            let urgent_at = self.parts.account.list_urgent_at().map(|at| at.max(not_before));
            let list_is_urgent = async move {
                match urgent_at {
                    Some(at) => clock.sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = self.answer(request.as_mut()) => return answer,
                () = list_is_urgent => {}
            }
            let mut answer = None;
            {
                let mut list = pin!(self.read_summary());
                poll_fn(|context| {
                    if answer.is_none()
                        && let Poll::Ready(ready) = request.as_mut().poll(context)
                    {
                        answer = Some(ready);
                    }
                    list.as_mut().poll(context)
                })
                .await;
            }
            self.publish().await;
            if answer.is_some() {
                return answer;
            }
            // A list that the budget holds back stays urgent.
            let pause = self.parts.account.interval(Resource::Summary).unwrap_or_default();
            not_before = self.parts.clock.now() + pause;
        }
    }

    /// Waits for an answer, publishes that the list of users is overdue as soon as it is, and reports it if the request waits
    /// for the budget. Takes up orders that keep the connection. `None` if the request waited for the budget when another
    /// order came, since the budget of that connection may stay exhausted for minutes, and if the process ends.
    pub(super) async fn answer<T>(&mut self, request: impl Future<Output = T>) -> Option<T> {
        let mut request = pin!(request);
        let client = self.connection.client.clone();
        // An earlier wait for the same answer may have seen the order already.
        let (mut orders, mut is_closed) = (self.take_up().await, false);
        let mut report_at = self.hold_report_due();
        loop {
            if orders == Orders::Exit {
                return None;
            }
            let Parts { account, saving, clock, .. } = &mut self.parts;
            let deadline = [account.list_deadline(Hold::Other), report_at].into_iter().flatten().min();
            let overdue = async {
                match deadline {
                    Some(deadline) => clock.sleep_until(deadline).await,
                    None => pending().await,
                }
            };
            let answer = poll_fn(|context| match request.as_mut().poll(context) {
                Poll::Pending if orders == Orders::Changed && client.waits_for_budget() => Poll::Ready(None),
                polled => polled.map(Some),
            });
            tokio::select! {
                biased;
                answer = answer => return answer,
                changed = self.orders.changed(), if !is_closed => match changed {
                    Ok(()) => orders = self.take_up().await,
                    Err(_) => (orders, is_closed) = (Orders::Changed, true),
                },
                () = saving::committed(saving, account) => self.publish_snapshot(),
                () = overdue => {
                    let now = self.parts.clock.now();
                    if self.parts.account.list_deadline(Hold::Other).is_some_and(|at| at <= now) {
                        self.parts.account.list_missed();
                    }
                    if report_at.is_some_and(|at| at <= now) {
                        report_at = self.look_for_hold(now);
                    }
                    self.publish().await;
                }
            }
        }
    }
}
