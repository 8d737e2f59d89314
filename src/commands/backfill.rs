//! `backfill`: writes the events that Cloudflare still lists to a file that Prometheus can load.
//!
//! It requests each user who had an event in that time once, within the budget, and counts the events on a grid of
//! dates ([`grid`]). The progress is saved in a file ([`checkpoint`]), from which the same command continues. The metric
//! has a separate name, so that it never mixes with what the exporter counts.

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
use checkpoint::{Checkpoint, Parameters, replace, with_suffix};
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

/// The command is not interactive, so a request may wait for the budget and for the end of a block.
const PERMIT_WAIT: Duration = Duration::from_secs(2 * 3_600);

/// Prometheus still writes the blocks of the last three hours, and its documentation warns against loading data there.
const UNSETTLED: Duration = Duration::from_secs(3 * 3_600);

/// The pauses before a request is tried again after a temporary error. After the last one the command ends.
const WAITS: [Duration; 3] = [Duration::from_secs(60), Duration::from_secs(300), Duration::from_secs(900)];

impl Backfill {
    pub(crate) fn run(&self) -> Outcome {
        let config = setup::with_found(setup::configure(&(&self.file_flags).into())?)?;
        let account = config.account(self.account.as_deref())?;
        let report = setup::block_on(run(self, &config, account, &Clock::system(), Display::Progress))?;
        let report = report.map_err(|error| match error {
            Error::Usage(_) => Failure::usage(error),
            _ => Failure::runtime(error),
        })?;
        terminal::print_wrapped(&report.to_string())
    }
}

/// Why a backfill failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is invalid.
    #[error("{0}")]
    Usage(String),
    /// The client cannot be created.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A request failed.
    #[error("{resource}: {source}; the progress is saved; run the same command to continue")]
    Request {
        /// The resource that was requested.
        resource: &'static str,
        /// The failure of the request.
        source: cloudflare::Error,
    },
    /// The list of users is incomplete.
    #[error("summary: the list is incomplete: {0}; run the same command to try again")]
    Partial(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The output file, or the progress file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Whether standard error shows how far a backfill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Display {
    /// A bar, or a line now and then.
    Progress,
    /// Nothing.
    Nothing,
}

/// The result of a backfill.
#[derive(Debug)]
pub struct Report {
    account: String,
    file: PathBuf,
    since: Timestamp,
    until: Timestamp,
    series: usize,
    found: Found,
}

/// Reads the users that are still to be read, and writes the file.
///
/// # Errors
/// See [`Error`]. The progress is saved.
pub async fn run(
    flags: &Backfill,
    config: &Config,
    account: &Account,
    clock: &Clock,
    display: Display,
) -> Result<Report, Error> {
    let mut job = Job::open(flags, account, clock)?;
    let session = open(flags, config, account, clock, job.progress.sent())?;
    let users = job.users(&session).await?;
    job.read(&session, &users, display).await?;
    job.write(&account.alias)
}

/// A backfill in progress, and its files.
struct Job {
    file: PathBuf,
    progress_file: PathBuf,
    progress: Checkpoint,
}

impl Job {
    fn open(flags: &Backfill, account: &Account, clock: &Clock) -> Result<Self, Error> {
        let (file, progress_file) = (flags.file.clone(), with_suffix(&flags.file, "progress"));
        if file.exists() {
            let why =
                format!("{} already exists and is not overwritten; choose another file", file.display());
            return Err(Error::Usage(why));
        }
        let parameters = Parameters {
            account: account.id.clone(),
            since: flags.since.as_str().to_owned(),
            until: flags.until.as_ref().map(|until| until.as_str().to_owned()),
            step: flags.step,
        };
        let known = Checkpoint::load(&progress_file).map_err(|error| {
            let why = "cannot be used; remove it to start again";
            Error::File { path: progress_file.clone(), source: io::Error::other(format!("{why}: {error}")) }
        })?;
        let progress = match known {
            Some(progress) if progress.parameters == parameters => progress,
            Some(_) => {
                let path = progress_file.display();
                return Err(Error::Usage(format!(
                    "{path} belongs to another backfill; use the same flags, or remove it"
                )));
            }
            None => Checkpoint::new(parameters, span(flags, clock.date())?, *uuid::Uuid::new_v4().as_bytes()),
        };
        Ok(Self { file, progress_file, progress })
    }

    /// The users that are still to be read, in the order of reading.
    async fn users(&mut self, session: &Session) -> Result<Vec<(u64, UserId)>, Error> {
        if self.progress.found == Found::default() {
            self.label(session).await?;
        }
        let summary = session.client.summary().await.map_err(|source| request("summary", source))?;
        self.save(session)?;
        if let Completeness::Partial(reason) | Completeness::Unfinished(reason) = summary.completeness {
            return Err(Error::Partial(reason));
        }
        let order = self.progress.reading_order();
        let mut users: Vec<_> = eventful(&summary, self.progress.history.span().since)
            .map(|user| (order.of(user), user))
            .filter(|(place, _)| !self.progress.is_done(*place))
            .collect();
        users.sort_unstable();
        Ok(users)
    }

    /// Reads the behaviors, because events may carry their display names. If the behaviors may not be read or make no
    /// sense, the names stay as they are, as in the exporter.
    async fn label(&mut self, session: &Session) -> Result<(), Error> {
        match session.client.behaviors().await {
            Ok(behaviors) => self.progress.history.label(&behaviors.rows),
            Err(error) if matches!(error.kind(), Kind::Forbidden(_) | Kind::NotFound | Kind::Shape) => {
                tracing::warn!(%error, "the behaviors cannot be read; events keep the names they carry");
            }
            Err(error) => return Err(request("behaviors", error)),
        }
        Ok(())
    }

    async fn read(
        &mut self,
        session: &Session,
        users: &[(u64, UserId)],
        display: Display,
    ) -> Result<(), Error> {
        let begun = session.clock.now();
        let earlier = self.progress.found.users;
        let total = earlier as usize + users.len();
        let mut shown = match display {
            Display::Progress => Progress::new("reading events of user", total, begun),
            Display::Nothing => Progress::hidden(),
        };
        for (done, (place, user)) in (0_u64..).zip(users) {
            let now = session.clock.now();
            let each = now.since(begun).div_f64(done.max(1) as f64);
            let left = time_left(users.len() as u64 - done, each, session.budget(), now);
            shown.set(earlier as usize + done as usize, Some(left), now);
            let answer = request_user(session, *user).await?;
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
        self.progress
            .save(&self.progress_file)
            .map_err(|source| Error::File { path: self.progress_file.clone(), source })
    }

    fn write(self, alias: &str) -> Result<Report, Error> {
        let Self { file, progress_file, progress } = self;
        let at = |path: &Path, source| Error::File { path: path.to_owned(), source };
        replace(&file, |out| progress.history.write(alias, out)).map_err(|error| at(&file, error))?;
        fs::remove_file(&progress_file).map_err(|error| at(&progress_file, error))?;
        let Span { since, until, .. } = *progress.history.span();
        let series = progress.history.series();
        Ok(Report { account: alias.to_owned(), file, since, until, series, found: progress.found })
    }
}

/// The answer to the request for a user.
enum Answer {
    Events(UserRisk),
    /// The user no longer exists.
    Gone,
    /// The answer has no documented shape.
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

/// Requests a user, and again after temporary errors.
async fn request_user(session: &Session, user: UserId) -> Result<Answer, Error> {
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
        tracing::warn!(%error, wait_seconds, "no usable answer; trying again after a pause");
        session.clock.sleep(wait).await;
    }
}

fn request(resource: &'static str, source: cloudflare::Error) -> Error {
    Error::Request { resource, source }
}

/// The users who may have events after `since`: those whose latest event is later, and those whose row is unreadable.
fn eventful(summary: &Summary, since: Timestamp) -> impl Iterator<Item = UserId> {
    let recent = summary
        .rows
        .iter()
        .filter(move |row| row.tuple.last_event > since || row.tuple.last_event == Timestamp::UNKNOWN)
        .map(|row| row.user);
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
        let why = format!("since --since ({since}) there are more than {MOST_SAMPLES} steps of --step");
        return Err(Error::Usage(why));
    }
    Ok(span)
}

/// A summary for the user: what the file holds, what it does not, and how to load it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, file, since, until, series, found: Found { users, events, gone, cut } } = self;
        writeln!(
            f,
            "account {account}: {events} events in {series} series, {since} to {until}; {users} users read"
        )?;
        if *gone > 0 {
            writeln!(f, "users who no longer exist: {gone}")?;
        }
        if *cut > 0 {
            writeln!(f, "users whose events were not all read: {cut}")?;
        }
        writeln!(
            f,
            "not included: events that Cloudflare no longer lists, and events of users who were reset or removed since"
        )?;
        if *events == 0 {
            return writeln!(f, "there is nothing to load from {}", file.display());
        }
        let (from, file) = (*until + UNSETTLED, file.display());
        writeln!(
            f,
            "load it after {from} with `promtool tsdb create-blocks-from openmetrics {file} DIRECTORY`"
        )
    }
}
