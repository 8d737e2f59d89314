//! A simulated Cloudflare with several accounts and tokens, and configurations for some of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::simulator::{Endpoint, Scenario, Simulator};

use crate::durability::process::{Home, Scrape};

/// How many accounts there are, unless a test says otherwise.
pub(super) const ACCOUNTS: usize = 6;

/// How many users of each account are in the baseline.
const USERS: u128 = 10;

const BEHAVIORS: [&str; 4] = ["imp_travel", "high_dlp", "malicious_file", "high_risk_domain"];

/// The id of an account.
pub(super) fn id(account: usize) -> String {
    format!("{:032x}", account + 1)
}

/// An account as a configuration lists it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Listed<'a> {
    pub(super) account: usize,
    pub(super) alias: &'a str,
    pub(super) token: &'a str,
    pub(super) share: &'a str,
}

impl<'a> Listed<'a> {
    pub(super) const fn new(account: usize, alias: &'a str, token: &'a str) -> Self {
        Self { account, alias, token, share: "0.25" }
    }
}

/// A simulated Cloudflare on a runtime of its own. Every token may read every account, and has a limit of its own.
pub(super) struct World {
    pub(super) simulator: Simulator,
    pub(super) clock: Clock,
    pub(super) accounts: usize,
    appended: AtomicU64,
    _runtime: tokio::runtime::Runtime,
}

impl World {
    pub(super) fn start() -> Self {
        Self::with(ACCOUNTS)
    }

    /// A world with this many accounts, and as many tokens: `t0`, `t1` and so on.
    pub(super) fn with(accounts: usize) -> Self {
        let mut text = String::from("limit: { quota: 1000000 }\napi: { reset_events: listed }\naccounts:\n");
        for account in 0..accounts {
            text += &format!("  - id: '{}'\n    users:\n", id(account));
            for user in 1..=USERS {
                text += &format!(
                    "      - {{ id: {}, email: person.{user}@example.com, name: Somebody {user}, \
                     events: [{{ behavior: high_dlp, at: -1h }}] }}\n",
                    Uuid::from_u128(user)
                );
            }
        }
        text += "tokens:\n";
        let permissions = "permissions: [Zero Trust Read, 'Zero Trust: PII Read']";
        for token in 0..accounts {
            text += &format!("  - {{ token: t{token}, user: t{token}, {permissions} }}\n");
        }
        text += &format!(
            "  - {{ token: expiring, user: expiring, expires_on: 2099-01-01T00:00:00Z, {permissions} }}\n"
        );
        let scenario = Scenario::from_yaml(&text).expect("a scenario");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let clock = Clock::system();
        let simulator = runtime.block_on(Simulator::start(scenario, clock.clone())).expect("a world");
        Self { simulator, clock, accounts, appended: AtomicU64::new(0), _runtime: runtime }
    }

    /// A configuration with these accounts, whose state is in `home`.
    pub(super) fn config(&self, home: &Home, accounts: &[Listed<'_>], rest: &str) -> String {
        let mut text = format!(
            "cloudflare: {{ base_url: \"{}\" }}\nstate: {{ path: {} }}\n\
             web: {{ listen_address: \"127.0.0.1:0\", enable_lifecycle: true }}\n{rest}\naccounts:\n",
            self.simulator.base_url(),
            home.state().display(),
        );
        for Listed { account, alias, token, share } in accounts {
            let id = id(*account);
            text += &format!("  - {{ id: '{id}', alias: {alias}, token: {token}, budget_share: {share} }}\n");
        }
        text
    }

    /// Adds events of a few users.
    pub(super) fn events(&self, account: usize, count: u64) {
        for _ in 0..count {
            let number = self.appended.fetch_add(1, Ordering::Relaxed);
            let user = Uuid::from_u128(u128::from(number) % USERS + 1);
            let behavior = BEHAVIORS[number as usize % BEHAVIORS.len()];
            let appended = self.simulator.append_event(&id(account), user, behavior, self.clock.date());
            appended.expect("the account is there");
        }
    }

    /// Whether exactly what happened is counted in these accounts.
    pub(super) fn agrees(&self, scrape: &Scrape, accounts: &[Listed<'_>]) -> bool {
        accounts.iter().all(|one| {
            let epoch = scrape.get(&format!("counting_since_timestamp_seconds{{account=\"{}\"}}", one.alias));
            let Some(epoch) = epoch else { return false };
            let epoch = Timestamp::from_millis((epoch * 1000.0).round() as i64);
            let truth = self.simulator.totals_since(Some(epoch));
            let Some(account) = truth.accounts.get(&id(one.account)) else { return false };
            let by_level = account.events_by_behavior.values().flat_map(|levels| levels.values());
            let happened = by_level.sum::<u64>() as f64;
            let counted = scrape.counted(one.alias);
            assert!(
                counted <= happened,
                "{counted} of {happened} events of {}: some twice\n{scrape}",
                one.alias
            );
            counted == happened
        })
    }

    /// How many requests to an endpoint of an account were answered.
    pub(super) fn requests(&self, account: usize, endpoint: Endpoint) -> u64 {
        let id = id(account);
        let totals = self.simulator.totals_since(None).requests_total;
        let of_account = |total: &&zt_risk_exporter::simulator::RequestTotal| {
            total.account.as_deref() == Some(&id) && total.endpoint == endpoint
        };
        totals.iter().filter(of_account).map(|total| total.count).sum()
    }

    /// How many requests were sent with one of these two tokens.
    pub(super) fn spent(&self, one: &str, other: &str) -> usize {
        let requests = self.simulator.ground_truth().requests;
        let is_theirs = |credential: &Option<String>| {
            credential.as_deref().is_some_and(|name| name == one || name == other)
        };
        requests.iter().filter(|request| is_theirs(&request.credential)).count()
    }

    /// Asserts that each account of a configuration with this interval, in seconds, has one poller, and the others none: in
    /// the time of ten readings each is read about ten times.
    pub(super) fn assert_polled_once(&self, accounts: &[Listed<'_>], interval: u64) {
        const READINGS: u64 = 10;
        let lists = || {
            (0..self.accounts).map(|account| self.requests(account, Endpoint::Summary)).collect::<Vec<_>>()
        };
        let (before, since) = (lists(), self.clock.now());
        let last = accounts.first().expect("an account").account;
        while lists()[last] < before[last] + READINGS {
            let waited = self.clock.now().since(since);
            assert!(waited < Duration::from_secs(60 * interval), "account {last} is not read");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        // A reading takes an interval and up to a tenth of it, so a second poller doubles the number.
        let took = self.clock.now().since(since).as_secs_f64() / interval as f64;
        for (account, (now, before)) in lists().into_iter().zip(before).enumerate() {
            let is_listed = accounts.iter().any(|listed| listed.account == account);
            let most = if is_listed { took.ceil() as u64 + 2 } else { 0 };
            let least = u64::from(is_listed);
            let read = now - before;
            assert!(
                (least..=most).contains(&read),
                "account {account}: {read} readings in {took:.1} intervals"
            );
        }
    }
}

/// Whether these accounts are shown under their aliases, and no others. What is about Cloudflare is published at most once a
/// second.
pub(super) fn is_shown(scrape: &Scrape, accounts: &[Listed<'_>]) -> bool {
    let info = |one: &Listed<'_>| {
        format!("account_info{{account=\"{}\",account_id=\"{}\"}}", one.alias, id(one.account))
    };
    accounts.iter().all(|one| scrape.get(&info(one)).is_some())
        && scrape.series("account_info{") == accounts.len()
}
