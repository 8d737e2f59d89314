//! What the publisher makes of the accounts' snapshots, and when, as scrapes over real sockets see it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::internals::metrics::encode::Format;
use zt_risk_exporter::internals::metrics::exposition::{Coding, Exposition, Form, encode};
use zt_risk_exporter::internals::metrics::telemetry::Telemetry;
use zt_risk_exporter::internals::server::demand::Demand;
use zt_risk_exporter::internals::server::lifecycle::Lifecycle;
use zt_risk_exporter::internals::server::publisher::{self, Outputs, Source};
use zt_risk_exporter::internals::server::{self, Parts, Readiness};
use zt_risk_exporter::model::{AccountName, Snapshot};

use crate::accounts;
use crate::server::{Answer, ask, gunzip};

const TEXT: Form = Form { format: Format::Text, coding: Coding::Identity };
const COMPRESSED: Form = Form { format: Format::Text, coding: Coding::Gzip };
const OPEN_METRICS: Form = Form { format: Format::OpenMetrics, coding: Coding::Identity };

/// A publisher with one account, and a server for what it publishes.
struct Published {
    account: watch::Sender<Arc<Snapshot>>,
    list: watch::Sender<Vec<Source>>,
    expositions: watch::Receiver<Arc<Exposition>>,
    telemetry: Telemetry,
    address: SocketAddr,
    publisher: JoinHandle<()>,
}

/// The publisher pauses on `clock`, and forms are forgotten on `demand_clock`.
async fn published(first: Snapshot, clock: Clock, demand_clock: Clock) -> Published {
    let telemetry = Telemetry::new(clock.clone());
    let (account, snapshots) = watch::channel(Arc::new(first));
    let name = snapshots.borrow().account.clone();
    let list = watch::Sender::new(vec![Source { name, snapshots }]);
    let (exposition, expositions) = watch::channel(Arc::new(Exposition::default()));
    let demand = Demand::new(demand_clock);
    let parts = Parts {
        exposition: expositions.clone(),
        demand: demand.clone(),
        telemetry: telemetry.clone(),
        readiness: watch::channel(Readiness::Ready).1,
        status: None,
        lifecycle: Lifecycle::Disabled,
        clock: clock.clone(),
        web: None,
        metrics_path: "/metrics".to_owned(),
        allowed_hosts: Vec::new(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::run(listener, parts, std::future::pending()));
    let outputs = Outputs { exposition, demand, status: None };
    let publisher = tokio::spawn(publisher::run(list.subscribe(), outputs, telemetry.clone(), clock));
    Published { account, list, expositions, telemetry, address, publisher }
}

/// A clock that runs so many times faster than real time.
fn clock(speed: f64) -> Clock {
    Clock::scaled(Timestamp::from_seconds(0), speed)
}

impl Published {
    /// The answer to a scrape in `form`.
    async fn answer(&self, form: Form) -> Answer {
        let format = match form.format {
            Format::Text => "Accept: text/plain\r\n",
            Format::OpenMetrics => "Accept: application/openmetrics-text\r\n",
        };
        let coding = match form.coding {
            Coding::Identity => "",
            Coding::Gzip => "Accept-Encoding: gzip\r\n",
        };
        ask(self.address, "GET", "/metrics", &format!("{format}{coding}")).await
    }

    /// Scrapes in `form`, and returns the samples about Cloudflare.
    async fn scrape(&self, form: Form) -> String {
        let answer = self.answer(form).await;
        assert_eq!(answer.status(), "200", "{form:?}");
        let text = match form.coding {
            Coding::Identity => answer.text().to_owned(),
            Coding::Gzip => gunzip(&answer.body),
        };
        let own = text.find("# HELP zt_risk_exporter_build_info ").expect("samples about the process");
        text.get(..own).unwrap().to_owned()
    }

    fn forms(&self) -> BTreeSet<Form> {
        self.expositions.borrow().forms()
    }
}

/// The account with another number of pending users.
fn with_pending(pending: u64) -> Snapshot {
    let mut snapshot = accounts::full();
    snapshot.users.as_mut().unwrap().pending = pending;
    snapshot
}

#[tokio::test]
async fn a_form_that_is_asked_for_late_is_of_the_same_moment_as_the_others() {
    let [first, second] = [1, 2].map(with_pending);
    // The publisher does not build again in the time of this test.
    let published = published(first.clone(), clock(0.000_1), Clock::system()).await;
    assert_eq!(published.scrape(TEXT).await, encode(Format::Text, &[Arc::new(first.clone())]));
    assert_eq!(published.forms(), BTreeSet::from([TEXT]), "nobody asked for the others");
    published.account.send_replace(Arc::new(second));
    for form in Form::ALL {
        let wanted = encode(form.format, &[Arc::new(first.clone())]);
        assert_eq!(published.scrape(form).await, wanted, "{form:?}");
    }
    assert_eq!(published.forms(), Form::ALL.into());
}

#[tokio::test]
async fn the_forms_that_are_asked_for_change_together() {
    let mut published = published(with_pending(0), clock(1_000.0), Clock::system()).await;
    let forms = [COMPRESSED, OPEN_METRICS];
    for form in forms {
        published.scrape(form).await;
    }
    for pending in 1..=5 {
        let snapshot = Arc::new(with_pending(pending));
        published.expositions.mark_unchanged();
        published.account.send_replace(Arc::clone(&snapshot));
        published.expositions.changed().await.unwrap();
        assert_eq!(published.forms(), forms.into());
        for form in forms {
            assert_eq!(
                published.scrape(form).await,
                encode(form.format, &[Arc::clone(&snapshot)]),
                "{form:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_form_that_nobody_asks_for_any_more_is_dropped_until_somebody_does() {
    // Five minutes pass in 0.3 s.
    let mut published = published(with_pending(0), clock(1_000.0), clock(1_000.0)).await;
    published.scrape(OPEN_METRICS).await;
    assert!(published.forms().contains(&OPEN_METRICS));
    let mut pending = 0;
    while published.forms().contains(&OPEN_METRICS) {
        pending += 1;
        published.account.send_replace(Arc::new(with_pending(pending)));
        published.expositions.changed().await.unwrap();
        published.scrape(TEXT).await;
    }
    let wanted = encode(Format::OpenMetrics, &[Arc::new(with_pending(pending))]);
    assert_eq!(published.scrape(OPEN_METRICS).await, wanted);
}

#[tokio::test]
async fn scrapes_that_wait_for_the_same_form_get_the_same_bytes_of_one_build() {
    let mut published = published(accounts::full(), clock(0.000_1), Clock::system()).await;
    published.expositions.changed().await.unwrap();
    published.expositions.mark_unchanged();
    let scrape = || published.scrape(OPEN_METRICS);
    let (first, second, third) = tokio::join!(scrape(), scrape(), scrape());
    assert!(first == second && second == third);
    published.expositions.changed().await.unwrap();
    assert!(!published.expositions.has_changed().unwrap(), "it was built twice");
}

#[tokio::test]
async fn a_scrape_that_waits_for_a_publisher_that_ends_is_told_so() {
    let published = published(accounts::full(), clock(0.000_1), Clock::system()).await;
    published.scrape(TEXT).await;
    published.publisher.abort();
    let answer = published.answer(OPEN_METRICS).await;
    assert_eq!((answer.status(), answer.text()), ("503", "the exporter is stopping\n"));
    assert_eq!(published.answer(TEXT).await.status(), "200", "what is there is served");
}

#[tokio::test]
async fn there_is_a_second_between_two_builds_however_often_accounts_change() {
    let clock = clock(10.0);
    let start = clock.now();
    let mut published = published(accounts::unread(), clock.clone(), Clock::system()).await;
    published.expositions.changed().await.unwrap();
    for build in 1..=4 {
        published.account.send_replace(Arc::new(accounts::full()));
        published.expositions.changed().await.unwrap();
        let since = clock.now().since(start);
        assert!(since >= Duration::from_secs(build), "build {build} after {since:?}");
    }
    drop(published.list);
    published.publisher.await.unwrap();
}

#[tokio::test]
async fn changes_of_an_account_and_of_the_list_are_published_and_the_end_of_the_list_ends_the_publisher() {
    let mut published = published(accounts::unread(), clock(1_000.0), Clock::system()).await;
    let users = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("cloudflare_zt_risk_users{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(users(&published.scrape(TEXT).await).len(), 0);
    published.expositions.mark_unchanged();
    published.account.send_replace(Arc::new(accounts::full()));
    published.expositions.changed().await.unwrap();
    let text = published.scrape(TEXT).await;
    assert_eq!(users(&text).len(), 4);
    let line = format!("zt_risk_exporter_exposition_size_bytes {}\n", text.len());
    assert!(published.telemetry.render(Format::Text).contains(&line), "{line}");
    // The account's poller ends, and its samples stay until it leaves the list.
    let (ended, snapshots) = watch::channel(Arc::new(accounts::full()));
    drop(ended);
    let renamed = AccountName { alias: "renamed".to_owned(), ..accounts::full().account };
    published.list.send_replace(vec![Source { name: renamed, snapshots }]);
    published.expositions.changed().await.unwrap();
    let shown = users(&published.scrape(TEXT).await);
    assert_eq!(shown.len(), 4);
    assert!(shown.iter().all(|line| line.contains("{account=\"renamed\",")), "{shown:?}");
    published.list.send_replace(Vec::new());
    published.expositions.changed().await.unwrap();
    assert_eq!(published.scrape(TEXT).await, "");
    drop(published.list);
    published.publisher.await.unwrap();
}

#[tokio::test]
async fn an_account_of_which_nothing_comes_for_too_long_is_not_up_until_something_comes() {
    for up in [Some(true), None] {
        is_not_up_until_something_comes(up).await;
    }
}

/// `up` is what the latest snapshot says.
async fn is_not_up_until_something_comes(up: Option<bool>) {
    let clock = clock(100.0);
    let mut published = published(accounts::full(), clock.clone(), Clock::system()).await;
    let up_until = |wait| {
        let up_until = Some(clock.now() + Duration::from_secs(wait));
        Arc::new(Snapshot { up_until, up, ..accounts::full() })
    };
    let encoded = |up| encode(Format::Text, &[Arc::new(Snapshot { up, ..accounts::full() })]);
    let far = 1_000_000;
    for wait in [0, 10] {
        published.account.send_replace(up_until(wait));
        while published.scrape(TEXT).await != encoded(Some(false)) {
            published.expositions.changed().await.unwrap();
        }
        published.expositions.mark_unchanged();
        published.account.send_replace(up_until(far));
        published.expositions.changed().await.unwrap();
        assert_eq!(published.scrape(TEXT).await, encoded(up));
    }
}
