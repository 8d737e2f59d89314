//! Orders that come while a request waits for its budget.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::*;
use crate::cloudflare::Options;
use crate::cloudflare::limit::WINDOW;
use crate::collector::account::Settings;
use crate::collector::user_label::UserLabel;
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
        attempts: 1,
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
    Order::Poll(Arc::new(Assignment { settings: settings(alias), connection: Arc::clone(connection) }))
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
    let parts = Parts { account, clock, telemetry, saving: None, snapshots };
    let poller = tokio::spawn(Poller::new(parts, first, received).run());

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
