//! What a poller is told to do, and when it takes that up.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::{Connection, Parts, Poller, saving};
use crate::collector::account::{Hold, Settings};
use crate::collector::credential_watch::CredentialWatch;
use crate::metrics::telemetry::IncidentSource;

/// What the configuration says of an account.
pub(crate) struct Assignment {
    /// How it is polled and shown.
    pub settings: Settings,
    /// How its requests are sent.
    pub connection: Arc<Connection>,
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
    fn take_up(&mut self) -> Orders {
        let order = self.orders.borrow_and_update().clone();
        match order {
            Order::Poll(assignment) if Arc::ptr_eq(&assignment.connection, &self.assignment.connection) => {
                self.assign(assignment);
                Orders::Kept
            }
            Order::Poll(_) | Order::Stop => Orders::Changed,
            Order::Exit => Orders::Exit,
        }
    }

    /// Takes up a new order, if there is one.
    pub(super) fn next_order(&mut self) -> Next {
        if self.orders.has_changed().is_err() {
            return Next::Stop;
        }
        let order = self.orders.borrow_and_update().clone();
        match order {
            Order::Stop | Order::Exit => return Next::Stop,
            Order::Poll(assignment) if Arc::ptr_eq(&assignment, &self.assignment) => {}
            Order::Poll(assignment) => self.assign(assignment),
        }
        Next::Poll
    }

    fn assign(&mut self, assignment: Arc<Assignment>) {
        let now = self.parts.clock.now();
        self.parts.account.retune(assignment.settings.clone(), now);
        if !Arc::ptr_eq(&assignment.connection, &self.assignment.connection) {
            self.connect(Connection::clone(&assignment.connection));
        }
        self.assignment = assignment;
        self.report_intervals();
        self.publish();
    }

    /// Sends requests over another connection from now on.
    fn connect(&mut self, connection: Connection) {
        let Parts { account, telemetry, clock, .. } = &self.parts;
        let before = std::mem::replace(&mut self.connection, connection);
        let Connection { credential, source, budget, .. } = &self.connection;
        if source.file() != before.source.file() {
            self.credential_watch = CredentialWatch::default();
            telemetry.incident_over(&account.name().id, IncidentSource::CredentialFile, clock.date());
        }
        self.held_until = None;
        if *credential != before.credential {
            if budget.is_same(&before.budget) {
                budget.credential_changed();
            }
            self.credentials_changed();
        }
    }

    /// Waits for an answer, publishes that the list of users is overdue as soon as it is, and reports it if the request waits
    /// for the budget. Takes up orders that keep the connection. `None` if the request waited for the budget when another
    /// order came: the budget of that connection may stay exhausted for minutes.
    pub(super) async fn answer<T>(&mut self, request: impl Future<Output = T>) -> Option<T> {
        let mut request = pin!(request);
        let client = self.connection.client.clone();
        let (mut orders, mut is_closed) = (Orders::Kept, false);
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
                    Ok(()) => orders = self.take_up(),
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
                    self.publish();
                }
            }
        }
    }
}
