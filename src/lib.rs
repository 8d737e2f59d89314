//! A Prometheus exporter for Cloudflare Zero Trust user risk scores.
//!
//! Cloudflare shows a table of users at risk. This crate reads it through the Risk Scoring API, counts the risk events,
//! and serves the result on `/metrics`. It uses at most a fixed share of the account's request quota.
//!
//! # The flow
//!
//! ```text
//! Cloudflare, or the simulator
//!     |  JSON over HTTP, charged to the budget
//! cloudflare      decodes each answer into values of model
//!     |
//! collector       one poller for each account: plan, wait, request, apply, save, publish
//!     |  store    rows on disk, committed once a second, before a new count can be seen
//!     |
//! Arc<Snapshot>   one watch channel for each account
//!     |
//! server          its publisher encodes them (metrics) at most once a second
//!     |
//! Arc<Exposition>, Arc<Status>
//!     |  a scrape gets these bytes, followed by the few samples of metrics::telemetry
//!     |
//! Prometheus, and people
//! ```
//!
//! Data flows down. Imports point the other way: a module may know the module its data comes from, never the
//! module it goes to.
//!
//! # The rooms, from the top down
//!
//! Each room is a folder of `src/` with a file of the same name as its front page. A room imports only rooms
//! below it. A test reads this list and fails on an import that points up.
//!
//! - [`commands`]: one file for each subcommand: its arguments, and what it does.
//! - [`app`]: wires the parts of the daemon, runs them, gives them another configuration, and stops them.
//! - [`server`]: serves `/metrics`, health, readiness, the status document and the live page.
//! - [`web`]: what protects the port: TLS, passwords, a rate limit and headers, as the web configuration says.
//! - [`collector`]: what is known of each account, and the poller that keeps it up to date: who changed
//!   (`roster`), in which order their events are read (`queue`, `audit`, `schedule`), which events were
//!   counted (`ledger`), and what is saved (`persist`).
//! - [`config`]: reads the file, the environment and the flags, and checks the result.
//! - [`metrics`]: declares every metric, and encodes and compresses the samples.
//! - [`feed`]: writes each event, change of level and reset as one record for a SIEM, exactly once.
//! - [`store`]: rows of bytes in one file that survives restarts, grouped by an id that it does not interpret.
//! - [`cloudflare`]: the client: one method for each operation of the API, decoding, retries, and the request
//!   budget (`limit`).
//! - [`simulator`]: a stand-in for the API, with users, events and resets.
//! - [`model`]: levels, users, events, behaviors, integrations, and the snapshot of an account.
//! - [`http`]: accepts connections, with limits on everything.
//! - [`clock`]: the only room that reads a clock.
//!
//! # Where to start reading
//!
//! - *What does a sample on `/metrics` mean, and where does it come from?* `metrics/families/cloudflare.rs` declares
//!   every metric about Cloudflare, and `metrics/families/exporter.rs` every metric about this process. From
//!   a family, follow the field of [`model::Snapshot`] that fills it.
//! - *How is an event counted exactly once?* `collector/account/user_readings.rs` gets what was read. `ledger` reconciles a
//!   user's events with those counted before, and `collector/poller/saving.rs` saves the result before it is published.
//! - *When does a count become durable?* `collector/poller/saving.rs` hands each reading over to the batch of all accounts,
//!   which `State::commit_batches` of `store.rs` commits within a second. Its counts are published after that.
//! - *When is Cloudflare asked, and what happens when a request fails?* `collector/schedule.rs` and
//!   `cloudflare/limit` decide when, `cloudflare/transport.rs` retries, `cloudflare/error.rs` sorts failures by what
//!   to do next, and `collector/poller/requests.rs` reacts.
//! - *Where is a 429 handled?* `kind` in `cloudflare/envelope.rs` recognizes it, `Connection::receive` in
//!   `cloudflare/exchange.rs` starts a block in `cloudflare/limit`, and `Poller::run` in `collector/poller.rs` waits until
//!   its end.
//! - *What happens at a reload?* `app/reload.rs` reads the configuration again, `app/config_changes.rs` compares it with
//!   the one in use,
//!   `app/supervisor.rs` gives the pollers their new orders, and `collector/poller/orders.rs` takes them up.
//! - *What must be touched to add a metric, a setting, a polled resource or a command?* The recipes in
//!   `.github/CONTRIBUTING.md` list every file.
//! - *Which personal data leaves the process?* `docs/privacy.md` lists every field, and which of them reach Prometheus.
//!   `cloudflare/decode` drops names and addresses unless they were asked for; `collector/user_label.rs` decides what
//!   a user is called in a label.
//! - *How much memory may an answer take?* `cloudflare/decode/bounds.rs` has the limits of lists, and
//!   `cloudflare/envelope.rs` those of everything else.
//!
//! # What always holds
//!
//! 1. A scrape never sends a request to Cloudflare and never waits for one. The exposition is encoded when
//!    something changed, at most once a second, and not on the threads that answer. Every scrape gets the same bytes,
//!    followed by the few samples of `metrics::telemetry`. A format and coding that nobody asked for lately is not
//!    prepared: the first scrape in it waits until it is encoded, from the snapshots of the others.
//! 2. A poller owns its account. Nothing else can read or lock it; readers get immutable snapshots.
//! 3. The JSON of the API stays inside [`cloudflare`]. The values that come out have this crate's own names.
//!    The client knows no database.
//! 4. The simulator shares no code with the client, apart from [`http`] and [`clock`]: a client and a
//!    simulator with the same mistake would agree. The published schema and the official SDKs check both.
//! 5. The modules that decide are pure: the account with its submodules, the rate limit and the encoder read no clock
//!    and do no I/O. Callers pass the time.
//! 6. A metric's name, type, help and labels are in one place in `src/`. The golden files and the documentation are
//!    checked against that place.
//! 7. Each exposition is encoded from a snapshot, so a user or behavior that Cloudflare no longer lists is no longer on
//!    `/metrics`. A metric is missing until its resource was read once; missing does not mean 0.
//! 8. Ages are exported as timestamps, so that they stay correct between two readings.
//! 9. Durable before visible. A reading is reconciled, applied as a whole, and saved in one transaction, which it
//!    shares with the readings of all accounts in the same second. Only what was committed is published as counted.
//!    Until then, and while the disk cannot be written, memory is ahead of it, but no published counter is. So no
//!    restart makes a counter fall, and a crash loses nothing that can be read again.
//! 10. [`app`] joins all parts, and if a part ends unexpectedly, the process exits with code 1, so `/metrics` never
//!     keeps serving stale values.
//! 11. After an error the last good data stays, with its age. An error never empties `/metrics`, and a list that is known
//!     to be incomplete is never treated as complete.
//! 12. Names and e-mail addresses are dropped where the answer is decoded, unless the configuration or an
//!     operator's command asks for them. Tokens never get into a log, a label, a panic message, an argument list or a file.
//! 13. A reload uses a configuration as a whole, or not at all. What can fail is prepared before anything changes. Each key
//!     declares whether a reload may change it. An account never has two pollers, and a credential never gets a new budget
//!     while requests of its old one count.
//!
//! # As a library
//!
//! The public modules are the client, the simulator, the values that they exchange, and the clock. Without the default
//! feature `daemon` the crate has only these four rooms and [`http`], and needs no database:
//!
//! ```
//! use zt_risk_exporter::clock::Clock;
//! use zt_risk_exporter::cloudflare::limit::Budget;
//! use zt_risk_exporter::cloudflare::{Client, Credentials, Options};
//! use zt_risk_exporter::model::Completeness;
//! use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario, Simulator};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Instead of Cloudflare: one account with 100 users, and a token with all permissions.
//!     let simulator = Simulator::start(Scenario::generated(100, 1), Clock::system()).await?;
//!     let options = Options { base_url: simulator.base_url(), ..Options::default() };
//!     // A quarter of the requests that Cloudflare allows. Clones of a budget share it.
//!     let budget = Budget::new(0.25, Clock::system());
//!     let token = Credentials::Token(GENERATED_TOKEN.into());
//!     let client = Client::new(GENERATED_ACCOUNT, token, budget, options)?;
//!
//!     let summary = client.summary().await?;
//!     assert_eq!((summary.rows.len(), &summary.completeness), (100, &Completeness::Complete));
//!     let risk = client.user(summary.rows[0].user).await?;
//!     println!("{} events, last reset {:?}", risk.events.len(), risk.last_reset);
//!     Ok(())
//! }
//! ```

pub mod clock;
pub mod cloudflare;
pub mod model;
pub mod simulator;

mod http;

#[cfg(feature = "daemon")]
mod app;
#[cfg(feature = "daemon")]
mod collector;
#[cfg(feature = "daemon")]
mod commands;
#[cfg(feature = "daemon")]
mod config;
#[cfg(feature = "daemon")]
mod feed;
#[cfg(feature = "daemon")]
mod metrics;
#[cfg(feature = "daemon")]
mod server;
#[cfg(feature = "daemon")]
mod store;
#[cfg(feature = "daemon")]
mod web;

#[doc(hidden)]
#[allow(
    missing_docs,
    reason = "what the tests and benches need of the private rooms; nobody else should use it"
)]
pub mod internals;
