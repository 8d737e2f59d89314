//! Requests that wait for their budget: orders that come meanwhile, and the report that the list of users is overdue.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::*;
use crate::clock::Timestamp;
use crate::cloudflare::limit::WINDOW;
use crate::cloudflare::{Limits, OperationLimits, Options};
use crate::collector::account::Settings;
use crate::collector::shared_failures::SharedFailures;
use crate::collector::user_label::UserLabel;
use crate::config::AccountOrigin;
use crate::model::AccountName;
use crate::model::resource::Intervals;

const ID: &str = "0123456789abcdef0123456789abcdef";

/// Longer than any of these tests takes, and shorter than the budget stays exhausted.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing listens there, so a request that is sent fails at once.
const NOWHERE: &str = "http://127.0.0.1:9/client/v4";

fn settings(alias: &str) -> Settings {
    let interval = Duration::from_secs(3_600);
    Settings {
        name: AccountName { alias: alias.to_owned(), id: ID.to_owned() },
        intervals: Intervals {
            summary: interval,
            behaviors: interval,
            integrations: interval,
            audit: interval,
        },
        budget: 12,
        user_limit: 100,
        user_label: UserLabel::Id,
        baseline: None,
        secret: [1; 16],
        seed: 1,
    }
}

/// A connection with this token and a budget of its own, of which this many requests are spent, and what tells that a
/// request was sent.
pub(super) fn connection(
    token: &str,
    clock: &Clock,
    spent: u32,
) -> (Arc<Connection>, mpsc::Receiver<Resource>) {
    let budget = Budget::after(0.01, clock.clone(), &[(clock.date(), spent)]);
    let (sender, sent) = mpsc::channel(16);
    let options = Options {
        base_url: NOWHERE.to_owned(),
        permit_timeout: WINDOW + WINDOW,
        limits: Limits::all(OperationLimits { attempts: 1, ..OperationLimits::default() }),
        observer: Some(Arc::new(move |report| {
            // More than fit tell nothing more.
            let _ = sender.try_send(report.resource);
        })),
        ..Options::default()
    };
    let credential = Credentials::Token(token.into());
    let client = Client::new(ID, credential.clone(), budget.clone(), options).unwrap();
    let source = CredentialSource::Token(token.into());
    (Arc::new(Connection { client, credential, source, budget }), sent)
}

fn assignment(alias: &str, connection: &Arc<Connection>) -> Order {
    Order::Poll(Arc::new(Assignment {
        settings: settings(alias),
        feed: None,
        connection: Arc::clone(connection),
        origin: AccountOrigin::Configured,
    }))
}

pub(super) async fn until_it_waits(connection: &Connection) {
    while !connection.client.waits_for_budget() {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_request_that_waits_for_its_budget_does_not_delay_an_order() {
    let clock = Clock::system();
    let (exhausted, mut sent_first) = connection("first", &clock, 12);
    let (fresh, mut sent_second) = connection("second", &clock, 0);
    let Order::Poll(first) = assignment("first", &exhausted) else { unreachable!("it was just made") };
    let account = Account::new(settings("first"));
    let (snapshots, mut published) = watch::channel(Arc::new(account.snapshot()));
    let telemetry = Telemetry::new(clock.clone());
    let (orders, received) = watch::channel(Order::Poll(Arc::clone(&first)));
    let (failures, turns) = (SharedFailures::default(), Turns::default());
    let parts = Parts { account, clock, telemetry, failures, saving: None, snapshots, turns };
    let poller = tokio::spawn(Poller::new(parts, first, received, mpsc::channel(1).0).run());

    let obeyed = async {
        until_it_waits(&exhausted).await;
        // Another name needs no other request, so this one keeps its place.
        orders.send_replace(assignment("renamed", &exhausted));
        let _ = published.wait_for(|snapshot| snapshot.account.alias == "renamed").await.unwrap();
        until_it_waits(&exhausted).await;
        // A request with another credential is sent at once, although the first may not be sent for minutes.
        orders.send_replace(assignment("renamed", &fresh));
        sent_second.recv().await.unwrap();
        assert!(!exhausted.client.waits_for_budget());
        orders.send_replace(assignment("renamed", &exhausted));
        until_it_waits(&exhausted).await;
        orders.send_replace(Order::Stop);
        poller.await.unwrap().account
    };
    let account =
        tokio::time::timeout(PATIENCE, obeyed).await.expect("it obeys before the budget allows a request");
    assert_eq!(account.name().alias, "renamed");
    assert!(sent_first.try_recv().is_err(), "nothing was sent beyond the exhausted budget");
}

/// Polls an account over `connection`, whose list of users may not be requested and is overdue soon. Returns the message of
/// the error in the status document.
async fn overdue(connection: &Arc<Connection>, clock: &Clock, sent: &mut mpsc::Receiver<Resource>) -> String {
    let mut frequent = settings("first");
    frequent.intervals.summary = Duration::from_secs(10);
    let name = frequent.name.clone();
    let first = Arc::new(Assignment {
        settings: frequent.clone(),
        feed: None,
        connection: Arc::clone(connection),
        origin: AccountOrigin::Configured,
    });
    let account = Account::new(frequent);
    let (snapshots, mut published) = watch::channel(Arc::new(account.snapshot()));
    let telemetry = Telemetry::new(clock.clone());
    telemetry.accounts([(name, connection.budget.clone())]);
    let (_orders, received) = watch::channel(Order::Poll(Arc::clone(&first)));
    let clock = clock.clone();
    let (failures, turns) = (SharedFailures::default(), Turns::default());
    let parts =
        Parts { account, clock, telemetry: telemetry.clone(), failures, saving: None, snapshots, turns };
    let poller = tokio::spawn(Poller::new(parts, first, received, mpsc::channel(1).0).run());

    until_it_waits(connection).await;
    assert_eq!(telemetry.budget(ID).unwrap().blocked_until, None, "that is normal for a while");
    let reported = published.wait_for(|snapshot| snapshot.up == Some(false));
    tokio::time::timeout(PATIENCE, reported).await.expect("up becomes 0").unwrap();
    let incidents = telemetry.activity(ID).incidents;
    let [incident] = incidents.as_slice() else { panic!("one incident: {incidents:?}") };
    assert_eq!((incident.cause.as_str(), incident.over), ("limited", None));
    assert!(sent.try_recv().is_err(), "no request was sent");
    let until = connection.budget.held().expect("it is still held back").until;
    assert_eq!(telemetry.budget(ID).unwrap().blocked_until.is_some(), until.is_some());
    poller.abort();
    incident.message.clone()
}

#[tokio::test]
async fn a_list_that_waits_for_a_budget_that_is_used_up_is_reported_once_it_is_overdue() {
    // The budget is used up for three seconds. The list is overdue after a tenth of a second.
    let clock = Clock::scaled(Timestamp::from_seconds(1_900_000_000), 100.0);
    let (exhausted, mut sent) = connection("first", &clock, 12);
    let message = overdue(&exhausted, &clock, &mut sent).await;
    assert!(message.contains("until 20") && message.contains("the request budget is used up"), "{message}");
}

#[tokio::test]
async fn a_list_that_waits_for_the_test_of_a_block_is_reported_once_it_is_overdue() {
    let clock = Clock::scaled(Timestamp::from_seconds(1_900_000_000), 100.0);
    let (blocked, mut sent) = connection("first", &clock, 0);
    // Another account with the same credential tests whether the block is over, and its request is not answered.
    let _test = blocked.budget.acquire(Duration::ZERO).await.unwrap();
    blocked.budget.acquire(Duration::ZERO).await.unwrap().limited(Duration::ZERO);
    let message = overdue(&blocked, &clock, &mut sent).await;
    assert!(message.contains("before an answer: ") && message.contains("tests whether"), "{message}");
}
