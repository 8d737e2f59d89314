//! `backfill`: writes the past that Cloudflare still lists, so that Prometheus can be given what it has not seen.
//!
//! Each user who had an event in that time is asked for once, within the budget. Their events are counted on
//! a grid of dates ([`grid`]), and how far that is stays in a file ([`checkpoint`]), from which the same
//! command goes on. What is written has a name of its own: what the exporter counts is not touched.

mod args;
mod checkpoint;
mod grid;
mod time_left;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use args::Backfill;
pub(crate) use checkpoint::Found;
use checkpoint::{Checkpoint, Order, beside, replace};
use grid::{MOST_SAMPLES, Span};
use time_left::time_left;

use super::session::Session;
use super::terminal::progress::Progress;
use super::{Failure, Outcome, setup, terminal};
use crate::app::ClientError;
use crate::clock::{Clock, Timestamp};
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{self, Kind, Options};
use crate::config::{Account, Config};
use crate::model::{Completeness, Summary, UserId, UserRisk};

/// Nobody waits at the terminal: a request waits for its turn, and for the end of a block.
const PERMIT_WAIT: Duration = Duration::from_secs(2 * 3_600);

/// Prometheus still writes to its latest blocks, and its documentation warns against adding to these.
const UNSETTLED: Duration = Duration::from_secs(3 * 3_600);

/// Passing trouble is waited out for so long, one after the other; then the command ends, and can be given again.
const WAITS: [Duration; 3] = [Duration::from_secs(60), Duration::from_secs(300), Duration::from_secs(900)];

impl Backfill {
    pub(crate) fn run(&self) -> Outcome {
        let config = setup::configure(&(&self.file_flags).into())?;
        let account = config.account(self.account.as_deref())?;
        let report = setup::wait(run(self, &config, account, &Clock::system()))?;
        let report = report.map_err(|error| match error {
            Error::Usage(_) => Failure::usage(error),
            _ => Failure::runtime(error),
        })?;
        terminal::print(report.to_string())
    }
}

/// Why the past was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line must be mended.
    #[error("{0}")]
    Usage(String),
    /// There is no client for the account.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Cloudflare gave no usable answer.
    #[error("{endpoint}: {source}; what was read is kept, and the same command goes on from there")]
    Request {
        /// The part of the API.
        endpoint: &'static str,
        /// What was answered.
        source: cloudflare::Error,
    },
    /// Some of the list is missing.
    #[error("summary: the list is not whole: {0}; the same command tries again")]
    Partial(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What was written.
#[derive(Debug)]
pub struct Report {
    account: String,
    file: PathBuf,
    since: Timestamp,
    until: Timestamp,
    series: usize,
    found: Found,
}

/// Reads what is still to be read, and writes the file.
///
/// # Errors
/// As [`Error`] sorts them; what was read is kept.
pub async fn run(
    flags: &Backfill,
    config: &Config,
    account: &Account,
    clock: &Clock,
) -> Result<Report, Error> {
    let mut past = Past::open(flags, account, clock)?;
    let session = open(flags, config, account, clock, past.progress.sent())?;
    let users = past.users(&session).await?;
    past.read(&session, &users).await?;
    past.write(&account.alias)
}

/// What is known of the past, and the files it is kept in.
struct Past {
    file: PathBuf,
    kept_in: PathBuf,
    progress: Checkpoint,
}

impl Past {
    fn open(flags: &Backfill, account: &Account, clock: &Clock) -> Result<Self, Error> {
        let (file, kept_in) = (flags.file.clone(), beside(&flags.file, "progress"));
        if file.exists() {
            let why = format!("{} is there already, and is not replaced; name another file", file.display());
            return Err(Error::Usage(why));
        }
        let order = Order {
            account: account.id.clone(),
            since: flags.since.as_str().to_owned(),
            until: flags.until.as_ref().map(|until| until.as_str().to_owned()),
            step: flags.step,
        };
        let known = Checkpoint::load(&kept_in).map_err(|error| {
            let why = "cannot be used; remove it to begin anew";
            Error::File { path: kept_in.clone(), source: io::Error::other(format!("{why}: {error}")) }
        })?;
        let progress = match known {
            Some(progress) if progress.order == order => progress,
            Some(_) => {
                let path = kept_in.display();
                return Err(Error::Usage(format!(
                    "{path} is of another backfill; give its flags again, or remove it"
                )));
            }
            None => Checkpoint::new(order, span(flags, clock.date())?, *uuid::Uuid::new_v4().as_bytes()),
        };
        Ok(Self { file, kept_in, progress })
    }

    /// Who is still to be read, in the order of reading.
    async fn users(&mut self, session: &Session) -> Result<Vec<(u64, UserId)>, Error> {
        if self.progress.found == Found::default() {
            self.label(session).await?;
        }
        let summary = session.client.summary().await.map_err(|source| request("summary", source))?;
        self.save(session)?;
        if let Completeness::Partial(reason) = summary.completeness {
            return Err(Error::Partial(reason));
        }
        let places = self.progress.places();
        let mut users: Vec<_> = eventful(&summary, self.progress.history.span().since)
            .map(|user| (places.of(user), user))
            .filter(|(place, _)| !self.progress.is_done(*place))
            .collect();
        users.sort_unstable();
        Ok(users)
    }

    /// Events may carry display names: the list of behaviors says whose. Without a permission for it, or where it
    /// makes no sense, names stay as they are, as the exporter does it.
    async fn label(&mut self, session: &Session) -> Result<(), Error> {
        match session.client.behaviors().await {
            Ok(behaviors) => self.progress.history.label(&behaviors.rows),
            Err(error) if matches!(error.kind(), Kind::Forbidden(_) | Kind::NotFound | Kind::Shape) => {
                tracing::warn!(%error, "the behaviors are not known: events keep the names they carry");
            }
            Err(error) => return Err(request("behaviors", error)),
        }
        Ok(())
    }

    async fn read(&mut self, session: &Session, users: &[(u64, UserId)]) -> Result<(), Error> {
        let begun = session.clock.now();
        let earlier = self.progress.found.users;
        let total = earlier as usize + users.len();
        let mut shown = Progress::new("reading events of user", total, begun);
        for (done, (place, user)) in (0_u64..).zip(users) {
            let now = session.clock.now();
            let each = now.since(begun).div_f64(done.max(1) as f64);
            let left = time_left(users.len() as u64 - done, each, session.budget(), now);
            shown.set(earlier as usize + done as usize, Some(left), now);
            let answer = ask(session, *user).await?;
            self.progress.found.users += 1;
            match answer {
                Answer::Events(risk) => self.count(&risk),
                Answer::Gone => self.progress.found.gone += 1,
                Answer::Unusable => self.progress.found.cut += 1,
            }
            self.progress.done(*place);
            self.save(session)?;
        }
        Ok(())
    }

    fn count(&mut self, risk: &UserRisk) {
        let Checkpoint { history, found, .. } = &mut self.progress;
        found.events += history.add(&risk.events);
        found.cut += u64::from(risk.completeness != Completeness::Complete || risk.rejected > 0);
    }

    fn save(&mut self, session: &Session) -> Result<(), Error> {
        self.progress.spent(session.take_sent(), session.clock.date());
        self.progress.save(&self.kept_in).map_err(|source| Error::File { path: self.kept_in.clone(), source })
    }

    fn write(self, alias: &str) -> Result<Report, Error> {
        let Self { file, kept_in, progress } = self;
        let at = |path: &Path, source| Error::File { path: path.to_owned(), source };
        replace(&file, |out| progress.history.write(alias, out)).map_err(|error| at(&file, error))?;
        fs::remove_file(&kept_in).map_err(|error| at(&kept_in, error))?;
        let Span { since, until, .. } = *progress.history.span();
        let series = progress.history.series();
        Ok(Report { account: alias.to_owned(), file, since, until, series, found: progress.found })
    }
}

/// What came of asking for a user.
enum Answer {
    Events(UserRisk),
    /// Nobody knows the user any more.
    Gone,
    /// Nobody can make sense of the answer.
    Unusable,
}

fn open(
    flags: &Backfill,
    config: &Config,
    account: &Account,
    clock: &Clock,
    earlier: &[(Timestamp, u32)],
) -> Result<Session, ClientError> {
    let share = flags.budget_share.unwrap_or(account.budget_share);
    let budget = Budget::after(share, clock.clone(), earlier);
    let options = Options { permit_timeout: PERMIT_WAIT, ..Options::default() };
    Session::open(config, account, budget, options, clock)
}

/// Asks until there is an answer, or until trouble has lasted too long.
async fn ask(session: &Session, user: UserId) -> Result<Answer, Error> {
    let mut waits = WAITS.into_iter();
    loop {
        let error = match session.client.user(user).await {
            Ok(risk) => return Ok(Answer::Events(risk)),
            Err(error) => error,
        };
        match error.kind() {
            Kind::NotFound => return Ok(Answer::Gone),
            Kind::Shape | Kind::Invalid => {
                tracing::warn!(%error, "the events of a user cannot be read");
                return Ok(Answer::Unusable);
            }
            Kind::Limited(_) | Kind::Unavailable | Kind::Timeout => {}
            Kind::Credentials | Kind::Refused | Kind::Forbidden(_) | Kind::NotEntitled => {
                return Err(request("user", error));
            }
        }
        let Some(wait) = waits.next() else { return Err(request("user", error)) };
        let wait_seconds = wait.as_secs();
        tracing::warn!(%error, wait_seconds, "no usable answer; asked again after a pause");
        session.clock.sleep(wait).await;
    }
}

fn request(endpoint: &'static str, source: cloudflare::Error) -> Error {
    Error::Request { endpoint, source }
}

/// The users who may have events after `since`: those whose latest is, and those whose row could not be read.
fn eventful(summary: &Summary, since: Timestamp) -> impl Iterator<Item = UserId> {
    let recent = summary.rows.iter().filter(move |row| row.tuple.last_event > since).map(|row| row.user);
    recent.chain(summary.unreadable.iter().copied())
}

fn span(flags: &Backfill, now: Timestamp) -> Result<Span, Error> {
    let since = flags.since.date(now);
    let until = flags.until.as_ref().map_or(now, |until| until.date(now)).min(now);
    let span = Span { since, until, step: flags.step };
    if since >= until {
        return Err(Error::Usage(format!("--since ({since}) must be before --until ({until})")));
    }
    if span.steps() > MOST_SAMPLES {
        let why = format!("from --since ({since}) on there are more than {MOST_SAMPLES} steps of --step");
        return Err(Error::Usage(why));
    }
    Ok(span)
}

/// What to do with it, and what is not in it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, file, since, until, series, found: Found { users, events, gone, cut } } = self;
        writeln!(
            f,
            "account {account}: {events} events in {series} series, {since} to {until}; {users} users asked for"
        )?;
        if *gone > 0 {
            writeln!(f, "of them no longer known: {gone}")?;
        }
        if *cut > 0 {
            writeln!(f, "of them not read whole: {cut}")?;
        }
        writeln!(
            f,
            "not in it: events that Cloudflare lists no more, and those of users who were reset since or are gone"
        )?;
        if *events == 0 {
            return writeln!(f, "there is nothing to load from {}", file.display());
        }
        let (from, file) = (*until + UNSETTLED, file.display());
        writeln!(
            f,
            "load it, from {from} on:   promtool tsdb create-blocks-from openmetrics {file} DIRECTORY"
        )
    }
}
