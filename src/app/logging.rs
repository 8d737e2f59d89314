//! Writes log lines to standard error, as text or as JSON.
//!
//! A thread of its own writes them, from a bounded queue. If nobody reads standard error, lines are dropped and counted, and
//! no other thread waits.

mod text_fields;

use std::io::{self, IsTerminal};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;

use crate::config::{Config, Filter, Log, LogFormat};
use text_fields::TextFields;

/// How many lines may wait to be written: many more than the start of a process with many accounts writes at once, and
/// less than a megabyte.
const QUEUED_LINES: usize = 4096;

/// The state of the log after [`start`].
static STARTED: OnceLock<Started> = OnceLock::new();

struct Started {
    dropped: ErrorCounter,
    /// Writes the last lines when it is dropped.
    guard: Mutex<Option<WorkerGuard>>,
    set_targets: SetTargets,
}

/// Logs these targets from now on.
type SetTargets = Box<dyn Fn(Targets) + Send + Sync>;

/// The target of the lines that record a change made by an operator's command.
pub(crate) const OPERATOR: &str = "zt_risk_exporter::operator";

/// Whether log lines have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// With ANSI escape sequences.
    On,
    /// Without escape sequences.
    Off,
}

/// The target of the library that speaks HTTP/2.
const HTTP2: &str = "h2";

impl Colour {
    /// Colours for a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn for_stream(stream: &impl IsTerminal) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && stream.is_terminal() { Self::On } else { Self::Off }
    }
}

/// How many token files are named in the log. The live page and `check` name more of them.
const NAMED_TOKEN_FILES: usize = 10;

/// Logs the warnings about a configuration.
pub(crate) fn warn_of(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!(warning, "a warning about the configuration");
    }
    let Some(files) = &config.token_files else { return };
    for problem in files.problems.iter().take(NAMED_TOKEN_FILES) {
        tracing::warn!(%problem, "a problem with accounts_from.tokens_dir");
    }
    let others = files.problems.len().saturating_sub(NAMED_TOKEN_FILES);
    if others > 0 {
        tracing::warn!(others, "more token files have problems");
    }
    if files.is_empty() {
        let directory = files.directory.display();
        tracing::warn!(%directory, "accounts_from.tokens_dir has no token files");
    }
}

/// Sends the log of this process to standard error.
///
/// # Errors
/// A subscriber is installed already.
pub(crate) fn start(log: &Log) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let (queue, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUED_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(io::stderr());
    let dropped = queue.error_counter();
    let (subscriber, set_targets) = adjustable(log, Colour::for_stream(&io::stderr()), queue);
    tracing::subscriber::set_global_default(subscriber)?;
    // It is empty: only one subscriber can be installed.
    let _ = STARTED.set(Started { dropped, guard: Mutex::new(Some(guard)), set_targets });
    Ok(())
}

/// Logs the lines of this level from now on, if the log of this process was started.
pub(crate) fn set_level(level: &Filter) {
    if let Some(started) = STARTED.get() {
        (started.set_targets)(targets(level));
    }
}

/// Writes the lines that still wait; gives up after about a second. Later lines are lost.
pub(crate) fn finish() {
    if let Some(Started { guard, .. }) = STARTED.get() {
        drop(guard.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// How many lines were dropped because the queue was full.
pub(crate) fn dropped_lines() -> u64 {
    STARTED.get().map_or(0, |started| started.dropped.dropped_lines() as u64)
}

/// A subscriber that writes lines to `writer`: the time (RFC 3339, UTC), the level, the message and the fields.
pub fn subscriber<W>(log: &Log, colour: Colour, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    adjustable(log, colour, writer).0
}

/// The same, with a function that changes which lines are written.
fn adjustable<W>(log: &Log, colour: Colour, writer: W) -> (Box<dyn Subscriber + Send + Sync>, SetTargets)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(colour == Colour::On)
        // Internal errors would be printed with `eprintln!`, which panics if standard error is closed.
        .log_internal_errors(false)
        .with_writer(writer);
    match log.format {
        LogFormat::Text => filtered(builder.fmt_fields(TextFields).finish(), &log.level),
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(false).with_span_list(false);
            filtered(builder.finish(), &log.level)
        }
    }
}

fn filtered<S>(subscriber: S, level: &Filter) -> (Box<dyn Subscriber + Send + Sync>, SetTargets)
where
    S: Subscriber + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(targets(level));
    // An error means that the subscriber is gone.
    let set_targets = Box::new(move |targets| handle.reload(targets).unwrap_or_default());
    (Box::new(subscriber.with(filter)), set_targets)
}

/// Changes that a person makes are logged whatever the level is. What clients do wrong with HTTP/2 is logged only if the level
/// asks for it by name, or for everything: anyone who can open a TLS connection could fill the log, without a password.
fn targets(level: &Filter) -> Targets {
    let targets = level.to_targets().with_target(OPERATOR, LevelFilter::INFO);
    let asked_for = targets.iter().any(|(target, _)| target.starts_with(HTTP2));
    let general = targets.default_level().unwrap_or(LevelFilter::OFF);
    match asked_for || general > LevelFilter::INFO {
        true => targets,
        false => targets.with_target(HTTP2, general.min(LevelFilter::ERROR)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, format: LogFormat, colour: Colour) -> String {
        let log = Log { level: level.parse().unwrap(), format };
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(&log, colour, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(account = "acme", "no answer");
            tracing::info!(target: "other", "filtered out");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn mistakes_of_http_2_clients_are_logged_only_if_they_are_asked_for() {
        let level = |text: &str| targets(&text.parse().unwrap());
        for (text, logged) in [
            ("info", false),
            ("warn", false),
            ("info,zt_risk_exporter=debug", false),
            ("debug", true),
            ("info,h2=warn", true),
            ("info,h2::proto=info", true),
        ] {
            let found = level(text).would_enable("h2::proto::streams::recv", &tracing::Level::WARN);
            assert_eq!(found, logged, "{text}");
        }
        assert!(level("info").would_enable("h2::proto", &tracing::Level::ERROR));
        assert!(!level("off").would_enable("h2::proto", &tracing::Level::ERROR));
    }

    /// Whether `text` is a time in RFC 3339 and UTC.
    fn is_date(text: &str) -> bool {
        text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
    }

    #[test]
    fn text_has_a_date_a_level_and_fields_and_colours_only_if_asked_for() {
        let text = logged("info,other=off", LogFormat::Text, Colour::Off);
        let (date, rest) = text.split_once(' ').unwrap();
        assert!(is_date(date), "{text}");
        assert_eq!(rest, " WARN zt_risk_exporter::app::logging::tests: no answer account=\"acme\"\n");
        assert!(logged("info", LogFormat::Text, Colour::On).contains('\u{1b}'));
    }

    #[test]
    fn text_from_outside_forges_no_line_and_no_field() {
        let hostile = "no\n2026-11-21T00:00:00Z  INFO x: all is well level=\"none\"\u{202e}\u{2028}\u{1b}[2J";
        let log = Log { level: "info".parse().unwrap(), format: LogFormat::Text };
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(&log, Colour::Off, move || writer.clone()), || {
            tracing::warn!(name = hostile, error = %hostile, plain = %"127.0.0.1:80", count = 3, "{hostile}");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let escaped = "no\\n2026-11-21T00:00:00Z  INFO x: all is well level=";
        let message = format!("{escaped}\"none\"\\u{{202e}}\\u{{2028}}\\u{{1b}}[2J");
        let field = format!("\"{escaped}\\\"none\\\"\\u{{202e}}\\u{{2028}}\\u{{1b}}[2J\"");
        let wanted = format!(": {message} name={field} error={field} plain=127.0.0.1:80 count=3\n");
        assert!(text.ends_with(&wanted), "{text}\n{wanted}");
        assert_eq!(text.matches(char::is_control).count(), 1, "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged("warn", LogFormat::Json, Colour::On);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(line["timestamp"].as_str().is_some_and(is_date), "{text}");
        let fields = ["level", "target", "message", "account"].map(|name| line[name].as_str().unwrap());
        assert_eq!(fields, ["WARN", "zt_risk_exporter::app::logging::tests", "no answer", "acme"]);
    }
}
