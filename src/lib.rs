//! A Prometheus exporter for the user risk that Cloudflare Zero Trust scores.
//!
//! Cloudflare shows a table of risky users. This crate reads it through the Risk Scoring API, counts what
//! happens, and serves the result on `/metrics`, within a fixed share of the account's request quota.
//!
//! # The flow
//!
//! ```text
//! Cloudflare, or simulator
//!     |  JSON over HTTP, paid from the budget
//! cloudflare             values of model, never JSON
//!     |
//! poller                 plan, wait, ask, apply, save, publish; owns one account
//!     |  asks: account   roster, queue, audit, ledger, series, schedule: pure, told the time
//!     |  state           rows on disk, before anyone sees a new count
//!     |
//! Arc<Snapshot>          watch channel, one for each account
//!     |
//! publisher              at most once a second
//!     |  calls: exposition; status, which keeps a history
//!     |
//! Arc<Page>, Arc<Status> watch channels: the page, encoded and compressed, and the status in JSON
//!     |
//! server                 adds what telemetry knows, at each scrape
//!     |
//! Prometheus, and people
//! ```
//!
//! Data flows down; imports point up. A module may know the one its data comes from, never the one it
//! goes to.
//!
//! # Where to start reading
//!
//! - *What does this sample on the page mean, and where is it from?* [`exposition::families`] declares
//!   every metric about Cloudflare, and [`telemetry::families`] those about this process. From a family
//!   follow the field of [`model::Snapshot`] that fills it.
//! - *How is an event counted once, and only once?* [`account`] is told what was read. [`roster`] finds who
//!   changed, [`queue`] puts them in order, [`ledger`] knows what was counted, and [`state`] keeps it.
//! - *What is sent to Cloudflare, when, and what if it fails?* [`schedule`] and [`budget`] say when,
//!   [`cloudflare`] sends, and [`poller`] reacts.
//!
//! # The modules, in the order of the flow
//!
//! Start and configuration:
//!
//! - [`commands`]: the commands, each with its arguments beside what it does.
//! - [`config`]: file, environment and flags in, checked configuration out.
//! - [`credentials`]: what a request proves itself with.
//! - [`app`]: the one file that knows every part; binds, wires, runs, stops.
//! - [`signals`]: the signals that ask a process to stop.
//! - [`pulse`]: whether every part still turns.
//! - [`service_manager`]: tells systemd how the process is doing.
//!
//! From Cloudflare to what is known:
//!
//! - [`clock`]: the only place that reads a clock, and the two kinds of time.
//! - [`rate_limit`]: how many requests may still go, and when the next one may.
//! - [`budget`]: a rate limit that several accounts wait for in turns.
//! - [`cloudflare`]: the client, one method for each operation of the API.
//! - [`model`]: levels, users, events, behaviors, integrations, and the snapshot.
//! - [`poller`]: the loop of one account.
//! - [`account`]: everything known of one account, and what to ask next.
//! - [`schedule`]: when each endpoint is to be read.
//! - [`roster`]: who is at risk, at which level, and what a new list changes.
//! - [`queue`]: whose events are still to be read, and in which order.
//! - [`audit`]: who is read again although nothing seems to have changed.
//! - [`ledger`]: which events were counted already.
//! - [`labels`]: which label a behavior gets.
//! - [`series`]: which users get series of their own.
//! - [`identity`]: what users are called there.
//! - [`saved`]: what an account leaves to its next process, as rows of bytes.
//! - [`state`]: the file with these rows, and what to do when it fails; it does not know what they say.
//!
//! From what is known to Prometheus:
//!
//! - [`publisher`]: makes a new page, and a new status, when an account changed.
//! - [`exposition`]: writes and compresses the page in both formats.
//! - [`history`]: what an account was like in the last hours.
//! - [`status`]: what people are told of the accounts, as JSON.
//! - [`telemetry`]: what this process did itself.
//! - [`http`]: accepting connections, with limits on everything.
//! - [`server`]: `/metrics`, health, readiness, the status, and the page for people.
//!
//! Beside the flow:
//!
//! - [`drill`]: the state of a demonstration that plays a story.
//! - [`simulator`]: a stand-in for the API, with a world in which things happen.
//!
//! # What always holds
//!
//! 1. A scrape never sends a request to Cloudflare and never waits for one. The page is made when
//!    something changed, at most once a second, beside the threads that answer; everyone gets the same
//!    bytes, with the few samples of [`telemetry`] after them.
//! 2. A poller owns its account. Nobody locks it and nobody else sees it: readers get immutable snapshots.
//! 3. The JSON of the API stays within [`cloudflare`]. What comes out has names of our own.
//! 4. The simulator shares no code with the client, apart from [`http`] and [`clock`]: with the same mistake
//!    both would agree. The published schema and the official SDKs check it instead.
//! 5. What decides is pure: [`account`] and all that it asks, [`rate_limit`] and [`exposition`] are told the
//!    time. They read no clock and do no I/O.
//! 6. A metric's name, type, help and labels stand once in `src/`. The golden page and the manual are
//!    checked against that place.
//! 7. Each page is made afresh from a snapshot. What is gone at Cloudflare is gone from the page, and what
//!    was never read is absent, which is not the same as 0.
//! 8. Ages are exported as the dates since when, so that they stay right between two readings.
//! 9. Durable before visible. A reading is reconciled, applied as a whole, and saved in one transaction; only
//!    what was saved is published as counted. Memory may be ahead of the disk while the disk is in trouble, no
//!    counter ever is. So no restart makes one fall, and a crash loses nothing that can be read again.
//! 10. No part dies in silence. [`app`] joins them all, and the end of one ends the process with code 1,
//!     rather than leave a page that no longer changes.
//! 11. Trouble keeps the last good data, with its date. It never empties the page, and a list known to be
//!     incomplete never passes for a whole one.
//! 12. Names and e-mail addresses are dropped where the answer is decoded, unless the configuration or an
//!     operator's command asks for them. Tokens reach no log, label, panic message, argument list or file.
//!
//! # As a library
//!
//! The client and the simulator can be used without the daemon:
//!
//! ```
//! use zt_risk_exporter::cloudflare::limit::budget::Budget;
//! use zt_risk_exporter::clock::Clock;
//! use zt_risk_exporter::cloudflare::{Client, Credentials, Options};
//! use zt_risk_exporter::model::Completeness;
//! use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario, Simulator};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // In place of Cloudflare: one account of 100 users, and a token that may do everything.
//!     let simulator = Simulator::start(Scenario::generated(100, 1), Clock::system()).await?;
//!     let options = Options { base_url: simulator.base_url(), ..Options::default() };
//!     // A quarter of what Cloudflare allows. Clones of a budget spend from the same.
//!     let budget = Budget::new(0.25, Clock::system());
//!     let token = Credentials::Token(GENERATED_TOKEN.into());
//!     let client = Client::new(GENERATED_ACCOUNT, token, budget, options)?;
//!
//!     let summary = client.summary().await?;
//!     assert_eq!((summary.rows.len(), &summary.extent), (100, &Completeness::Complete));
//!     let risk = client.user(summary.rows[0].user).await?;
//!     println!("{} events, last reset {:?}", risk.events.len(), risk.last_reset);
//!     Ok(())
//! }
//! ```

pub mod app;
pub mod clock;
pub mod cloudflare;
pub mod collector;
pub mod commands;
pub mod config;
pub mod http;
pub mod metrics;
pub mod model;
pub mod server;
pub mod simulator;
pub mod store;
